"""How long a job keeps other tasks of its event loop waiting.

    python benchmarks/stall.py [--quick] [--json FILE]

A task of the same loop wakes every millisecond and notes how late it is: without a job, to see what the
machine adds; during a fast job that writes parts; and during one whose images lie on a slow disk, where each
open and each read blocks its thread for 5 ms, and which writes parts too.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import io
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common import options_parser, write_pictures, write_results
from nginx import nginx
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_S = 0.001


class SlowDisk:
    """Blocks every thread that opens or reads a file below a folder for a while."""

    def __init__(self, folder: Path) -> None:
        self.delay_s = 0.0
        self._folder = str(folder)
        self._descriptors: set[int] = set()
        self._os_open, self._os_read, self._os_close, self._open = os.open, os.read, os.close, open

    def install(self) -> None:
        """Replace the functions that open and read files, for the rest of the process."""
        os.open, os.read = self._slow_os_open, self._slow_os_read
        os.close = self._forget  # type: ignore[assignment] # the same, but for its argument's name
        builtins.open = io.open = self._slow_open  # type: ignore[assignment] # the same, but for its many overloads

    def _is_slow(self, path: Any) -> bool:
        return (
            bool(self.delay_s) and isinstance(path, str | os.PathLike) and str(path).startswith(self._folder)
        )

    def _slow_os_open(self, path: Any, *args: Any, **options: Any) -> int:
        slow = self._is_slow(path)
        if slow:
            time.sleep(self.delay_s)
        descriptor = self._os_open(path, *args, **options)
        if slow:
            self._descriptors.add(descriptor)
        return descriptor

    def _slow_os_read(self, descriptor: int, length: int, /) -> bytes:
        if descriptor in self._descriptors:
            time.sleep(self.delay_s)
        return self._os_read(descriptor, length)

    def _forget(self, descriptor: int, /) -> None:
        self._descriptors.discard(descriptor)
        self._os_close(descriptor)

    def _slow_open(self, path: Any, *args: Any, **options: Any) -> Any:
        if self._is_slow(path):
            time.sleep(2 * self.delay_s)  # what is read comes at once, and later
        return self._open(path, *args, **options)


async def lateness_s(during: Callable[[], Any]) -> list[float]:
    """Return how late each beat was while something ran in the same loop."""
    late: list[float] = []

    async def beat() -> None:
        while True:
            due = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late.append(time.monotonic() - due)

    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(beat())
        await during()
        beating.cancel()
    return late


async def measure(endpoint: str, folder: Path, disk: SlowDisk, seconds: float) -> list[dict[str, Any]]:
    """Measure the three phases."""
    results = []
    for phase in ("no job", "fast job", "slow disk"):
        disk.delay_s = 0.005 if phase == "slow disk" else 0.0
        with tempfile.TemporaryDirectory() as checkpoint:
            async with AsyncVisionEmbedder(
                endpoint, "any", requests_per_second=None, max_in_flight=32
            ) as embedder:
                job = EmbeddingJob(embedder, folder, checkpoint=checkpoint, progress=False)

                async def run(job: EmbeddingJob = job, phase: str = phase) -> None:
                    with suppress(TimeoutError):
                        # Long enough for a part or two, however slow the machine.
                        async with asyncio.timeout(seconds * (4 if phase == "fast job" else 1)):
                            await (asyncio.Event().wait() if phase == "no job" else job.run())

                late = await lateness_s(run)
            results.append(
                {
                    "phase": phase,
                    "beats": len(late),
                    "max_ms": 1000 * max(late),
                    "p999_ms": 1000 * float(np.quantile(late, 0.999)),
                    "images": job.report.embedded,
                    "parts": count_parts(Path(checkpoint)),
                }
            )
        print(results[-1], file=sys.stderr, flush=True)
    return results


def count_parts(checkpoint: Path) -> int:
    """Return how many parts a job has written."""
    return len(list((checkpoint / "vectors").glob("*.parquet")))


def main() -> None:
    """Measure the three phases."""
    options = options_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary, nginx() as service:
        folder = Path(temporary, "images")
        write_pictures(folder, 2_000 if options.quick else 15_000)
        disk = SlowDisk(folder)
        disk.install()
        gc.freeze()  # else a full collection of what was imported stops all threads for 20 ms
        write_results(
            asyncio.run(measure(service.http, folder, disk, 2 if options.quick else 6)), options.json
        )


if __name__ == "__main__":
    main()

"""The product from outside: its command line on the fake service, and what is promised after any fault.

Nothing here looks into a checkpoint further than any reader may: at ``vectors/`` and ``failures.parquet``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from command_line import Ran
from fake_service import MODEL, vector_for
from helpers import QUICK, tiny_jpegs, write_images
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.checkpoint.status import read_status
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from fake_service import FakeService
    from semart_vectors import JobReport

IN_FLIGHT = 8

UNSAVED_S = 0.25
"""What was answered so long before a kill is never paid again; only the full run measures it."""

WITH_SMALL_PARTS = """
import os, sys
from semart_vectors import cli
from semart_vectors.checkpoint import parts as checkpoint
assert checkpoint.ROWS_A_PART > 0
checkpoint.ROWS_A_PART = int(sys.argv.pop(1))
os.getpid = lambda: 4242  # temporary files have the same names in each run
cli.main()
"""
"""The command line with parts of a few rows, so that one is published often."""


class Started:
    """A command that runs; its output goes to files, so that nothing waits for who reads it."""

    def __init__(self, process: Process, out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    async def end(self, *, within_s: float = 120) -> Ran:
        """Wait until it ends."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
        return Ran(code, self._out.read_text(), self._err.read_text())


class Site:
    """A folder of images, a checkpoint, and a service that remembers what it was paid for."""

    def __init__(
        self, folder: Path, service: FakeService, count: int, *, checkpoint: Path | None = None
    ) -> None:
        self.folder = folder
        self.service = service
        self.checkpoint = checkpoint or folder / "ck"
        self._running = 0
        self.images = {f"{number:06}.jpg": content for number, content in enumerate(tiny_jpegs(count))}
        write_images(folder / "images", self.images)

    @asynccontextmanager
    async def started(
        self,
        *,
        per_s: float = 1_000_000,
        in_flight: int = IN_FLIGHT,
        rows_a_part: int | None = None,
        under: Sequence[str] = (),
        key: str = "k",
    ) -> AsyncIterator[Started]:
        """Start ``embed``, `under` another command if that is given, and kill it if it runs in the end."""
        program = (
            ["-m", "semart_vectors"] if rows_a_part is None else ["-c", WITH_SMALL_PARTS, str(rows_a_part)]
        )
        options = [f"--requests-per-second={per_s}", f"--max-in-flight={in_flight}", "--json"]
        folders = [str(self.folder / "images"), "--checkpoint", str(self.checkpoint)]
        out, err = self.folder / f"{key}.out", self.folder / f"{key}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = await asyncio.create_subprocess_exec(
                *(*under, sys.executable, *program, "embed", *folders, *options),
                env={**os.environ, "VISION_ENDPOINT": self.service.endpoint, "VISION_KEY": key},
                cwd=self.folder,
                stdout=out_file,
                stderr=err_file,
            )
        self._running += 1
        try:
            yield Started(process, out, err)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._running -= 1
            if not self._running:
                await self._hung_up()

    async def run(self, **options: object) -> Ran:
        """Run ``embed`` to its end; options as for `started`."""
        async with self.started(**options) as started:  # type: ignore[arg-type] # passed on as they are
            return await started.end()

    async def run_here(self) -> JobReport:
        """Run the plain job to its end in this process, which starts none."""
        async with AsyncVisionEmbedder(
            self.service.endpoint, "k", requests_per_second=None, max_in_flight=IN_FLIGHT, retry=QUICK
        ) as embedder:
            return await EmbeddingJob(embedder, self.folder / "images", checkpoint=self.checkpoint).run()

    async def finish(self, kept: set[bytes]) -> None:
        """Run to the end; nothing that is kept is paid for again, and no more than was unsaved."""
        before, unsaved = len(self.service.paid), await asyncio.to_thread(self.unsaved)
        self.service.latency_s = 0
        await self.run_here()
        assert kept.isdisjoint(self.service.paid[before:])
        assert len(set(self.service.paid[before:]) & set(self.service.paid[:before])) <= unsaved
        await asyncio.to_thread(self.check)

    def visible(self) -> set[bytes]:
        """Read ``vectors/`` as anybody may at any moment, and return the contents that it has vectors of."""
        if not list(self.checkpoint.glob("vectors/*.parquet")):
            return set()
        names = pd.read_parquet(self.checkpoint / "vectors", columns=["image_file"])["image_file"]
        assert names.is_unique
        return {self.images[name] for name in names}

    def check(self, *, failed: frozenset[str] = frozenset()) -> None:
        """Check that every image is done, once and with its own vector, or failed with a reason."""
        done = pd.read_parquet(self.checkpoint / "vectors")
        failures = pd.read_parquet(self.checkpoint / "failures.parquet")
        assert sorted(done["image_file"]) == sorted(self.images.keys() - failed)
        assert set(done["model_version"]) == {MODEL}
        for name, vector in zip(done["image_file"], done["vector"], strict=True):
            assert vector.tobytes() == vector_for(self.images[name]).tobytes()
        assert sorted(failures["image_file"]) == sorted(failed)
        assert all(failures["message"])

    @property
    def paid_again(self) -> int:
        """How many calls were paid for an image that was paid for before."""
        return len(self.service.paid) - len(set(self.service.paid))

    def unsaved(self) -> int:
        """How many contents were paid for, and are not recorded in the checkpoint.

        So many may be paid for again by the next run, and no more.
        """
        return len(set(self.service.paid)) - self.recorded()

    def recorded(self) -> int:
        """How many images anybody is told are done."""
        try:
            return read_status(self.checkpoint).done
        except ConfigurationError:  # it has not yet come so far as to be a checkpoint
            return 0

    def start_over(self) -> None:
        """Forget the checkpoint and what was paid."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        for ledger in (self.service.calls, self.service.statuses, self.service.answers):
            ledger.clear()

    async def _hung_up(self) -> None:
        """Wait until the service has noticed that nobody asks it any more: its ledger is complete."""
        async with asyncio.timeout(60):
            while self.service._connections:  # noqa: ASYNC110 - the service tells nobody when they end
                await asyncio.sleep(0.005)


def needs(*programs: str) -> None:
    """Skip the test where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")

"""How many embeddings a second the emulator returns, replayed and computed.

    python benchmarks/emulator.py [--seconds 5] [--connections 16]

The emulator has its own process, pinned to one core; the load comes from this process, on the other cores,
over keep-alive connections. The pictures are made here, all different and about 15 kB each. If other programs
use the machine, or if this process is what limits the rate, look at the CPU time of each answer; the column
"if undisturbed" is computed from it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import make_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "semart_vectors.emulator"]
TARGET = "/computervision/retrieval:vectorizeImage?api-version=2024-02-01&model-version=2023-04-15"
HEAD = (
    f"POST {TARGET} HTTP/1.1\r\nHost: emulator\r\nOcp-Apim-Subscription-Key: any\r\n"
    "Content-Type: application/octet-stream\r\nContent-Length: "
)
FLOORS = {"replayed": 1500, "computed": 150}
"""What one core should reach, in answers a second."""


@contextmanager
def emulator(core: int, *options: str) -> Iterator[tuple[int, int]]:
    """Run the emulator on one core, and yield its port and its process."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        os.sched_setaffinity(process.pid, {core})
        try:
            yield int(process.stdout.readline().rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def write_recordings(folder: Path, pictures: list[bytes]) -> None:
    """Record a vector of the usual size for each picture."""
    with (folder / "recordings.jsonl").open("w") as file:
        for number, picture in enumerate(pictures):
            vector = np.random.default_rng(number).normal(size=1024).astype(np.float16).astype(np.float32)
            line = {
                "operation": "vectorizeImage",
                "sha256": hashlib.sha256(picture).hexdigest(),
                "model": "2023-04-15",
                "vector": [float(str(value)) for value in vector],
            }
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def cpu_s(process: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def answered(port: int, pictures: list[bytes], seconds: float, connections: int) -> tuple[int, float]:
    """Return the number of good answers, and the seconds they took."""
    requests = itertools.cycle([f"{HEAD}{len(body)}\r\n\r\n".encode() + body for body in pictures])
    counts = [0] * connections
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def ask(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while loop.time() < end:
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            assert head.startswith(b"HTTP/1.1 200"), head
            counts[number] += 1
        writer.close()
        await writer.wait_closed()

    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(connections):
            tasks.create_task(ask(number))
    return sum(counts), time.monotonic() - begun


def main() -> None:
    """Print a line for each way to answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    pictures = make_pictures(500)
    size_kb = sum(map(len, pictures)) / len(pictures) / 1000
    print(f"{len(pictures)} pictures of {size_kb:.1f} kB, {options.connections} connections, one core")
    print(f"{'':10}{'per second':>12}{'if undisturbed':>15}{'floor':>8}{'CPU ms each':>13}")
    with tempfile.TemporaryDirectory() as folder:
        write_recordings(Path(folder), pictures)
        for name, arguments in {"replayed": ("--replay", folder), "computed": ()}.items():
            with emulator(cores[0], *arguments) as (port, process):
                asyncio.run(answered(port, pictures, options.seconds / 5, options.connections))
                before_s = cpu_s(process)
                count, took_s = asyncio.run(answered(port, pictures, options.seconds, options.connections))
                cpu_ms = 1000 * (cpu_s(process) - before_s) / count
            print(f"{name:10}{count / took_s:12,.0f}{1000 / cpu_ms:15,.0f}{FLOORS[name]:8,}{cpu_ms:13.2f}")


if __name__ == "__main__":
    main()

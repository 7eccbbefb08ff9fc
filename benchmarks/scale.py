"""How a job, its resumption, its status and its merge grow with the number of images.

    python benchmarks/scale.py [--images 10000 100000 1000000] [--flat] [--folder DIR] [--json PATH]

Makes small valid JPEG files that differ in a comment and runs a job on them. Its service is in the same
process and answers at once: 16,256 vectors in turn, whose numbers are exact in float16 like the real
service's. Then it adds a file that sorts last and runs the job again. Each step is a process of its own whose
memory is sampled. A million images take 7 GB of disk until the end of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from semart_vectors import (
    Embedding,
    EmbeddingJob,
    OutcomeStream,
    SteadyLimiter,
    merge_vectors,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from semart_vectors.images.read_image import LoadedImage
    from semart_vectors.records import Outcome
    from semart_vectors.streams.stop_token import StopToken

MODEL = "2023-04-15"
PER_FOLDER = 10_000
IN_FLIGHT = 32
COLUMNS = {
    "description": "A landscape with cattle and a river, " * 8,
    "title": "Landscape ",
    "author": "AVERCAMP, Hendrick ",
    "technique": "Oil on panel, ",
    "date": "16",
    "type": "landscape ",
}
"""About as long as SemArt's."""


class NullService:
    """An embedder that answers at once."""

    max_in_flight = IN_FLIGHT

    model_version = MODEL

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._vectors = random.standard_normal((128, 1024)).astype(np.float16).astype(np.float32)
        self._orders = random.permuted(np.tile(np.arange(1024), (127, 1)), axis=1)
        self.limiter = SteadyLimiter(math.inf)
        self.calls = 0
        self.first_call_at = 0.0

    def stream_images(self, images: AsyncIterable[LoadedImage], /) -> OutcomeStream[Outcome]:
        """Embed as an embedder does, without the call."""
        return OutcomeStream(images, self._embed, width=IN_FLIGHT)

    async def _embed(self, image: LoadedImage, _: StopToken) -> Outcome:
        if not self.calls:
            self.first_call_at = time.monotonic()
        self.calls += 1
        await asyncio.sleep(0)
        vector = self._vectors[self.calls % 128][self._orders[self.calls % 127]]
        vector.setflags(write=False)
        return Embedding(image.source, vector, MODEL)


def run_job(folder: Path) -> dict[str, Any]:
    """Run the job, and note the longest time that other tasks of its loop had to wait."""
    service = NullService()
    gaps: deque[float] = deque([0.0], maxlen=1)

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(max(gaps[0], time.monotonic() - before - 0.001))

    async def main() -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(beat())
            started_at = time.monotonic()
            job = EmbeddingJob(service, folder / "images", checkpoint=folder / "checkpoint")
            report = await job.run()
            beating.cancel()
        assert report.embedded + report.already_done + report.failed == report.total
        return {
            "total": report.total,
            "embedded": report.embedded,
            "seconds": report.elapsed_s,
            "images_per_s": report.embedded / report.elapsed_s,
            "first_call_s": service.first_call_at - started_at,
            "longest_stall_ms": 1000 * gaps[0],
        }

    return asyncio.run(main())


def run_status(folder: Path) -> dict[str, Any]:
    """Read how far the checkpoint is."""
    started_at = time.monotonic()
    status = read_status(folder / "checkpoint")
    return {"done": status.done, "seconds": time.monotonic() - started_at}


def run_merge(folder: Path) -> dict[str, Any]:
    """Merge with metadata in another order."""
    started_at = time.monotonic()
    report = merge_vectors(folder / "metadata.parquet", folder / "checkpoint", folder / "merged.parquet")
    seconds = time.monotonic() - started_at
    size = (folder / "merged.parquet").stat().st_size
    (folder / "merged.parquet").unlink()
    return {"rows": report.rows, "seconds": seconds, "bytes_a_row": size / report.rows}


def run_copy(folder: Path) -> dict[str, Any]:
    """Copy the vectors, and nothing else, from the parts to one Parquet file of the same encoding."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - the other steps are measured without it

    started_at = time.monotonic()
    writer = None
    for part in sorted((folder / "checkpoint" / "vectors").iterdir()):
        table = pq.ParquetFile(part).read(["vector"])
        if writer is None:
            writer = pq.ParquetWriter(
                folder / "copy.parquet",
                table.schema,
                compression="zstd",
                use_dictionary=False,
                use_byte_stream_split=True,
            )
        writer.write_table(table)
    assert writer is not None
    writer.close()
    with (folder / "copy.parquet").open() as file:
        os.fsync(file.fileno())
    seconds = time.monotonic() - started_at
    (folder / "copy.parquet").unlink()
    return {"seconds": seconds}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "job": run_job,
    "resume": run_job,
    "status": run_status,
    "copy": run_copy,
    "merge": run_merge,
}


def measure(step: str, folder: Path) -> dict[str, Any]:
    """Run a step in its own process, and sample its memory."""
    samples: list[int] = []
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            status = Path("/proc", str(process.pid), "status").read_text()
            samples += [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
            time.sleep(0.1)
        assert process.stdout is not None
        result: dict[str, Any] = json.loads(process.stdout.read())
    assert process.returncode == 0
    later = samples[len(samples) // 2 :]
    return result | {
        "peak_mb": max(samples) / 1024,
        "half_mb": later[0] / 1024,
        "end_mb": later[-2 if len(later) > 1 else -1] / 1024,
        "later_growth_mb": (max(later) - later[0]) / 1024,
    }


def make_images(folder: Path, count: int, *, flat: bool) -> None:
    """Write small pictures that differ in a comment, in one folder or in folders of ten thousand."""
    file = io.BytesIO()
    Image.new("L", (16, 16), 128).save(file, "JPEG", quality=20)
    jpeg = file.getvalue()
    for number in range(count):
        if number % (count if flat else PER_FOLDER) == 0:
            below = folder if flat else folder / f"{number // PER_FOLDER:05}"
            below.mkdir(parents=True)
            descriptor = os.open(below, os.O_RDONLY)
        write_image(descriptor, f"{number:09}.jpg", jpeg)


def write_image(folder: int, name: str, jpeg: bytes) -> None:
    """Write a picture with its name in it."""
    comment = name.encode()
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
    os.write(file, jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:])
    os.close(file)


def write_metadata(folder: Path) -> None:
    """Write a table of seven columns with the images in another order."""
    import pandas as pd  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    parts = sorted((folder / "checkpoint" / "vectors").iterdir())
    names = [name for part in parts for name in pq.ParquetFile(part).read(["image_file"])[0].to_pylist()]
    rows = np.random.default_rng(1).permutation(len(names))
    table = pd.DataFrame({"image_file": [names[row] for row in rows]})
    for column, text in COLUMNS.items():
        table[column] = [f"{text}{row % 100_000}" for row in rows]
    table.to_parquet(folder / "metadata.parquet", index=False)


def run_all(folder: Path, count: int, *, flat: bool) -> dict[str, dict[str, Any]]:
    """Run all steps with `count` images."""
    make_images(folder / "images", count, flat=flat)
    results = {"job": measure("job", folder)}
    assert results["job"]["embedded"] == count
    vectors = sum(part.stat().st_size for part in (folder / "checkpoint" / "vectors").iterdir())
    results["job"]["bytes_a_vector"] = vectors / count
    last = Image.new("L", (16, 16), 200)
    (folder / "images" / "zzz").mkdir()
    last.save(folder / "images" / ("zzz.jpg" if flat else "zzz/last.jpg"))
    results["resume"] = measure("resume", folder)
    assert results["resume"]["embedded"] == 1
    results["status"] = measure("status", folder)
    write_metadata(folder)
    results["copy"] = measure("copy", folder)
    results["merge"] = measure("merge", folder)
    results["merge"]["times_the_copy"] = results["merge"]["seconds"] / results["copy"]["seconds"]
    return results


def main() -> None:
    """Print a table for each number of images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--flat", action="store_true", help="all images in one folder")
    parser.add_argument("--folder", type=Path, help="where to put the temporary files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder)))
        return
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for count in options.images:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            results[str(count)] = run_all(Path(temporary), count, flat=options.flat)
            print(f"{count:,} images")
            for step, figures in results[str(count)].items():
                line = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
                print(f"  {step:7}", line, flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

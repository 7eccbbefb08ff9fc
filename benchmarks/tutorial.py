"""The SemArt tutorial's script and `semart-vectors` do the same job: what each loses, pays for twice, and
writes.

    python benchmarks/tutorial.py [--quick] [--json FILE]

The service is the emulator, in this process, with the limit and the latency of each case. The two ways run in
their own processes, as their users start them; the time to start counts. The script here does what the public
one does: 1,000 images at a time, four threads, a new connection for each call, every answer but 200 left out,
a file that is removed at the start and grows after each thousand. It uses today's API version: the service
stopped answering the one in the public script on 2025-03-31.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from common import ROOT, answer_with, options_parser, real_like_vectors, write_pictures, write_results
from disk import embed as fill_checkpoint
from semart_vectors.emulator import Emulator
from semart_vectors.emulator.latency import Lognormal
from semart_vectors.metadata.merge import merge_vectors

sys.path.append(str(ROOT / "examples"))
from tutorial_request import vectorize_image

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from semart_vectors.emulator.rate_limit import LimitKind

Result = dict[str, Any]

FREE_TIER = 20 / 60
LIMITS: list[tuple[float, LimitKind, float]] = [
    *((10.0, kind, 0.4) for kind in ("fixed", "sliding", "bucket")),
    *((10.0, kind, 0.2) for kind in ("fixed", "sliding", "bucket")),
    (20.0, "sliding", 0.2),
    (30.0, "sliding", 0.2),
    (FREE_TIER, "sliding", 0.4),
]
"""Calls a second, how they are counted, and the median seconds of a call."""

WAYS = ("tutorial", "here")
AT_ONCE = 3
"""How many cases run at the same time: none of them keeps a core busy."""


# -- the script


def script(endpoint: str, images: Path) -> None:
    """Do what the tutorial's script does, in the working directory."""
    kept = Path("embeddings.csv")
    kept.unlink(missing_ok=True)
    names = pd.read_csv("dataset.csv", sep="\t", dtype="string")["image_file"].tolist()
    for start in range(0, len(names), 1000):
        batch = names[start : start + 1000]
        with ThreadPoolExecutor(4) as threads:
            vectors = list(threads.map(lambda name: vector_or_none(endpoint, images / name), batch))
        append(kept, [(name, vector) for name, vector in zip(batch, vectors, strict=True) if vector])
    put_together(kept)


def vector_or_none(endpoint: str, image: Path) -> list[float] | None:
    """Return the vector of an image; print the error and return None if there is none."""
    try:
        return vectorize_image(endpoint, "any", image)
    except Exception as error:  # noqa: BLE001 - as the tutorial has it
        print(f"{image}: {error}")
        return None


def append(path: Path, rows: list[tuple[str, list[float]]]) -> None:
    """Write names and vectors to the end of a file."""
    with path.open("a", newline="") as file:
        csv.writer(file).writerows((name, str(vector)) for name, vector in rows)


def put_together(embeddings: Path) -> None:
    """Write the rows of the data set that have a vector."""
    dataset = pd.read_csv("dataset.csv", sep="\t", dtype="string")
    vectors = pd.read_csv(embeddings, dtype="string", names=["image_file", "vector"])
    dataset.merge(vectors, on="image_file").to_csv("dataset_embeddings.csv", sep="\t", index=False)


# -- both ways


def write_dataset(images: Path, folder: Path) -> list[str]:
    """Write a table of all images, and return their names."""
    names = sorted(image.name for image in images.iterdir())
    table = pd.DataFrame({"image_file": names, "title": [f"Painting {name}" for name in names]})
    table.to_csv(folder / "dataset.csv", sep="\t", index=False)
    return names


def commands(way: str, images: Path, rate: float) -> list[list[str]]:
    """Return the commands that a user of one way runs, in order."""
    if way == "tutorial":
        return [[__file__, "--script", str(images)]]
    ours = ["-m", "semart_vectors"]
    how = ["--checkpoint", "embeddings", "--metadata", "dataset.csv", "--requests-per-second", f"{rate:.3f}"]
    return [
        [*ours, "embed", str(images), *how],
        [*ours, "merge", "dataset.csv", "embeddings", "-o", "dataset_embeddings.csv"],
    ]


async def start(command: list[str], folder: Path, endpoint: str) -> asyncio.subprocess.Process:
    """Start a user's command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=folder,
        env={**os.environ, "VISION_ENDPOINT": endpoint, "VISION_KEY": "any"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def run_all(way: str, images: Path, rate: float, folder: Path, endpoint: str) -> float:
    """Run one way to its end, and return the seconds it took."""
    begun_s = time.monotonic()
    for command in commands(way, images, rate):
        process = await start(command, folder, endpoint)
        assert await process.wait() == 0, command
    return time.monotonic() - begun_s


def rows_in(path: Path) -> int:
    """Return how many paintings a file in the tutorial's form has."""
    return len(pd.read_csv(path, sep="\t", usecols=["image_file"]))


def emulator(rate: float, kind: LimitKind, call_s: float) -> Emulator:
    """Return a service with a limit, whose median call takes `call_s`."""
    return Emulator(
        requests_per_second=rate,
        limit_kind=kind,
        latency_s=Lognormal(median_s=call_s, p99_s=2.5 * call_s),
    )


# -- what is measured


async def under_a_limit(way: str, limit: tuple[float, LimitKind, float], images: Path) -> Result:
    """Embed all images under a known limit, and count what is missing at the end."""
    rate, kind, call_s = limit
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = len(write_dataset(images, folder))
        async with emulator(rate, kind, call_s) as service:
            seconds = await run_all(way, images, rate, folder, service.endpoint)
        rows = rows_in(folder / "dataset_embeddings.csv")
    return {
        "way": way,
        "rate": rate,
        "kind": kind,
        "call_s": call_s,
        "images": count,
        "lost": count - rows,
        "refused": sum(call.status == 429 for call in service.calls),
        "calls": len(service.calls),
        "seconds": round(seconds, 1),
    }


async def after_a_stop(way: str, stopped_by: str, images: Path) -> Result:
    """Stop a run when half of the images are answered, run it again, and count what was paid for twice."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = len(write_dataset(images, folder))
        async with emulator(30.0, "sliding", 0.2) as service:
            process = await start(commands(way, images, 30.0)[0], folder, service.endpoint)
            while sum(call.status == 200 for call in service.calls) < count // 2:
                assert process.returncode is None, "it ended before it could be stopped"
                await asyncio.sleep(0.02)
            process.send_signal(signal.Signals[stopped_by])
            await process.wait()
            seconds = await run_all(way, images, 30.0, folder, service.endpoint)
        paid = [call.body_sha256 for call in service.calls if call.status == 200]
        rows = rows_in(folder / "dataset_embeddings.csv")
    return {
        "way": way,
        "stopped_by": stopped_by,
        "images": count,
        "lost": count - rows,
        "paid_twice": len(paid) - len(set(paid)),
        "seconds": round(seconds, 1),
    }


def files(count: int) -> list[Result]:
    """Write vectors in each form, and measure size and time."""
    vectors = real_like_vectors(count)
    results: list[Result] = []

    def note(way: str, name: str, path: Path, begun_s: float | None) -> None:
        took_s = None if begun_s is None else time.perf_counter() - begun_s
        each = [path] if path.is_file() else list(path.iterdir())
        results.append(
            {
                "way": way,
                "file": name,
                "bytes": sum(file.stat().st_size for file in each) / count,
                "us": took_s and 1e6 * took_s / count,
            }
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder, before = Path(temporary), Path.cwd()
        images = folder / "images"
        write_pictures(images, count)
        names = write_dataset(images, folder)
        os.chdir(folder)  # where the script expects its files
        try:
            answers = [json.loads(answer_with(vector))["vector"] for vector in vectors]
            begun_s = time.perf_counter()
            append(Path("embeddings.csv"), list(zip(names, answers, strict=True)))
            note("tutorial", "embeddings.csv", Path("embeddings.csv"), begun_s)
            begun_s = time.perf_counter()
            put_together(Path("embeddings.csv"))
            note("tutorial", "dataset_embeddings.csv", Path("dataset_embeddings.csv"), begun_s)
            asyncio.run(fill_checkpoint(images, folder / "embeddings", vectors))
            note("here", "the checkpoint", folder / "embeddings" / "vectors", None)
            for name in ("paintings.parquet", "dataset_embeddings.csv"):
                begun_s = time.perf_counter()
                merge_vectors("dataset.csv", "embeddings", name)
                note("here", name, Path(name), begun_s)
        finally:
            os.chdir(before)
    return results


async def services(*, quick: bool) -> Result:
    """Measure the cases that need a service, some of them at the same time."""
    results: dict[str, list[Result]] = {"limits": [], "restart": []}
    turn = asyncio.Semaphore(AT_ONCE)

    async def measure(what: str, case: Coroutine[Any, Any, Result], *, waits: bool = True) -> None:
        if waits:
            async with turn:
                found = await case
        else:
            found = await case
        results[what].append(found)
        print(json.dumps(found), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        many, few = Path(temporary, "many"), Path(temporary, "few")
        write_pictures(many, 40 if quick else 200)
        write_pictures(few, 40)
        async with asyncio.TaskGroup() as group:
            for limit in LIMITS[3:6] if quick else LIMITS:
                slow = limit[0] == FREE_TIER  # takes two minutes, and does next to nothing meanwhile
                for way in WAYS:
                    case = under_a_limit(way, limit, few if slow else many)
                    group.create_task(measure("limits", case, waits=not slow))
            for stopped_by in ("SIGINT", "SIGKILL"):
                for way in WAYS:
                    group.create_task(measure("restart", after_a_stop(way, stopped_by, many)))
    return results


def main() -> None:
    """Measure all."""
    if sys.argv[1:2] == ["--script"]:
        script(os.environ["VISION_ENDPOINT"], Path(sys.argv[2]))
        return
    options = options_parser(__doc__).parse_args()
    results = asyncio.run(services(quick=options.quick))
    write_results({**results, "files": files(200 if options.quick else 2000)}, options.json)


if __name__ == "__main__":
    main()

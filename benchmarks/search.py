"""How long a search takes, and how much memory, against NumPy's plain product on an array in memory.

    python benchmarks/search.py [--vectors 11206 1000000] [--searches 11] [--folder DIR] [--json PATH]

Makes up a merged file of vectors; SemArt has 11,206 after cleaning. The file is opened by a process with only
a `Gallery`, for time and memory, and by a process where `Gallery` takes turns with `vectors @ query` on an
array in memory, for the ratio. A million vectors take 2 GB of disk, 4 GB in the temporary folder for the
gallery's own file, and 9 GB of memory for the second process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common import MODEL, real_like_vectors
from semart_vectors import Embedding, Gallery

if TYPE_CHECKING:
    from collections.abc import Callable

K = 12
BLOCK_ROWS = 4096
TYPES = ("portrait", "landscape", "religious", "still-life", "genre")
WHERE = "type = 'portrait' AND timeframe IN ('1601-1650', '1651-1700')"
"""True for a tenth of the paintings."""


def write_merged(path: Path, count: int) -> None:
    """Write what `merge_vectors` would: the numbers of a few thousand vectors, turned for each block."""
    vectors = real_like_vectors(min(count, BLOCK_ROWS))
    schema = None
    for start in range(0, count, BLOCK_ROWS):
        rows = range(start, min(start + BLOCK_ROWS, count))
        turned = np.roll(vectors[: len(rows)], start // BLOCK_ROWS, axis=1)
        numbers = pa.array(turned.reshape(-1))
        table = pa.table(
            {
                "image_file": [f"{row:07}.jpg" for row in rows],
                "title": [f"Landscape with cattle and a river {row % 100_000}" for row in rows],
                "author": [f"AVERCAMP, Hendrick {row % 700}" for row in rows],
                "type": [TYPES[row % 5] for row in rows],
                "timeframe": ["1601-1650" if row % 2 else "1751-1800" for row in rows],
                "vector": pa.FixedSizeListArray.from_arrays(numbers, 1024),
                "model_version": [MODEL] * len(rows),
            }
        )
        if schema is None:
            schema = table.schema
            texts = [name for name in schema.names if name != "vector"]
            writer = pq.ParquetWriter(
                path,
                schema,
                compression="zstd",
                use_dictionary=texts,
                use_byte_stream_split=["vector.list.element"],
            )
        writer.write_table(table)
    writer.close()


def queries(count: int) -> list[Embedding]:
    """Return random vectors to search for."""
    made = np.random.default_rng(1).normal(size=(count, 1024)).astype(np.float32)
    return [Embedding("words", vector, MODEL) for vector in made]


def seconds(search: Callable[[Embedding], object], query: Embedding) -> float:
    """Return how long a search takes."""
    begun = time.perf_counter()
    search(query)
    return time.perf_counter() - begun


def use_gallery(path: Path, count: int) -> dict[str, float]:
    """Open a gallery and search it, as users do."""
    begun = time.perf_counter()
    gallery = Gallery.open(path)
    opened_s = time.perf_counter() - begun
    plain, chosen = partial(gallery.search, k=K), partial(gallery.search, k=K, where=WHERE)
    rounds = [(seconds(plain, query), seconds(chosen, query)) for query in queries(1 + count)]
    search_s, where_s = (median(took_s) for took_s in zip(*rounds[1:], strict=True))  # the first warms up
    return {"open_s": opened_s, "search_s": search_s, "where_s": where_s}


def use_both(path: Path, count: int) -> dict[str, float]:
    """Search in turns with NumPy on an array in memory."""
    gallery = Gallery.open(path)
    vectors = np.array(gallery.vectors)

    def multiply(query: Embedding) -> object:
        return vectors @ query.vector

    ours = partial(gallery.search, k=K)
    rounds = [(seconds(ours, query), seconds(multiply, query)) for query in queries(1 + count)]
    return {"to_numpy": median(ours_s / numpy_s for ours_s, numpy_s in rounds[1:])}


WAYS: dict[str, Callable[[Path, int], dict[str, float]]] = {"gallery": use_gallery, "both": use_both}


def memory_mb(process: int) -> tuple[float, float]:
    """Return the memory of a process, and its anonymous part: without files that the system may page out."""
    try:
        status = Path("/proc", str(process), "status").read_text()
    except OSError:
        return 0, 0
    held = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith(("VmRSS", "RssAnon")))
    return tuple(int(held.get(name, "0").split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value] # two


def measure(way: str, path: Path, count: int) -> dict[str, Any]:
    """Search in another process, and sample its memory."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(path), "--searches", str(count)]
    samples = [(0.0, 0.0)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            samples.append(memory_mb(process.pid))
            time.sleep(0.02)
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(printed)
    return result | {
        "peak_mb": max(all_mb for all_mb, _ in samples),
        "own_mb": max(own for _, own in samples),
    }


def measure_size(folder: Path, count: int, searches: int) -> dict[str, Any]:
    """Measure a gallery of `count` vectors; the memory is that of the process with only the gallery."""
    path = folder / f"{count}.parquet"
    write_merged(path, count)
    results: dict[str, Any] = {}
    results |= measure("both", path, searches) | measure("gallery", path, searches)
    path.unlink()
    return results


def main() -> None:
    """Print a line for each number of vectors."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--vectors", type=int, nargs="+", default=[11_206])
    parser.add_argument("--searches", type=int, default=11)
    parser.add_argument("--folder", type=Path, help="where to put the temporary files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(WAYS[options.way](options.folder, options.searches)))
        return
    results: dict[str, dict[str, Any]] = {}
    for count in options.vectors:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            results[str(count)] = measure_size(Path(temporary), count, options.searches)
        line = ", ".join(f"{name} {value:,.4g}" for name, value in results[str(count)].items())
        print(f"{count:,} vectors: {line}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

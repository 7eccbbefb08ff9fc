"""Loads paintings into PostgreSQL, searches them, and writes the table of docs/pgvector.md.

    python benchmarks/pgvector.py [--quick] [--json FILE]

On a temporary server with default settings: as many vectors as SemArt has paintings after cleaning, in
clusters and as mixtures of real ones, and the real ones themselves. Needs the extra `[dev]`.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common import MODEL, ROOT, options_parser, write_results
from disk import REAL_VECTORS, Vectors
from report import table
from semart_vectors.postgres import PostgresGallery, load_vectors
from semart_vectors.records import Embedding

sys.path.append(str(ROOT / "tests" / "support"))
from postgres_server import postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "pgvector.md"
ROWS, CLUSTERS, QUERIES, K = 11_206, 200, 100, 10

WAYS: list[tuple[str, bool, dict[str, Any]]] = [
    ("none", False, {}),
    ("hnsw", False, {"ef_search": 40}),
    ("hnsw", False, {"ef_search": 200}),
    ("ivfflat", False, {"probes": 1}),
    ("ivfflat", False, {"probes": 4}),
    ("none", True, {}),
    ("hnsw", True, {"ef_search": 40}),
]
"""The index, whether numbers have 16 bits, and how much of the index is searched."""


def clustered(rows: int) -> tuple[Vectors, Vectors]:
    """Return vectors in clusters of uneven size, about 92 long, and queries from the same clusters."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(CLUSTERS, 1024))
    sizes = random.dirichlet(np.ones(CLUSTERS))
    members = random.choice(CLUSTERS, rows + QUERIES, p=sizes)
    vectors = centres[members] + random.normal(size=(rows + QUERIES, 1024))
    vectors *= 92 / np.linalg.norm(vectors, axis=1, keepdims=True)
    made = vectors.astype(np.float16).astype(np.float32)
    return made[:rows], made[rows:]


def mixed(real: Vectors, rows: int) -> tuple[Vectors, Vectors]:
    """Return mixtures of three real vectors each, and queries of the same kind: no clusters to rely on."""
    random = np.random.default_rng(2)
    count = rows + QUERIES
    parents = real[random.integers(len(real), size=(count, 3))]
    shares = random.dirichlet(np.ones(3), count)[:, :, None]
    made = (parents * shares).sum(axis=1).astype(np.float16).astype(np.float32)
    return made[:rows], made[rows:]


def write_merged(path: Path, vectors: Vectors) -> list[str]:
    """Write a merged file of these vectors, and return its names."""
    names = [f"{number:05}.jpg" for number in range(len(vectors))]
    columns = {
        "image_file": names,
        "title": [f"Painting {name}" for name in names],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 1024),
        "model_version": [MODEL] * len(names),
    }
    pq.write_table(pa.table(columns), path)
    return names


def measure(name: str, vectors: Vectors, queries: Vectors) -> Iterator[dict[str, Any]]:
    """Load and search in every way, on a new server."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(queries @ unit.T), axis=1, kind="stable")[:, :K]
    with tempfile.TemporaryDirectory() as folder, postgres_server(settings=()) as server:
        path = Path(folder, "paintings.parquet")
        names = write_merged(path, vectors)
        loaded: dict[tuple[str, bool], float] = {}
        for index, half, settings in WAYS:
            target = f"{index}_{half}"
            if (index, half) not in loaded:
                started = time.perf_counter()
                load_vectors(
                    path,
                    server.url(),
                    table=target,
                    half=half,
                    index=None if index == "none" else index,  # type: ignore[arg-type] # one of the two
                )
                loaded[index, half] = time.perf_counter() - started
            times, found = [], 0
            # Of few rows PostgreSQL would look at all.
            by_index = "" if index == "none" else "?options=-c%20enable_seqscan%3Doff"
            with PostgresGallery.open(server.url() + by_index, table=target) as gallery:
                for query, best in zip(queries, nearest, strict=True):
                    wanted = Embedding("query", query, MODEL)
                    started = time.perf_counter()
                    matches = gallery.search(wanted, k=K, **settings)
                    times.append(time.perf_counter() - started)
                    found += len({match.image_file for match in matches} & {names[row] for row in best})
            yield {
                "vectors": name,
                "rows": len(vectors),
                "index": index,
                "half": half,
                "settings": settings,
                "load_s": loaded[index, half],
                "recall_at_10": found / nearest.size,
                "median_ms": float(np.median(times)) * 1000,
            }


def page_table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    return table(
        ["vectors", "index", "numbers", "load, s", "recall@10", "a query, ms"],
        (
            (
                f"{case['rows']:,} {case['vectors']}",
                " ".join([case["index"], *(f"`{key} = {value}`" for key, value in case["settings"].items())]),
                "16 bits" if case["half"] else "32 bits",
                f"{case['load_s']:.1f}",
                f"{case['recall_at_10']:.3f}",
                f"{case['median_ms']:.1f}",
            )
            for case in results
        ),
        text_columns=3,
    )


def main() -> None:
    """Measure, and write the page's table unless the run is a quick one."""
    options = options_parser(__doc__).parse_args()
    rows = 1000 if options.quick else ROWS
    results = list(measure("made up, in clusters", *clustered(rows)))
    if REAL_VECTORS.exists():
        real = np.array(list(json.loads(REAL_VECTORS.read_text()).values()), np.float32)
        results += measure("mixtures of three real ones", *mixed(real, rows))
        results += measure("real", real, real)
    write_results(results, options.json)
    if not options.quick:
        made = f"<!-- table:pgvector -->\n{page_table(results)}\n<!-- end -->"
        pattern = re.compile("<!-- table:pgvector -->\n.*?<!-- end -->", re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: made, PAGE.read_text()))


if __name__ == "__main__":
    main()

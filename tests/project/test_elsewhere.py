"""What we write is plain Parquet: each reader finds the same rows and vectors, bit for bit."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from merged import MODEL, NAMES, merged, vectors_of
from semart_vectors import check_checkpoint
from semart_vectors.checkpoint.store import Checkpoint, Done

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = vectors_of(len(NAMES))


@pytest.fixture(params=["merged", "part"])
def parquet(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a merged file, or a checkpoint's part, which has a checksum footer before its own."""
    if request.param == "merged":
        return merged(tmp_path, VECTORS)
    with Checkpoint.open(tmp_path / "ck", model_version=MODEL) as checkpoint:
        checkpoint.record(
            [
                Done(name, vector, bytes([number]) * 32, number)
                for number, (name, vector) in enumerate(zip(NAMES, VECTORS, strict=True))
            ]
        )
    part = max((tmp_path / "ck" / "vectors").iterdir(), key=lambda path: path.stat().st_size)
    assert not check_checkpoint(tmp_path / "ck").damaged
    assert b"SVS1" in part.read_bytes()
    return part


def library(name: str) -> Any:
    """Import a library that only these tests use."""
    if name in {"lancedb", "datasets"}:  # large, so not among those that are installed for tests
        pytest.importorskip(name, reason=f"{name} is not installed")
    return import_module(name)


def check(names: list[str], vectors: Any, models: list[str]) -> None:
    """Compare what a reader found with what was written."""
    assert names == NAMES
    assert np.array(list(vectors), np.float32).tobytes() == VECTORS.tobytes()
    assert set(models) == {MODEL}


def test_pandas(parquet: Path) -> None:
    """An array of float32 for each row."""
    table = pd.read_parquet(parquet)
    assert table["vector"][0].dtype == np.float32
    check(table["image_file"].tolist(), table["vector"], table["model_version"].tolist())


def test_polars(parquet: Path) -> None:
    """A column of fixed-size arrays, which NumPy takes as a matrix."""
    polars = library("polars")
    table = polars.read_parquet(parquet)
    assert table.schema["vector"] == polars.Array(polars.Float32, 1024)
    check(table["image_file"].to_list(), table["vector"].to_numpy(), table["model_version"].to_list())
    chosen = polars.scan_parquet(parquet).filter(polars.col("image_file") == NAMES[2]).collect()
    assert chosen["vector"].to_numpy().tobytes() == VECTORS[2].tobytes()


def test_duckdb(parquet: Path) -> None:
    """Its cosine over the vectors finds each painting nearest to itself."""
    duckdb = library("duckdb")
    with duckdb.connect() as database:
        found = database.read_parquet(str(parquet)).fetchall()
        rows = [dict(zip(database.read_parquet(str(parquet)).columns, row, strict=True)) for row in found]
        nearest = database.execute(
            "SELECT image_file FROM read_parquet($path)"
            " ORDER BY array_cosine_similarity(vector::FLOAT[1024], $query::FLOAT[1024]) DESC LIMIT 1",
            {"path": str(parquet), "query": VECTORS[4].tolist()},
        ).fetchall()
    check(*([row[name] for row in rows] for name in ("image_file", "vector", "model_version")))
    assert nearest == [(NAMES[4],)]


def test_lancedb(parquet: Path, tmp_path: Path) -> None:
    """A table made of it is searched by its vectors as they are."""
    lancedb = library("lancedb")
    arrow = import_module("pyarrow.parquet").read_table(parquet)
    table = lancedb.connect(tmp_path / "lance").create_table("paintings", arrow)
    rows = table.to_arrow().to_pylist()
    check(*([row[name] for row in rows] for name in ("image_file", "vector", "model_version")))
    assert table.search(VECTORS[4]).limit(1).to_list()[0]["image_file"] == NAMES[4]


def test_hugging_face_datasets(parquet: Path, tmp_path: Path) -> None:
    """Read by its own loader of Parquet; of a checkpoint all parts, the one without rows too."""
    datasets = library("datasets")
    files = sorted(parquet.parent.glob("*.parquet")) if parquet.parent.name == "vectors" else [parquet]
    rows = datasets.Dataset.from_parquet(list(map(str, files)), cache_dir=str(tmp_path / "cache"))
    check(*(rows[name][:] for name in ("image_file", "vector", "model_version")))

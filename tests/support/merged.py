"""Merged files for tests: paintings with names that are no easy ones, and vectors of any bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.metadata.merge import merge_vectors
from semart_vectors.records import DIMENSION, Embedding

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODEL = "2023-04-15"
NAMES = ["a.jpg", 'd\'Arc "x".jpg', "new\nline\t.jpg", "\N{ARTIST PALETTE}.jpg", "caf//e9\\.jpg", "%s{}.jpg"]


def vectors_of(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Vectors of many directions, with a negative zero, the least float32 and a large one in them."""
    made: NDArray[np.float32] = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    made[:, :2] = [-0.0, 1e-45]
    made[0, 2] = -3.4e8
    return made


def table_of(names: list[str]) -> pd.DataFrame:
    """Metadata of every kind that a column may have."""
    return pd.DataFrame(
        {
            "image_file": names,
            "Title; DROP\"'": [f"The\r\n'{name}' \\N \N{ARTIST PALETTE}" for name in names],
            "year": range(1600, 1600 + len(names)),
            "height": [number / 3 for number in range(len(names))],
            "signed": [number % 2 == 0 for number in range(len(names))],
            "school": [None if number % 2 else "Dutch" for number in range(len(names))],
        }
    )


def merged(
    folder: Path, vectors: NDArray[np.float32], *, table: pd.DataFrame | None = None, model: str = MODEL
) -> Path:
    """Write a merged file as `merge_vectors` does, from a checkpoint of these vectors."""
    table = table_of(NAMES[: len(vectors)]) if table is None else table
    parts = folder / "ck" / "vectors"
    parts.mkdir(parents=True, exist_ok=True)
    part = {
        "image_file": pa.array(table["image_file"].tolist()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
        "model_version": pa.array([model] * len(vectors)),
    }
    pq.write_table(pa.table(part), parts / "part-1.parquet")
    merge_vectors(table, folder / "ck", folder / "paintings.parquet")
    return folder / "paintings.parquet"


def query(vector: NDArray[np.float32], *, model: str = MODEL) -> Embedding:
    """Return a query with this vector."""
    return Embedding("query", vector, model)


def write_merged(path: Path, vectors: NDArray[np.float32], model: str = MODEL, **columns: Any) -> Path:
    """Write what `merge_vectors` would; `columns` replace its own, None leaves one out."""
    numbers = pa.array(vectors.ravel(), pa.float32())
    data = {
        "image_file": pa.array([f"{row}.jpg" for row in range(len(vectors))], pa.string()),
        "title": pa.array([f"Title {row}" for row in range(len(vectors))], pa.string()),
        "year": pa.array(range(1600, 1600 + len(vectors)), pa.int64()),
        "vector": pa.FixedSizeListArray.from_arrays(numbers, DIMENSION),
        "model_version": pa.array([model] * len(vectors), pa.string()),
    } | columns
    pq.write_table(pa.table({name: column for name, column in data.items() if column is not None}), path)
    return path


def cosines(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute cosines another way, in float64."""
    wide, one = vectors.astype(np.float64), vector.astype(np.float64)
    return np.array([np.dot(each, one) / np.sqrt(np.dot(each, each) * np.dot(one, one)) for each in wide])

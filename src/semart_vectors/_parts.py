"""The Parquet files of a checkpoint: what a part and the table of failures hold, written and read."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointDiskError,
    CheckpointError,
    CheckpointMismatchError,
)
from semart_vectors.files import write_aside
from semart_vectors.records import DIMENSION, Vector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_PART_NAME = re.compile(r"part-(\d+)\.parquet")

VECTOR_TYPE = pa.list_(pa.float32(), DIMENSION)

VECTOR_SCHEMA = pa.schema(
    [
        pa.field("image_file", pa.string(), nullable=False),
        pa.field("vector", VECTOR_TYPE, nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),
        pa.field("file_fingerprint", pa.int64(), nullable=False),
    ]
)

INDEX_COLUMNS = ["image_file", "content_sha256", "file_fingerprint"]

FAILURE_SCHEMA = pa.schema(
    [
        pa.field("image_file", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("attempts", pa.int64(), nullable=False),
        pa.field("file_fingerprint", pa.int64(), nullable=False),
    ]
)

VECTOR_FILE_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    # Lossless; a vector takes 1.8 kB instead of 4.1.
    "column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"},
    "write_page_checksum": True,
}


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image with its vector."""

    image_file: str
    vector: Vector
    content_sha256: bytes
    """Digest of the bytes that were embedded, 32 bytes."""
    file_fingerprint: int
    """See `semart_vectors.images.fingerprint_of`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An image without a vector, and why."""

    image_file: str
    error: str
    """The name of the error's class."""
    message: str
    attempts: int
    file_fingerprint: int
    """0 where there was no file to look at."""


@dataclass(frozen=True, slots=True)
class PartAtHand:
    """A part whose vectors are in memory, to be picked by name."""

    path: Path
    rows: dict[str, int]
    vectors: Any

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the names and vectors of a part."""
        table = read_part(path, columns=["image_file", "vector"]).combine_chunks()
        rows = {image_file: row for row, image_file in enumerate(table["image_file"].to_pylist())}
        return cls(path, rows, table["vector"].chunk(0))

    def vector(self, image_file: str) -> Vector:
        """Return the vector of an image."""
        vector: Vector = self.vectors[self.rows[image_file]].values.to_numpy()
        return vector


def list_parts(directory: Path) -> list[Path]:
    """List the parts, the oldest first.

    Raises:
        CheckpointDamagedError: among them is a file that no job put there.
    """
    return sorted((directory / "vectors").glob("*.parquet"), key=part_number)


def part_number(path: Path) -> int:
    """Return the number of a part: those that were written later have higher ones."""
    match = _PART_NAME.fullmatch(path.name)
    if match is None:
        raise CheckpointDamagedError(f"{path} was not put there by a job: move it away")
    return int(match[1])


def read_part(path: Path, *, model_version: str | None = None, columns: list[str] | None = None) -> Any:
    """Read a part, or some columns of it, as an Arrow table; with `model_version`, of that model only."""
    # `pq.read_table` would import pandas, as `pa.array` does.
    with damage(path), pq.ParquetFile(path, page_checksum_verification=True) as part:
        if model_version is not None:
            _check_model(path, part, model_version)
        return part.read(columns)


def _check_model(path: Path, part: Any, model_version: str) -> None:
    column = VECTOR_SCHEMA.names.index("model_version")
    # A list is one column in Parquet, as the others are; its numbers do not add to the count.
    for group in range(part.num_row_groups):
        rows = part.metadata.row_group(group)
        found = rows.column(column).statistics
        if rows.num_rows and (found is None or (found.min, found.max) != (model_version, model_version)):
            raise CheckpointMismatchError(f"{path} holds vectors of another model than {model_version}")


def no_vectors() -> Any:
    """Return a table with the columns of a part and no rows."""
    return pa.Table.from_batches([], VECTOR_SCHEMA)


def write_part(path: Path, directory: Path, table: Any) -> None:
    """Write a part aside in the checkpoint's directory, count its rows, and put it in its place."""
    # The temporary file stays out of vectors/, whose readers may take every file for a part.
    with write_aside(path, folder=directory) as aside:
        pq.write_table(table, aside, **VECTOR_FILE_OPTIONS)
        written = pq.read_metadata(aside).num_rows
        if written != table.num_rows:
            raise CheckpointDiskError(f"{path} came out with {written} rows instead of {table.num_rows}")


def write_failures(directory: Path, failed: dict[str, Failed]) -> None:
    """Write the table of failures anew."""
    failures = list(failed.values())
    columns = [
        _texts([failure.image_file for failure in failures]),
        _texts([failure.error for failure in failures]),
        _texts([failure.message for failure in failures]),
        integers([failure.attempts for failure in failures]),
        integers([failure.file_fingerprint for failure in failures]),
    ]
    with write_aside(directory / "failures.parquet") as aside:
        table = pa.Table.from_arrays(columns, schema=FAILURE_SCHEMA)
        pq.write_table(table, aside, write_page_checksum=True)


# `pa.array` imports pandas to see whether it is handed a series: a third of a second before the first call.


def _texts(values: list[str]) -> Any:
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def integers(values: list[int]) -> Any:
    """Return an Arrow array of int64."""
    return _numbers(pa.int64(), np.array(values, dtype=np.int64))


def _numbers(kind: Any, values: NDArray[Any]) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Translate what pyarrow says of a file that is not what was written."""
    try:
        yield
    except CheckpointError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise CheckpointDiskError(f"cannot read {path}: {error.strerror or error}") from error
        raise CheckpointDamagedError(
            f"{path} is damaged ({_first_line(error)}); move it away and run again: "
            "the images it held will be embedded anew, all others are kept"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def vector_table(entries: Collection[Done], model_version: str) -> Any:
    """Return entries as an Arrow table, as a part holds them."""
    flat = _numbers(pa.float32(), np.concatenate([entry.vector for entry in entries]))
    columns = [
        _texts([entry.image_file for entry in entries]),
        pa.FixedSizeListArray.from_arrays(flat, DIMENSION),
        _texts([model_version] * len(entries)),
        _texts([entry.content_sha256.hex() for entry in entries]),
        integers([entry.file_fingerprint for entry in entries]),
    ]
    return pa.Table.from_arrays(columns, schema=VECTOR_SCHEMA)


def read_failures(directory: Path) -> list[Failed]:
    """Read the table of failures of a checkpoint directory.

    Raises:
        CheckpointDamagedError: it cannot be read.
    """
    path = directory / "failures.parquet"
    if not path.exists():
        return []
    with damage(path):
        return [Failed(**row) for row in read_part(path).to_pylist()]

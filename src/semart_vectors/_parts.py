"""The Parquet files of a checkpoint: what a part and the table of failures hold, written and read."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors._index import Keys, content_keys, name_keys
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

_DIGEST_BYTES = 32

VECTOR_TYPE = pa.list_(pa.float32(), DIMENSION)

VECTOR_SCHEMA = pa.schema(
    [
        pa.field("image_file", pa.string(), nullable=False),
        pa.field("vector", VECTOR_TYPE, nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),
        pa.field("file_fingerprint", pa.int64(), nullable=False),
        pa.field("repairs", pa.string(), nullable=False),
    ]
)

_INDEX_COLUMNS = ["image_file", "content_sha256", "file_fingerprint"]

_BATCH_ROWS = 4096
"""Rows that are turned into Python's objects at a time: other threads wait for a millisecond, not longer."""

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
    "write_statistics": [
        name for name in VECTOR_SCHEMA.names if name != "vector"
    ],  # nobody filters by numbers
    "write_page_checksum": True,
}


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image with its vector."""

    image_file: str
    vector: Vector
    content_sha256: bytes
    """Digest of the image's file, 32 bytes."""
    file_fingerprint: int
    """See `semart_vectors.images.fingerprint_of`."""
    repairs: str = ""
    """What was done to the image before it was embedded; empty for the file's own bytes."""


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


class IndexRows(NamedTuple):
    """What is remembered of the rows of a part."""

    names: Keys
    """Of the images' names."""
    contents: Keys
    fingerprints: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartAtHand:
    """A part whose vectors are in memory, to be picked by content."""

    path: Path
    rows: dict[str, int]
    vectors: Any
    repairs: Any

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the contents and vectors of a part."""
        table = read_part(path, columns=["content_sha256", "vector", "repairs"]).combine_chunks()
        rows = {sha256: row for row, sha256 in enumerate(table["content_sha256"].to_pylist())}
        return cls(path, rows, table["vector"].chunk(0) if rows else None, table["repairs"])

    def vector(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Return the vector of this very content and its repairs, if it is there."""
        row = self.rows.get(content_sha256.hex())
        if row is None:
            return None
        vector: Vector = self.vectors[row].values.to_numpy()
        return vector, self.repairs[row].as_py()


def list_parts(directory: Path) -> list[Path]:
    """List the parts, the oldest first.

    Raises:
        CheckpointDamagedError: among them is a file that no job put there.
    """
    return sorted((directory / "vectors").glob("*.parquet"), key=part_number)


def part_name(number: int) -> str:
    """Return the name of the part with this number."""
    return f"part-{number:06}.parquet"


def part_number(path: Path) -> int:
    """Return the number of a part: those that were written later have higher ones."""
    match = _PART_NAME.fullmatch(path.name)
    if match is None or path.name != part_name(int(match[1])):
        raise CheckpointDamagedError(f"{path} was not put there by a job: move it away")
    return int(match[1])


def read_part(path: Path, *, model_version: str | None = None, columns: list[str] | None = None) -> Any:
    """Read a part, or some columns of it, as an Arrow table; with `model_version`, of that model only."""
    # `pq.read_table` would import pandas, as `pa.array` does.
    with damage(path), pq.ParquetFile(path, page_checksum_verification=True) as part:
        if model_version is not None:
            _check_model(path, part, model_version)
        return part.read(columns)


def read_index_rows(path: Path, model_version: str | None = None) -> IndexRows:
    """Read what is remembered of each row of a part; with `model_version`, of that model only."""
    rows = [IndexRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))]
    # `pre_buffer` starts threads, which cost more than so few columns take to read.
    with damage(path), pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as part:
        if model_version is not None:
            _check_model(path, part, model_version)
        for batch in part.iter_batches(_BATCH_ROWS, columns=_INDEX_COLUMNS, use_threads=False):
            names, digests, fingerprints = (batch.column(name) for name in _INDEX_COLUMNS)
            rows.append(
                IndexRows(
                    name_keys(names.to_pylist()), content_keys(_from_hex(digests)), _int64(fingerprints)
                )
            )
    return IndexRows(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def read_names(path: Path) -> list[str]:
    """Read the names of a part's images."""
    names: list[str] = read_part(path, columns=["image_file"])["image_file"].to_pylist()
    return names


def _from_hex(column: Any) -> bytes:
    """Turn digests in hexadecimal into bytes, all at once."""
    _, offsets, characters = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if np.any(np.diff(ends) != 2 * _DIGEST_BYTES):
        raise ValueError("a digest is not as long as a digest")
    return bytes.fromhex(str(characters[ends[0] : ends[-1]], "ascii"))


def _int64(column: Any) -> NDArray[np.int64]:
    # `to_numpy` would import pandas.
    if column.null_count or column.type != pa.int64():
        raise ValueError(f"a column is of {column.type}, or a value is missing in it")
    _, numbers = column.buffers()
    return np.frombuffer(numbers, np.int64)[column.offset : column.offset + len(column)].copy()


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
        _texts([entry.repairs for entry in entries]),
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

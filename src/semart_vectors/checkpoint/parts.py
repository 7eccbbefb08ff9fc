"""Parts, the Parquet files of vectors, and files of replaced rows, which have the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from semart_vectors.checkpoint.key_index import Keys, content_keys, name_keys
from semart_vectors.checkpoint.parquet import opened, opened_verified, salvage, write_parquet
from semart_vectors.checkpoint.schema import SMALL_FILE_OPTIONS, VECTOR_FILE_OPTIONS, VECTOR_SCHEMA, integers
from semart_vectors.errors import CheckpointMismatchError
from semart_vectors.files import write_aside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from semart_vectors.checkpoint.folder import CheckpointFolder

_INDEX_COLUMNS = ["image_file", "content_sha256", "file_fingerprint"]

_BATCH_ROWS = 4096
"""Rows that are turned into Python objects at a time: other threads wait for a millisecond, not longer."""

_DIGEST_BYTES = 32

ROWS_A_PART = 4096
"""About 8 MB on disk and 17 MB in memory."""


class IndexRows(NamedTuple):
    """What memory holds of the rows of a part."""

    names: Keys
    """Keys of the images' names."""
    contents: Keys
    fingerprints: NDArray[np.int64]


def write_part(folder: CheckpointFolder, path: Path, table: Any) -> None:
    """Write a part, or a file of replaced rows, in one step.

    Raises:
        DiskError: the disk refused; an earlier file at `path` is unchanged.
    """
    # The temporary file stays out of vectors/, whose readers may take every file for a part.
    with write_aside(path, folder=folder.path) as aside:
        write_parquet(aside, table, VECTOR_FILE_OPTIONS)


def write_touched(path: Path, table: Any) -> None:
    """Write a file of new fingerprints in one step.

    Raises:
        DiskError: the disk refused.
    """
    with write_aside(path) as aside:
        write_parquet(aside, table, SMALL_FILE_OPTIONS)


def with_fingerprints(table: Any, fingerprints: NDArray[np.int64]) -> Any:
    """Return the rows of a part with other fingerprints."""
    column = VECTOR_SCHEMA.names.index("file_fingerprint")
    return table.set_column(column, VECTOR_SCHEMA.field(column), integers(fingerprints))


def read_part(path: Path, *, columns: list[str] | None = None) -> Any:
    """Read a part, or some columns of it, as an Arrow table.

    Raises:
        CheckpointDamagedError: it is damaged.
        DiskError: it cannot be read.
    """
    # `pq.read_table` would import pandas, as `pa.array` does.
    with opened(path) as part:
        return part.read(columns)


def read_names(path: Path) -> list[str]:
    """Read the names of a part's images; raises as `read_part` does."""
    names: list[str] = read_part(path, columns=["image_file"])["image_file"].to_pylist()
    return names


def read_index_rows(path: Path) -> IndexRows:
    """Read what memory holds of each row of a part; raises as `read_part` does."""
    with opened(path) as part:
        return _index_rows(part)


def verify_part(path: Path, model_version: str) -> IndexRows:
    """Compare every byte of a part with its checksums, and read what memory holds of its rows.

    Raises:
        CheckpointDamagedError: it is damaged.
        CheckpointMismatchError: it holds vectors of another model.
        DiskError: it cannot be read.
    """
    with opened_verified(path) as part:
        _check_model(path, part, model_version)
        return _index_rows(part)


def verify_touched(path: Path) -> IndexRows:
    """Compare every byte of a file of new fingerprints with its checksums, and read its rows.

    Raises:
        CheckpointDamagedError: it is damaged.
        DiskError: it cannot be read.
    """
    with opened_verified(path) as file:
        return _index_rows(file)


def model_versions(path: Path) -> set[str]:
    """Return the models whose vectors are intact in a part.

    Raises:
        DiskError: it cannot be read.
    """
    table = salvage(path)
    return set() if table is None else set(table["model_version"].to_pylist())


def _check_model(path: Path, part: Any, model_version: str) -> None:
    column = VECTOR_SCHEMA.names.index("model_version")
    # A list is one column in Parquet, as the others are; its numbers do not add to the count.
    for group in range(part.num_row_groups):
        rows = part.metadata.row_group(group)
        found = rows.column(column).statistics
        if rows.num_rows and (found is None or (found.min, found.max) != (model_version, model_version)):
            raise CheckpointMismatchError(f"{path} holds vectors of another model than {model_version}")


def _index_rows(part: Any) -> IndexRows:
    rows = [IndexRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))]
    for batch in part.iter_batches(_BATCH_ROWS, columns=_INDEX_COLUMNS, use_threads=False):
        names, digests, fingerprints = (batch.column(name) for name in _INDEX_COLUMNS)
        rows.append(
            IndexRows(name_keys(names.to_pylist()), content_keys(_from_hex(digests)), _int64(fingerprints))
        )
    return IndexRows(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _from_hex(column: Any) -> bytes:
    """Turn hexadecimal digests into bytes, all at once."""
    _, offsets, characters = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if np.any(np.diff(ends) != 2 * _DIGEST_BYTES):
        raise ValueError("a digest does not have the length of a digest")
    return bytes.fromhex(str(characters[ends[0] : ends[-1]], "ascii"))


def _int64(column: Any) -> NDArray[np.int64]:
    # `to_numpy` would import pandas.
    if column.null_count or column.type != pa.int64():
        raise ValueError(f"a column has the type {column.type}, or misses a value")
    _, numbers = column.buffers()
    return np.frombuffer(numbers, np.int64)[column.offset : column.offset + len(column)].copy()

"""The columns of a part and of the table of failures, and Arrow tables that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from semart_vectors.checkpoint.image_records import Done, Failed, Touched

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

FAILURE_SCHEMA = pa.schema(
    [
        pa.field("image_file", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("attempts", pa.int64(), nullable=False),
        pa.field("file_fingerprint", pa.int64(), nullable=False),
    ]
)

TOUCHED_SCHEMA = pa.schema(
    [
        pa.field("image_file", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),
        pa.field("file_fingerprint", pa.int64(), nullable=False),
    ]
)

GROUP_ROWS = 512
"""Rows that one checksum covers, and that are lost together: about 1 MB."""

VECTOR_FILE_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    # Lossless; a vector takes 1.8 kB instead of 4.1.
    "column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"},
    # Nobody filters by the numbers of a vector.
    "write_statistics": [name for name in VECTOR_SCHEMA.names if name != "vector"],
    "write_page_checksum": True,
    "row_group_size": GROUP_ROWS,
}

SMALL_FILE_OPTIONS: dict[str, Any] = {"use_dictionary": False, "write_page_checksum": True}


def vector_table(entries: Collection[Done], model_version: str) -> Any:
    """Return entries as an Arrow table with the columns of a part."""
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


def failure_table(failures: Collection[Failed]) -> Any:
    """Return failures as an Arrow table."""
    columns = [
        _texts([failure.image_file for failure in failures]),
        _texts([failure.error for failure in failures]),
        _texts([failure.message for failure in failures]),
        integers([failure.attempts for failure in failures]),
        integers([failure.file_fingerprint for failure in failures]),
    ]
    return pa.Table.from_arrays(columns, schema=FAILURE_SCHEMA)


def touched_table(entries: Collection[Touched]) -> Any:
    """Return new fingerprints as an Arrow table."""
    columns = [
        _texts([entry.image_file for entry in entries]),
        _texts([entry.content_sha256.hex() for entry in entries]),
        integers([entry.file_fingerprint for entry in entries]),
    ]
    return pa.Table.from_arrays(columns, schema=TOUCHED_SCHEMA)


def no_vectors() -> Any:
    """Return a table with the columns of a part and no rows."""
    return pa.Table.from_batches([], VECTOR_SCHEMA)


def no_failures() -> Any:
    """Return a table of failures without rows."""
    return pa.Table.from_batches([], FAILURE_SCHEMA)


# `pa.array` imports pandas to see whether it was given a series: a third of a second before the first call.


def _texts(values: list[str]) -> Any:
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def integers(values: list[int] | NDArray[np.int64]) -> Any:
    """Return an Arrow array of int64."""
    return _numbers(pa.int64(), np.array(values, dtype=np.int64))


def _numbers(kind: Any, values: NDArray[Any]) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])

"""The Parquet files of a checkpoint: what a part and the table of failures hold, written and read."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.checkpoint.checksums import NotEnoughError, read_seal, sealed, whole_groups
from semart_vectors.checkpoint.index import Keys, content_keys, name_keys
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
    DiskError,
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

GROUP_ROWS = 512
"""Rows that one checksum covers, and that are lost together: about 1 MB."""

_END_BYTES = 1 << 16
"""A part's footer and seal take 15 kB."""

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
    "row_group_size": GROUP_ROWS,
}

_FAILURE_FILE_OPTIONS: dict[str, Any] = {"use_dictionary": False, "write_page_checksum": True}


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image with its vector."""

    image_file: str
    vector: Vector
    content_sha256: bytes
    """Digest of the image's file, 32 bytes."""
    file_fingerprint: int
    """See `semart_vectors.images.load.fingerprint_of`."""
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


class PartAtHand:
    """A part whose contents are in memory, and of whose vectors one row group at a time is."""

    def __init__(self, path: Path) -> None:
        """Read the contents of a part."""
        self.path = path
        with _opened(path) as part:
            contents = part.read(["content_sha256"], use_threads=False)["content_sha256"].to_pylist()
            sizes = [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]
        self._rows = {sha256: row for row, sha256 in enumerate(contents)}
        self._ends = np.cumsum(sizes)
        self._group = -1
        self._vectors: dict[str, tuple[Any, str]] = {}

    def vector(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Return the vector of this very content, and its repairs; None if it is not there, or has left it.

        Raises:
            CheckpointDamagedError: its row group cannot be read.
        """
        sha256 = content_sha256.hex()
        row = self._rows.get(sha256)
        if row is None:
            return None
        group = int(np.searchsorted(self._ends, row, side="right"))
        if group != self._group:
            self._read_group(group)
        found = self._vectors.get(sha256)  # not by its row: rows may have left the part since it was opened
        if found is None:
            return None
        vector: Vector = found[0].values.to_numpy()
        return vector, found[1]

    def _read_group(self, group: int) -> None:
        self._group, self._vectors = group, {}
        with _opened(self.path) as part:
            if group < part.num_row_groups:
                columns = ["content_sha256", "vector", "repairs"]
                table = part.read_row_group(group, columns, use_threads=False).combine_chunks()
                contents, repairs = (table[name].to_pylist() for name in ("content_sha256", "repairs"))
                self._vectors = dict(zip(contents, zip(table["vector"], repairs, strict=True), strict=True))


def list_parts(directory: Path) -> list[Path]:
    """List the parts, the oldest first.

    Raises:
        CheckpointDamagedError: among them is a file that no job put there.
    """
    return sorted(part_files(directory), key=part_number)


def part_files(directory: Path) -> list[Path]:
    """List the parts, and whatever else a reader would take for parts: it leaves out what begins so."""
    return sorted(
        path for path in (directory / "vectors").glob("*.parquet") if not path.name.startswith((".", "_"))
    )


def part_name(number: int) -> str:
    """Return the name of the part with this number."""
    return f"part-{number:06}.parquet"


def part_number(path: Path) -> int:
    """Return the number of a part: those that were written later have higher ones."""
    match = _PART_NAME.fullmatch(path.name)
    if match is None or path.name != part_name(int(match[1])):
        raise CheckpointDamagedError(f"{path} was not put there by a job: move it away")
    return int(match[1])


def read_part(path: Path, *, columns: list[str] | None = None) -> Any:
    """Read a part, or some columns of it, as an Arrow table."""
    # `pq.read_table` would import pandas, as `pa.array` does.
    with _opened(path) as part:
        return part.read(columns)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file of the checkpoint whose end is what was written, to read some of it."""
    with damage(path):
        check_end(path)
        # `pre_buffer` starts threads, which cost more than so few columns take to read.
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as part:
            yield part


def check_end(path: Path) -> None:
    """Compare a file's footer, and so what it says of its rows, with its seal.

    Raises:
        ValueError: it is not what was written.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, _END_BYTES), os.SEEK_END)
        try:
            read_seal(memoryview(file.read()))
        except NotEnoughError:
            file.seek(0)
            read_seal(memoryview(file.read()))


def verify_part(path: Path, model_version: str) -> IndexRows:
    """Compare every byte of a part with its seal, and read what is remembered of its rows.

    Raises:
        CheckpointDamagedError: some are not what was written.
        CheckpointMismatchError: it holds vectors of another model.
        DiskError: it cannot be read.
    """
    with _verified(path) as part:
        _check_model(path, part, model_version)
        return _index_rows(part)


def salvage(path: Path) -> Any | None:
    """Return the rows of a damaged file that are what was written, as an Arrow table; None if it has no end.

    Raises:
        DiskError: it cannot be read.
    """
    try:
        with damage(path), _read_whole(path) as (part, is_whole):
            groups = [number for number in range(part.num_row_groups) if is_whole[number]]
            return part.read_row_groups(groups, use_threads=False)
    except CheckpointDamagedError:
        return None


def verify_pages(path: Path) -> None:
    """Read all of a file of format 1, which has no seal, but checksums of its pages.

    Raises:
        CheckpointDamagedError: it cannot be read.
        DiskError: the disk refused to read it.
    """
    with damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        file.read()


def count_rows(path: Path) -> int:
    """Count the rows of a file."""
    with damage(path):
        return int(pq.read_metadata(path).num_rows)


def model_versions(path: Path) -> set[str]:
    """Return the models whose vectors are whole in a part."""
    table = salvage(path)
    return set() if table is None else set(table["model_version"].to_pylist())


def verify_bytes(path: Path) -> None:
    """Compare every byte of a file of the checkpoint with its seal.

    Raises:
        CheckpointDamagedError: some are not what was written.
        DiskError: it cannot be read.
    """
    with _verified(path):
        pass


@contextmanager
def _verified(path: Path) -> Iterator[Any]:
    """Open a file of the checkpoint once every byte of it is known to be what was written."""
    with damage(path), _read_whole(path) as (part, is_whole):
        if not all(is_whole):
            raise ValueError(
                f"{is_whole.count(False)} of {len(is_whole)} row groups are not what was written"
            )
        yield part


@contextmanager
def _read_whole(path: Path) -> Iterator[tuple[Any, list[bool]]]:
    """Read all of a file, and say of each row group whether it is what was written."""
    # Arrow's own memory, and none of its threads: one that lets go of Python's memory when the interpreter is
    # at its end takes the process down.
    with path.open("rb") as file:
        content = pa.allocate_buffer(os.fstat(file.fileno()).st_size)
        if file.readinto(memoryview(content)) < content.size:
            raise ValueError("it became shorter while it was read")
    seal = read_seal(memoryview(content))
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as part:
        yield part, whole_groups(memoryview(content), seal, _group_starts(part.metadata))


def _group_starts(metadata: Any) -> list[int]:
    return [metadata.row_group(group).column(0).data_page_offset for group in range(metadata.num_row_groups)]


def read_index_rows(path: Path) -> IndexRows:
    """Read what is remembered of each row of a part."""
    with _opened(path) as part:
        return _index_rows(part)


def _index_rows(part: Any) -> IndexRows:
    rows = [IndexRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))]
    for batch in part.iter_batches(_BATCH_ROWS, columns=_INDEX_COLUMNS, use_threads=False):
        names, digests, fingerprints = (batch.column(name) for name in _INDEX_COLUMNS)
        rows.append(
            IndexRows(name_keys(names.to_pylist()), content_keys(_from_hex(digests)), _int64(fingerprints))
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


def no_failures() -> Any:
    """Return a table of failures that has none."""
    return pa.Table.from_batches([], FAILURE_SCHEMA)


def write_part(path: Path, directory: Path, table: Any) -> None:
    """Write a part aside in the checkpoint's directory, read it again, and put it in its place."""
    # The temporary file stays out of vectors/, whose readers may take every file for a part.
    with write_aside(path, folder=directory) as aside:
        _write_sealed(aside, table, VECTOR_FILE_OPTIONS)


def write_failures(directory: Path, failures: Collection[Failed]) -> None:
    """Write the table of failures anew."""
    columns = [
        _texts([failure.image_file for failure in failures]),
        _texts([failure.error for failure in failures]),
        _texts([failure.message for failure in failures]),
        integers([failure.attempts for failure in failures]),
        integers([failure.file_fingerprint for failure in failures]),
    ]
    write_failure_table(directory, pa.Table.from_arrays(columns, schema=FAILURE_SCHEMA))


def write_failure_table(directory: Path, table: Any) -> None:
    """Write the table of failures anew, as it is."""
    with write_aside(directory / "failures.parquet") as aside:
        _write_sealed(aside, table, _FAILURE_FILE_OPTIONS)


def _write_sealed(path: Path, table: Any, options: dict[str, Any]) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    parquet = sink.getvalue()
    metadata = pq.read_metadata(pa.BufferReader(parquet))
    with path.open("wb") as file:
        file.writelines(sealed(memoryview(parquet), _group_starts(metadata)))
    written = pq.read_metadata(path).num_rows
    if written != table.num_rows:
        raise DiskError(f"{path} came out with {written} rows instead of {table.num_rows}")


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
    except (CheckpointError, DiskError):
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DiskError(f"cannot read {path}: {error.strerror or error}") from error
        raise CheckpointDamagedError(
            f"{path} is damaged ({_first_line(error)}): `semart-vectors check --repair` sets it aside, as "
            "the next run of the job does, which embeds again the images it held"
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
        CheckpointDamagedError: it is not what was written.
    """
    path = directory / "failures.parquet"
    if not path.exists():
        return []
    with _verified(path) as table:
        return [Failed(**row) for row in table.read(use_threads=False).to_pylist()]


def seal_file(path: Path, directory: Path) -> None:
    """Write a file of format 1, which had no seal, as it is with one, and with the columns it lacks.

    Raises:
        CheckpointDamagedError: it cannot be read.
        DiskError: the disk refused.
    """
    with damage(path):
        try:
            check_end(path)
        except ValueError:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
        else:
            return
    if path.parent == directory:
        write_failure_table(directory, table)
        return
    if "repairs" not in table.column_names:
        table = table.append_column(VECTOR_SCHEMA.field("repairs"), _texts([""] * table.num_rows))
    write_part(path, directory, table)

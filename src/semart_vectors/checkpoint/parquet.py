"""Parquet files with a checksum footer: written, opened, verified, and salvaged as far as they are intact."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.checkpoint.checksums import (
    TooFewBytesError,
    intact_groups,
    read_checksum_footer,
    with_checksum_footer,
)
from semart_vectors.errors import CheckpointDamagedError, CheckpointError, DiskError
from semart_vectors.files import disk_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_END_BYTES = 1 << 16
"""The two footers of a part take 15 kB."""


def write_parquet(path: Path, table: Any, options: dict[str, Any]) -> None:
    """Write a table with a checksum footer, and read back how many rows came out.

    Args:
        path: The file; a temporary one, since it is not written in one step.
        table: An Arrow table.
        options: For `pyarrow.parquet.write_table`.

    Raises:
        OSError: the disk refused.
        DiskError: it came out with another number of rows.
    """
    sink = pa.BufferOutputStream()
    if table.num_rows:
        pq.write_table(table, sink, **options)
    else:  # without a row group: one of no rows stops Hugging Face `datasets`
        of_file = {name: value for name, value in options.items() if name != "row_group_size"}
        pq.ParquetWriter(sink, table.schema, **of_file).close()
    parquet = sink.getvalue()
    metadata = pq.read_metadata(pa.BufferReader(parquet))
    with path.open("wb") as file:
        file.writelines(with_checksum_footer(memoryview(parquet), _group_starts(metadata)))
    written = pq.read_metadata(path).num_rows
    if written != table.num_rows:
        raise DiskError(f"{path} has {written} rows after writing {table.num_rows}; check the disk")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file to read some of it, once its end is verified, and so what it says about its rows.

    Raises:
        CheckpointDamagedError: its end, or a page that is read, has changed.
        DiskError: it cannot be read.
    """
    with damage_errors(path):
        _verify_end(path)
        # `pre_buffer` starts threads, which cost more than so few columns take to read.
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            yield file


@contextmanager
def opened_verified(path: Path) -> Iterator[Any]:
    """Open a file once every byte of it is verified.

    Raises:
        CheckpointDamagedError: some bytes have changed.
        DiskError: it cannot be read.
    """
    with damage_errors(path), _read_whole(path) as (file, is_intact):
        if not all(is_intact):
            raise ValueError(f"{is_intact.count(False)} of {len(is_intact)} row groups have changed")
        yield file


def has_empty_group(path: Path) -> bool:
    """Whether an intact file holds a row group of no rows, which some readers refuse.

    Raises:
        DiskError: it cannot be read.
    """
    with damage_errors(path):
        if path.stat().st_size > _END_BYTES:
            return False
        metadata = pq.read_metadata(path)
        return any(not metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))


def verify_bytes(path: Path) -> None:
    """Compare every byte of a file with its checksums.

    Raises:
        CheckpointDamagedError: some bytes have changed.
        DiskError: it cannot be read.
    """
    with opened_verified(path):
        pass


def salvage(path: Path) -> Any | None:
    """Return the intact rows of a damaged file as an Arrow table; None if its end is lost.

    Raises:
        DiskError: it cannot be read.
    """
    try:
        with damage_errors(path), _read_whole(path) as (file, is_intact):
            groups = [number for number in range(file.num_row_groups) if is_intact[number]]
            return file.read_row_groups(groups, use_threads=False)
    except CheckpointDamagedError:
        return None


@contextmanager
def damage_errors(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a file that has changed into `CheckpointDamagedError`."""
    try:
        yield
    except (CheckpointError, DiskError):
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise disk_error(path, error, doing="read") from error
        raise CheckpointDamagedError(
            f"{path} is damaged ({_first_line(error)}); `semart-vectors check --repair`, or the next run, "
            "copies it to _damaged/ and keeps the intact rows; the next run embeds only the lost images again"
        ) from error


def _verify_end(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, _END_BYTES), os.SEEK_END)
        try:
            read_checksum_footer(memoryview(file.read()))
        except TooFewBytesError:
            file.seek(0)
            read_checksum_footer(memoryview(file.read()))


@contextmanager
def _read_whole(path: Path) -> Iterator[tuple[Any, list[bool]]]:
    """Read all of a file, and say for each row group whether it is intact."""
    # Into Arrow's own memory, and without its threads: if one of them frees Python's memory while the
    # interpreter is shutting down, the process crashes.
    with path.open("rb") as file:
        content = pa.allocate_buffer(os.fstat(file.fileno()).st_size)
        if file.readinto(memoryview(content)) < content.size:
            raise ValueError("it became shorter while it was read")
    footer = read_checksum_footer(memoryview(content))
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as parquet:
        yield parquet, intact_groups(memoryview(content), footer, _group_starts(parquet.metadata))


def _group_starts(metadata: Any) -> list[int]:
    return [metadata.row_group(group).column(0).data_page_offset for group in range(metadata.num_row_groups)]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]

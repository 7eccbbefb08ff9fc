"""An append-only file of records, each with its own checksum: what arrived since the last Parquet part.

A vector is worth money from the moment it arrives, and a Parquet file cannot be appended to. So records go
here first, durably, and the journal goes when the part that holds them is published. A record that was cut or
changed is noticed by its checksum and skipped; those after it are found again by the mark each begins with.

A journal takes room on the disk before it needs it, and is full of zeros to its end: so what is under way
when the disk turns out to be full has its place, and a journal that does not end in zeros was cut.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from zlib import crc32

import orjson

from semart_vectors.files import disk_errors, write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MARK = b"\xf7SVK"
_HEADER = struct.Struct("<4sIII")

FIRST_JOURNAL = "_journal"
"""The name of the only journal in format 1, which those of today are numbered after."""

_JOURNAL_NAME = re.compile(r"_journal(-\d+)?")

_MAX_FIELDS_BYTES = 1 << 20
_MAX_BLOB_BYTES = 1 << 20

_LEAST_ROOM_BYTES = 1 << 16
_TRAILING_ZEROS = 64


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: what JSON can say, and bytes beside it."""

    fields: dict[str, Any]
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What was found in a journal."""

    records: list[Record]
    damaged_bytes: int
    """Bytes that are no whole record: they were, or were being written when the process died."""
    is_cut: bool
    """Whether its end is missing."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing."""
        return not (self.damaged_bytes or self.is_cut)

    @property
    def what_is_missing(self) -> str:
        """Say what of it is."""
        bytes_told = f"{self.damaged_bytes:,} bytes are no whole record"
        end_told = "its end is missing"
        return " and ".join([bytes_told] * bool(self.damaged_bytes) + [end_told] * self.is_cut)


class Journal:
    """Appends records to a new file; what `append` was given is durable when it returns."""

    def __init__(self, path: Path, *, room_bytes: int = 0) -> None:
        """Make the file at `path`, with room for records to come.

        Args:
            path: The file.
            room_bytes: How much room to keep at least behind what was appended.

        Raises:
            DiskError: the disk refused, or is too full for that.
        """
        self.path = path
        self.shortage: OSError | None = None
        """Why there is no room any more behind what was appended, if so: what is under way still fits."""
        self._room = max(room_bytes, _LEAST_ROOM_BYTES)
        self._end = 0
        with write_aside(path) as aside:  # never is there one that does not end in zeros
            self._descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                self._allocated = self._room + _TRAILING_ZEROS
                _allocate(self._descriptor, 0, self._allocated)
            except OSError:
                os.close(self._descriptor)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until the disk has them; after an error none of them counts.

        Raises:
            OSError: the disk refused. What it has of them is unknown, so no more may be appended.
        """
        view = memoryview(b"".join(map(_encode, records)))
        self._make_room(self._end + len(view) + self._room)
        needed = self._end + len(view) + _TRAILING_ZEROS
        if needed > self._allocated:
            _allocate(self._descriptor, self._allocated, needed)
            self._allocated = needed
        written = 0
        while written < len(view):
            written += os.pwrite(self._descriptor, view[written:], self._end + written)
        _sync_data(self._descriptor)
        self._end += len(view)

    def keep_room(self, room_bytes: int) -> None:
        """Keep so much room at least behind what is appended; that there is none `shortage` tells."""
        self._room = max(self._room, room_bytes)
        self._make_room(self._end + self._room)

    def trim(self) -> None:
        """Give the room back that was kept.

        Raises:
            OSError: the disk refused.
        """
        self._allocated = self._end + _TRAILING_ZEROS
        os.ftruncate(self._descriptor, self._allocated)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        os.close(self._descriptor)

    def _make_room(self, end: int) -> None:
        self.shortage = None
        if end + _TRAILING_ZEROS <= self._allocated:
            return
        wanted = end + self._room + _TRAILING_ZEROS  # seldom, and much: it costs a sync of metadata
        try:
            _allocate(self._descriptor, self._allocated, wanted)
        except OSError as error:
            self.shortage = error
        else:
            self._allocated = wanted


def _allocate(descriptor: int, start: int, end: int) -> None:
    """Have the disk keep room, which reads as zeros."""
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(descriptor, start, end - start)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
    zeros = memoryview(bytes(end - start))
    while zeros:
        zeros = zeros[os.pwrite(descriptor, zeros, end - len(zeros)) :]
    return None


_NOT_OFFERED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})

_sync_data = getattr(os, "fdatasync", os.fsync)


def list_journals(directory: Path) -> list[Path]:
    """List the journals of a checkpoint, the oldest first."""
    files = (path for path in directory.glob("_journal*") if _JOURNAL_NAME.fullmatch(path.name))
    return sorted(files, key=journal_number)


def journal_name(number: int) -> str:
    """Return the name of the journal with this number."""
    return f"{FIRST_JOURNAL}-{number:06}"


def journal_number(path: Path) -> int:
    """Return the number of a journal: those that were begun later have higher ones."""
    return int(path.name.removeprefix(FIRST_JOURNAL).removeprefix("-") or 0)


def read_journals(directory: Path) -> list[Record]:
    """Read what the journals of a checkpoint hold, the oldest record first, also while a job writes to them.

    Raises:
        DiskError: the disk refused to read one.
    """
    with disk_errors(directory, doing="read"):
        return [record for path in list_journals(directory) for record in read_journal(path).records]


def read_journal(path: Path, *, ends_in_zeros: bool = True) -> JournalContent:
    """Read all whole records of a journal; a missing file is an empty one.

    Args:
        path: The file.
        ends_in_zeros: False for one of format 1, which ended with its last record.

    Raises:
        OSError: the disk refused to read it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return JournalContent([], 0, is_cut=False)
    records: list[Record] = []
    position = end = damaged_bytes = 0
    while (start := data.find(_MARK, position)) >= 0:
        record, after = _decode(data, start)
        if record is None:
            position = start + 1
            continue
        records.append(record)
        damaged_bytes += start - end
        position = end = after
    damaged_bytes += len(data[end:].rstrip(b"\0"))
    is_cut = ends_in_zeros and not data[end:].endswith(bytes(_TRAILING_ZEROS))
    return JournalContent(records, damaged_bytes, is_cut)


def _encode(record: Record) -> bytes:
    fields = orjson.dumps(record.fields)
    if len(fields) > _MAX_FIELDS_BYTES or len(record.blob) > _MAX_BLOB_BYTES:
        raise ValueError("the record is longer than any that is read back")
    header = _HEADER.pack(_MARK, len(fields), len(record.blob), _checksum(fields, record.blob))
    return header + fields + record.blob


def _decode(data: bytes, start: int) -> tuple[Record | None, int]:
    """Return the record at `start`, if a whole one is there, and where it ends."""
    fields_start = start + _HEADER.size
    if fields_start > len(data):
        return None, start
    _, fields_bytes, blob_bytes, checksum = _HEADER.unpack_from(data, start)
    blob_start = fields_start + fields_bytes
    after = blob_start + blob_bytes
    if fields_bytes > _MAX_FIELDS_BYTES or blob_bytes > _MAX_BLOB_BYTES or after > len(data):
        return None, start
    fields, blob = data[fields_start:blob_start], data[blob_start:after]
    if _checksum(fields, blob) != checksum:
        return None, start
    return Record(orjson.loads(fields), blob), after


def _checksum(fields: bytes, blob: bytes) -> int:
    # It notices every burst of up to 32 bits, and lets one of four billion other changes pass. A digest
    # that lets none pass takes six times as long, holding the interpreter.
    return crc32(blob, crc32(fields, crc32(struct.pack("<II", len(fields), len(blob)))))

"""An append-only file of records, each with its own checksum: what arrived since the last Parquet part.

A vector is worth money from the moment it arrives, and a Parquet file cannot be appended to. So records go
here first, durably, and the journal is removed when the part that holds them is published. A record that was
cut or changed fails its checksum and is skipped; the next one is found by the mark that each begins with.

A journal reserves room on the disk before it needs it, and is filled with zeros to its end: so calls that are
under way when the disk fills up can still be recorded, and a journal that does not end in zeros was cut.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from zlib import crc32

import orjson

from semart_vectors.files import disk_errors, write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from semart_vectors.checkpoint.folder import CheckpointFolder

_MARK = b"\xf7SVK"
_HEADER = struct.Struct("<4sIII")

_MAX_FIELDS_BYTES = 1 << 20
_MAX_BLOB_BYTES = 1 << 20

_LEAST_ROOM_BYTES = 1 << 16
_TRAILING_ZEROS = 64


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: fields that JSON can hold, and bytes beside them."""

    fields: dict[str, Any]
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What was read from a journal."""

    records: list[Record]
    damaged_bytes: int
    """Bytes that belong to no intact record: they changed, or were being written when the process died."""
    is_cut: bool
    """Whether its end is missing."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not (self.damaged_bytes or self.is_cut)

    def describe_damage(self) -> str:
        """Say what is damaged or missing."""
        damaged = [f"{self.damaged_bytes:,} bytes belong to no intact record"] * bool(self.damaged_bytes)
        cut = ["its end is missing"] * self.is_cut
        return " and ".join(damaged + cut)


class Journal:
    """Appends records to a new file; they are durable when `append` returns."""

    def __init__(self, path: Path, *, room_bytes: int = 0) -> None:
        """Create the file, with room reserved for records to come.

        Args:
            path: The file.
            room_bytes: How much room to reserve at least behind the last record, in bytes.

        Raises:
            DiskError: the disk refused, or is too full for that.
        """
        self.path = path
        self.shortage: OSError | None = None
        """Why no more room could be reserved; None if it could. The room that is left is not used up yet."""
        self._room = max(room_bytes, _LEAST_ROOM_BYTES)
        self._end = 0
        with write_aside(path) as aside:  # so that it ends in zeros at every moment
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
        """Write records and wait until they are durable; after an error none of them counts.

        Raises:
            OSError: the disk refused. How much of them was written is unknown, so append no more.
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
        """Reserve so many bytes at least behind the last record; `shortage` says if there is no room."""
        self._room = max(self._room, room_bytes)
        self._make_room(self._end + self._room)

    def trim(self) -> None:
        """Give back the room that was reserved.

        Raises:
            OSError: the disk refused.
        """
        self._allocated = self._end + _TRAILING_ZEROS
        os.ftruncate(self._descriptor, self._allocated)

    def close(self) -> None:
        """Close the file; its records stay."""
        os.close(self._descriptor)

    def _make_room(self, end: int) -> None:
        self.shortage = None
        if end + _TRAILING_ZEROS <= self._allocated:
            return
        wanted = (
            end + self._room + _TRAILING_ZEROS
        )  # seldom, and much at a time: each costs a sync of metadata
        try:
            _allocate(self._descriptor, self._allocated, wanted)
        except OSError as error:
            self.shortage = error
        else:
            self._allocated = wanted


def _allocate(descriptor: int, start: int, end: int) -> None:
    """Reserve room on the disk, filled with zeros."""
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(descriptor, start, end - start)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
    zeros = memoryview(bytes(end - start))
    while zeros:
        zeros = zeros[os.pwrite(descriptor, zeros, end - len(zeros)) :]
    return None


_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})

_sync_data = getattr(os, "fdatasync", os.fsync)


def read_journal(path: Path) -> JournalContent:
    """Read all intact records of a journal, also while it is appended to; a missing file is an empty one.

    Raises:
        DiskError: it cannot be read.
    """
    with disk_errors(path, doing="read"):
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
    is_cut = not data[end:].endswith(bytes(_TRAILING_ZEROS))
    return JournalContent(records, damaged_bytes, is_cut)


def read_journals(folder: CheckpointFolder) -> list[Record]:
    """Read the intact records of all journals, the oldest first, also while a job writes to them.

    Raises:
        DiskError: one cannot be read.
    """
    return [record for path in folder.journals().values() for record in read_journal(path).records]


def _encode(record: Record) -> bytes:
    fields = orjson.dumps(record.fields)
    if len(fields) > _MAX_FIELDS_BYTES or len(record.blob) > _MAX_BLOB_BYTES:
        raise ValueError("the record is longer than what can be read back")
    header = _HEADER.pack(_MARK, len(fields), len(record.blob), _checksum(fields, record.blob))
    return header + fields + record.blob


def _decode(data: bytes, start: int) -> tuple[Record | None, int]:
    """Return the record at `start`, if an intact one is there, and where it ends."""
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
    # It finds every burst of up to 32 changed bits, and misses one of four billion other changes. A digest
    # that misses none takes six times as long, and holds the interpreter meanwhile.
    return crc32(blob, crc32(fields, crc32(struct.pack("<II", len(fields), len(blob)))))

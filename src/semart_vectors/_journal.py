"""An append-only file of records, each with its own checksum: what arrived since the last Parquet part.

A vector is worth money from the moment it arrives, and a Parquet file cannot be appended to. So records go
here first, durably, and leave when the part that holds them is published. A record that was cut or changed
is noticed by its checksum and skipped; those after it are found again by the mark that each begins with.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MARK = b"\xf7SVK"
_HEADER = struct.Struct("<4sIII")
_MAX_FIELDS_BYTES = 1 << 20
_MAX_BLOB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: what JSON can say, and bytes beside it."""

    fields: dict[str, Any]
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What was found in a journal."""

    records: list[Record]
    end: int
    """Where the last whole record ends, in bytes; what follows was being written when the process died."""
    damaged_bytes: int
    """Bytes before `end` that are no whole record: they were whole once."""


class Journal:
    """Appends records; what `append` was given is durable when it returns."""

    def __init__(self, path: Path, *, end: int) -> None:
        """Open the file at `path`, or make it, to go on behind its first `end` bytes."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = end
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until the disk has them; after an error none of them counts.

        Raises:
            OSError: the disk refused.
        """
        view = memoryview(b"".join(_encode(record) for record in records))
        try:
            written = 0
            while written < len(view):
                written += os.write(self._descriptor, view[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            raise
        self._end += len(view)

    def clear(self) -> None:
        """Forget all records: a published part holds them now."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.fsync(self._descriptor)
        self._end = 0

    def close(self) -> None:
        """Close the file; what was appended stays."""
        os.close(self._descriptor)


def read_journal(path: Path) -> JournalContent:
    """Read all whole records of a journal; a missing file is an empty one.

    Raises:
        OSError: the disk refused to read it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
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
    return JournalContent(records, end, damaged_bytes)


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
    return zlib.crc32(blob, zlib.crc32(fields, zlib.crc32(struct.pack("<II", len(fields), len(blob)))))

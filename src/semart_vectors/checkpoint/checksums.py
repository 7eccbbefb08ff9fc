"""Checksums of a Parquet file within the file, where no reader looks.

::

    row group | row group | … | seal | footer | its length | PAR1

Parquet's own checksums cover pages, but neither their headers nor the footer that says where they are. The
seal covers every byte: one CRC-32 for each row group, and one over these and the footer. A file and its seal
come and go in one rename, which a list of checksums beside it could not.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32  # it notices every burst of up to 32 bits, and lets one of four billion others pass

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = b"SVS1"
_PARQUET_END = struct.Struct("<I4s")
_COUNT = struct.Struct("<I4s")
_CHECKSUM = struct.Struct("<I")

_MOST_GROUPS = 1 << 16


class Seal(NamedTuple):
    """What a file says of itself, once that is known to be what was written."""

    checksums: tuple[int, ...]
    """Of each row group, the first with the bytes before it; where there is none, of these alone."""
    bytes_from_end: int
    """How far from the file's end the seal begins, and the last row group ends."""


def sealed(parquet: memoryview, starts: Sequence[int]) -> tuple[memoryview, bytes, memoryview]:
    """Return what to write instead of a Parquet file, in three pieces.

    Args:
        parquet: The whole file.
        starts: Where each of its row groups starts.
    """
    footer_at = len(parquet) - _footer_bytes(parquet)
    checksums = [crc32(group) for group in _groups(parquet[:footer_at], starts)]
    counted = struct.pack(f"<{len(checksums)}I", *checksums) + _COUNT.pack(len(checksums), _MARK)
    footer = parquet[footer_at:]
    return parquet[:footer_at], counted + _CHECKSUM.pack(crc32(footer, crc32(counted))), footer


def read_seal(end: memoryview) -> Seal:
    """Find the seal of a file in its last bytes, or all of them, and compare the footer with it.

    Raises:
        ValueError: there is none, or its bytes or the footer's are not what was written.
        NotEnoughError: the last bytes are too few.
    """
    footer_bytes = _footer_bytes(end)
    checksum_at = len(end) - footer_bytes - _CHECKSUM.size
    count_at = checksum_at - _COUNT.size
    if count_at < 0:
        raise NotEnoughError("it is cut, or its end is not what was written")
    (checksum,) = _CHECKSUM.unpack_from(end, checksum_at)
    count, mark = _COUNT.unpack_from(end, count_at)
    if mark != _MARK or not 0 < count <= _MOST_GROUPS:
        raise ValueError("its end is not what was written")
    start = count_at - count * _CHECKSUM.size
    if start < 0:
        raise NotEnoughError("it is cut, or its end is not what was written")
    if crc32(end[len(end) - footer_bytes :], crc32(end[start:checksum_at])) != checksum:
        raise ValueError("its end is not what was written")
    return Seal(struct.unpack_from(f"<{count}I", end, start), len(end) - start)


class NotEnoughError(ValueError):
    """More of a file's end is needed to read its seal; where there is no more, it was cut."""


def whole_groups(parquet: memoryview, seal: Seal, starts: Sequence[int]) -> list[bool]:
    """Say of each row group of a whole file whether its bytes are what was written."""
    groups = _groups(parquet[: len(parquet) - seal.bytes_from_end], starts)
    return [crc32(group) == checksum for group, checksum in zip(groups, seal.checksums, strict=True)]


def _groups(body: memoryview, starts: Sequence[int]) -> list[memoryview]:
    return [body[start:end] for start, end in pairwise((0, *starts[1:], len(body)))]


def _footer_bytes(end: memoryview) -> int:
    if len(end) < _PARQUET_END.size:
        raise NotEnoughError("it is cut")
    length, magic = _PARQUET_END.unpack_from(end, len(end) - _PARQUET_END.size)
    if magic != b"PAR1":
        raise ValueError("it is cut, or its end is not what was written")
    return int(length) + _PARQUET_END.size

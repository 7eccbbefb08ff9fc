"""A checksum footer for a Parquet file, within the file, where no reader looks.

::

    row group | row group | … | checksum footer | Parquet's footer | its length | PAR1

Parquet's own checksums cover pages, but neither their headers nor the footer that says where they are. The
checksum footer covers every byte: it holds one CRC-32 for each row group, and one over these and Parquet's
footer. Because it is part of the file, both are replaced in one rename; a separate list of checksums could
not be.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32  # finds every burst of up to 32 changed bits, and misses one of four billion others

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = b"SVS1"
_PARQUET_END = struct.Struct("<I4s")
_COUNT = struct.Struct("<I4s")
_CHECKSUM = struct.Struct("<I")

_MAX_GROUPS = 1 << 16


class ChecksumFooter(NamedTuple):
    """The checksums of a file's row groups, once they themselves are verified."""

    checksums: tuple[int, ...]
    """One for each row group; the first covers the bytes before it too, and those alone in a file without."""
    bytes_from_end: int
    """How many bytes before the file's end the checksum footer begins, and the last row group ends."""


class TooFewBytesError(ValueError):
    """More bytes of the file's end are needed to read its checksum footer; if there are none, it was cut."""


def with_checksum_footer(parquet: memoryview, starts: Sequence[int]) -> tuple[memoryview, bytes, memoryview]:
    """Return what to write instead of a Parquet file, in three pieces.

    Args:
        parquet: The whole file.
        starts: Where each of its row groups starts.
    """
    footer_at = len(parquet) - _parquet_footer_bytes(parquet)
    checksums = [crc32(group) for group in _groups(parquet[:footer_at], starts)]
    counted = struct.pack(f"<{len(checksums)}I", *checksums) + _COUNT.pack(len(checksums), _MARK)
    footer = parquet[footer_at:]
    return parquet[:footer_at], counted + _CHECKSUM.pack(crc32(footer, crc32(counted))), footer


def read_checksum_footer(end: memoryview) -> ChecksumFooter:
    """Find the checksum footer in a file's last bytes, or in all of them, and verify both footers.

    Raises:
        ValueError: there is none, or its bytes or those of Parquet's footer have changed.
        TooFewBytesError: the last bytes are too few.
    """
    footer_bytes = _parquet_footer_bytes(end)
    checksum_at = len(end) - footer_bytes - _CHECKSUM.size
    count_at = checksum_at - _COUNT.size
    if count_at < 0:
        raise TooFewBytesError("it was cut, or its end has changed")
    (checksum,) = _CHECKSUM.unpack_from(end, checksum_at)
    count, mark = _COUNT.unpack_from(end, count_at)
    if mark != _MARK or not 0 < count <= _MAX_GROUPS:
        raise ValueError("its end has changed")
    start = count_at - count * _CHECKSUM.size
    if start < 0:
        raise TooFewBytesError("it was cut, or its end has changed")
    if crc32(end[len(end) - footer_bytes :], crc32(end[start:checksum_at])) != checksum:
        raise ValueError("its end has changed")
    return ChecksumFooter(struct.unpack_from(f"<{count}I", end, start), len(end) - start)


def intact_groups(parquet: memoryview, footer: ChecksumFooter, starts: Sequence[int]) -> list[bool]:
    """Say for each row group of a whole file whether its bytes match their checksum."""
    groups = _groups(parquet[: len(parquet) - footer.bytes_from_end], starts)
    return [crc32(group) == checksum for group, checksum in zip(groups, footer.checksums, strict=True)]


def _groups(body: memoryview, starts: Sequence[int]) -> list[memoryview]:
    return [body[start:end] for start, end in pairwise((0, *starts[1:], len(body)))]


def _parquet_footer_bytes(end: memoryview) -> int:
    if len(end) < _PARQUET_END.size:
        raise TooFewBytesError("it was cut")
    length, magic = _PARQUET_END.unpack_from(end, len(end) - _PARQUET_END.size)
    if magic != b"PAR1":
        raise ValueError("it was cut, or its end has changed")
    return int(length) + _PARQUET_END.size

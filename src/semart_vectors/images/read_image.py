"""One image, read in one go, and refused here where the service would refuse it.

Everything here blocks on the disk: it runs in threads, never on the event loop. Only `is_plain_jpeg` is quick
enough for the loop.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import threading
from dataclasses import dataclass
from io import BytesIO
from time import monotonic, sleep
from typing import TYPE_CHECKING

from semart_vectors.errors import (
    InvalidInputError,
    OutOfResourcesError,
    UnreadableImageError,
    is_out_of_resources,
)
from semart_vectors.images.formats import format_of, has_jpeg_end, jpeg_size, zeros_from

if TYPE_CHECKING:
    from semart_vectors.images.formats import Format

MAX_BYTES = 20_971_520
"""The service takes images of up to 20 MiB."""

MIN_SIDE_PX = 11
MAX_SIDE_PX = 15_999
"""The service documents "more than 10 x 10 and less than 16,000 x 16,000" pixels."""

_MAX_DECODED_PX = 50_000_000
"""A larger image is not decoded just to see whether it is cut: that would take 150 MB and more."""

_DESCRIPTOR_WAIT_S, _RETRY_EVERY_S = 3.0, 0.05
"""How long to wait for a free file descriptor: connections give theirs back as calls end."""

decoding = threading.Lock()
"""One at a time: sixteen threads would take sixteen times that memory."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that may be sent: read completely, and checked."""

    source: object
    """What it was loaded from; the outcome carries it."""
    data: bytes
    """The bytes that are sent."""
    status: os.stat_result | None = None
    """Of the file as it was read; None for what is not a file."""

    @property
    def fingerprint(self) -> int:
        """Changes when the file does (`fingerprint_of`); 0 for what is not a file."""
        return 0 if self.status is None else fingerprint_of(self.status)


def load_file(path: str | os.PathLike[str], *, source: object = None) -> LoadedImage:
    """Read an image file and check it.

    Args:
        path: The file.
        source: What the outcome carries; `path` unless given.

    Raises:
        UnreadableImageError: it cannot be read, or is not a regular file.
        InvalidInputError: the service would refuse it.
        OutOfResourcesError: this machine lacks file descriptors or memory.
    """
    data, status = read_file(path)
    check_image(data)
    return LoadedImage(path if source is None else source, data, status)


def load_bytes(data: bytes, *, source: object) -> LoadedImage:
    """Check an image that is in memory already.

    Raises:
        InvalidInputError: the service would refuse it.
    """
    check_image(data)
    return LoadedImage(source, data)


def read_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> tuple[bytes, os.stat_result]:
    """Return the content of a file of no more than `max_bytes`, and its status.

    Raises:
        UnreadableImageError: it cannot be read, or is not a regular file.
        InvalidInputError: it is larger.
        OutOfResourcesError: this machine lacks file descriptors or memory.
    """
    try:
        return _read_with_retries(path, max_bytes)
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if is_out_of_resources(error):
            raise OutOfResourcesError(
                f"this machine has too few file descriptors or too little memory to read an image: {error}; "
                "raise its limits (ulimit -n) or lower max_in_flight, and run again"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImageError(f"it cannot be read: {reason}") from error


def fingerprint_of(status: os.stat_result) -> int:
    """Return a number (signed, 64 bits) that changes when the file behind `status` does.

    It covers size, modification time and status change time in nanoseconds: rewriting a file in place and
    restoring its old time still changes the last. A changed number only means that the content has to be
    read again.
    """
    parts = struct.pack("<qqq", status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return int.from_bytes(hashlib.blake2b(parts, digest_size=8).digest(), "little", signed=True)


def is_plain_jpeg(data: bytes) -> bool:
    """Whether this is a complete JPEG of a size that the service takes, as nearly every image is.

    The header alone answers that in a microsecond, so this, and only this, may run on the event loop.
    Any other image needs `check_image`.
    """
    if not (len(data) <= MAX_BYTES and data.startswith(b"\xff\xd8\xff") and has_jpeg_end(data)):
        return False
    return _fits(*jpeg_size(data))


def check_image(data: bytes) -> None:
    """Refuse an image that the service would refuse, before it costs a call.

    Headers are enough for nearly all images; only one whose end is missing is decoded, to tell a cut image
    from an unusual one.

    Raises:
        InvalidInputError: it is empty, too many bytes, of another format, too small, too large, or cut.
    """
    if is_plain_jpeg(data):
        return
    if not 0 < len(data) <= MAX_BYTES:
        raise InvalidInputError(_describe_bytes(len(data)))
    kind = format_of(data)
    if kind is None:
        raise InvalidInputError(
            "it is not an image that the service takes (JPEG, PNG, GIF, BMP, WEBP, ICO, TIFF, MPO)"
        )
    _check_format(data, kind)


def _check_format(data: bytes, kind: Format) -> None:
    is_complete = kind.is_complete(data)
    if not is_complete and (start := zeros_from(data)) is not None and kind.is_hollow(data):
        raise InvalidInputError(
            f"its end has not arrived: from byte {start:,} on it holds nothing but zeros; copy it again"
        )
    try:
        if is_complete and kind.size is not None:
            width, height = kind.size(data)
        else:
            with kind.open(BytesIO(data)) as image:
                width, height = image.size
                if not is_complete and width * height <= _MAX_DECODED_PX:
                    with decoding:
                        image.load()
    except Exception as error:  # Pillow raises many types for broken files, SyntaxError among them
        if is_complete:
            return  # it is not cut, and the service may read what Pillow cannot
        raise InvalidInputError(f"it is cut or damaged: {error}") from error
    if not _fits(width, height):
        raise InvalidInputError(
            f"it measures {width} x {height} pixels; "
            f"the service takes {MIN_SIDE_PX} to {MAX_SIDE_PX} on each side"
        )


def _fits(width: int, height: int) -> bool:
    return MIN_SIDE_PX <= width <= MAX_SIDE_PX and MIN_SIDE_PX <= height <= MAX_SIDE_PX


def _read_with_retries(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    deadline = monotonic() + _DESCRIPTOR_WAIT_S
    while True:
        try:
            return _read_regular_file(path, max_bytes)
        except OSError as error:
            if not is_out_of_resources(error) or monotonic() >= deadline:
                raise
        sleep(_RETRY_EVERY_S)


def _read_regular_file(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    # Without O_NONBLOCK the open itself would wait for ever for a pipe's other end.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:  # by hand: `open` refuses the descriptor of a directory, and leaves it open
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        if status.st_size > max_bytes:
            raise InvalidInputError(_describe_bytes(status.st_size))
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # it grew, or the read was interrupted: `open` copes, but is slower
            os.lseek(descriptor, 0, os.SEEK_SET)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(max_bytes + 1)
        return data, status
    finally:
        os.close(descriptor)


def _describe_bytes(size_bytes: int) -> str:
    if size_bytes == 0:
        return "it is empty"
    return f"it has {size_bytes:,} bytes; the service takes at most {MAX_BYTES:,}"

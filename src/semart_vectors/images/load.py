"""Images on their way out: found lazily, read in one go, and refused here when the service would refuse them.

Everything here blocks on the disk: it runs in threads, never on the event loop.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import struct
import threading
from dataclasses import dataclass
from heapq import merge
from io import BytesIO
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from semart_vectors.errors import (
    ConfigurationError,
    InvalidInputError,
    OutOfResourcesError,
    UnreadableImageError,
    is_out_of_resources,
)
from semart_vectors.images.names import to_text, to_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import ImageFile

MAX_BYTES = 20_971_520
"""The service takes images of up to 20 MiB."""

MIN_SIDE_PX = 11
MAX_SIDE_PX = 15_999
"""The service documents "more than 10 x 10 and less than 16,000 x 16,000" pixels."""

_MAX_DECODED_PX = 50_000_000
"""A larger image is not decoded just to see whether it is cut: that would take 150 MB and more."""

_SCARCE_FOR_S, _LOOK_AGAIN_S = 3.0, 0.05
"""For so long a file descriptor may be missing: as calls end, theirs come free."""

_MARKER = 0xFF
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FRAME_HEADER_BYTES = 9
"""A JPEG's frame header, which says how large the image is: T.81, table B.1 and B.2.2, up to its width."""

_BIG_TIFF, _TIFF_SHORT = 43, 3
_TIFF_PIECES = ((273, 279), (324, 325))
"""Tags of the offsets and lengths of strips, and of tiles: TIFF 6.0, sections 8 and 15."""

decoding = threading.Lock()
"""One at a time: sixteen threads would take sixteen times that memory."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".ico", ".tif", ".tiff", ".mpo"}
)
"""Files with these endings, in any case, are the images of a folder; what is in them decides the rest."""


_SUFFIXES = tuple(SUFFIXES)

NAMES_AT_A_TIME = 1024
"""Names that are looked up in one go: a millisecond's work."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that may be sent: read whole, and checked."""

    source: object
    """What it was loaded from; the outcome carries it."""
    data: bytes
    status: os.stat_result | None = None
    """Of the file as it was read; None for what is no file."""

    @property
    def fingerprint(self) -> int:
        """Changes when the file does (`fingerprint_of`); 0 for what is no file."""
        return 0 if self.status is None else fingerprint_of(self.status)


def load_file(path: str | os.PathLike[str], *, source: object = None) -> LoadedImage:
    """Read an image file and check it.

    Args:
        path: The file.
        source: What the outcome shall carry; `path` unless given.

    Raises:
        UnreadableImageError: it cannot be read, or is no regular file.
        InvalidInputError: the service would refuse it.
        OutOfResourcesError: no file could be read at present.
    """
    data, status = read_file(path)
    check_image(data)
    return LoadedImage(path if source is None else source, data, status)


def read_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> tuple[bytes, os.stat_result]:
    """Read a file of no more than `max_bytes` as it is, with its status.

    Raises:
        UnreadableImageError: it cannot be read, or is no regular file.
        InvalidInputError: it is larger.
        OutOfResourcesError: no file could be read at present.
    """
    try:
        return _read_with_patience(path, max_bytes)
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if is_out_of_resources(error):
            raise OutOfResourcesError(
                f"this machine has no more of what reading an image takes: {error}; "
                "raise its limits (ulimit -n) or lower max_in_flight, and run again"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImageError(f"it cannot be read: {reason}") from error


def load_bytes(data: bytes, *, source: object) -> LoadedImage:
    """Check an image that is in memory already.

    Raises:
        InvalidInputError: the service would refuse it.
    """
    check_image(data)
    return LoadedImage(source, data)


def fingerprint_of(status: os.stat_result) -> int:
    """Return a number (signed, 64 bits) that changes when the file behind `status` does.

    It covers size, modification time and status change time in nanoseconds: rewriting a file in place and
    setting its old time back still changes the last. A changed number only means that the content is to be
    looked at again.
    """
    parts = struct.pack("<qqq", status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return int.from_bytes(hashlib.blake2b(parts, digest_size=8).digest(), "little", signed=True)


def walk_images(
    folder: Path, *, only: Callable[[list[str]], list[str]] = list, below: str = ""
) -> Iterator[list[str]]:
    """Yield the images below `folder`, as texts of their paths relative to it, in lists of a thousand.

    The paths are ``/``-separated and written as `semart_vectors.images.names` has it. Those of a folder come
    in sorted order, then those of the folders in it, each of which is listed when its turn comes; one
    folder's names at a time are held. Links to folders are not followed, as they may go in circles. A list
    may be empty: it says that work was done and there is more, so that a walk through a million files can be
    left at any of them.

    Args:
        folder: Where to begin.
        only: Is shown the names, so many at a time, in no order, and returns those to go on with; the others
            take no memory.
        below: What stands before each name.

    Raises:
        ConfigurationError: the folder, or one below it, cannot be listed.
    """
    runs: list[list[str]] = []
    folder_runs: list[list[str]] = []
    try:
        with os.scandir(folder) as entries:
            while block := list(islice(entries, NAMES_AT_A_TIME)):
                names: list[str] = []
                folders: list[str] = []
                for entry in block:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif name.lower().endswith(_SUFFIXES) and (name[0] != "." or _has_suffix(name)):
                        names.append(below + name)
                runs.append(_packed(sorted(only(to_texts(names)))))
                folder_runs.append(_packed(sorted(folders)))
                yield []
    except OSError as error:
        raise ConfigurationError(f"cannot list the images in {folder}: {error.strerror or error}") from error
    # Sorted in pieces: a million names in one go would stop all other threads for half a second.
    in_order = merge(*map(_unpacked, runs))
    while found := list(islice(in_order, NAMES_AT_A_TIME)):
        yield found
    runs.clear()
    for name in merge(*map(_unpacked, folder_runs)):
        yield from walk_images(folder / name, only=only, below=f"{below}{to_text(name)}/")


def _packed(names: list[str]) -> list[str]:
    """Join names by what no name holds: each takes a quarter of the memory, and a million wait here."""
    return ["\0".join(names[at : at + 32]) for at in range(0, len(names), 32)]


def _unpacked(packed: list[str]) -> Iterator[str]:
    for names in packed:
        yield from names.split("\0")


def _has_suffix(name: str) -> bool:
    """Tell a hidden image from a file whose name is a suffix."""
    return Path(name).suffix != ""


def check_image(data: bytes) -> None:
    """Refuse an image that the service would refuse, before it costs a call.

    Headers are enough for nearly all of them; only one whose end is missing is decoded, to tell a cut image
    from an unusual one.

    Raises:
        InvalidInputError: it is empty, too large, of another format, too small, too big, or cut.
    """
    if is_plain_jpeg(data):
        return
    if not 0 < len(data) <= MAX_BYTES:
        raise InvalidInputError(_size_refused(len(data)))
    kind = format_of(data)
    if kind is None:
        raise InvalidInputError(
            "it is not an image that the service takes (JPEG, PNG, GIF, BMP, WEBP, ICO, TIFF, MPO)"
        )
    _check_format(data, kind)


def format_of(data: bytes) -> Format | None:
    """Return the format of an image, by how it begins; None if the service takes none such."""
    return next((kind for kind in _FORMATS if kind.beginning.match(data)), None)


def is_plain_jpeg(data: bytes) -> bool:
    """Whether it is a whole JPEG of a size that the service takes, as nearly every image is.

    Its header alone tells that in a microsecond, so that this, and only this, may run on the event loop.
    Whatever is not plain wants a closer look.
    """
    if not (len(data) <= MAX_BYTES and data.startswith(b"\xff\xd8\xff") and _ends_with_mark(data)):
        return False
    width, height = _jpeg_size(data)
    return MIN_SIDE_PX <= width <= MAX_SIDE_PX and MIN_SIDE_PX <= height <= MAX_SIDE_PX


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height as the frame header has them; zeros if no such header is found."""
    at = 2
    while at + _FRAME_HEADER_BYTES <= len(data) and data[at] == _MARKER:
        if data[at + 1] in _FRAME_HEADERS:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])  # a segment says how long it is
    return 0, 0


def _check_format(data: bytes, kind: Format) -> None:
    is_whole = kind.ends_whole(data)
    try:
        if is_whole and kind.size is not None:
            width, height = kind.size(data)
        else:
            with kind.open(BytesIO(data)) as image:
                width, height = image.size
                if not is_whole and width * height <= _MAX_DECODED_PX:
                    with decoding:
                        image.load()
    except Exception as error:  # Pillow raises many types for broken files, SyntaxError among them
        if is_whole:
            return  # it is not cut, and what Pillow cannot read the service may
        raise InvalidInputError(f"it is cut or damaged: {error}") from error
    if not (MIN_SIDE_PX <= width <= MAX_SIDE_PX and MIN_SIDE_PX <= height <= MAX_SIDE_PX):
        raise InvalidInputError(
            f"it measures {width} x {height} pixels; "
            f"the service takes {MIN_SIDE_PX} to {MAX_SIDE_PX} on each side"
        )


def _read_with_patience(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    until = monotonic() + _SCARCE_FOR_S
    while True:
        try:
            return _read_regular_file(path, max_bytes)
        except OSError as error:
            if not is_out_of_resources(error) or monotonic() >= until:
                raise
        sleep(_LOOK_AGAIN_S)


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
            raise InvalidInputError(_size_refused(status.st_size))
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # it grew, or the read was interrupted: `open` copes, at some cost
            os.lseek(descriptor, 0, os.SEEK_SET)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(max_bytes + 1)
        return data, status
    finally:
        os.close(descriptor)


def _size_refused(size_bytes: int) -> str:
    if size_bytes == 0:
        return "it is empty"
    return f"it has {size_bytes:,} bytes; the service takes at most {MAX_BYTES:,}"


def _open_icon(_: BytesIO) -> NoReturn:
    """Leave Pillow's own class alone: it decodes a picture at once, whatever that takes."""
    raise ValueError("a picture in it is not whole")


def _icon_size(data: bytes) -> tuple[int, int]:
    return data[6] or 256, data[7] or 256


def _gif_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")


def _webp_size(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return (
                int.from_bytes(data[26:28], "little") & 0x3FFF,
                int.from_bytes(data[28:30], "little") & 0x3FFF,
            )
        case _:
            raise ValueError("its first chunk is no picture")


def _jpeg_ends_whole(data: bytes) -> bool:
    # What is cut where a thumbnail ends has the mark, but nothing of the image itself.
    return _ends_with_mark(data) and _jpeg_size(data) != (0, 0)


def _ends_with_mark(data: bytes) -> bool:
    return data.rstrip(b"\0\r\n ").endswith(b"\xff\xd9")


def _png_ends_whole(data: bytes) -> bool:
    return b"IEND" in data[-32:]


def _gif_ends_whole(data: bytes) -> bool:
    """Go from block to block: in the midst of one any byte may look like the end."""
    try:
        at = 13 + _gif_palette_bytes(data[10])
        while data[at : at + 1] != b";":
            match data[at : at + 1]:
                case b",":  # a frame
                    at += 11 + _gif_palette_bytes(data[at + 9])
                case b"!":  # an extension
                    at += 2
                case _:
                    return False
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _gif_palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_ends_whole(data: bytes) -> bool:
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _bmp_ends_whole(data: bytes) -> bool:
    return len(data) >= max(26, int.from_bytes(data[2:6], "little"))


def _tiff_ends_whole(data: bytes) -> bool:
    """Look whether the directory of the first page, and all its strips or tiles, lie within the file."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    def numbers(tag: int) -> list[int]:
        at = entries.get(tag, len(data))
        size, count = 2 if number(at + 2, 2) == _TIFF_SHORT else 4, number(at + 4, 4)
        start = at + 8 if size * count <= 4 else number(at + 8, 4)  # noqa: PLR2004 - as many bytes as fit in
        return [number(place, size) for place in range(start, min(start + size * count, len(data)), size)]

    if number(2, 2) == _BIG_TIFF:
        return True  # it may be larger than the service takes anything
    first = number(4, 4) + 2
    end = first + 12 * number(first - 2, 2)
    entries = {number(at, 2): at for at in range(first, end, 12)}
    pieces = [(numbers(offsets), numbers(lengths)) for offsets, lengths in _TIFF_PIECES]
    return first < end <= len(data) and all(
        offset + length <= len(data)
        for offsets, lengths in pieces
        for offset, length in zip(offsets, lengths, strict=False)
    )


def _icon_ends_whole(data: bytes) -> bool:
    """Look whether all its pictures lie within the file."""
    entries = range(6, 6 + 16 * int.from_bytes(data[4:6], "little"), 16)
    ends = [
        int.from_bytes(data[at + 8 : at + 12], "little") + int.from_bytes(data[at + 12 : at + 16], "little")
        for at in entries
    ]
    return bool(ends) and max(entries.stop, *ends) <= len(data)


class Format(NamedTuple):
    """A format that the service takes."""

    beginning: re.Pattern[bytes]
    open: Callable[[BytesIO], ImageFile.ImageFile]
    """Reads the header; decodes nothing yet."""
    ends_whole: Callable[[bytes], bool]
    """Whether the end is there; if so, the image is not decoded to see it."""
    size: Callable[[bytes], tuple[int, int]] | None = None
    """Tells width and height in pixels of a whole image that `open` might not take."""


# Pillow's own `Image.open` warns of, and refuses, large images that the service takes; so each format's
# class is asked directly. MPO, several JPEGs in one file, begins as a JPEG.
_FORMATS = (
    Format(re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile, _jpeg_ends_whole),
    Format(re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile, _png_ends_whole),
    Format(re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile, _gif_ends_whole, _gif_size),
    Format(
        re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile, _webp_ends_whole, _webp_size
    ),
    Format(re.compile(rb"BM"), BmpImagePlugin.BmpImageFile, _bmp_ends_whole),
    Format(re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImagePlugin.TiffImageFile, _tiff_ends_whole),
    Format(re.compile(rb"\0\0\x01\0"), _open_icon, _icon_ends_whole, _icon_size),
)

"""The formats that the service takes: how a file of each begins and ends, and how it says its size.

Only headers, blocks and directories are read here, and nothing is decoded. Nothing here knows a limit of the
service: `semart_vectors.images.read_image` compares with them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from io import BytesIO

    from PIL import ImageFile

_JPEG_MARKER = 0xFF
_JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_FRAME_HEADER_BYTES = 9
"""The frame header, which says how large the image is: T.81, table B.1 and B.2.2, up to its width."""

_START_OF_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"

_ZEROS = bytes(512)
"""So many zeros at the end, a sector of a disk, are no padding that a camera adds."""

_BIG_TIFF, _TIFF_SHORT = 43, 3
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF_PIECES = ((273, 279), (324, 325))
"""Tags of the offsets and lengths of strips, and of tiles: TIFF 6.0, sections 8 and 15."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".ico", ".tif", ".tiff", ".mpo"}
)
"""Files with these suffixes, in any case, are the images of a folder; their content decides the rest."""


class Format(NamedTuple):
    """A format that the service takes."""

    signature: re.Pattern[bytes]
    """How a file of it begins."""
    open: Callable[[BytesIO], ImageFile.ImageFile]
    """Reads the header; decodes nothing yet."""
    is_complete: Callable[[bytes], bool]
    """Whether the end is there; if so, the image need not be decoded to find out."""
    size: Callable[[bytes], tuple[int, int]] | None = None
    """Reads width and height in pixels of a complete image that `open` might refuse."""
    is_hollow: Callable[[bytes], bool] = lambda _: False
    """Whether data that end with zeros lack the end of the image: a decoder would take them for pixels."""


def zeros_from(data: bytes) -> int | None:
    """Return from which byte on data hold nothing but zeros, if so many are no padding; else None."""
    return len(data.rstrip(b"\0")) if data.endswith(_ZEROS) else None


def format_of(data: bytes) -> Format | None:
    """Return the format of an image, by how it begins; None if the service does not take it."""
    return next((each for each in _FORMATS if each.signature.match(data)), None)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the frame header; zeros if there is none."""
    at = _jpeg_segment(data, _JPEG_FRAME_HEADERS)
    if at is None or at + _JPEG_FRAME_HEADER_BYTES > len(data):
        return 0, 0
    return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])


def _jpeg_segment(data: bytes, kinds: Collection[int]) -> int | None:
    """Return where the first segment of some kinds begins."""
    at = 2
    while at + 4 <= len(data) and data[at] == _JPEG_MARKER:
        if data[at + 1] in kinds:
            return at
        at += 2 + int.from_bytes(data[at + 2 : at + 4])  # each segment says how long it is
    return None


def has_jpeg_end(data: bytes) -> bool:
    """Whether data end with JPEG's end marker; cameras append zeros and line ends."""
    return data.rstrip(b"\0\r\n ").endswith(_JPEG_END)


def _jpeg_is_hollow(data: bytes) -> bool:
    """Whether the end marker is missing after the scan, whose data cannot hold it: T.81, B.1.1.5."""
    scan = _jpeg_segment(data, (_START_OF_SCAN,))
    return scan is not None and data.find(_JPEG_END, scan) < 0


def _jpeg_is_complete(data: bytes) -> bool:
    # A file that is cut at the end of its thumbnail has the end marker, but nothing of the image itself.
    return has_jpeg_end(data) and jpeg_size(data) != (0, 0)


def _png_is_complete(data: bytes) -> bool:
    return b"IEND" in data[-32:]


def _png_is_hollow(data: bytes) -> bool:
    return b"\0\0\0\0IEND\xaeB`\x82" not in data


def _gif_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")


def _gif_is_complete(data: bytes) -> bool:
    """Go from block to block: within a block any byte may look like the end."""
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
            raise ValueError("its first chunk is not an image")


def _webp_is_complete(data: bytes) -> bool:
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _bmp_is_complete(data: bytes) -> bool:
    return len(data) >= max(26, int.from_bytes(data[2:6], "little"))


def _tiff_is_complete(data: bytes) -> bool:
    """Whether the directory of the first page, and all its strips or tiles, lie within the file."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    def numbers(tag: int) -> list[int]:
        at = entries.get(tag, len(data))
        size, count = 2 if number(at + 2, 2) == _TIFF_SHORT else 4, number(at + 4, 4)
        start = at + 8 if size * count <= 4 else number(at + 8, 4)  # noqa: PLR2004 - as many bytes as fit in
        return [number(place, size) for place in range(start, min(start + size * count, len(data)), size)]

    if number(2, 2) == _BIG_TIFF:
        return True  # a variant for files of more than 4 GiB, with another directory
    first = number(4, 4) + 2
    end = first + 12 * number(first - 2, 2)
    entries = {number(at, 2): at for at in range(first, end, 12)}
    pieces = [(numbers(offsets), numbers(lengths)) for offsets, lengths in _TIFF_PIECES]
    return first < end <= len(data) and all(
        offset + length <= len(data)
        for offsets, lengths in pieces
        for offset, length in zip(offsets, lengths, strict=False)
    )


def _open_icon(_: BytesIO) -> NoReturn:
    """Avoid Pillow's own class: it decodes a frame at once, however much memory that takes."""
    raise ValueError("a frame in it is cut")


def _icon_size(data: bytes) -> tuple[int, int]:
    return data[6] or 256, data[7] or 256


def _icon_is_complete(data: bytes) -> bool:
    """Whether all its frames lie within the file, and those that are PNGs have their end."""
    entries = range(6, 6 + 16 * int.from_bytes(data[4:6], "little"), 16)
    ends = [entries.stop]
    for at in entries:
        length, start = (int.from_bytes(data[place : place + 4], "little") for place in (at + 8, at + 12))
        ends.append(start + length)
        if data.startswith(_PNG, start) and data.find(b"IEND", start, start + length) < 0:
            return False
    return len(ends) > 1 and max(ends) <= len(data)


# Pillow's own `Image.open` warns of, and refuses, large images that the service takes; so each format's
# class is used directly. MPO, several JPEGs in one file, begins as a JPEG.
_FORMATS = (
    Format(
        re.compile(rb"\xff\xd8\xff"),
        JpegImagePlugin.JpegImageFile,
        _jpeg_is_complete,
        is_hollow=_jpeg_is_hollow,
    ),
    Format(
        re.compile(re.escape(_PNG)), PngImagePlugin.PngImageFile, _png_is_complete, is_hollow=_png_is_hollow
    ),
    Format(re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile, _gif_is_complete, _gif_size),
    Format(
        re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile, _webp_is_complete, _webp_size
    ),
    Format(re.compile(rb"BM"), BmpImagePlugin.BmpImageFile, _bmp_is_complete),
    Format(re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImagePlugin.TiffImageFile, _tiff_is_complete),
    Format(re.compile(rb"\0\0\x01\0"), _open_icon, _icon_is_complete, _icon_size),
)

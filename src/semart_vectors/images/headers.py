"""What an image file says of itself before its pixels: its size, and when the camera took it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from PIL import ExifTags, Image

if TYPE_CHECKING:
    from pathlib import Path


class ImageHeader(NamedTuple):
    """What a file says; None for what it does not say, or cannot be read."""

    size_bytes: int | None = None
    width_px: int | None = None
    height_px: int | None = None
    taken: datetime | None = None
    """In the camera's own time: EXIF names no zone."""


def read_header(path: Path) -> ImageHeader:
    """Read an image's header, without its pixels; of a file that is missing or broken what there is."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return ImageHeader()
        size = path.stat().st_size
    except (OSError, ValueError):
        return ImageHeader()
    try:
        with Image.open(path) as image:
            taken = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            return ImageHeader(size, image.width, image.height, _moment(taken))
    except Exception:  # noqa: BLE001 - decoders raise errors of any type; the file has its size all the same
        return ImageHeader(size)


def _moment(exif: object) -> datetime | None:
    """Return the moment that EXIF writes as ``2024:05:31 18:02:11``."""
    try:
        return datetime.strptime(str(exif).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF names no zone
    except ValueError:
        return None

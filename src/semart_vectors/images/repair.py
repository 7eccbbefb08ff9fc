"""Images repaired before they are sent, where that is asked for: turned upright, in RGB, within the limits.

An image that needs no repair is sent byte for byte. A repair changes the vector, so it is reported and
recorded beside it. Everything here blocks the thread that it runs in.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, PngImagePlugin, TiffImagePlugin

from semart_vectors.errors import ConfigurationError, InvalidInputError, OutOfResourcesError
from semart_vectors.images.formats import format_of
from semart_vectors.images.read_image import (
    MAX_BYTES,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    check_image,
    decoding,
    fingerprint_of,
    read_file,
)

if TYPE_CHECKING:
    from PIL import ImageFile

_MAX_FILE_BYTES = 1 << 28
"""A larger file is not read: its bytes and its pixels are in memory at the same time."""

_MAX_PX = 1 << 27
"""This many pixels take 1 GiB: four bytes each, and four more for the repaired image."""

_JPEG_QUALITY = 95

_ORIENTATION, _WIDTH, _HEIGHT, _BITS = 0x0112, 256, 257, 258  # tags of TIFF, the first of Exif too
_PNG_BITS_AT = 24
_DEEP_BITS = 16

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright that was stored in one of these Exif orientations."""

_reading_large = threading.Lock()
"""Only one file over 20 MiB is in memory at a time."""


class RepairedImage(NamedTuple):
    """An image as it is sent, and what identifies the file that it was read from."""

    data: bytes
    """What is sent."""
    repairs: str
    """What was done, for people to read; empty if these are the file's own bytes."""
    content_sha256: bytes
    """Of the file as it was read, whatever was repaired; 32 bytes."""
    file_fingerprint: int
    """Of the file: see `semart_vectors.images.read_image.fingerprint_of`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRepair:
    """Repairs images before they are sent; one that needs no repair is sent byte for byte.

    It handles Exif orientation, CMYK, 16 bits a channel, animations and files of several pages (the first is
    taken), sides that are too long, and files over 20 MiB. The result is a JPEG of quality 95, or a PNG if
    anything in it is transparent.
    """

    max_side_px: int = MAX_SIDE_PX
    """Longest side in pixels, 11 to 15,999; a larger image is scaled down to it."""

    def __post_init__(self) -> None:
        if not MIN_SIDE_PX <= self.max_side_px <= MAX_SIDE_PX:
            raise ConfigurationError(
                f"max_side_px is {self.max_side_px}; it must be {MIN_SIDE_PX} to {MAX_SIDE_PX}"
            )

    def load_file(self, path: str | os.PathLike[str]) -> RepairedImage:
        """Read an image file, repair it if it needs that, and check the result.

        Raises:
            UnreadableImageError: it cannot be read, or is not a regular file.
            InvalidInputError: the service would refuse it, and it cannot be repaired.
            OutOfResourcesError: this machine lacks file descriptors, or memory for the pixels.
        """
        with _reading_large if _is_large(path) else nullcontext():
            content, status = read_file(path, max_bytes=_MAX_FILE_BYTES)
            data, repairs = self.apply(content)
            check_image(data)
            return RepairedImage(data, repairs, hashlib.sha256(content).digest(), fingerprint_of(status))

    def apply(self, data: bytes) -> tuple[bytes, str]:
        """Return an image as it should be sent, and what was done to it.

        Returns:
            The bytes to send, and the repairs, for people to read; the second is empty if nothing was done.

        Raises:
            InvalidInputError: it needs a repair that cannot be made.
            OutOfResourcesError: there is no memory for its pixels.
        """
        kind = format_of(data)
        if kind is None:
            return data, ""
        try:
            header = kind.open(BytesIO(data))
            repairs = _repairs_needed(header, data)
        except Exception:  # noqa: BLE001 - Pillow raises many types; an icon, or something for `check_image` to refuse
            return data, ""
        if not repairs and max(header.size) <= self.max_side_px and len(data) <= MAX_BYTES:
            return data, ""
        try:
            with decoding:
                repaired, scaling = self._repair(kind.open(BytesIO(data)))
        except InvalidInputError:
            raise
        except MemoryError as error:
            raise OutOfResourcesError("this machine has no memory for the pixels of an image") from error
        except Exception as error:  # as above
            raise InvalidInputError(f"it cannot be repaired: {error}") from error
        return repaired, "; ".join([*repairs, *scaling]) or "encoded anew"

    def _repair(self, file: ImageFile.ImageFile) -> tuple[bytes, list[str]]:
        """Return the image encoded anew, and its new size if that changed."""
        turn = _TURNS.get(_orientation(file)) if file.format != "TIFF" else None  # Pillow turns that itself
        icc_profile = file.info.get("icc_profile") if file.mode != "CMYK" else None
        full, size = file.size, _within(file.size, self.max_side_px)
        file.draft(None, size)  # a JPEG is decoded to 1/2, 1/4 or 1/8 of its sides at once, if that is enough
        if file.size[0] * file.size[1] > _MAX_PX:
            raise InvalidInputError(
                f"it measures {full[0]} x {full[1]} pixels, more than are decoded for a repair"
            )
        if isinstance(file, TiffImagePlugin.TiffImageFile):  # or Pillow warns of a bomb when it allocates
            file.im = Image.new(file.mode, (file.tag_v2[_WIDTH], file.tag_v2[_HEIGHT])).im
        file.load()
        image = _with_plain_pixels(file)
        del file  # frees its pixels, if `image` has its own
        if image.size != size:
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if turn is not None:
            image = image.transpose(turn)
            full = (full[1], full[0]) if turn in _SIDEWAYS else full
        image.info.clear()  # the orientation that may be in it no longer applies
        encoded = _encoded(image, icc_profile)
        while len(encoded) > MAX_BYTES:
            side_px = int(max(image.size) * math.sqrt(0.9 * MAX_BYTES / len(encoded)))
            image = image.resize(_within(image.size, side_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
            encoded = _encoded(image, icc_profile)
        return encoded, [] if image.size == full else [f"scaled to {image.width} x {image.height}"]


_SIDEWAYS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}


def _repairs_needed(image: ImageFile.ImageFile, data: bytes) -> list[str]:
    """Name what has to be repaired, apart from the size, by the header alone."""
    needed = []
    if (orientation := _orientation(image)) in _TURNS:
        needed.append(f"orientation {orientation}")
    if image.mode == "CMYK":
        needed.append("CMYK to RGB")
    if _bits(image, data) == _DEEP_BITS:
        needed.append("16 bits to 8")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        needed.append(f"frame 1 of {frames}")
    return needed


def _orientation(image: ImageFile.ImageFile) -> int:
    # The PNG class's own method would decode the image, to look for Exif data behind the pixels.
    exif = Image.Image.getexif(image) if isinstance(image, PngImagePlugin.PngImageFile) else image.getexif()
    orientation = exif.get(_ORIENTATION)
    return orientation if isinstance(orientation, int) else 1


def _bits(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return how many bits a channel has in the file; in Pillow's modes every colour channel has eight."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        return data[_PNG_BITS_AT]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(_BITS, (1,))))
    return 8


def _within(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Scale a size down to a longest side, but not so far that the shorter side is refused by the service."""
    longest, shortest = max(size), min(size)
    if shortest >= MIN_SIDE_PX:
        side_px = max(side_px, min(MAX_SIDE_PX, math.ceil(longest * MIN_SIDE_PX / shortest)))
    if longest <= side_px:
        return size
    return max(1, round(size[0] * side_px / longest)), max(1, round(size[1] * side_px / longest))


def _with_plain_pixels(image: Image.Image) -> Image.Image:
    """Return an image in grey, RGB or RGBA, of eight bits each."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
        image.info.pop("transparency", None)  # one of the 65,536 shades, which no longer exists
    if image.mode in {"I", "F"}:
        raise InvalidInputError(
            "its pixels have 32 bits each, and nothing says which values are black and white"
        )
    mode = "L" if image.mode in {"1", "L"} else "RGB"
    if image.has_transparency_data:
        mode = "RGBA"
    return image if image.mode == mode else image.convert(mode)


def _encoded(image: Image.Image, icc_profile: bytes | None) -> bytes:
    file = BytesIO()
    if image.mode == "RGBA":
        image.save(file, "PNG", icc_profile=icc_profile)
    else:
        image.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0, icc_profile=icc_profile)
    return file.getvalue()


def _is_large(path: str | os.PathLike[str]) -> bool:
    try:
        return os.stat(path).st_size > MAX_BYTES  # noqa: PTH116 - for each image
    except (OSError, ValueError):  # `read_file` says why
        return False

"""Decode an image, or refuse it as the service would."""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from semart_vectors.emulator.error_responses import (
    MAX_IMAGE_BYTES,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    ErrorResponse,
    invalid_dimension,
    invalid_format,
    invalid_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO")
SIDE_PX = 64
"""Side of the square that an image is reduced to, in pixels."""
THUMBNAIL_PX = 240
"""The longer side of a thumbnail, in pixels."""
LARGE_PX = 32_000_000
"""An image with more pixels is reduced in bands, and only one such image is decoded at a time."""
_ONE_LARGE = threading.Lock()


def decode_image(body: bytes) -> Image.Image:
    """Decode the whole image and return it as an RGB square of `SIDE_PX` a side.

    Raises:
        ErrorResponse: it is empty, too large, in no known format or truncated, or a side is out of bounds.
    """
    if not 0 < len(body) <= MAX_IMAGE_BYTES:
        raise invalid_size()
    try:
        with _opened(body) as picture:
            _check_sides(picture)
            # A JPEG decodes at a fraction of its size for a fraction of the work; other formats ignore this.
            picture.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
            width, height = picture.size
            if width * height <= LARGE_PX:
                return _on_white(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
            with _one_large_image():
                return _by_bands(picture)
    except ErrorResponse:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything at a broken file
        raise invalid_format() from error


def thumbnail(body: bytes) -> bytes:
    """Return a small, upright JPEG of an image that `decode_image` can read.

    Raises:
        ErrorResponse: it is no image, or too large to be decoded for a thumbnail alone.
    """
    with _opened(body) as picture:
        picture.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
        if picture.width * picture.height > LARGE_PX:
            raise invalid_dimension()
        try:
            small = ImageOps.exif_transpose(picture)
        except Exception:  # noqa: BLE001 - broken tags raise nearly anything, and matter only for the orientation
            small = picture.copy()
    small = _on_white(small)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = BytesIO()
    small.save(file, "JPEG", quality=82)
    return file.getvalue()


def _opened(body: bytes) -> Image.Image:
    """Open an image of any size: the limit of `Image.open` is lower than the service's, and process-wide."""
    Image.init()
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))  # MPO is opened by the JPEG's
        # In place of True, `accepts` may return a text that names a missing library.
        if factory is not None and (accepts is None or accepts(body[:16]) in (True, 1)):
            with contextlib.suppress(SyntaxError, LookupError, TypeError, struct.error):
                return factory(BytesIO(body), "")
    raise invalid_format()


@contextlib.contextmanager
def _one_large_image() -> Iterator[None]:
    """Let one caller in at a time, without Pillow's limit, which some of its decoders check again."""
    with _ONE_LARGE:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _by_bands(picture: Image.Image) -> Image.Image:
    """Reduce a large image band by band, so that no second copy of it is in memory as a whole."""
    width, height = picture.size
    reduced = Image.new("RGB", (SIDE_PX, SIDE_PX))
    edges = [height * row // SIDE_PX for row in range(SIDE_PX + 1)]
    for row, (top, bottom) in enumerate(itertools.pairwise(edges)):
        band = _on_white(picture.crop((0, top, width, bottom)))
        reduced.paste(band.resize((SIDE_PX, 1), Image.Resampling.BOX), (0, row))
    return reduced


def _check_sides(picture: Image.Image) -> None:
    if not all(MIN_SIDE_PX < side < MAX_SIDE_PX for side in picture.size):
        raise invalid_dimension()


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the image as RGB on a white background."""
    if picture.mode == "RGB" or not picture.has_transparency_data:
        return picture.convert("RGB")
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture.convert("RGBA"))
    return page.convert("RGB")

"""From the bytes of a picture to its pixels, or to the refusal that the service would give."""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from semart_vectors.emulator.refusals import (
    MAX_IMAGE_BYTES,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    Refusal,
    invalid_dimension,
    invalid_format,
    invalid_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO")
SIDE_PX = 64
"""Side of the square that a picture is reduced to."""
THUMBNAIL_PX = 240
"""The longer side of a thumbnail."""
LARGE_PX = 32_000_000
"""Beyond so many pixels, a picture is reduced in bands, and no other such picture is decoded meanwhile."""
_ONE_LARGE = threading.Lock()


def read_picture(body: bytes) -> Image.Image:
    """Decode the whole picture and return it as `SIDE_PX` squared RGB.

    Raises:
        Refusal: it is empty, too large, of no known format, cut short, or its sides are out of bounds.
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
            with _room_for_a_large_one():
                return _by_bands(picture)
    except Refusal:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything at a broken file
        raise invalid_format() from error


def thumbnail(body: bytes) -> bytes:
    """Return a picture that `read_picture` could read as a small JPEG, upright.

    Raises:
        Refusal: it is none, or so large that the mere sight of it is not worth the memory.
    """
    with _opened(body) as picture:
        picture.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
        if picture.width * picture.height > LARGE_PX:
            raise invalid_dimension()
        try:
            small = ImageOps.exif_transpose(picture)
        except Exception:  # noqa: BLE001 - broken tags raise nearly anything, and only say which side is up
            small = picture.copy()
    small = _on_white(small)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = BytesIO()
    small.save(file, "JPEG", quality=82)
    return file.getvalue()


def _opened(body: bytes) -> Image.Image:
    """Open a picture of any size; the limit of `Image.open` is lower than the service's, and process-wide."""
    Image.init()
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))  # MPO is opened by the JPEG's
        # A string in place of a yes says which library the format would need.
        if factory is not None and (accepts is None or accepts(body[:16]) in (True, 1)):
            with contextlib.suppress(SyntaxError, LookupError, TypeError, struct.error):
                return factory(BytesIO(body), "")
    raise invalid_format()


@contextlib.contextmanager
def _room_for_a_large_one() -> Iterator[None]:
    """Keep others waiting, and Pillow's limit out of the way: some of its decoders look at it once more."""
    with _ONE_LARGE:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _by_bands(picture: Image.Image) -> Image.Image:
    """Reduce a large picture band by band, so that only its decoded form is ever there in full."""
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
    """Return the picture as RGB, what is transparent as white."""
    if picture.mode == "RGB" or not picture.has_transparency_data:
        return picture.convert("RGB")
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture.convert("RGBA"))
    return page.convert("RGB")

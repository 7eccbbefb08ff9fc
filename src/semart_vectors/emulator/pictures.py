"""From the bytes of a picture to its pixels, or to the refusal that the service would give."""

from __future__ import annotations

from io import BytesIO

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

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO")
SIDE_PX = 64
"""Side of the square that a picture is reduced to."""
THUMBNAIL_PX = 240
"""The longer side of a thumbnail."""


def read_picture(body: bytes) -> Image.Image:
    """Decode the whole picture and return it as `SIDE_PX` squared RGB.

    Raises:
        Refusal: it is empty, too large, of no known format, cut short, or its sides are out of bounds.
    """
    if not 0 < len(body) <= MAX_IMAGE_BYTES:
        raise invalid_size()
    try:
        with Image.open(BytesIO(body), formats=FORMATS) as picture:
            _check_sides(picture)
            # A JPEG decodes at a fraction of its size for a fraction of the work; other formats ignore this.
            picture.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
            return _on_white(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    except Refusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise invalid_dimension() from error
    except Exception as error:  # Pillow's decoders raise nearly anything at a broken file
        raise invalid_format() from error


def thumbnail(body: bytes) -> bytes:
    """Return a picture that `read_picture` could read as a small JPEG, upright."""
    with Image.open(BytesIO(body), formats=FORMATS) as picture:
        picture.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
        try:
            small = ImageOps.exif_transpose(picture)
        except Exception:  # noqa: BLE001 - broken tags raise nearly anything, and only say which side is up
            small = picture.copy()
    small = _on_white(small)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = BytesIO()
    small.save(file, "JPEG", quality=82)
    return file.getvalue()


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

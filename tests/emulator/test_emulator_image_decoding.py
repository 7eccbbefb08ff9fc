"""Pictures of every legal size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pictures import saved
from semart_vectors.emulator import image_decoding
from semart_vectors.emulator.image_decoding import decode_image

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("mode", "image_format", "options"),
    [("L", "JPEG", {}), ("1", "PNG", {"compress_level": 1}), ("1", "TIFF", {"compression": "group4"})],
)
def test_a_legal_picture_is_no_decompression_bomb(
    mode: str, image_format: str, options: Mapping[str, Any]
) -> None:
    """15,000 pixels a side are less than 16,000; Pillow's own, lower and process-wide, stays as it is."""
    limit = Image.MAX_IMAGE_PIXELS
    image = Image.new(mode, (15_000, 15_000), 0)
    image.paste(255, (0, 0, 15_000, 7_500))
    small = decode_image(saved(image, image_format, **options))
    assert small.size == (64, 64)
    assert [small.getpixel((30, row)) for row in (5, 60)] == [(255, 255, 255), (0, 0, 0)]
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "1", "I;16"])
def test_a_large_picture_is_reduced_as_a_small_one_is(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Band by band or at once, the same picture comes out."""
    image = Image.effect_mandelbrot((640, 320), (-2, -1, 1, 1), 90)
    if mode in ("P", "RGBA"):
        image.putalpha(image.rotate(180))
    body = saved(image.convert(mode), "PNG")
    at_once = decode_image(body)
    monkeypatch.setattr(image_decoding, "LARGE_PX", 1000)
    assert decode_image(body).tobytes() == at_once.tobytes()

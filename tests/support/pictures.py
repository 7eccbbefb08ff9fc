"""Image files for tests, made as they are needed."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def picture(format_: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """Return an image of noise."""
    pixels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, format_)
    return file.getvalue()


def blank(size: tuple[int, int], format_: str = "PNG") -> bytes:
    """Return a large image that is cheap to make."""
    file = io.BytesIO()
    Image.new("1", size).save(file, format_)
    return file.getvalue()

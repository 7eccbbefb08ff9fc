"""Image files for tests, made as they are needed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def saved(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def picture(format_: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """Return an image of noise."""
    pixels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels).convert(mode), format_)


def blank(size: tuple[int, int], format_: str = "PNG") -> bytes:
    """Return a large image that is cheap to make."""
    return saved(Image.new("1", size), format_)


def frames(format_: str) -> bytes:
    """Return an animation, or a file of three pages."""
    first, *others = (Image.new("RGB", (20, 30), colour) for colour in ("red", "green", "blue"))
    return saved(first, format_, save_all=True, append_images=others)

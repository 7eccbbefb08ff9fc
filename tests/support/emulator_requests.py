"""What a request to the emulator is made of: paths, query, headers, and a picture."""

from __future__ import annotations

import io

from PIL import Image

IMAGE = "/computervision/retrieval:vectorizeImage"
TEXT = "/computervision/retrieval:vectorizeText"
GA = {"api-version": "2024-02-01"}
KEY = {"Ocp-Apim-Subscription-Key": "any"}
OCTETS = {"content-type": "application/octet-stream"}


def picture(image_format: str = "PNG", size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a picture with something in every part of it."""
    image = Image.effect_mandelbrot(size, (-2, -1, 1, 1), 90).convert("RGB")
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()

"""What many tests make or know: small pictures, the real data's place, quick retries."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from semart_vectors import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Real photographs, vectors and tables; not part of the project, so tests skip where it is absent."""

QUICK = RetryPolicy(base_s=0.001, throttled_base_s=0.001, cap_s=0.01, attempt_timeout_s=5)


def jpeg(number: int, *, side_px: int = 32) -> bytes:
    """Return a small JPEG that differs for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def tiny_jpegs(count: int, *, first: int = 0) -> Iterator[bytes]:
    """Yield `count` different JPEGs of 16 by 16 pixels: one picture, each with its number in a comment."""
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    start, rest = file.getvalue()[:2], file.getvalue()[2:]
    for number in range(first, first + count):
        yield start + b"\xff\xfe" + (2 + 8).to_bytes(2, "big") + number.to_bytes(8, "big") + rest


def make_images(folder: Path, count: int, *, first: int = 0) -> dict[str, bytes]:
    """Write `count` different images to a folder, and return their bytes by name."""
    images = {f"{number:05}-image.jpg": jpeg(number) for number in range(first, first + count)}
    write_images(folder, images)
    return images


def write_images(folder: Path, images: dict[str, bytes]) -> None:
    """Write images over those of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in images.items():
        (folder / name).write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, by their path in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}

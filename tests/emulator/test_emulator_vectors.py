"""The emulator's vectors: like for like, and the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pictures import saved
from semart_vectors.emulator.computed_vectors import image_vector, text_vector
from semart_vectors.emulator.image_decoding import decode_image

PHOTOGRAPHS = Path(__file__).parents[3] / "shared/data/azure_vectors"
MODEL = "2023-04-15"


def scene(sky: str, land: str, horizon: int) -> Image.Image:
    """Return a simple landscape."""
    image = Image.new("RGB", (160, 120), sky)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, horizon, 160, 120), fill=land)
    draw.line((80, horizon, 100, horizon - 40, 120, horizon), fill="black", width=5)
    return image


def cosine(one: bytes, other: bytes) -> float:
    """Return the cosine of two pictures' vectors."""
    a, b = (image_vector(decode_image(body), MODEL).astype(np.float64) for body in (one, other))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_near_duplicates_are_near_and_others_are_not() -> None:
    """A smaller, recompressed or brighter copy stays above 0.9; another scene falls below 0.6."""
    image = scene("skyblue", "forestgreen", 70)
    assert cosine(saved(image), saved(image, "BMP")) == pytest.approx(1, abs=1e-6)
    assert cosine(saved(image), saved(image, "JPEG", quality=80)) > 0.9
    assert cosine(saved(image), saved(image.resize((320, 240)))) > 0.9
    assert cosine(saved(image), saved(Image.effect_mandelbrot((160, 120), (-2, -1, 1, 1), 90))) < 0.6


def test_the_same_picture_has_the_same_vector_on_every_machine() -> None:
    """Arithmetic on whole numbers gives the very bytes that were written down here."""
    patches = Image.frombytes("RGB", (8, 8), bytes(range(192))).resize((96, 96), Image.Resampling.NEAREST)
    vector = image_vector(decode_image(saved(patches)), MODEL)
    assert hashlib.sha256(vector.tobytes()).hexdigest()[:16] == "a06e8d972f676653"


def test_texts_are_near_by_words_and_colours() -> None:
    """Shared words bring texts together; the name of a colour is nearer to a picture in it."""
    storm, calm, other = (
        text_vector(t, MODEL) for t in ("Ship in a storm", "a ship, in calm", "old man sits")
    )
    assert storm @ calm > 0.5 > abs(storm @ other) + 0.3
    red, green = (image_vector(decode_image(saved(scene(c, c, 70))), MODEL) for c in ("red", "green"))
    assert text_vector("red", MODEL) @ red > text_vector("red", MODEL) @ green + 0.1


def test_transparent_is_white() -> None:
    """What cannot be seen of a picture does not count."""
    clear, white = Image.new("RGBA", (40, 40), (255, 0, 0, 0)), Image.new("RGB", (40, 40), "white")
    assert cosine(saved(clear), saved(white)) == pytest.approx(1)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the real photographs are not on this machine")
def test_neighbours_resemble_those_of_the_real_service() -> None:
    """Of ten real nearest photographs at least a quarter are found; by chance it is a twelfth."""
    vectors = json.loads((PHOTOGRAPHS / "vectors.json").read_bytes())
    ours = [
        image_vector(decode_image((PHOTOGRAPHS / "images" / name).read_bytes()), MODEL) for name in vectors
    ]
    found = [neighbours(np.array(table, dtype=np.float64)) for table in (ours, list(vectors.values()))]
    recall = np.mean([len(a & b) / 10 for a, b in zip(*found, strict=True)])
    assert recall > 0.25


def neighbours(vectors: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[set[int]]:
    """Return the ten nearest others of each."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    return [set(row) for row in np.argsort(-cosines, axis=1)[:, :10].tolist()]

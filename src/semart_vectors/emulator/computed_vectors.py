"""Vectors computed from the pixels of an image, so that images that look alike have near vectors.

Edges, colours, texture and layout become whole numbers, which a matrix of plus and minus ones, derived from a
hash, projects to 1024: every sum is exact in any order, so every machine computes the same vector.
"""

from __future__ import annotations

import functools
import hashlib
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semart_vectors.emulator.image_decoding import SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Mapping

Numbers: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

DIMENSION: Final = 1024
MODELS: Final[Mapping[str, float]] = {"2022-04-11": 92.12, "2023-04-15": 1.0}
"""The models, and the length of their image vectors; text vectors have length 1."""

CELLS: Final = 4
"""An image is divided into 4 rows of 4 cells."""
ORIENTATIONS: Final = 8
"""Directions of an edge, 22.5 degrees apart; opposite directions count as one."""
FAINT: Final = 5000
"""Edges in a cell that are weaker than this together have little influence."""
STEP: Final = 24
"""How much brighter a neighbour must be to count in a texture, on the scale of `BRIGHTEST`."""
BRIGHTEST: Final = 8 * 255

# Averages over photographs; only the spread of the cosines depends on them.
USUAL_EDGES: Final = (117, 86, 105, 142, 249, 142, 105, 86)
"""By direction, from vertical edges through horizontal ones (249) and back."""
USUAL_COLOUR: Final = 50
USUAL_TEXTURE: Final = (811, 195, 89, 58, 46, 46, 62, 112, 249)
"""By the number of brighter neighbours, 0 to 8."""

COLOUR_WORDS: Final[Mapping[str, tuple[int, int, int]]] = {
    "red": (215, 40, 35),
    "orange": (240, 140, 40),
    "yellow": (240, 215, 70),
    "golden": (205, 160, 60),
    "brown": (130, 85, 50),
    "green": (65, 150, 60),
    "turquoise": (60, 190, 190),
    "blue": (50, 105, 205),
    "purple": (130, 60, 160),
    "pink": (235, 150, 185),
    "white": (245, 245, 245),
    "black": (25, 25, 25),
}


def image_vector(picture: Image.Image, model: str) -> NDArray[np.float32]:
    """Return the vector of an image that `decode_image` returned: float32 (1024,), each a float16 value."""
    vector = _scaled(_projected(_features(picture), model), MODELS[model])
    return vector.astype(np.float16).astype(np.float32)


def text_vector(text: str, model: str) -> NDArray[np.float32]:
    """Return the vector of a text, float32 (1024,), near texts with its words and images in its colours."""
    vector = np.zeros(DIMENSION)
    for word in text.casefold().split():
        vector += _word(word.strip(".,;:!?'\"()"), model)
    return _scaled(vector, 1.0).astype(np.float32)


def _features(picture: Image.Image) -> Numbers:
    pixels = np.asarray(picture, dtype=np.int64)
    # Counts are never negative: unless the average is subtracted, all images look alike.
    groups = [
        _edges(pixels) - np.tile(USUAL_EDGES, CELLS**2),
        _colours(pixels) - USUAL_COLOUR,
        _texture(pixels) - np.take(USUAL_TEXTURE, [pattern.bit_count() for pattern in range(256)]),
        _layout(picture),
    ]
    features: Numbers = np.rint(np.concatenate(groups))
    return features


def _opponents(pixels: Integers) -> tuple[Integers, Integers, Integers]:
    """Return brightness, red against green, and yellow against blue."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return 2 * red + 5 * green + blue, red - green, red + green - 2 * blue


def _edges(pixels: Integers) -> Numbers:
    """Return the strength of the edges by cell and direction, relative to the other edges of the cell."""
    bright, _, _ = _opponents(pixels)
    across = bright[1:-1, 2:] - bright[1:-1, :-2]
    down = bright[2:, 1:-1] - bright[:-2, 1:-1]
    # The tangents of 11.25, 33.75, 56.25 and 78.75 degrees, so that each direction is the middle of its bin.
    steep = np.zeros_like(across)
    for tangent in (199, 668, 1497, 5027):
        steep += np.abs(down) * 1000 > np.abs(across) * tangent
    direction = np.where((across < 0) ^ (down < 0), -steep, steep) % ORIENTATIONS
    strength = np.rint(np.sqrt(across**2 + down**2))
    bins = _cells(len(bright))[1:-1, 1:-1] * ORIENTATIONS + direction
    cells = np.bincount(bins.ravel(), strength.ravel(), CELLS**2 * ORIENTATIONS).reshape(-1, ORIENTATIONS)
    compared: Numbers = 500 * cells / np.sqrt(np.sum(cells**2, axis=1, keepdims=True) + FAINT**2)
    return compared.ravel()


def _colours(pixels: Integers) -> Numbers:
    """Return the share of each tint and of each brightness in each row of cells."""
    bright, red_green, yellow_blue = _opponents(pixels)
    row = _cells(len(bright)) // CELLS
    tint = np.clip((red_green + 81) // 27, 0, 5) * 6 + np.clip((yellow_blue + 162) // 54, 0, 5)
    tints = np.bincount((row * 36 + tint).ravel(), minlength=CELLS * 36)
    brights = np.bincount((row * 8 + bright // 256).ravel(), minlength=CELLS * 8)
    shares: Numbers = np.sqrt(np.concatenate([tints, brights]) * CELLS / bright.size)
    return 500 * shares


def _texture(pixels: Integers) -> Numbers:
    """Return how often each local binary pattern (which neighbours are brighter) occurs."""
    bright, _, _ = _opponents(pixels)
    side = len(bright) - 2
    middle = bright[1:-1, 1:-1] + STEP
    pattern = np.zeros_like(middle)
    for bit, (y, x) in enumerate(((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))):
        pattern |= (bright[y : y + side, x : x + side] > middle).astype(np.int64) << bit
    shares: Numbers = np.sqrt(np.bincount(pattern.ravel(), minlength=256) / pattern.size)
    return 1600 * shares


def _layout(picture: Image.Image) -> Numbers:
    """Return the mean colour of each cell."""
    cells = np.asarray(picture.resize((CELLS, CELLS), Image.Resampling.BOX), dtype=np.int64)
    bright, red_green, yellow_blue = _opponents(cells)
    return np.concatenate([bright - BRIGHTEST // 2, 6 * red_green, 3 * yellow_blue], axis=None) / 7.0


@functools.cache
def _cells(side: int) -> Integers:
    """Return the number of the cell that each pixel lies in."""
    line = np.arange(side) * CELLS // side
    return line[:, None] * CELLS + line


def _word(word: str, model: str) -> Numbers:
    """Return whole numbers that depend on the word alone; for a colour, on what distinguishes its shades."""
    if word not in COLOUR_WORDS:
        return 1000 * _signs(f"{model} {word}", DIMENSION)
    shade, grey = (_features(_swatch(colour)) for colour in (COLOUR_WORDS[word], (128, 128, 128)))
    return np.rint(_scaled(_projected(shade - grey, model), 1000 * math.sqrt(DIMENSION)))


def _swatch(colour: tuple[int, int, int]) -> Image.Image:
    """Return an image in shades of a colour."""
    shades = Image.linear_gradient("L").resize((SIDE_PX, SIDE_PX)).point(lambda level: 128 + level // 2)
    return Image.merge("RGB", [shades.point(lambda level, c=c: level * c // 255) for c in colour])


def _scaled(vector: Numbers, length: float) -> Numbers:
    """Return the vector scaled to a length; zeros stay zeros."""
    scaled: Numbers = vector * (length / (math.sqrt(np.sum(vector**2)) or 1.0))
    return scaled


def _projected(features: Numbers, model: str) -> Numbers:
    # Not `@`: the threads of the BLAS library compete with the server's, and make it three times slower.
    # float32 is exact for whole numbers below 2**24; 608 features never add up to a tenth of that.
    projection = _projection(features.size, model)
    projected: Numbers = np.einsum("f,fn->n", features.astype(np.float32), projection).astype(np.float64)
    return projected


@functools.cache
def _projection(size: int, model: str) -> NDArray[np.float32]:
    return _signs(model, size * DIMENSION).reshape(size, DIMENSION).astype(np.float32)


def _signs(seed: str, count: int) -> Numbers:
    """Return `count` plus and minus ones (a multiple of 8), the same for a seed on every machine."""
    octets = np.frombuffer(hashlib.shake_256(seed.encode()).digest(count // 8), dtype=np.uint8)
    return np.where(np.unpackbits(octets), 1.0, -1.0)

"""A canvas with colours, brush strokes and a finish that makes a drawing look painted.

A canvas is one unit high: x runs from 0 to its `width`, y from 0 at the top to 1. Paths are written in
hundredths of a unit, as "x y, x y, …"; a final "|" adds the mirror image, so that half a vase is enough.
"""

# ruff: noqa: PLR2004 - the numbers of a drawing are a matter of taste, and names would not explain them

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageOps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_T = TypeVar("_T")
_RGB: TypeAlias = tuple[int, int, int]
_Spots: TypeAlias = "NDArray[np.float64]"
Colour: TypeAlias = str | _RGB
Spot: TypeAlias = tuple[float, float]
Path: TypeAlias = "str | Sequence[Spot] | _Spots"

_SCALE = 2  # a picture is painted at twice its size and reduced at the end
_FALL = [round(255 * max(0, 1 - v / 178) ** 1.5) for v in range(256)]
_GLOW = Image.radial_gradient("L").reduce(4).point(_FALL)  # fades out towards the edges


@lru_cache(maxsize=1024)
def _rgb(colour: Colour) -> _RGB:
    red, green, blue = ImageColor.getrgb(colour)[:3] if isinstance(colour, str) else colour
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> _RGB:
    """Return `one` with a share of `other` in it."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(_rgb(one), _rgb(other), strict=True))
    return red, green, blue


def dark(colour: Colour, share: float = 0.45) -> _RGB:
    """Return a colour in the shade."""
    return mix(colour, "#1a1210", share)


def light(colour: Colour, share: float = 0.4) -> _RGB:
    """Return a colour in the sun."""
    return mix(colour, "#fff4d8", share)


@cache
def _read(path: str) -> _Spots:
    spots = np.array([float(v) for v in path.strip("|").replace(",", " ").split()]).reshape(-1, 2) / 100
    return np.concatenate([spots, spots[::-1] * (-1, 1)]) if path.endswith("|") else spots


def _rounded(spots: _Spots, *, closed: bool) -> _Spots:
    """Cut the corners of a path three times (Chaikin), which leaves a soft curve."""
    for _ in range(3):
        ahead = np.roll(spots, -1, axis=0)
        cut = np.stack([0.75 * spots + 0.25 * ahead, 0.25 * spots + 0.75 * ahead], axis=1).reshape(-1, 2)
        spots = cut if closed else np.concatenate([spots[:1], cut[:-2], spots[-1:]])
    return spots


def around(n: int, start: float = 0) -> list[Spot]:
    """Return n directions around a circle, as (cosine, sine)."""
    turns = start + np.linspace(0, 2 * np.pi, n, endpoint=False)
    return list(zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True))


class Canvas:
    """A picture being painted, and the random numbers for what is left open.

    It has one method for each kind of stroke, which makes it long but not complicated.
    """

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.image = Image.new("RGB", (width * _SCALE, height * _SCALE))
        self.width = width / height
        self.rng = rng
        self.brush = True
        self._draw = ImageDraw.Draw(self.image)
        self._unit = height * _SCALE

    def between(self, low: float, high: float) -> float:
        """Return a random number from a range."""
        return low + (high - low) * self.rng.random()

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < share)

    def pick(self, *options: _T) -> _T:
        """Return a random one of the options."""
        return options[int(self.rng.integers(len(options)))]

    def sample(self, options: Sequence[_T], n: int) -> list[_T]:
        """Return n random options, all different."""
        return [options[int(i)] for i in self.rng.permutation(len(options))[:n]]

    def _place(self, path: Path, at: Spot, size: float) -> _Spots:
        spots = _read(path) if isinstance(path, str) else np.asarray(path, dtype=np.float64)
        return (spots * size + at) * self._unit

    def shape(
        self,
        path: Path,
        colour: Colour,
        at: Spot = (0, 0),
        size: float = 1,
        *,
        depth: float = 0,
        soft: bool = True,
    ) -> None:
        """Fill a shape; `depth` lights it from the left, `soft` rounds its corners."""
        outline = _rounded(self._place(path, at, size), closed=True) if soft else self._place(path, at, size)
        corner = np.floor(outline.min(axis=0))
        width, height = (np.ceil(outline.max(axis=0)) + 1 - corner).astype(int).tolist()
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon((outline - corner).ravel().tolist(), fill=255)
        tones = Image.fromarray(np.array([[light(colour, depth * 0.4), dark(colour, depth)]], dtype=np.uint8))
        tones = tones.resize(mask.size, Image.Resampling.BILINEAR)
        self.image.paste(tones, (int(corner[0]), int(corner[1])), mask)

    def line(self, path: Path, colour: Colour, width: float, at: Spot = (0, 0), size: float = 1) -> None:
        """Draw a soft line; `size` scales its path but not its width."""
        outline = _rounded(self._place(path, at, size), closed=False)
        self._draw.line(outline.ravel().tolist(), colour, max(1, round(width * self._unit)), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle, a little darker on the right."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.shape(corners, colour, depth=0.4, soft=False)

    def oval(self, at: Spot, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse."""
        (x, y), unit = at, self._unit
        self._draw.ellipse([(x - rx) * unit, (y - ry) * unit, (x + rx) * unit, (y + ry) * unit], colour)

    def ball(self, at: Spot, rx: float, ry: float, colour: Colour) -> None:
        """Draw a ball, lit from the upper left."""
        for t in np.linspace(0, 1, 12).tolist():
            tone, shrink = light(dark(colour, 0.5 * (1 - t) ** 2), 0.4 * t**2), 1 - 0.92 * t
            self.oval((at[0] - 0.3 * rx * t, at[1] - 0.32 * ry * t), rx * shrink, ry * shrink, tone)

    def glow(self, at: Spot, rx: float, ry: float, colour: Colour, strength: float) -> None:
        """Add a soft light or, with a dark colour, a soft shadow."""
        reach = np.array((rx, ry)) * 1.3
        left, top, width, height = np.rint(np.append(at - reach, 2 * reach) * self._unit).astype(int).tolist()
        mask = _GLOW.resize((max(2, width), max(2, height)), Image.Resampling.BILINEAR)
        self.image.paste(_rgb(colour), (left, top), mask.point([round(v * strength) for v in range(256)]))

    def wash(self, top: float, bottom: float, *colours: Colour) -> None:
        """Fill a band across the picture, from the first colour down to the last."""
        first, last = round(top * self._unit), round(bottom * self._unit)
        ramp = Image.fromarray(np.array([[_rgb(colour)] for colour in colours], dtype=np.uint8))
        self.image.paste(ramp.resize((self.image.width, last - first), Image.Resampling.BICUBIC), (0, first))

    def reflect(self, y: float, tint: Colour) -> None:
        """Repeat what is above y below it, upside down and tinted."""
        above = self.image.crop((0, 0, self.image.width, round(y * self._unit)))
        below = ImageOps.flip(above).resize((above.width, self._unit - above.height))
        below = Image.blend(below.filter(ImageFilter.BoxBlur(2)), Image.new("RGB", below.size, tint), 0.4)
        self.image.paste(below, (0, above.height))

    def dabs(self, n: int, length: float, *, top: float = 0, bottom: float = 1, slope: float = 0) -> None:
        """Cover what is painted with short strokes of nearly the same colour."""
        if not self.brush:
            return
        spots = self.rng.uniform((0, top), (self.width, bottom), (n, 2)) * self._unit
        blurred = np.asarray(self.image.reduce(4))
        x, y = (spots // 4).astype(int).T
        colours = blurred[y, x] + self.rng.normal(0, 7, (n, 1)) * (1, 1, 0.7)
        turns, reach = self.rng.normal(slope, 0.5, n), length * self._unit
        strokes = np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach
        ends = np.concatenate([spots - strokes, spots + strokes], axis=1).tolist()
        for end, colour in zip(ends, np.clip(colours, 0, 255).astype(int).tolist(), strict=True):
            self._draw.line(end, tuple(colour), max(1, round(reach * 0.4)))

    def to_drawing(self) -> None:
        """Turn what is painted into a drawing: outlines, two layers of hatching, white highlights."""
        paper = self.pick("#e6d8b8", "#d9c4a0", "#b9c0bc", "#e8dfcc")
        chalk = _rgb(self.pick("#6b3a22", "#9a4630", "#3a322c"))
        plain = ImageOps.autocontrast(self.image.convert("L"), cutoff=1)
        blurred = (plain.filter(ImageFilter.GaussianBlur(radius)) for radius in (1.3, 4.7))
        fine, broad = (np.asarray(image, dtype=np.float32) / 255 for image in blurred)
        y, x = np.indices(fine.shape) / self._unit
        slant = x + y + 0.01 * np.sin(9 * y)
        off_centre = np.hypot(x / self.width - 0.5, y - 0.5) * 2 + 0.06 * np.sin(slant * 31)
        hatching = (fine < 0.5) & (slant % 0.02 < 0.007) | (fine < 0.28) & ((x - y) % 0.022 < 0.007)
        drawn = (fine - broad < -0.022) & (off_centre < 1.05) | hatching & (off_centre < 0.85)
        heightened = (fine > 0.8) & (slant % 0.018 < 0.009) & (off_centre < 0.75)
        self.wash(0, 1, light(paper, 0.2), paper, dark(paper, 0.08))
        self.image.paste("#fbf6e8", mask=Image.fromarray(heightened * np.uint8(150)))
        self.image.paste(chalk, mask=Image.fromarray(drawn * np.uint8(215)))

    def finished(self) -> Image.Image:
        """Return the picture in its final size, with an unsteady hand, the weave of a canvas, and varnish."""
        pixels, rng = np.asarray(self.image), self.rng
        height, width, _ = pixels.shape
        rough = rng.normal(0, 1.7, (2, height // 48 + 2, width // 48 + 2)).astype(np.float32)
        smooth = (Image.fromarray(axis).resize((width, height), Image.Resampling.BICUBIC) for axis in rough)
        down, across = (np.asarray(axis).round().astype(int) for axis in smooth)
        y, x = np.arange(height)[:, None] + down, np.arange(width) + across
        moved = pixels[y.clip(0, height - 1), x.clip(0, width - 1)]
        small = np.asarray(Image.fromarray(moved).reduce(_SCALE))
        y, x = np.indices(small.shape[:2])
        weave = (x % 2 + y % 2 - 1) * 1.5 + rng.normal(0, 3, x.shape)
        edge = ((x / x.max() - 0.5) ** 2 + (y / y.max() - 0.5) ** 2) * 0.4
        varnish = np.array([1.02, 0.99, 0.93]) * (1.04 - edge)[..., None]
        return Image.fromarray(np.clip((small + weave[..., None]) * varnish, 0, 255).astype(np.uint8))

"""Small paintings out of a few strokes: a museum to try everything on, and free to give away.

A picture is drawn twice too large on a `_Canvas` and reduced at the end; the wobble of the hand, the weave of
the canvas and the varnish come last. Each motif is one function of its canvas and can go without the others.
"""

# ruff: noqa: PLR0917, PLR2004 - a drawing is made of coordinates: to name each one would hide the picture

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

_T = TypeVar("_T")
_Colour: TypeAlias = "str | tuple[int, int, int]"
_Spot: TypeAlias = "tuple[float, float]"
_Path: TypeAlias = "str | Sequence[_Spot] | NDArray[np.float64]"

_SCALE = 2
# Pillow's radial gradient ends in the corners; this one ends at the edges, and softly.
_GLOW = (
    Image.radial_gradient("L").point([round(255 * max(0, 1 - v / 178) ** 1.5) for v in range(256)]).reduce(4)
)
_SKIN = ("#eec5a0", "#e3b088", "#d29c74", "#a8714e", "#f2d2b4")
_HAIR = ("#2e2019", "#5b3a20", "#8a5a2b", "#b98b45", "#6f6259", "#7a2f1a")
_CLOTH = ("#a52f28", "#2f4f86", "#c08a2d", "#4d6b3c", "#7d3b52", "#d8cdb6", "#3d3a4a", "#b5643a", "#5d7f92")
_LEAF = ("#4b6330", "#5f6f2f", "#3c5a3c", "#7a6f2c", "#8a5f28")
_FRUIT = ("#c23b22", "#d9822b", "#e3b93c", "#8ca23a", "#6d2a44", "#d76a55", "#4f2f5f")
_WOOD, _SHADOW, _IRON = "#4a3220", "#140d0a", "#8f979c"


@lru_cache(maxsize=1024)
def _rgb(colour: _Colour) -> tuple[int, int, int]:
    r, g, b = ImageColor.getrgb(colour)[:3] if isinstance(colour, str) else colour
    return r, g, b


def _mix(one: _Colour, other: _Colour, share: float) -> tuple[int, int, int]:
    """Return `one` with a share of `other` in it."""
    (r, g, b), (red, green, blue) = _rgb(one), _rgb(other)
    return int(r + (red - r) * share), int(g + (green - g) * share), int(b + (blue - b) * share)


def _dark(colour: _Colour, share: float = 0.45) -> tuple[int, int, int]:
    return _mix(colour, "#1a1210", share)


def _light(colour: _Colour, share: float = 0.4) -> tuple[int, int, int]:
    return _mix(colour, "#fff4d8", share)


@cache
def _faded(strength: float) -> Image.Image:
    return _GLOW.point([round(v * strength) for v in range(256)])


@cache
def _read(path: str) -> NDArray[np.float64]:
    """Read "x y, x y, …", counted in hundredths; a final "|" adds the mirror image of what stands before."""
    spots = np.array([float(v) for v in path.strip("|").replace(",", " ").split()]).reshape(-1, 2) / 100
    return np.concatenate([spots, spots[::-1] * (-1, 1)]) if path.endswith("|") else spots


def _rounded(spots: NDArray[np.float64], *, closed: bool) -> NDArray[np.float64]:
    """Cut the corners of a path three times (Chaikin), which leaves a soft curve."""
    for _ in range(3):
        before, after = (spots, np.roll(spots, -1, axis=0)) if closed else (spots[:-1], spots[1:])
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        spots = cut if closed else np.concatenate([spots[:1], cut, spots[-1:]])
    return spots


def _around(n: int, start: float = 0.0, end: float = 2 * np.pi) -> Iterable[tuple[float, float]]:
    """Return cosine and sine of n directions."""
    turns = np.linspace(start, end, n, endpoint=False)
    return zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True)


class _Canvas:
    """A picture in the making. Its height is 1: x runs from 0 to `w`, y from 0 at the top to 1."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.image = Image.new("RGB", (width * _SCALE, height * _SCALE))
        self.draw = ImageDraw.Draw(self.image)
        self.unit = height * _SCALE
        self.w = width / height
        self.rng = rng
        self.brush = True

    def u(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def pick(self, *options: _T) -> _T:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def some(self, options: Sequence[_T], n: int) -> list[_T]:
        return [options[int(i)] for i in self.rng.permutation(len(options))[:n]]

    def _place(self, path: _Path, at: _Spot, s: float, side: int) -> NDArray[np.float64]:
        spots = _read(path) if isinstance(path, str) else np.asarray(path, dtype=np.float64)
        return spots * (s * side, s) + at

    def shape(
        self,
        path: _Path,
        colour: _Colour,
        at: _Spot = (0, 0),
        s: float = 1.0,
        *,
        side: int = 1,
        depth: float = 0.0,
        soft: bool = True,
    ) -> None:
        """Fill a shape; `depth` lights it from the left, `soft` rounds its corners, side -1 mirrors it."""
        spots = self._place(path, at, s, side)
        outline = (_rounded(spots, closed=True) if soft else spots) * self.unit
        if not depth:
            self.draw.polygon(outline.ravel().tolist(), fill=colour)
            return
        corner, end = np.floor(outline.min(axis=0)), np.ceil(outline.max(axis=0)) + 1
        mask = Image.new("L", (int(end[0] - corner[0]), int(end[1] - corner[1])))
        ImageDraw.Draw(mask).polygon((outline - corner).ravel().tolist(), fill=255)
        ramp = Image.new("RGB", (2, 1), _light(colour, depth * 0.4))
        ramp.putpixel((1, 0), _dark(colour, depth))
        self.image.paste(
            ramp.resize(mask.size, Image.Resampling.BILINEAR), (int(corner[0]), int(corner[1])), mask
        )

    def line(
        self,
        path: _Path,
        colour: _Colour,
        width: float,
        at: _Spot = (0, 0),
        s: float = 1.0,
        *,
        side: int = 1,
        soft: bool = True,
    ) -> None:
        spots = self._place(path, at, s, side)
        outline = (_rounded(spots, closed=False) if soft and len(spots) > 2 else spots) * self.unit
        self.draw.line(outline.ravel().tolist(), colour, max(1, round(width * self.unit)), joint="curve")

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: _Colour, depth: float = 0.0
    ) -> None:
        self.shape(
            [(left, top), (right, top), (right, bottom), (left, bottom)], colour, depth=depth, soft=False
        )

    def oval(self, x: float, y: float, rx: float, ry: float, colour: _Colour) -> None:
        self.draw.ellipse([v * self.unit for v in (x - rx, y - ry, x + rx, y + ry)], fill=colour)

    def ring(self, x: float, y: float, r: float, colour: _Colour, width: float = 0.004) -> None:
        box = [v * self.unit for v in (x - r, y - r, x + r, y + r)]
        self.draw.ellipse(box, outline=colour, width=max(1, round(width * self.unit)))

    def ball(self, x: float, y: float, rx: float, ry: float, colour: _Colour) -> None:
        """Draw a round thing, lit from the upper left."""
        for t in np.linspace(0, 1, 12).tolist():
            tone = _mix(_dark(colour, 0.5), colour, t * 1.6) if t < 0.6 else _light(colour, (t - 0.6) * 0.9)
            self.oval(x - rx * 0.3 * t, y - ry * 0.32 * t, rx * (1 - t * 0.92), ry * (1 - t * 0.92), tone)

    def wash(self, top: float, bottom: float, *colours: _Colour) -> None:
        """Fill a band across the picture, from the first colour down to the last."""
        ramp = Image.new("RGB", (1, len(colours)))
        for i, colour in enumerate(colours):
            ramp.putpixel((0, i), _rgb(colour))
        size = (self.image.width, max(1, round((bottom - top) * self.unit)))
        self.image.paste(ramp.resize(size, Image.Resampling.BICUBIC), (0, round(top * self.unit)))

    def glow(self, x: float, y: float, rx: float, ry: float, colour: _Colour, strength: float = 1.0) -> None:
        """Lay a soft light or, with a dark colour, a soft shadow."""
        rx, ry = rx * 1.3, ry * 1.3
        size = (max(2, round(2 * rx * self.unit)), max(2, round(2 * ry * self.unit)))
        mask = _faded(strength).resize(size, Image.Resampling.BILINEAR)
        self.image.paste(_rgb(colour), (round((x - rx) * self.unit), round((y - ry) * self.unit)), mask)

    def dabs(
        self, n: int, length: float, *, top: float = 0.0, bottom: float = 1.0, slope: float = 0.5
    ) -> None:
        """Go over what is there with short strokes of nearly the same colour."""
        if not self.brush:
            return
        spots = self.rng.uniform((0, top), (self.w, bottom), (n, 2))
        turns, tones = self.rng.normal(slope, 0.5, n), self.rng.normal(0, 7, (n, 1)) * (1, 1, 0.7)
        x, y = (np.minimum(spots * self.unit, np.array(self.image.size) - 1)).astype(int).T
        colours = np.clip(np.asarray(self.image)[y, x] + tones, 0, 255).astype(int)
        reach = np.stack([np.cos(turns), np.sin(turns)], axis=1) * length
        ends = (np.concatenate([spots - reach, spots + reach], axis=1) * self.unit).tolist()
        for end, colour in zip(ends, colours.tolist(), strict=True):
            self.draw.line(end, tuple(colour), max(1, round(length * 0.4 * self.unit)))

    def finished(self) -> Image.Image:
        """Reduce to the final size, with the wobble of a hand, the weave of a canvas, and varnish."""
        small = self.image.reduce(_SCALE)
        (width, height), step = small.size, 24
        rows, columns = height // step + 2, width // step + 2
        grid = np.indices((rows, columns)).transpose(1, 2, 0)[..., ::-1] * step + self.rng.normal(
            0, 0.7, (rows, columns, 2)
        )
        grid = np.clip(grid, 0, (width, height))
        mesh = [
            (
                (x * step, y * step, x * step + step, y * step + step),
                tuple(grid[[y, y + 1, y + 1, y], [x, x, x + 1, x + 1]].ravel().tolist()),
            )
            for y, x in np.ndindex(rows - 1, columns - 1)
        ]
        moved = small.transform(small.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)
        y, x = np.mgrid[0:height, 0:width]
        weave = (x % 2 + y % 2 - 1) * 1.5 + self.rng.normal(0, 3, (height, width))
        edge = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 0.4
        varnish = np.array([1.02, 0.99, 0.93]) * (1.04 - edge)[..., None]
        return Image.fromarray(np.clip((moved + weave[..., None]) * varnish, 0, 255).astype(np.uint8))


class _Mood(NamedTuple):
    """The colours of an hour of the day from the zenith down, its sun or moon, and how dark the land lies."""

    top: str
    middle: str
    low: str
    sun: str
    dim: float

    def land(self, colour: _Colour, distance: float = 0.0) -> tuple[int, int, int]:
        """Return a colour as it looks in this light, some way off."""
        return _mix(_mix(colour, self.top, self.dim), self.low, distance)


_DAWN = _Mood("#6f8fb4", "#dcbfb0", "#f7dfb4", "#fff3cc", 0.12)
_NOON = _Mood("#4f86c0", "#a5c8de", "#ecebd6", "#fffbe8", 0.0)
_DUSK = _Mood("#46497a", "#c4735c", "#f4b660", "#ffe09a", 0.3)
_NIGHT = _Mood("#121a36", "#22365f", "#58708f", "#f6efd2", 0.62)
_STORM = _Mood("#48525e", "#8d9391", "#d9d0ae", "#efe6c6", 0.2)


def _sky(c: _Canvas, horizon: float, *moods: _Mood, clouds: int = 4) -> _Mood:
    mood = c.pick(*(moods or (_DAWN, _NOON, _NOON, _DUSK, _NIGHT, _STORM)))
    c.wash(0, horizon + 0.02, mood.top, mood.middle, mood.low)
    x, y = c.u(0.15, 0.85) * c.w, horizon * (0.78 if mood is _DUSK else c.u(0.2, 0.45))
    c.glow(x, y, 0.45, 0.45, mood.sun, 0.8)
    c.oval(x, y, 0.042, 0.042, mood.sun)
    for _ in range(clouds):
        x, y, r = c.u(0, c.w), c.u(0.05, 0.75) * horizon, c.u(0.07, 0.13)
        for _ in range(7):
            px, py = x + c.u(-2.2, 2.2) * r, y + c.u(-0.35, 0.35) * r
            c.glow(px, py + r * 0.3, r, r * 0.5, _mix(mood.middle, mood.top, 0.45), 0.5)
            c.glow(px, py, r, r * 0.5, _mix(mood.low, mood.sun, 0.5), 0.75)
    c.dabs(500, 0.022, bottom=horizon, slope=0.1)
    return mood


def _hills(c: _Canvas, y: float, height: float, colour: _Colour) -> None:
    x = np.linspace(-0.05, c.w + 0.05, 24)
    low, fast, late = c.rng.uniform((0.2, 2, 0), (0.5, 9, 6), (3, 3)).T[..., None]
    rise = height * (low * np.sin(x * fast + late)).sum(axis=0)
    c.shape([(-0.1, 1.1), *zip(x.tolist(), (y - rise).tolist(), strict=True), (c.w + 0.1, 1.1)], colour)


def _leaves(c: _Canvas, x: float, y: float, rx: float, ry: float, colour: _Colour, n: int = 70) -> None:
    for t in np.linspace(0, 1, n).tolist():
        turn, far, r = c.u(0, 6.3), c.u(0, 1) ** 0.5 * (1 - 0.25 * t), rx * c.u(0.13, 0.26)
        spot = x + rx * (far * np.cos(turn) - 0.18 * t), y + ry * (far * np.sin(turn) - 0.2 * t)
        c.oval(*spot, r, r * 0.7, _mix(_dark(colour, 0.55), _light(colour, 0.3), t * c.u(0.7, 1)))


def _tree(c: _Canvas, x: float, y: float, h: float, colour: _Colour) -> None:
    """Draw a tree with its foot at (x, y)."""
    c.line("0 0, 4 -30, 0 -70", _dark(_WOOD, 0.3), h * 0.055, (x, y), h, side=c.pick(-1, 1))
    for side in (-1, 1):
        c.line("2 -35, 18 -60", _dark(_WOOD, 0.3), h * 0.025, (x, y), h, side=side)
        _leaves(c, x + side * h * 0.14, y - h * 0.58, h * 0.2, h * 0.16, colour, 40)
    _leaves(c, x, y - h * 0.76, h * 0.24, h * 0.22, colour)


def _bare(c: _Canvas, x: float, y: float, turn: float, length: float, width: float) -> None:
    """Draw a leafless branch and what grows from it."""
    end = (x + length * float(np.cos(turn)), y + length * float(np.sin(turn)))
    c.line([(x, y), end], "#3a2c22", width)
    for bend in (c.u(-0.7, -0.25), c.u(0.2, 0.7), c.u(-0.2, 0.2)) if width > 0.003 else ():
        _bare(c, *end, turn + bend, length * c.u(0.6, 0.8), width * 0.55)


def _water(c: _Canvas, top: float, bottom: float, deep: _Colour, bright: _Colour, n: int = 160) -> None:
    """Draw ripples, longer as they come nearer."""
    for t in sorted(c.rng.random(n).tolist()):
        c.oval(
            c.u(0, c.w),
            top + (bottom - top) * t,
            0.01 + 0.05 * t,
            0.001 + 0.004 * t,
            _mix(deep, bright, c.u(0, 1)),
        )


def _head(c: _Canvas, x: float, y: float, r: float, hair: _Colour = "", skin: _Colour = "") -> None:
    skin = skin or c.pick(*_SKIN)
    c.oval(x, y - r * 0.2, r * 1.02, r * 1.15, hair or c.pick(*_HAIR))
    c.oval(x + r * 0.12, y + r * 0.1, r * 0.78, r, _mix(skin, "#8a4a30", 0.3))
    c.oval(x + r * 0.05, y + r * 0.05, r * 0.7, r * 0.95, skin)
    for dx in (-0.25, 0.35):
        c.oval(x + dx * r, y, r * 0.1, r * 0.09, "#3a2418")
    c.oval(x + r * 0.06, y + r * 0.5, r * 0.18, r * 0.07, "#b0503f")


def _halo(c: _Canvas, x: float, y: float, r: float) -> None:
    c.oval(x, y, r, r, "#f4d678")
    c.ring(x, y, r, "#8a5a1c")
    c.ring(x, y, r * 0.84, "#b98a34", 0.003)


_HANDS = ((-0.03, 0.24), (0.03, 0.24))


def _figure(
    c: _Canvas, x: float, y: float, h: float, robe: _Colour, hands: tuple[_Spot, _Spot] = _HANDS
) -> None:
    """Draw a person in a robe, feet at (x, y); where the hands are is counted from between the shoulders."""
    at, skin = (x, y - h * 0.8), c.pick(*_SKIN)
    c.shape("3 0, 11 5, 10 30, 17 77, 18 82|", robe, at, h, depth=0.5)
    for start, end in c.rng.uniform((-7, -14), (7, 14), (4, 2)).tolist():
        c.line(np.array([(start, 30), (start, 50), (end, 77)]) / 100, _dark(robe), h * 0.012, at, h)
    for (dx, dy), side in zip(hands, (-1, 1), strict=True):
        arm = [(side * 0.08, 0.06), (side * 0.13 + dx * 0.3, 0.12 + dy * 0.4), (dx, dy)]
        c.line(arm, _dark(robe, 0.15 if side < 0 else 0.3), h * 0.06, at, h)
        c.oval(x + dx * h, at[1] + dy * h, h * 0.026, h * 0.026, skin)
    c.line("0 2, 0 -4", _mix(skin, "#8a4a30", 0.3), h * 0.05, at, h)
    _head(c, x, at[1] - h * 0.09, h * 0.078, skin=skin)


def _soldier(c: _Canvas, x: float, y: float, h: float, coat: _Colour) -> None:
    c.shape("20 0, 22 -72|", coat, (x, y), h, depth=0.5)
    c.oval(x, y - h * 0.8, h * 0.13, h * 0.15, "#d9a880")
    c.oval(x, y - h * 0.87, h * 0.16, h * 0.1, c.pick(_IRON, "#5a5f64", "#3a302a"))


def _wing(c: _Canvas, x: float, y: float, length: float, side: int, colour: _Colour) -> None:
    for i, (dx, dy) in enumerate(_around(9, -1.25, 0.65)):
        r = length * (1 - i / 16)
        elbow = (0.55 * (dx + 0.25 * dy), 0.55 * (dy - 0.25 * dx))
        c.line([(0, 0), elbow, (dx, dy)], _dark(colour, i * 0.045), length * 0.11, (x, y), r, side=side)


def _horse(c: _Canvas, x: float, y: float, s: float, hide: _Colour, side: int, *, head: bool = True) -> None:
    """Draw a horse of height s with its hooves at y, looking to `side`."""
    legs = (
        "-36 -45, -42 -24, -36 0",
        "26 -45, 46 -26, 38 -4",
        "-30 -45, -26 -24, -34 0",
        "20 -45, 26 -24, 22 0",
    )
    for leg, tone in zip(legs, (0.6, 0.6, 0.25, 0.25), strict=True):
        c.line(leg, _dark(hide, tone), 0.075 * s, (x, y), s, side=side)
    c.line("-40 -62, -58 -50, -56 -20", _dark(hide, 0.6), 0.07 * s, (x, y), s, side=side)
    body = "-45 -70, -20 -72, 10 -66, 36 -72, 38 -42, 10 -36, -20 -36, -46 -42"
    c.shape(body, hide, (x, y), s, side=side, depth=0.4)
    if head:
        c.shape("12 -60, 34 -98, 48 -100, 66 -78, 58 -72, 46 -80, 36 -44", hide, (x, y), s, side=side)
        c.line("8 -64, 26 -86, 40 -100", _dark(hide, 0.6), 0.06 * s, (x, y), s, side=side)


def _ship(c: _Canvas, x: float, y: float, s: float, flag: _Colour) -> None:
    side, canvas = c.pick(-1, 1), c.pick("#e9dcbc", "#d9c49a", "#f0e8d2")
    for dx, h in ((-0.3, 0.8), (0.02, 1.0), (0.32, 0.7)):
        mast = (x + dx * s, y)
        c.line("0 0, 0 -100", "#3a281a", 0.016 * s, mast, s * h)
        lower, upper = "-14 -52, 15 -53, 21 -18, -12 -18, -8 -36", "-11 -86, 11 -87, 16 -57, -9 -57, -6 -71"
        for sail in (lower, upper):
            c.shape(sail, canvas, mast, s * h, side=side, depth=0.4, soft=False)
        c.shape("0 -100, 18 -97, 0 -92", flag, mast, s * h, side=side, soft=False)
    c.shape("-56 -20, -40 -6, 40 -6, 56 -24, 44 10, -42 10", "#6b4526", (x, y), s, depth=0.6)
    c.line("-46 -4, 48 -5", "#c99b4a", 0.018 * s, (x, y), s)


_Draw: TypeAlias = "Callable[[_Canvas], None]"
_MOTIFS: dict[str, dict[str, tuple[float, float, _Draw]]] = {}


def _motif(kind: str, name: str, narrow: float, wide: float) -> Callable[[_Draw], _Draw]:
    """Enter a motif under its kind, with the range of its width over its height."""

    def enter(draw: _Draw) -> _Draw:
        _MOTIFS.setdefault(kind, {})[name] = (narrow, wide, draw)
        return draw

    return enter


@_motif("landscape", "river", 1.2, 1.55)
def _river(c: _Canvas) -> None:
    y = c.u(0.42, 0.55)
    mood, green, side = _sky(c, y), c.pick(*_LEAF), c.pick(-1, 1)
    _hills(c, y, 0.08, mood.land("#6f86a0", 0.45))
    _hills(c, y + 0.05, 0.05, mood.land(green, 0.35))
    _hills(c, y + 0.12, 0.03, mood.land(_light(green, 0.2)))
    c.dabs(700, 0.014, top=y, slope=0.0)
    course, x = "-10 14, 2 20, -28 32, -24 48, -60 70, 60 70, 14 45, 0 32, 14 20, 0 14", c.u(0.4, 0.6) * c.w
    c.shape(course, _mix(mood.middle, mood.low, 0.3), (x, y), side=side, depth=0.15)
    for t in (0.2, 0.31, 0.42):
        c.glow(x + side * c.u(-0.12, 0.04), y + t, 0.14, 0.012, mood.sun, 0.7)
    for _ in range(5):
        _tree(c, c.u(0, c.w), y + c.u(0.06, 0.14), c.u(0.08, 0.14), mood.land(green, 0.3))
    for x in (c.u(0.04, 0.16), c.u(0.84, 0.96), c.u(0.1, 0.3))[: c.pick(2, 3)]:
        _tree(c, x * c.w, c.u(0.85, 0.98), c.u(0.42, 0.68), mood.land(c.pick(*_LEAF)))


@_motif("landscape", "mill", 1.25, 1.6)
def _mill(c: _Canvas) -> None:
    mood = _sky(c, 0.7, _STORM, _NOON, _DUSK, _DAWN, clouds=8)
    c.wash(0.7, 1, mood.land("#8b9a5a", 0.3), mood.land("#6b6a35"), mood.land("#4a4526"))
    c.dabs(600, 0.016, top=0.68, slope=0.0)
    for _ in range(9):
        _tree(c, c.u(0, c.w), c.u(0.705, 0.73), c.u(0.04, 0.08), mood.land("#44583a", 0.25))
    c.shape("-90 92, 0 80, 90 88, 90 93, -10 86, -90 108", mood.middle, (c.w / 2, 0), depth=0.2)
    at, s, wood = (c.w * c.u(0.25, 0.75), 0.83), c.u(0.36, 0.46), mood.land("#7a5a3a")
    c.shape("15 0, 9 -62|", wood, at, s, depth=0.6, soft=False)
    c.shape("12 -60, 0 -84|", _dark(wood), at, s, soft=False)
    start = c.u(0, 1.5)
    for dx, dy in _around(4, start, start + 2 * np.pi):
        sail = [
            (dx * a - dy * b, dy * a + dx * b - 0.66)
            for a, b in ((0.1, 0), (0.55, 0), (0.55, 0.11), (0.1, 0.11))
        ]
        c.shape(sail, mood.land("#d9c7a0"), at, s, soft=False)
        c.line([(0, -0.66), sail[1]], _dark(wood, 0.6), 0.012, at, s)


@_motif("portrait", "man", 0.74, 0.86)
def _man(c: _Canvas) -> None:
    x, dress, hair = _bust(c, lady=False)
    match c.pick("ruff", "lace", "fur"):
        case "ruff":
            c.oval(x, 0.63, 0.2, 0.07, "#d9d2c4")
            for dx, dy in _around(44):
                fold = [(0.08 * dx, 0.025 * dy - 0.02), (0.2 * dx, 0.07 * dy)]
                c.line(fold, c.pick("#fbf7ec", "#b5aea2"), 0.008, (x, 0.63))
        case "lace":
            c.shape("0 66, 6 60, 25 68, 20 78, 0 70|", "#ece4d4", (x, 0), depth=0.25)
        case _:
            for side in (-1, 1):
                _leaves(c, x + side * 0.13, 0.8, 0.07, 0.2, c.pick("#7a5432", "#5a4a3e"), 40)
    if c.chance(0.5):
        c.shape("9.5 46, 5 52, 4.5 48.5, 0 47.5|", _dark(hair, 0.3), (x, 0))
        c.shape("7 53, 5 59, 0 63|", _dark(hair, 0.3), (x, 0))
    match c.pick("hat", "beret", "hair"):
        case "hat":
            c.shape("12 25, 10 7|", "#2b2727", (x, 0), depth=0.5)
            c.line("-11 21, 0 22.5, 11 21", _light(dress, 0.2), 0.02, (x, 0))
            c.oval(x, 0.245, 0.25, 0.035, "#1d191b")
        case "beret":
            cap = c.pick("#8f2f28", "#26324a", "#2a2422", "#4a5232")
            c.shape("-15 27, -17 18, -2 11, 19 15, 17 27, 0 23", cap, (x, 0), depth=0.5)
        case _:
            c.shape("0 23, 10 29, 14 44, 15 20, 6 14|", hair, (x, 0), depth=0.5)


@_motif("portrait", "lady", 0.72, 0.84)
def _lady(c: _Canvas) -> None:
    x, dress, hair = _bust(c, lady=True)
    c.shape("0 24, 10 30, 13 42, 13 22, 0 16|", hair, (x, 0), depth=0.4)
    match c.pick("scarf", "bun", "cap"):
        case "scarf":
            cloth = c.pick("#3f6ea5", "#c9a24a", "#b5483a")
            c.shape("12 18, 19 26, 20 60, 13 55", _light(c.pick(*_CLOTH)), (x, 0), depth=0.4)
            c.shape("-14 30, -12 16, 4 11, 15 20, 14 32, 0 23.5", cloth, (x, 0), depth=0.45)
        case "bun":
            c.ball(x + 0.02, 0.15, 0.075, 0.06, hair)
            c.line("-11 24, 0 19, 11 24", "#d9b65a", 0.01, (x, 0))
        case _:
            c.shape("0 25, 9 29, 13 46, 17 44, 15 20, 6 13|", "#e2dac8", (x, 0), depth=0.3)
    for dx, dy in _around(13, 0.1, np.pi):
        c.ball(x + 0.085 * dx, 0.63 + 0.055 * dy, 0.009, 0.009, "#efe6d6")
    for side in (-1, 1):
        c.ball(x + side * 0.118, 0.46, 0.011, 0.014, "#f2ead8")
        c.line("27 70, 15 84, 0 87", _light(dress, 0.75), 0.022, (x, 0), side=side)


def _bust(c: _Canvas, *, lady: bool) -> tuple[float, str, str]:
    """Draw a face above shoulders on a dark ground; return its middle, and the colours of dress and hair."""
    ground = c.pick("#3a2c22", "#2f3530", "#4a3a30", "#33303c", "#5a4636", "#43505a")
    dress, skin, hair = c.pick(*_CLOTH, "#241f22", "#241f22"), c.pick(*_SKIN), c.pick(*_HAIR)
    x, side = c.w / 2 + c.u(-0.03, 0.03), c.pick(-1, 1)
    face, shadow = x + side * c.u(0.012, 0.024), _mix(skin, "#5a2f22", 0.5)
    c.wash(0, 1, _dark(ground, 0.3), ground, _dark(ground, 0.5))
    c.glow(x - 0.12, 0.42, 0.5, 0.5, _light(ground, 0.3), 0.7)
    c.dabs(700, 0.03)
    if lady:
        c.shape("17 50, 16 28, 0 17, -16 28, -18 52, -10 60, 10 60", hair, (x, 0), depth=0.5)
    c.shape("50 120, 40 76, 13 64|", dress, (x, 0), depth=0.55)
    if lady:
        c.shape("26 71, 6 62, -6 62, -26 71, -12 86, 12 86", skin, (x, 0), depth=0.35)
    c.shape("6.6 42, 6 66, 0 74|", _mix(skin, shadow, 0.4), (x, 0), depth=0.3)
    c.shape("12 36, 10 22, -10 22, -12 36, -9 50, 1 57, 9 50", skin, (x, 0), depth=0.3)
    c.glow(x - 0.04, 0.3, 0.06, 0.05, _light(skin, 0.7), 0.6)
    for dx in (-0.046, 0.05):
        at = (face + dx, 0.386)
        c.glow(at[0], 0.45, 0.038, 0.034, _mix(skin, "#c2553f", 0.35), 0.8)
        c.oval(*at, 0.022, 0.011, "#efe2cc")
        c.oval(at[0] + side * 0.005, 0.386, 0.0105, 0.0115, c.pick("#3a2a1c", "#3a2a1c", "#4a5a52"))
        c.line("-2.4 -.2, 0 -1.5, 2.4 -.2", "#3a2218", 0.006, at)
        c.line("-3 -2.8, 0 -4, 3 -3", _dark(hair, 0.4), 0.007, at)
    c.line("1 37, 1.6 44, -.4 45.5", shadow, 0.009, (face, 0), side=side)
    c.oval(face - 0.002, 0.44, 0.006, 0.008, _light(skin, 0.5))
    c.oval(face, 0.497, 0.028, 0.007, "#a3443a")
    c.oval(face, 0.505, 0.02, 0.007, "#bd6253")
    c.glow(face, 0.55, 0.06, 0.02, shadow, 0.6)
    return x, dress, hair


def _table(c: _Canvas, edge: float) -> None:
    ground = c.pick("#33291f", "#2a2f2c", "#5a4a38", "#3b2f35", "#6f6a58", "#3f4a52")
    cloth = c.pick("#6b4528", "#ddd4c0", "#6f2f28", "#3f5a4a", "#8a6a44")
    c.wash(0, edge, _dark(ground, 0.5), ground, _light(ground, 0.12))
    c.glow(c.w * 0.25, 0.3, 0.6, 0.5, _light(ground, 0.4), 0.6)
    c.dabs(600, 0.025, bottom=edge, slope=0.2)
    c.wash(edge, 1, _light(cloth, 0.1), cloth, _dark(cloth, 0.7))
    c.dabs(300, 0.02, top=edge, slope=0.0)


@_motif("still-life", "fruit", 1.15, 1.45)
def _fruit(c: _Canvas) -> None:
    edge, fruits, jug = c.u(0.6, 0.66), c.some(_FRUIT, 3), c.pick("#b9b2a2", "#8a5a3a", "#4f6a7a", "#c9a24a")
    _table(c, edge)
    side = c.pick(-1, 1)
    x, far = c.w * (0.5 - side * 0.12), c.w * (0.5 + side * 0.28)
    c.glow(far, edge + 0.1, 0.24, 0.06, _SHADOW, 0.8)
    c.shape("6 20, 5 30, 15 45, 13 68, 8 72|", jug, (far, 0), depth=0.65)
    c.line("5 28, 20 30, 17 50, 12 52", _dark(jug, 0.25), 0.024, (far, 0), side=side)
    c.oval(far, 0.215, 0.046, 0.014, _dark(jug, 0.7))
    c.glow(far - 0.07, 0.48, 0.03, 0.12, "#fffbea", 0.8)
    c.glow(x, edge + 0.13, 0.36, 0.07, _SHADOW, 0.85)
    for dx, dy in ((-0.15, 0.0), (0.15, 0.0), (0.0, -0.01), (-0.08, -0.1), (0.08, -0.09), (0.0, -0.18)):
        c.ball(x + dx, edge - 0.09 + dy, 0.088, 0.084, c.pick(*fruits))
    c.shape("28 -6, 20 7, 8 12|", c.pick("#d9d4c8", "#8fa5b5", "#b5946a"), (x, edge), depth=0.45)
    c.line("-24 -3.5, 0 -2, 24 -3.5", c.pick("#3f5f96", "#a5482f", "#b9923a"), 0.012, (x, edge))
    for dx in (-0.38, 0.36, c.u(-0.1, 0.15)):
        c.glow(x + dx + 0.03, edge + 0.18, 0.1, 0.03, _SHADOW, 0.8)
        c.ball(x + dx, edge + 0.13, 0.06, 0.056, c.pick(*fruits))
    for t in np.linspace(0, 1, 16).tolist():
        c.ball(far + c.u(-0.09, 0.09), edge + 0.1 + t * 0.07, 0.024, 0.024, fruits[0])


@_motif("still-life", "flowers", 0.74, 0.9)
def _flowers(c: _Canvas) -> None:
    _table(c, 0.78)
    x, vase = c.w / 2, c.pick("#5d7f92", "#8a5a3a", "#d9d2c0", "#4a5a3a")
    c.glow(x + 0.05, 0.88, 0.3, 0.05, _SHADOW, 0.85)
    spots = [(x + c.u(-0.27, 0.27), c.u(0.14, 0.52)) for _ in range(14)]
    for px, py in spots:
        c.line([(x, 0.66), (x + (px - x) * 0.4, 0.5), (px, py)], "#3f5230", 0.008)
        _leaves(c, px + c.u(-0.06, 0.06), py + 0.07, 0.06, 0.04, "#56693a", 10)
    c.shape("7 60, 6 66, 14 75, 8 89|", vase, (x, 0), depth=0.6)
    c.glow(x - 0.07, 0.75, 0.025, 0.06, "#ffffff", 0.8)
    petals = c.some(("#d8433a", "#f0e6d8", "#e8a0a0", "#e8b83a", "#7a5a9a", "#e06a3a", "#4f6fb0"), 3)
    for px, py in sorted(spots, key=lambda spot: -abs(spot[0] - x)):
        r, petal, start = c.u(0.045, 0.075), c.pick(*petals), c.u(0, 1)
        for ring, tone in ((1.0, _dark(petal, 0.35)), (0.72, petal), (0.42, _light(petal, 0.45))):
            for dx, dy in _around(7, start + ring, start + ring + 2 * np.pi):
                c.oval(
                    px + 0.6 * r * ring * dx, py + 0.6 * r * ring * dy, r * 0.45 * ring, r * 0.42 * ring, tone
                )
        c.ball(px, py, r * 0.22, r * 0.2, c.pick("#e8c23a", "#4a2f1a"))


@_motif("interior", "room", 1.0, 1.3)
def _room(c: _Canvas) -> None:
    """Draw a room in one-point perspective: its surfaces run from the back wall towards us."""
    wall = c.pick("#b9a98a", "#a8a48f", "#c2a878", "#93a09a", "#b08f72", "#8f9f8a")
    floor = c.pick(("#e6dcc6", "#3a3330"), ("#c9a27a", "#7a4a32"), ("#d9d4c4", "#5a6a72"))
    sun, eye = c.pick("#fff3cc", "#f4f6f2", "#ffe0a0"), np.array([c.w * c.u(0.45, 0.55), 0.42])
    left, right, table = c.w * c.u(0.26, 0.32), c.w * c.u(0.74, 0.8), c.pick("#8a3a2a", "#3f5a6a", "#6b4a2a")
    back = np.array([(left, 0.2), (right, 0.2), (right, 0.66), (left, 0.66)])
    near = eye + (back - eye) * 4
    c.wash(0, 1, _light(wall, 0.15), wall)
    depths = [1 / (1 - t) for t in np.linspace(0, 0.72, 12).tolist()]
    for i, (far, close) in enumerate(pairwise(depths)):
        for j in range(8):
            edge = back[3] + (back[2] - back[3]) * np.array([[j / 8], [(j + 1) / 8]])
            tile = np.concatenate([eye + (edge - eye) * far, (eye + (edge - eye) * close)[::-1]])
            c.shape(tile, _dark(floor[(i + j) % 2], 0.3 - 0.02 * i), soft=False)
    for one, other, tone in ((0, 1, 0.5), (3, 0, 0.35), (1, 2, 0.08)):
        c.shape(np.array([back[one], back[other], near[other], near[one]]), _dark(wall, tone), soft=False)
    for t in np.linspace(0.02, 0.98, 7).tolist():
        c.line(np.array([p[0] + (p[1] - p[0]) * t for p in (back, near)]), _dark(_WOOD, 0.3), 0.02)
    pane, x, wide = "12 13, 75 24.5, 75 50, 12 54, 12 13", (left + right) / 2, right - left
    c.shape(_read(pane) * (left, 1), sun, soft=False)
    for bar in ("33 17, 33 52.5", "54 21, 54 51", "12 33, 75 37"):
        c.line(_read(bar) * (left, 1), _WOOD, 0.01)
    c.line(_read(pane) * (left, 1), _dark(_WOOD), 0.018, soft=False)
    c.glow(left * 0.6, 0.42, 0.5, 0.5, sun, 0.5)
    c.glow(c.w * 0.42, 0.85, 0.34, 0.12, sun, 0.5)
    if c.chance(0.5):
        c.box(x, 0.27, x + wide * 0.4, 0.43, _WOOD)
        c.box(x + 0.012, 0.285, x + wide * 0.4 - 0.012, 0.415, c.pick("#8aa0a0", "#c9b27a", "#8f5a4a"), 0.4)
    else:
        c.box(x + wide * 0.1 - 0.014, 0.306, x + wide * 0.36 + 0.014, 0.66, _WOOD)
        c.box(x + wide * 0.1, 0.32, x + wide * 0.36, 0.66, "#d9c48a", 0.4)
    _figure(c, x - wide * c.u(0.2, 0.3), 0.83, 0.5, c.pick(*_CLOTH), ((-0.1, 0.2), (-0.04, 0.22)))
    c.box(x - 0.01, 0.7, x + 0.37, 0.92, table, 0.6)
    c.shape("-3 66, 32 66, 38 72, -2 72", _light(table, 0.3), (x, 0), soft=False)
    c.ball(x + 0.1, 0.66, 0.035, 0.045, "#d9d2c0")
    c.ball(x + 0.22, 0.68, 0.03, 0.028, c.pick(*_FRUIT))


def _gold(c: _Canvas) -> None:
    gold = c.pick("#d2a445", "#c9963a", "#d9b560")
    c.wash(0, 1, _light(gold, 0.2), gold, _mix(gold, "#8a4a1c", 0.35))
    c.glow(c.w / 2, 0.4, 0.5, 0.5, "#fff0b8", 0.6)
    c.dabs(900, 0.012, slope=1.5)


def _arched(c: _Canvas) -> None:
    """Close the corners above a round or, where narrow, pointed arch with dark wood and a gilt edge."""
    t, r = np.linspace(0, 1, 24), c.w / 2 - 0.02
    round_arch, pointed = (np.sin(t * np.pi / 2), 1 - np.cos(t * np.pi / 2)), (t, t**1.8 * 0.7 + t * 0.3)
    across, rise = c.pick(round_arch, pointed) if c.w < 1 else round_arch
    half = np.stack([across * r, 0.02 + rise * r], axis=1)
    edge = np.concatenate([half, [(r, 1.0)]])
    for side in (-1, 1):
        c.shape(
            [*edge.tolist(), (r + 0.1, 1), (r + 0.1, -0.1), (0, -0.1)],
            "#3a2416",
            (c.w / 2, 0),
            side=side,
            soft=False,
        )
        for colour, width in (("#7a4f1c", 0.026), ("#e6bd62", 0.012)):
            c.line(edge, colour, width, (c.w / 2, 0), side=side, soft=False)


@_motif("religious", "madonna", 0.64, 0.8)
def _madonna(c: _Canvas) -> None:
    _gold(c)
    x, side, skin = c.w / 2, c.pick(-1, 1), c.pick(*_SKIN)
    mantle, throne = (
        c.pick("#24427e", "#2f5a8a", "#1f3358", "#2a4a5a"),
        c.pick("#8a6a4a", "#b9a890", "#7a4a3a"),
    )
    c.shape("0 20, 18 30, 24 40, 24 100|", throne, (x, 0), depth=0.5, soft=False)
    for wing, robe in zip((-1, 1), c.some(("#d9c7a0", "#b5483a", "#6b8a6a", "#c9846a"), 2), strict=True):
        px = x + wing * (c.w / 2 - 0.09)
        _wing(c, px, 0.56, 0.15, -wing, "#c2604a")
        _halo(c, px, 0.45, 0.058)
        _figure(c, px, 0.98, 0.6, robe, ((0.0, 0.12), (0.0, 0.13)))
    _halo(c, x, 0.3, 0.125)
    c.shape("0 16, 12 34, 18 52, 24 80, 29 105|", mantle, (x, 0), depth=0.5)
    c.shape("7 43, 12 62, 0 90|", "#b5382c", (x, 0), depth=0.4)
    for fold in (
        "-10 66, -16 82, -25 100",
        "-5 70, -9 84, -13 100",
        "6 70, 9 84, 14 100",
        "11 66, 17 82, 25 100",
    ):
        c.line(fold, _dark(mantle, 0.6), 0.01, (x, 0))
    c.shape("0 18, 8 30, 7 42|", "#e2d9c6", (x, 0), depth=0.3)
    c.line("0 38, 1 46", _mix(skin, "#8a4a30", 0.4), 0.07, (x, 0))
    _head(c, x, 0.315, 0.068, "#6b4422", skin)
    at = (x + side * 0.1, 0.54)
    _halo(c, *at, 0.066)
    c.shape("-6 4, 6 4, 9 24, -10 30, -10 26", "#e8c890", at, side=side, depth=0.4)
    _head(c, *at, 0.046, "#a8702f", skin)
    c.line("-14 62, 0 79, 10 76", _dark(mantle, 0.25), 0.06, (x, 0), side=side)
    c.oval(at[0], 0.76, 0.028, 0.022, skin)
    c.line("18 52, 12 34, 0 14.5|", "#e6bd62", 0.007, (x, 0))
    _arched(c)


@_motif("religious", "saints", 0.95, 1.2)
def _saints(c: _Canvas) -> None:
    _gold(c)
    c.wash(0.86, 1, "#8a5a4a", "#4a2f2a")
    n = c.pick(3, 3, 4)
    for i, robe in enumerate(c.some(_CLOTH, n)):
        x, h, hand = c.w * (0.07 + 0.86 * (i + 0.5) / n), c.u(0.66, 0.72), c.pick((0.12, 0.12), (0.1, 0.2))
        _halo(c, x, 0.95 - h * 0.885, 0.085)
        held = (x + hand[0] * h, 0.95 - h * 0.8 + hand[1] * h)
        thing = c.pick("staff", "book", "palm")
        if thing == "staff":
            c.line("0 60, 0 -26", "#5a3a1c", 0.012, held)
            c.line("-4 -20, 4 -20", "#5a3a1c", 0.012, held)
        elif thing == "palm":
            for frond in ("0 4, 1 -10, 7 -17", "0 4, -2 -10, 1 -22", "0 4, 3 -6, 10 -10"):
                c.line(frond, c.pick("#56703a", "#6f8a45"), 0.014, held)
        _figure(c, x, 0.95, h, robe, ((-0.02, 0.26), hand))
        if thing == "book":
            c.shape("-5 -5, 3 -7, 4 3, -4 5", "#8f2f28", held, depth=0.5, soft=False)
    _arched(c)


@_motif("mythological", "centaur", 1.05, 1.35)
def _centaur(c: _Canvas) -> None:
    mood, green, side = _sky(c, 0.6, _DAWN, _DUSK, _NOON, _NIGHT), c.pick(*_LEAF), c.pick(-1, 1)
    _hills(c, 0.58, 0.08, mood.land("#6f86a0", 0.35))
    _hills(c, 0.72, 0.03, mood.land(green))
    c.dabs(600, 0.016, top=0.6, slope=0.0)
    for x in (0.06, 0.95):
        _tree(c, x * c.w, c.u(0.8, 0.9), c.u(0.5, 0.7), mood.land(c.pick(*_LEAF)))
    hide, skin, x = (
        c.pick("#8a5a34", "#d9cdb8", "#4a3628", "#a8763f"),
        c.pick(*_SKIN),
        c.w * (0.5 - side * 0.1),
    )
    c.glow(x, 0.91, 0.36, 0.035, "#1a1a10", 0.7)
    _horse(c, x, 0.91, 0.52, hide, side, head=False)
    at = (x + side * 0.15, 0.6)
    c.shape("6 6, 8.5 -20|", skin, at, depth=0.4)
    c.line("-5 -17, -15 -12, -2 -20", _mix(skin, "#8a4a30", 0.25), 0.034, at, side=side)
    c.line("6 -17, 22 -20", skin, 0.034, at, side=side)
    c.line("19 -37, 24 -30, 26 -20, 24 -10, 19 -3", "#5a3418", 0.014, at, side=side)
    c.line("19 -37, -2 -20, 19 -3", "#e8dcc0", 0.004, at, side=side, soft=False)
    c.line("-2 -20, 31 -20", "#e8dcc0", 0.007, at, side=side)
    c.line("0 -20, 0 -26", _mix(skin, "#8a4a30", 0.3), 0.05, at)
    _head(c, at[0], at[1] - 0.28, 0.058, skin=skin)
    _leaves(c, at[0], at[1] - 0.345, 0.07, 0.02, "#5f7a3a", 20)


@_motif("mythological", "icarus", 0.8, 1.2)
def _icarus(c: _Canvas) -> None:
    mood = _sky(c, 0.74, _DAWN, _NOON, _DUSK, clouds=6)
    c.wash(0.74, 1, mood.land("#6fa8a8", 0.35), mood.land("#2f6f7a"), mood.land("#1f4a5a"))
    _water(c, 0.74, 1, mood.land("#2f6f7a"), _light(mood.low, 0.3))
    _ship(c, c.w * c.u(0.15, 0.3), 0.82, 0.12, "#b5382c")
    _hills(c, 1.0, 0.04, mood.land("#5a5030"))
    x, skin, sash, side = (
        c.w * c.u(0.45, 0.58),
        c.pick(*_SKIN),
        c.pick("#b5382c", "#3f5f96", "#d9b24a"),
        c.pick(-1, 1),
    )
    feathers, span = c.pick("#f0e8d8", "#d9b98a", "#e8cfc0"), c.u(0.34, 0.4)
    for wing in (-1, 1):
        _wing(c, x + wing * 0.03, 0.36, span, wing, feathers)
        c.line("5 35, 13 33, 20 24", skin, 0.03, (x, 0), side=wing)
    for leg in ("-2 52, -6 62, -11 72", "3 52, 8 62, 3 72"):
        c.line(leg, _mix(skin, "#8a4a30", 0.15), 0.042, (x, 0), side=side)
    c.shape("7.5 32, 5 47|", skin, (x, 0), depth=0.35)
    c.shape("-6 44, 7 44, 11 56, 2 58, -8 55", sash, (x, 0), side=side, depth=0.45)
    c.line("6 46, 16 50, 24 45", sash, 0.026, (x, 0), side=side)
    c.line("0 33, 0 28", _mix(skin, "#8a4a30", 0.3), 0.045, (x, 0))
    _head(c, x, 0.24, 0.056, skin=skin)


@_motif("genre", "tavern", 1.15, 1.45)
def _tavern(c: _Canvas) -> None:
    wall, cloth = c.pick("#5a4632", "#4a4238", "#6b5238", "#4f3a30"), c.pick("#e2d8c2", "#8a3a2a", "#6b4a2c")
    lamp, n = c.w * c.u(0.3, 0.7), c.pick(3, 4, 5)
    c.wash(0, 1, _dark(wall, 0.5), wall, _dark(wall, 0.4))
    c.glow(lamp, 0.52, 0.75, 0.55, "#f2b95a", 0.75)
    c.dabs(800, 0.025)
    for beam in ([(0.08, 0), (0.08, 1)], [(0.92, 0), (0.92, 1)], [(0, 0.07), (1, 0.07)]):
        c.line(np.array(beam) * (c.w, 1), _dark(_WOOD, 0.5), 0.05)
    for i, coat in enumerate(c.some(_CLOTH, n)):
        x, y, h = c.w * (0.14 + 0.72 * (i + 0.5) / n), c.u(1.0, 1.05), c.u(0.78, 0.86)
        _figure(c, x, y, h, coat, ((-0.12, 0.24), (c.u(0.05, 0.16), c.u(0.0, 0.24))))
        if c.chance(0.67):
            hat = c.pick("#2a211c", "#8f2f28", "#d9c9a8", "#6b5a3a")
            c.oval(x, y - h * 0.94, h * 0.105, h * 0.022, _dark(hat, 0.3))
            c.shape("7 -94, 6 -102|", hat, (x, y), h, depth=0.45)
    c.wash(0.81, 1, cloth, _dark(cloth, 0.6))
    c.shape(
        np.array([(0.05, 0.74), (0.95, 0.74), (1, 0.82), (0, 0.82)]) * (c.w, 1),
        _light(cloth, 0.2),
        soft=False,
    )
    c.glow(lamp, 0.77, 0.4, 0.05, "#ffe9b0", 0.8)
    for t in np.linspace(0.14, 0.86, c.pick(5, 6, 7)).tolist():
        x, y, thing = c.w * t, c.u(0.76, 0.79), c.pick("mug", "loaf", "dish")
        if thing == "mug":
            c.box(x - 0.03, y - 0.09, x + 0.03, y + 0.01, "#a5a094", 0.5)
            c.oval(x, y - 0.09, 0.03, 0.009, "#f4ecd8")
        elif thing == "loaf":
            c.ball(x, y - 0.02, 0.06, 0.034, "#b5782f")
        else:
            c.oval(x, y, 0.07, 0.018, "#d9d2c0")
            c.ball(x, y - 0.018, 0.03, 0.024, c.pick(*_FRUIT))
    c.line([(lamp, 0.77), (lamp, 0.67)], "#efe6d0", 0.02)
    c.oval(lamp, 0.645, 0.011, 0.026, "#fff4c0")


@_motif("genre", "skaters", 1.3, 1.65)
def _skaters(c: _Canvas) -> None:
    mood = _sky(c, 0.4, _DAWN, _STORM, _DUSK, clouds=5)
    ice = mood.land("#dfe3dc", 0.25)
    _hills(c, 0.4, 0.03, mood.land("#b9c0c4", 0.4))
    c.wash(0.43, 1, _mix(ice, mood.low, 0.4), ice, _mix(ice, "#9fb2b8", 0.5))
    c.dabs(500, 0.03, top=0.43, slope=0.0)
    for x in (0.1, 0.24, c.u(0.7, 0.9)):
        at, s, wall = (c.w * x, 0.47), c.u(0.09, 0.16), mood.land(c.pick("#b5805a", "#c9b48a", "#a8584a"))
        c.shape("70 0, 70 -70|", wall, at, s, depth=0.4, soft=False)
        c.shape("85 -66, 50 -130|", mood.land("#f4f2ea"), at, s, depth=0.15, soft=False)
        for dx in (-0.4, 0, 0.4):
            c.oval(at[0] + dx * s, 0.47 - s * 0.38, s * 0.07, s * 0.12, c.pick("#f2c25a", "#3a2a20"))
    for x in (0.03, c.u(0.85, 0.97)):
        _bare(c, c.w * x, 0.72, -np.pi / 2, 0.2, 0.022)
    for t in sorted(c.rng.random(18).tolist()):
        x, y, h = c.u(0.03, 0.97) * c.w, 0.48 + 0.48 * t, 0.06 + 0.22 * t
        c.glow(x + h * 0.1, y, h * 0.3, h * 0.05, "#5a6a72", 0.8)
        for leg in ("-4 -30, -12 0", "4 -30, 16 -3"):
            c.line(leg, "#2a221e", h * 0.06, (x, y), h)
        _figure(
            c, x, y - h * 0.12, h * 0.88, c.pick(*_CLOTH), ((-0.2, c.u(0.05, 0.25)), (0.2, c.u(0.05, 0.25)))
        )
        c.oval(x, y - h * 0.97, h * 0.085, h * 0.045, c.pick("#2a211c", "#8f2f28", "#3d4f6a"))


@_motif("historical", "battle", 1.3, 1.6)
def _battle(c: _Canvas) -> None:
    mood, field = _sky(c, 0.5, _STORM, _DUSK, _DAWN, clouds=5), c.pick("#7a7040", "#8a6f40", "#6b7038")
    coats, ground = c.some(_CLOTH, 2), mood.land(field)
    _hills(c, 0.5, 0.05, mood.land("#7a8070", 0.45))
    c.wash(0.55, 1, _mix(ground, mood.low, 0.2), ground, _dark(ground))
    c.dabs(700, 0.018, top=0.55, slope=0.0)
    for _ in range(14):
        smoke = c.pick("#e8e2d2", "#b5ada0", "#f2c98a")
        c.glow(c.w * c.u(0.1, 0.9), c.u(0.42, 0.56), c.u(0.06, 0.16), c.u(0.04, 0.09), smoke, 0.8)
    for t in np.linspace(0, 1, 5).tolist():
        for camp in (0, 1) * 9:
            at, h = (c.w * (c.u(0, 0.4) + 0.6 * camp), 0.57 + 0.2 * t), 0.09 + 0.07 * t
            lance = [(0, -0.3), (c.u(0.05, 0.35), -c.u(1.9, 2.5))]
            c.line(lance, "#3a2818", 0.005, at, h, side=1 - 2 * camp)
            _soldier(c, *at, h, _mix(mood.land(coats[camp]), mood.low, 0.25 * (1 - t)))
    for camp in (0, 1, 0, 1):
        at, s = (c.w * (c.u(0.08, 0.32) + 0.55 * camp), c.u(0.56, 0.66)), c.u(0.9, 1.3)
        c.line("0 0, 0 -36", "#2a1c12", 0.009, at)
        c.shape(
            "0 -36, 6 -37, 10 -34, 16 -35, 12 -30, 16 -25, 9 -24, 6 -27, 0 -26",
            coats[camp],
            at,
            s,
            depth=0.3,
            soft=False,
        )
    for camp, side in enumerate((1, -1)):
        x, y, s = c.w * (c.u(0.26, 0.34) + 0.4 * camp), c.u(0.93, 0.97), c.u(0.3, 0.36)
        c.glow(x, y, s * 0.7, 0.03, "#1a140c", 0.8)
        _horse(c, x, y, s, c.pick("#efe6d6", "#5a3a22", "#2f2622", "#a8763f"), side)
        c.line("-30 -75, 125 -145", "#3a2414", 0.012, (x, y), s, side=side)
        _figure(c, x, y - s * 0.3, s, coats[camp], ((side * 0.2, 0.2), (side * 0.22, 0.14)))
        c.oval(x, y - s * 1.24, s * 0.085, s * 0.06, _IRON)
        _leaves(c, x - side * s * 0.08, y - s * 1.32, s * 0.08, s * 0.05, coats[camp], 10)


@_motif("historical", "fleet", 1.3, 1.65)
def _fleet(c: _Canvas) -> None:
    mood = _sky(c, 0.55, _STORM, _DAWN, _DUSK, _NOON, clouds=6)
    sea, flags = (
        mood.land(c.pick("#3f6a72", "#4a6a5a", "#3a5a7a")),
        c.some(("#b5382c", "#2f4f86", "#d9b24a"), 2),
    )
    c.wash(0.55, 1, _mix(sea, mood.low, 0.45), sea, _dark(sea))
    _water(c, 0.56, 1, _dark(sea, 0.3), _light(_mix(sea, mood.low, 0.3), 0.2), 300)
    for t, x in zip((0.0, 0.1, 0.22, 0.5, 1.0), c.some((0.1, 0.3, 0.5, 0.7, 0.88), 5), strict=True):
        y, s, px = 0.6 + 0.24 * t, 0.16 + 0.38 * t, c.w * (0.5 + (x - 0.5) * (1 - 0.4 * t))
        for _ in range(3):
            smoke, r = c.pick("#efe8d8", "#c9c0b0", "#f2c27a"), s * c.u(0.2, 0.45)
            c.glow(px + c.u(-0.5, 0.5) * s, y - c.u(0, 0.3) * s, r, r * 0.65, smoke, 0.85)
        _ship(c, px, y, s, c.pick(*flags))
        for _ in range(7):
            c.oval(px + c.u(-0.6, 0.6) * s, y + c.u(0.07, 0.12) * s, 0.1 * s, 0.012 * s, _light(sea, 0.4))


@_motif("other", "city", 1.25, 1.6)
def _city(c: _Canvas) -> None:
    quay, x = 0.66, c.w * c.u(0.15, 0.85)
    mood = _sky(c, quay)
    stone, copper, deep = mood.land("#c28a5a", 0.1), mood.land("#6f8a7a"), round(quay * c.unit)
    for distance in (0.45, 0.0):
        left = -0.05
        while left < c.w:
            wide = c.u(0.09, 0.2)
            _palace(c, left, quay, wide, c.u(0.12, 0.26) + distance * 0.22, mood, distance)
            left += wide * c.u(0.95, 1.1)
    c.box(x - 0.035, 0.2, x + 0.035, quay, stone, 0.4)
    c.shape("4.2 20, 0 7|", copper, (x, 0), depth=0.4, soft=False)
    c.oval(x, 0.25, 0.014, 0.022, _dark(stone, 0.7))
    mirrored = ImageOps.flip(c.image.crop((0, 0, c.image.width, deep))).resize((c.image.width, c.unit - deep))
    tint = Image.new("RGB", mirrored.size, mood.land("#3f5f6a"))
    c.image.paste(Image.blend(mirrored.filter(ImageFilter.BoxBlur(2)), tint, 0.4), (0, deep))
    _water(c, quay + 0.01, 1, mood.land("#2f4a56"), _light(mood.low, 0.2), 150)
    c.line([(0, quay), (c.w, quay)], _dark(stone, 0.5), 0.012)
    for t in (c.u(0.2, 0.4), c.u(0.6, 1)):
        at, s, side = (c.w * c.u(0.12, 0.88), quay + 0.08 + 0.2 * t), 0.1 + 0.12 * t, c.pick(-1, 1)
        c.shape("-100 -20, -70 0, 70 0, 100 -25, 70 15, -70 15", "#2a1e18", at, s)
        _soldier(c, at[0] + side * s * 0.4, at[1], s * 0.8, c.pick(*_CLOTH))
        c.line("45 -50, 90 30", "#2a1c12", 0.006, at, s, side=side)


def _palace(c: _Canvas, x: float, y: float, wide: float, tall: float, mood: _Mood, distance: float) -> None:
    wall = mood.land(c.pick("#d9b58a", "#c98f6a", "#e6d2a8", "#b5786a", "#cfc4b0"), distance)
    roof, top = mood.land(c.pick("#a85a3a", "#6f8a86", "#8f6a5a"), distance), (x + wide / 2, y - tall)
    if c.chance(0.33):
        c.ball(*top, wide * 0.42, wide * 0.46, roof)
        c.line("0 -40, 0 -75", roof, 0.01, top, wide)
    else:
        c.shape("56 2, 0 -45|", roof, top, wide, depth=0.3, soft=False)
    c.box(x, y - tall, x + wide, y, wall, 0.3)
    for row in np.arange(y - tall + 0.04, y - 0.03, 0.06).tolist():
        for px in np.linspace(x, x + wide, max(3, int(wide / 0.035)))[1:-1].tolist():
            lamp = mood is _NIGHT and c.chance(0.5)
            c.oval(px, row, 0.008, 0.017, _mix("#f2c25a" if lamp else _dark(wall, 0.65), mood.low, distance))


@_motif("other", "ceiling", 0.95, 1.05)
def _ceiling(c: _Canvas) -> None:
    ground, gold = c.pick("#26406b", "#6b2a2a", "#2f5248", "#d9cdb0"), "#d9ae58"
    tones, n, x = c.some(_CLOTH, 3), c.pick(8, 10, 12, 16), c.w / 2
    c.wash(0, 1, _light(ground, 0.12), ground, _dark(ground, 0.3))
    c.dabs(700, 0.02)
    for r, size, tone in (
        (0.66, 0.1, tones[0]),
        (0.43, 0.085, tones[1]),
        (0.27, 0.06, tones[2]),
        (0.15, 0.035, gold),
    ):
        for colour, width in ((_dark(gold, 0.4), 0.016), (gold, 0.009)):
            c.ring(x, 0.5, r * 0.86, colour, width)
        for i, (dx, dy) in enumerate(_around(n, np.pi / n, np.pi / n + 2 * np.pi)):
            ends = ((0.86, 0), (1, 0.9), (1.3, 0.5), (1.42, 0), (1.3, -0.5), (1, -0.9), (0.86, 0))
            petal = [(r * a * dx - size * b * dy, r * a * dy + size * b * dx) for a, b in ends]
            c.shape(petal, tone, (x, 0.5), depth=0.35)
            c.line(petal, gold, 0.007, (x, 0.5))
            c.ball(
                x + r * 1.15 * dx,
                0.5 + r * 1.15 * dy,
                size * 0.28,
                size * 0.28,
                tones[i % 2] if size < 0.1 else gold,
            )
    c.ball(x, 0.5, 0.1, 0.1, gold)


@_motif("study", "head", 0.74, 0.86)
def _head_study(c: _Canvas) -> None:
    _drawn_after(c, c.pick(_man, _lady))


@_motif("study", "trees", 1.2, 1.45)
def _tree_study(c: _Canvas) -> None:
    _drawn_after(c, c.pick(_river, _mill))


@_motif("study", "figure", 0.85, 1.25)
def _figure_study(c: _Canvas) -> None:
    _drawn_after(c, c.pick(_centaur, _icarus))


def _drawn_after(c: _Canvas, model: _Draw) -> None:
    """Turn another motif into a drawing on paper: outlines, two layers of hatching, chalk in the lights."""
    paper, chalk = c.pick("#e6d8b8", "#d9c4a0", "#b9c0bc", "#e8dfcc"), c.pick("#6b3a22", "#9a4630", "#3a322c")
    c.brush = False
    model(c)
    plain = ImageOps.autocontrast(c.image.convert("L"), cutoff=1)
    fine, broad = (
        np.asarray(plain.filter(ImageFilter.GaussianBlur(r)), dtype=np.float32) / 255 for r in (1.3, 4.7)
    )
    y, x = np.mgrid[0 : plain.height, 0 : plain.width].astype(np.float32) / c.unit
    slant = x + y + 0.01 * np.sin(9 * y)
    off = np.hypot(x / c.w - 0.5, y - 0.5) * 2 + 0.06 * np.sin(slant * 31)
    hatching = ((fine < 0.5) & (slant % 0.02 < 0.007)) | ((fine < 0.28) & ((x - y) % 0.022 < 0.007))
    drawn = (fine - broad < -0.022) | (hatching & (off < 0.85))
    lit = (fine > 0.8) & (slant % 0.018 < 0.009) & (off < 0.75)
    c.wash(0, 1, _light(paper, 0.2), paper, _dark(paper, 0.08))
    c.image.paste("#fbf6e8", mask=Image.fromarray((lit * 150).astype(np.uint8)))
    c.image.paste(chalk, mask=Image.fromarray((drawn & (off < 1.05)).astype(np.uint8) * 215))
    c.ring(c.w - 0.07, 0.93, 0.022, "#a5382c", 0.005)


KINDS: tuple[str, ...] = tuple(_MOTIFS)
"""The ten values of TYPE in SemArt."""


def motifs(kind: str) -> tuple[str, ...]:
    """Return the names of what can be painted of a kind."""
    return tuple(_MOTIFS[kind])


def paint(kind: str, rng: np.random.Generator, *, motif: str | None = None, size: int = 256) -> Image.Image:
    """Paint a small picture.

    Args:
        kind: One of `KINDS`.
        rng: Decides everything that is left open; the same state gives the same picture.
        motif: One of `motifs(kind)`; any of them unless given.
        size: Pixels on the long side.
    """
    narrow, wide, draw = _MOTIFS[kind][motif or motifs(kind)[int(rng.integers(len(_MOTIFS[kind])))]]
    ratio = float(rng.uniform(narrow, wide))
    canvas = _Canvas(round(size * min(1, ratio)), round(size * min(1, 1 / ratio)), rng)
    draw(canvas)
    if canvas.chance(0.5):
        canvas.image = ImageOps.mirror(canvas.image)
    return canvas.finished()

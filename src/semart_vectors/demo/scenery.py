"""What several motifs share: colours, skies, trees, people, ships.

Each function paints on a canvas, `c`; where a painting is left open, the canvas's random numbers decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semart_vectors.demo.canvas import Canvas, dark, light, mix

if TYPE_CHECKING:
    from semart_vectors.demo.canvas import Colour, Spot

SKIN = ("#eec5a0", "#e3b088", "#d29c74", "#a8714e", "#f2d2b4")
HAIR = ("#2e2019", "#5b3a20", "#8a5a2b", "#b98b45", "#6f6259", "#7a2f1a")
CLOTH = ("#a52f28", "#2f4f86", "#c08a2d", "#4d6b3c", "#7d3b52", "#d8cdb6", "#3d3a4a", "#b5643a", "#5d7f92")
LEAF = ("#4b6330", "#5f6f2f", "#3c5a3c", "#7a6f2c", "#8a5f28")
FRUIT = ("#c23b22", "#d9822b", "#e3b93c", "#8ca23a", "#6d2a44", "#d76a55", "#4f2f5f")
WOOD = "#4a3220"


class Mood(NamedTuple):
    """A time of day: its colours from the zenith down, its sun or moon, and how dark the land is."""

    top: str
    middle: str
    low: str
    sun: str
    dim: float

    def land(self, colour: Colour, distance: float = 0) -> Colour:
        """Return a colour as it looks in this light at a distance from 0 to 1."""
        return mix(mix(colour, self.top, self.dim), self.low, distance)


DAWN = Mood("#6f8fb4", "#dcbfb0", "#f7dfb4", "#fff3cc", 0.12)
NOON = Mood("#4f86c0", "#a5c8de", "#ecebd6", "#fffbe8", 0.0)
DUSK = Mood("#46497a", "#c4735c", "#f4b660", "#ffe09a", 0.3)
NIGHT = Mood("#121a36", "#22365f", "#58708f", "#f6efd2", 0.62)
STORM = Mood("#48525e", "#8d9391", "#d9d0ae", "#efe6c6", 0.2)


def sky(c: Canvas, horizon: float, *moods: Mood) -> Mood:
    """Paint a sky down to the horizon, with a sun or moon and clouds, and return its mood."""
    mood = c.pick(*(moods or (DAWN, NOON, NOON, DUSK, NIGHT, STORM)))
    c.wash(0, horizon + 0.1, mood.top, mood.middle, mood.low)
    sun = (c.between(0.15, 0.85) * c.width, horizon * (0.78 if mood is DUSK else c.between(0.2, 0.45)))
    c.glow(sun, 0.45, 0.45, mood.sun, 0.8)
    c.oval(sun, 0.042, 0.042, mood.sun)
    for _ in range(5):
        x, y, r = c.between(0, c.width), c.between(0.05, 0.75) * horizon, c.between(0.07, 0.13)
        for _ in range(7):
            puff_x, puff_y = x + c.between(-2.2, 2.2) * r, y + c.between(-0.35, 0.35) * r
            c.glow((puff_x, puff_y + r * 0.3), r, r * 0.5, mix(mood.middle, mood.top, 0.45), 0.5)
            c.glow((puff_x, puff_y), r, r * 0.5, mix(mood.low, mood.sun, 0.5), 0.75)
    c.dabs(500, 0.022, bottom=horizon, slope=0.1)
    return mood


def hills(c: Canvas, y: float, height: float, colour: Colour) -> None:
    """Paint a ridge of hills."""
    x = np.linspace(-0.05, c.width + 0.05, 24)
    low, fast, late = c.rng.uniform((0.2, 2, 0), (0.5, 9, 6), (3, 3)).T[..., None]
    ridge = y - height * (low * np.sin(x * fast + late)).sum(axis=0)
    c.shape([(-0.1, 1.4), *np.stack([x, ridge], axis=1), (c.width + 0.1, 1.4)], colour)


def leaves(c: Canvas, at: Spot, rx: float, ry: float, colour: Colour, *, n: int = 60) -> None:
    """Paint a crown of leaves."""
    for t in np.linspace(0, 1, n).tolist():
        turn, far, r = c.between(0, 6.3), c.between(0, 1) ** 0.5 * (1 - 0.25 * t), rx * c.between(0.13, 0.26)
        spot = at[0] + rx * (far * np.cos(turn) - 0.18 * t), at[1] + ry * (far * np.sin(turn) - 0.2 * t)
        c.oval(spot, r, r * 0.7, mix(dark(colour, 0.55), light(colour, 0.3), t * c.between(0.7, 1)))


def tree(c: Canvas, foot: Spot, h: float, colour: Colour) -> None:
    """Paint a tree of height `h`."""
    x, y = foot
    c.line("0 0, 4 -30, 0 -70", dark(WOOD, 0.3), h * 0.055, foot, h)
    c.line("18 -60, 2 -35|", dark(WOOD, 0.3), h * 0.025, foot, h)
    for dx, dy, r in ((-0.14, -0.58, 0.2), (0.14, -0.58, 0.2), (0, -0.76, 0.25)):
        leaves(c, (x + dx * h, y + dy * h), r * h, 0.85 * r * h, colour)


def water(c: Canvas, top: float, deep: Colour, bright: Colour) -> None:
    """Paint ripples, longer towards the viewer."""
    for t in sorted(c.rng.random(200).tolist()):
        spot = (c.between(0, c.width), top + (1 - top) * t)
        c.oval(spot, 0.01 + 0.05 * t, 0.001 + 0.004 * t, mix(deep, bright, c.between(0, 1)))


def head(c: Canvas, at: Spot, r: float, skin: Colour, hair: Colour) -> None:
    """Paint a small head and its neck."""
    x, y = at
    blush = mix(skin, "#8a4a30", 0.3)
    c.line([(x, y + r * 0.8), (x, y + r * 1.6)], blush, r * 0.75)
    c.oval((x, y - r * 0.2), r * 1.02, r * 1.15, hair)
    c.oval((x + r * 0.12, y + r * 0.1), r * 0.78, r, blush)
    c.oval((x + r * 0.05, y + r * 0.05), r * 0.7, r * 0.95, skin)
    for eye in (x - 0.25 * r, x + 0.35 * r):
        c.oval((eye, y), r * 0.1, r * 0.09, "#3a2418")
    c.oval((x + r * 0.06, y + r * 0.5), r * 0.18, r * 0.07, "#b0503f")


def figure(c: Canvas, foot: Spot, h: float, hands: tuple[Spot, Spot], robe: Colour) -> None:
    """Paint a person in a robe; the places of the hands are relative to the middle of the shoulders."""
    (x, y), skin = (foot[0], foot[1] - h * 0.8), c.pick(*SKIN)
    c.shape("3 0, 11 5, 10 30, 17 77, 18 82|", robe, (x, y), h, depth=0.5)
    for start, end in c.rng.uniform((-0.07, -0.14), (0.07, 0.14), (4, 2)).tolist():
        c.line([(start, 0.3), (start, 0.5), (end, 0.77)], dark(robe), h * 0.012, (x, y), h)
    for (dx, dy), side in zip(hands, (-1, 1), strict=True):
        arm = [(side * 0.08, 0.06), (side * 0.13 + dx * 0.3, 0.12 + dy * 0.4), (dx, dy)]
        c.line(arm, dark(robe, 0.22 + side * 0.08), h * 0.06, (x, y), h)
        c.oval((x + dx * h, y + dy * h), h * 0.026, h * 0.026, skin)
    head(c, (x, y - h * 0.09), h * 0.078, skin, c.pick(*HAIR))


def backdrop(c: Canvas, bottom: float) -> None:
    """Paint a dark, plain background down to `bottom`."""
    ground = c.pick("#3a2c22", "#2f3530", "#4a3a30", "#33303c", "#5a4636", "#43505a")
    c.wash(0, bottom, dark(ground, 0.4), ground, dark(ground, 0.2))
    c.glow((c.width * 0.35, 0.4), 0.55, 0.5, light(ground), 0.65)
    c.dabs(650, 0.028, bottom=bottom, slope=0.4)


def face(c: Canvas, x: float, skin: Colour, hair: Colour) -> None:
    """Paint a large face, turned a little to the side."""
    shadow = mix(skin, "#5a2f22", 0.5)
    c.shape("6.6 42, 6 66, 0 74|", mix(skin, shadow, 0.4), (x, 0), depth=0.3)
    c.shape("12 36, 10 22, -10 22, -12 36, -9 50, 1 57, 9 50", skin, (x, 0), depth=0.3)
    c.glow((x - 0.04, 0.3), 0.06, 0.05, light(skin, 0.7), 0.6)
    turned = x + c.between(0.012, 0.024)
    for eye in (turned - 0.046, turned + 0.05):
        c.glow((eye, 0.45), 0.038, 0.034, mix(skin, "#c2553f", 0.35), 0.8)
        c.oval((eye, 0.386), 0.022, 0.011, "#efe2cc")
        c.oval((eye + 0.005, 0.386), 0.0105, 0.0115, "#3a2a1c")
        c.line("-2.4 -.2, 0 -1.5, 2.4 -.2", "#3a2218", 0.006, (eye, 0.386))
        c.line("-3 -2.8, 0 -4, 3 -3", dark(hair, 0.4), 0.007, (eye, 0.386))
    c.line("1 37, 1.6 44, -.4 45.5", shadow, 0.009, (turned, 0))
    c.oval((turned, 0.497), 0.028, 0.007, "#a3443a")
    c.oval((turned, 0.505), 0.02, 0.007, "#bd6253")
    c.glow((turned, 0.55), 0.06, 0.02, shadow, 0.6)


def halo(c: Canvas, at: Spot, r: float) -> None:
    """Paint a golden halo."""
    for size, tone in ((1, "#8a5a1c"), (0.95, "#f4d678"), (0.84, "#b98a34"), (0.8, "#f4d678")):
        c.oval(at, r * size, r * size, tone)


def ship(c: Canvas, at: Spot, size: float, flag: Colour) -> None:
    """Paint a ship with three masts in full sail."""
    canvas = c.pick("#e9dcbc", "#d9c49a", "#f0e8d2")
    for dx, h in ((-0.3, 0.8), (0.02, 1.0), (0.32, 0.7)):
        mast = (at[0] + dx * size, at[1])
        c.line("0 0, 0 -100", "#3a281a", 0.016 * size, mast, size * h)
        for sail in ("-14 -52, 15 -53, 21 -18, -12 -18, -8 -36", "-11 -86, 11 -87, 16 -57, -9 -57, -6 -71"):
            c.shape(sail, canvas, mast, size * h, depth=0.4, soft=False)
        c.shape("0 -100, 18 -97, 0 -92", flag, mast, size * h, soft=False)
    c.shape("-56 -20, -40 -6, 40 -6, 56 -24, 44 10, -42 10", "#6b4526", at, size, depth=0.6)
    c.line("-46 -4, 48 -5", "#c99b4a", 0.018 * size, at, size)

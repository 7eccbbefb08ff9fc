"""The motifs: small paintings of a few strokes, one function for each, and `paint` to choose and finish one.

A motif paints on its canvas, `c`. `paint` mirrors half of the pictures, so a motif need not choose a side.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from semart_vectors.demo.canvas import Canvas, around, dark, light, mix
from semart_vectors.demo.scenery import (
    CLOTH,
    DAWN,
    DUSK,
    FRUIT,
    HAIR,
    LEAF,
    NIGHT,
    NOON,
    SKIN,
    STORM,
    WOOD,
    backdrop,
    face,
    figure,
    halo,
    head,
    hills,
    leaves,
    ship,
    sky,
    tree,
    water,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image


def _river(c: Canvas) -> None:
    y = c.between(0.42, 0.55)
    mood, green = sky(c, y), c.pick(*LEAF)
    hills(c, y, 0.08, mood.land("#6f86a0", 0.45))
    hills(c, y + 0.05, 0.05, mood.land(green, 0.35))
    hills(c, y + 0.12, 0.03, mood.land(light(green, 0.2)))
    c.dabs(700, 0.014, top=y)
    bends = "-10 14, 2 20, -28 32, -24 48, -60 70, 60 70, 14 45, 0 32, 14 20, 0 14"
    x = c.between(0.4, 0.6) * c.width
    c.shape(bends, mix(mood.middle, mood.low, 0.3), (x, y), depth=0.15)
    for down in (0.2, 0.31, 0.42):
        c.glow((x + c.between(-0.12, 0.04), y + down), 0.14, 0.012, mood.sun, 0.7)
    for _ in range(5):
        far = (c.between(0, c.width), y + c.between(0.06, 0.14))
        tree(c, far, c.between(0.08, 0.14), mood.land(green, 0.3))
    for x in c.sample((0.08, 0.2, 0.92), c.pick(2, 3)):
        near = ((x + c.between(-0.05, 0.05)) * c.width, c.between(0.85, 0.98))
        tree(c, near, c.between(0.42, 0.68), mood.land(c.pick(*LEAF)))


def _lady(c: Canvas) -> None:
    dress, skin, hair = c.pick(*CLOTH, "#241f22", "#241f22"), c.pick(*SKIN), c.pick(*HAIR)
    x, at, ruff = c.width / 2, (c.width / 2, 0), c.chance(0.5)
    backdrop(c, 1)
    c.shape("0 17, 16 28, 18 52, 10 60|", hair, at, depth=0.5)
    c.shape("50 120, 40 76, 13 64|", dress, at, depth=0.55)
    if not ruff:
        c.shape("0 86, 12 86, 26 71, 6 62|", skin, at, depth=0.35)
    face(c, x, skin, hair)
    c.shape("0 24, 10 30, 13 42, 13 22, 0 16|", hair, at, depth=0.4)
    if ruff:
        c.oval((x, 0.63), 0.2, 0.07, "#d9d2c4")
        for dx, dy in around(44):
            pleat = [(0.08 * dx, 0.61 + 0.025 * dy), (0.2 * dx, 0.63 + 0.07 * dy)]
            c.line(pleat, c.pick("#fbf7ec", "#b5aea2"), 0.008, at)
    else:
        c.line("27 70, 15 84, 0 87|", light(dress, 0.75), 0.022, at)
        pearls = [(x + 0.085 * dx, 0.63 + 0.055 * dy) for dx, dy in around(26)[:14]]
        for pearl in (*pearls, (x - 0.118, 0.46), (x + 0.118, 0.46)):
            c.ball(pearl, 0.01, 0.011, "#efe6d6")
    match c.pick("hat", "scarf", "cap", "hair"):
        case "hat":
            c.shape("12 25, 10 7|", "#2b2727", at, depth=0.5)
            c.line("-11 21, 0 22.5, 11 21", light(dress, 0.2), 0.02, at)
            c.oval((x, 0.245), 0.25, 0.035, "#1d191b")
        case "scarf":
            c.shape("12 18, 19 26, 20 60, 13 55", light(c.pick(*CLOTH)), at, depth=0.4)
            cloth = c.pick("#3f6ea5", "#c9a24a", "#b5483a")
            c.shape("-14 30, -12 16, 4 11, 15 20, 14 32, 0 23.5", cloth, at, depth=0.45)
        case "cap":
            c.shape("0 25, 9 29, 13 46, 17 44, 15 20, 6 13|", "#e2dac8", at, depth=0.3)


def _flowers(c: Canvas) -> None:
    x, cloth = c.width / 2, c.pick("#6b4528", "#ddd4c0", "#6f2f28", "#3f5a4a", "#8a6a44")
    backdrop(c, 0.78)
    c.wash(0.78, 1, light(cloth, 0.1), cloth, dark(cloth, 0.7))
    c.dabs(300, 0.02, top=0.78)
    c.glow((x + 0.05, 0.88), 0.3, 0.05, "#140d0a", 0.85)
    spots = [(x + c.between(-0.27, 0.27), c.between(0.14, 0.52)) for _ in range(14)]
    for spot in spots:
        c.line([(x, 0.66), (x + (spot[0] - x) * 0.4, 0.5), spot], "#3f5230", 0.008)
        leaves(c, (spot[0] + c.between(-0.06, 0.06), spot[1] + 0.07), 0.06, 0.04, "#56693a", n=10)
    c.shape("7 60, 6 66, 14 75, 8 89|", c.pick("#5d7f92", "#8a5a3a", "#d9d2c0", "#4a5a3a"), (x, 0), depth=0.6)
    c.glow((x - 0.07, 0.75), 0.025, 0.06, "#ffffff", 0.8)
    petals = c.sample(("#d8433a", "#f0e6d8", "#e8a0a0", "#e8b83a", "#7a5a9a", "#e06a3a", "#4f6fb0"), 3)
    for spot in sorted(spots, key=lambda spot: -abs(spot[0] - x)):
        size, petal, turn = c.between(0.045, 0.075), c.pick(*petals), c.between(0, 1)
        for ring, tone in ((1.0, dark(petal, 0.35)), (0.72, petal), (0.42, light(petal, 0.45))):
            r = size * ring
            for dx, dy in around(7, turn + ring):
                c.oval((spot[0] + 0.6 * r * dx, spot[1] + 0.6 * r * dy), r * 0.45, r * 0.42, tone)
        c.ball(spot, size * 0.22, size * 0.2, c.pick("#e8c23a", "#4a2f1a"))


def _room(c: Canvas) -> None:
    """Paint a room in one-point perspective, from the back wall towards the viewer."""
    wall = c.pick("#b9a98a", "#a8a48f", "#c2a878", "#93a09a", "#b08f72", "#8f9f8a")
    floor = c.pick(("#e6dcc6", "#3a3330"), ("#c9a27a", "#7a4a32"), ("#d9d4c4", "#5a6a72"))
    sun, table = c.pick("#fff3cc", "#f4f6f2", "#ffe0a0"), c.pick("#8a3a2a", "#3f5a6a", "#6b4a2a")
    left, right = c.width * 0.29, c.width * 0.77
    x, eye = (left + right) / 2, np.array([c.width / 2, 0.42])
    back = np.array([(left, 0.2), (right, 0.2), (right, 0.66), (left, 0.66)])
    near = eye + (back - eye) * 4
    c.wash(0, 1, light(wall, 0.15), wall)
    for i, (far, close) in enumerate(pairwise(1 / np.linspace(1, 0.28, 12))):
        for j in range(8):
            edge = np.linspace(back[3], back[2], 9)[j : j + 2] - eye
            tile = np.concatenate([eye + edge * far, eye + edge[::-1] * close])
            c.shape(tile, dark(floor[(i + j) % 2], 0.3 - 0.02 * i), soft=False)
    for one, other, tone in ((0, 1, 0.5), (3, 0, 0.35), (1, 2, 0.08)):
        c.shape([*back[[one, other]], *near[[other, one]]], dark(wall, tone), soft=False)
    for beam in np.linspace((back[0], near[0]), (back[1], near[1]), 7):
        c.line(beam, dark(WOOD, 0.3), 0.02)
    for colour, window in ((WOOD, "4 11, 22 22, 22 51.5, 4 56"), (sun, "5 13, 21.5 23.5, 21.5 50, 5 54")):
        c.shape(window, colour, soft=False)
    for bar in ("5 33, 21.5 37", "10 17, 10 52.5", "16 21, 16 51"):
        c.line(bar, WOOD, 0.01)
    c.glow((left * 0.6, 0.42), 0.5, 0.5, sun, 0.5)
    c.glow((c.width * 0.42, 0.85), 0.34, 0.12, sun, 0.5)
    panel, top, bottom = c.pick("#8aa0a0", "#d9c48a", "#8f5a4a"), *c.pick((0.27, 0.43), (0.31, 0.66))
    c.box(x + 0.05, top, x + 0.19, bottom, WOOD)
    c.box(x + 0.06, top + 0.014, x + 0.18, bottom - 0.014, panel)
    figure(c, (x - 0.13, 0.83), 0.5, ((-0.1, 0.2), (-0.04, 0.22)), c.pick(*CLOTH))
    c.box(x - 0.01, 0.7, x + 0.37, 0.92, table)
    c.shape("-3 66, 32 66, 38 72, -2 72", light(table, 0.3), (x, 0), soft=False)
    c.ball((x + 0.1, 0.66), 0.035, 0.045, "#d9d2c0")
    c.ball((x + 0.22, 0.68), 0.03, 0.028, c.pick(*FRUIT))


def _madonna(c: Canvas) -> None:
    x, skin, mantle = c.width / 2, c.pick(*SKIN), c.pick("#24427e", "#2f5a8a", "#1f3358", "#2a4a5a")
    gold, arch = c.pick("#d2a445", "#c9963a", "#d9b560"), "47 200, 47 38, 41 14, 20 3|"
    c.wash(0, 1, "#3a2416", "#2a1a10")
    c.shape(arch, gold, (x, 0), c.width, depth=0.25)
    c.glow((x, 0.4), 0.45, 0.45, "#fff0b8", 0.6)
    c.dabs(900, 0.012, slope=1.5)
    for colour, width in (("#7a4f1c", 0.026), ("#e6bd62", 0.012)):
        c.line(arch, colour, width, (x, 0), c.width)
    c.shape("0 20, 18 30, 24 40, 24 100|", c.pick("#8a6a4a", "#7a4a3a"), (x, 0), depth=0.5, soft=False)
    for saint, robe in zip((0.13, c.width - 0.13), c.sample(CLOTH, 2), strict=True):
        halo(c, (saint, 0.45), 0.058)
        figure(c, (saint, 0.98), 0.6, ((0, 0.12), (0, 0.13)), robe)
    halo(c, (x, 0.3), 0.125)
    c.shape("0 16, 12 34, 18 52, 24 80, 29 105|", mantle, (x, 0), depth=0.5)
    c.shape("7 43, 12 62, 0 90|", "#b5382c", (x, 0), depth=0.4)
    for fold in ("-10 66, -16 82, -25 100", "6 70, 9 84, 14 100", "11 66, 17 82, 25 100"):
        c.line(fold, dark(mantle, 0.6), 0.01, (x, 0))
    c.shape("0 18, 8 30, 7 42|", "#e2d9c6", (x, 0), depth=0.3)
    head(c, (x, 0.315), 0.068, skin, "#6b4422")
    child = (x + 0.1, 0.54)
    halo(c, child, 0.066)
    c.shape("-6 4, 6 4, 9 24, -10 30, -10 26", "#e8c890", child, depth=0.4)
    head(c, child, 0.046, skin, "#a8702f")
    c.line("-14 62, 0 79, 10 76", dark(mantle, 0.25), 0.06, (x, 0))
    c.oval((x + 0.1, 0.76), 0.028, 0.022, skin)
    c.line("18 52, 12 34, 0 14.5|", "#e6bd62", 0.007, (x, 0))


def _centaur(c: Canvas) -> None:
    mood = sky(c, 0.6, DAWN, DUSK, NOON, NIGHT)
    hills(c, 0.58, 0.08, mood.land("#6f86a0", 0.35))
    hills(c, 0.72, 0.03, mood.land(c.pick(*LEAF)))
    c.dabs(600, 0.016, top=0.6)
    for x in (0.06, 0.95):
        tree(c, (x * c.width, c.between(0.8, 0.9)), c.between(0.5, 0.7), mood.land(c.pick(*LEAF)))
    hide, skin, hoof = c.pick("#8a5a34", "#d9cdb8", "#4a3628"), c.pick(*SKIN), (c.width * 0.4, 0.91)
    c.glow(hoof, 0.36, 0.035, "#1a1a10", 0.7)
    for leg in ("-18 -22, -22 -12, -18 0", "13 -22, 24 -12, 20 -2", "-22 -32, -30 -26, -29 -10"):
        c.line(leg, dark(hide, 0.6), 0.038, hoof)
    for leg in ("-15 -22, -13 -12, -17 0", "11 -22, 14 -12, 12 0"):
        c.line(leg, dark(hide, 0.25), 0.038, hoof)
    c.shape("-24 -36, -10 -37, 5 -34, 19 -37, 20 -22, 5 -19, -10 -19, -24 -22", hide, hoof, depth=0.4)
    chest = (hoof[0] + 0.15, 0.6)
    c.shape("6 6, 8.5 -20|", skin, chest, depth=0.4)
    c.line("-5 -17, -15 -12, -2 -20", mix(skin, "#8a4a30", 0.25), 0.034, chest)
    c.line("6 -17, 22 -20", skin, 0.034, chest)
    c.line("19 -37, 24 -30, 26 -20, 24 -10, 19 -3", "#5a3418", 0.014, chest)
    for string in ("19 -37, -2 -20", "-2 -20, 19 -3", "-2 -20, 31 -20"):
        c.line(string, "#e8dcc0", 0.005, chest)
    head(c, (chest[0], 0.32), 0.058, skin, c.pick(*HAIR))
    leaves(c, (chest[0], 0.255), 0.07, 0.02, "#5f7a3a", n=20)


def _skaters(c: Canvas) -> None:
    mood = sky(c, 0.4, DAWN, STORM, DUSK)
    ice = mood.land("#dfe3dc", 0.25)
    hills(c, 0.4, 0.03, mood.land("#b9c0c4", 0.4))
    c.wash(0.43, 1, mix(ice, mood.low, 0.4), ice, mix(ice, "#9fb2b8", 0.5))
    c.dabs(500, 0.03, top=0.43)
    for x in (0.1, 0.24, c.between(0.7, 0.9)):
        at, size = (c.width * x, 0.47), c.between(0.09, 0.16)
        c.shape("70 0, 70 -70|", mood.land(c.pick("#b5805a", "#a8584a")), at, size, depth=0.4, soft=False)
        c.shape("85 -66, 50 -130|", mood.land("#f4f2ea"), at, size, depth=0.15, soft=False)
        for window in (at[0] - 0.4 * size, at[0], at[0] + 0.4 * size):
            c.oval((window, 0.47 - size * 0.38), size * 0.07, size * 0.12, c.pick("#f2c25a", "#3a2a20"))
    for x in (0.03, c.between(0.85, 0.97)):
        tree(c, (c.width * x, 0.8), 0.62, mood.land("#dfe6e4", 0.1))
    for t in sorted(c.rng.random(18).tolist()):
        x, y, h = c.between(0.03, 0.97) * c.width, 0.48 + 0.48 * t, 0.06 + 0.22 * t
        c.glow((x + h * 0.1, y), h * 0.3, h * 0.05, "#5a6a72", 0.8)
        for leg in ("-4 -30, -12 0", "4 -30, 16 -3"):
            c.line(leg, "#2a221e", h * 0.06, (x, y), h)
        hands = ((-0.2, c.between(0.05, 0.25)), (0.2, c.between(0.05, 0.25)))
        figure(c, (x, y - h * 0.12), h * 0.88, hands, c.pick(*CLOTH))
        c.oval((x, y - h * 0.97), h * 0.085, h * 0.045, c.pick("#2a211c", "#8f2f28", "#3d4f6a"))


def _fleet(c: Canvas) -> None:
    mood = sky(c, 0.55, STORM, DAWN, DUSK, NOON)
    sea = mood.land(c.pick("#3f6a72", "#4a6a5a", "#3a5a7a"))
    flags = c.sample(("#b5382c", "#2f4f86", "#d9b24a"), 2)
    c.wash(0.55, 1, mix(sea, mood.low, 0.45), sea, dark(sea))
    water(c, 0.56, dark(sea, 0.3), light(mix(sea, mood.low, 0.3), 0.2))
    for near, across in zip((0, 0.1, 0.22, 0.5, 1), c.sample((0.2, 0.35, 0.5, 0.65, 0.8), 5), strict=True):
        x, y, size = c.width * across, 0.6 + 0.24 * near, 0.16 + 0.38 * near
        for _ in range(3):
            smoke = (x + c.between(-0.5, 0.5) * size, y - c.between(0, 0.3) * size)
            r = size * c.between(0.2, 0.45)
            c.glow(smoke, r, r * 0.65, c.pick("#efe8d8", "#c9c0b0", "#f2c27a"), 0.85)
        ship(c, (x, y), size, c.pick(*flags))


def _city(c: Canvas) -> None:
    quay, tower = 0.66, (c.width * c.between(0.15, 0.85), 0)
    mood = sky(c, quay)
    for far in (0.45, 0):
        left = -0.05
        while left < c.width:
            wide, tall = c.between(0.09, 0.2), c.between(0.12, 0.26) + far * 0.22
            wall = mood.land(c.pick("#d9b58a", "#c98f6a", "#e6d2a8", "#b5786a", "#cfc4b0"), far)
            roof = mood.land(c.pick("#a85a3a", "#6f8a86", "#8f6a5a"), far)
            top = (left + wide / 2, quay - tall)
            if c.chance(0.33):
                c.ball(top, wide * 0.42, wide * 0.46, roof)
            else:
                c.shape("56 2, 0 -45|", roof, top, wide, depth=0.3, soft=False)
            c.box(left, quay - tall, left + wide, quay, wall)
            for y in np.arange(quay - tall + 0.04, quay - 0.03, 0.06).tolist():
                for x in np.arange(left + 0.03, left + wide - 0.02, 0.035).tolist():
                    lamp = mood is NIGHT and c.chance(0.5)
                    c.oval((x, y), 0.008, 0.017, "#f2c25a" if lamp else mood.land("#3a2a22", far))
            left += wide * c.between(0.95, 1.1)
    c.shape("3.5 20, 3.5 66|", mood.land("#c28a5a", 0.1), tower, depth=0.4, soft=False)
    c.shape("4.2 20, 0 7|", mood.land("#6f8a7a"), tower, depth=0.4, soft=False)
    c.oval((tower[0], 0.25), 0.014, 0.022, WOOD)
    c.reflect(quay, mood.land("#3f5f6a"))
    water(c, quay + 0.01, mood.land("#2f4a56"), light(mood.low, 0.2))
    c.line([(0, quay), (c.width, quay)], WOOD, 0.012)
    for near in (c.between(0.2, 0.4), c.between(0.6, 1)):
        (x, y), size = (c.width * c.between(0.12, 0.88), quay + 0.08 + 0.2 * near), 0.1 + 0.12 * near
        figure(c, (x + size * 0.4, y), size * 0.9, ((0, 0.2), (0.15, 0.2)), c.pick(*CLOTH))
        c.shape("-100 -20, -70 0, 70 0, 100 -25, 70 15, -70 15", "#2a1e18", (x, y), size)
        c.line("45 -50, 90 30", "#2a1c12", 0.006, (x, y), size)


def _study(model: Callable[[Canvas], None], c: Canvas) -> None:
    """Draw a motif on paper instead of painting it."""
    c.brush = False
    model(c)
    c.to_drawing()


# The function of each motif, and the range of its width divided by its height.
_MOTIFS: dict[str, dict[str, tuple[Callable[[Canvas], None], float, float]]] = {
    "landscape": {"river": (_river, 1.2, 1.55)},
    "portrait": {"lady": (_lady, 0.74, 0.86)},
    "still-life": {"flowers": (_flowers, 0.74, 0.9)},
    "interior": {"room": (_room, 1.0, 1.3)},
    "religious": {"madonna": (_madonna, 0.66, 0.82)},
    "mythological": {"centaur": (_centaur, 1.05, 1.35)},
    "genre": {"skaters": (_skaters, 1.3, 1.65)},
    "historical": {"fleet": (_fleet, 1.3, 1.65)},
    "other": {"city": (_city, 1.25, 1.6)},
    "study": {
        "head": (partial(_study, _lady), 0.74, 0.86),
        "trees": (partial(_study, _river), 1.2, 1.45),
        "figure": (partial(_study, _centaur), 1.05, 1.25),
    },
}

KINDS: tuple[str, ...] = tuple(_MOTIFS)
"""The ten values of TYPE in SemArt."""


def motifs_of(kind: str) -> tuple[str, ...]:
    """Return the names of the motifs of a kind."""
    return tuple(_MOTIFS[kind])


def paint(kind: str, rng: np.random.Generator, *, motif: str | None = None, size: int = 256) -> Image.Image:
    """Paint a small picture.

    Args:
        kind: One of `KINDS`.
        rng: The random numbers; the same state gives the same picture.
        motif: One of `motifs_of(kind)`; a random one unless given.
        size: Pixels on the longer side.
    """
    draw, narrow, wide = _MOTIFS[kind][motif or str(rng.choice(motifs_of(kind)))]
    ratio = float(rng.uniform(narrow, wide))
    canvas = Canvas(round(size * min(1, ratio)), round(size * min(1, 1 / ratio)), rng)
    draw(canvas)
    picture = canvas.finished()
    return ImageOps.mirror(picture) if canvas.chance(0.5) else picture

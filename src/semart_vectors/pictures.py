"""A picture of what was found: each query beside its nearest neighbours, on one quiet sheet."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps

from semart_vectors.files import write_aside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

EXPLANATION = (
    "On the left a painting; beside it those whose vectors are nearest, with the cosine of the angle between."
)

# Sizes in pixels, all of them multiples of four.
_MARGIN, _GAP, _QUERY, _CELL = 64, 28, 248, 208
_HEADER, _CAPTION, _BETWEEN, _MAT = 132, 76, 36, 8

_STAND_INS = {"\N{MULTIPLICATION SIGN}": "x", "\N{EN DASH}": "-", "\N{EM DASH}": "-"}
_GROUND, _PAPER, _EMPTY, _HAIRLINE = "#f7f4ee", "#ffffff", "#e6e2da", "#d5d0c6"
_INK, _SOFT, _FAINT = "#2b2926", "#716c64", "#9d978d"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sheet with its caption."""

    image: Path
    """The image file; where it cannot be read, a grey cell says why."""
    title: str
    """The first line of the caption, cut with an ellipsis where it is too long."""
    detail: str = ""
    """The second line, smaller: the artist, the type."""
    score: float | None = None
    """How near it is to the query, as a cosine; nothing is printed for None."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A query and what was found for it."""

    query: Panel
    """Drawn first, larger and framed."""
    neighbours: Sequence[Panel]
    """Drawn beside it in this order, nearest first."""


def contact_sheet(
    rows: Sequence[SheetRow], output: str | PathLike[str], *, title: str, explanation: str = EXPLANATION
) -> None:
    """Draw queries with their neighbours as a PNG.

    Args:
        rows: One line of pictures each; they may differ in length.
        output: The final name of the PNG, which never holds half of it. What stands there is replaced.
        title: The headline.
        explanation: The line below it.

    Raises:
        CheckpointDiskError: the disk refused to write.
    """
    columns = max((len(row.neighbours) for row in rows), default=0)
    width = max(2 * _MARGIN + _QUERY + columns * (_GAP + _CELL) + _GAP, 960)
    step = _QUERY + _CAPTION + _BETWEEN
    sheet = Image.new("RGB", (width, _MARGIN + _HEADER + len(rows) * step), _GROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_MARGIN, _MARGIN - 12), title, 36, _INK, width=width - 2 * _MARGIN)
    _write(draw, (_MARGIN, _MARGIN + 40), explanation, 17, _SOFT, width=width - 2 * _MARGIN)
    for number, row in enumerate(rows):
        ground = _MARGIN + _HEADER + number * step + _QUERY
        _hang(sheet, row.query, (_MARGIN, ground), _QUERY, framed=True)
        rule = _MARGIN + _QUERY + _GAP
        draw.line([(rule, ground - _QUERY), (rule, ground + _CAPTION - 20)], _HAIRLINE)
        for place, panel in enumerate(row.neighbours):
            _hang(sheet, panel, (rule + _GAP + place * (_CELL + _GAP), ground), _CELL)
    with write_aside(Path(output)) as aside:
        sheet.save(aside, "PNG")


def _hang(
    sheet: Image.Image, panel: Panel, corner: tuple[int, int], side: int, *, framed: bool = False
) -> None:
    """Draw a picture with its lower left corner on the line where the row stands, and its caption below."""
    draw = ImageDraw.Draw(sheet)
    left, ground = corner
    mat = _MAT if framed else 0
    picture = _opened(panel.image, side - 2 * mat)
    if isinstance(picture, str):
        draw.rectangle((left, ground - side, left + side - 1, ground - 1), _EMPTY, _HAIRLINE)
        _write(draw, (left + 12, ground - side // 2 - 8), picture, 14, _SOFT, width=side - 24)
    else:
        right, top = left + picture.width + 2 * mat, ground - picture.height - 2 * mat
        draw.rectangle((left, top, right - 1, ground - 1), _PAPER)
        sheet.paste(picture, (left + mat, top + mat))
        draw.rectangle((left, top, right - 1, ground - 1), outline=_INK if framed else _HAIRLINE)
    _write(draw, (left, ground + 10), panel.title, 16 if framed else 15, _INK, width=side)
    _write(draw, (left, ground + 31), panel.detail, 13, _SOFT, width=side)
    if panel.score is not None:
        _write(draw, (left, ground + 50), f"{panel.score:.3f}", 12, _FAINT, width=side)


def _opened(path: Path, side: int) -> Image.Image | str:
    """Return a picture that fits into a square, upright and on white, or the reason why there is none."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * side, 2 * side))
            upright = ImageOps.exif_transpose(image)
            clear = upright.has_transparency_data
            coloured = upright.convert("RGBA" if clear else "RGB")
            picture = ImageOps.contain(coloured, (side, side), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        return "missing"
    except PermissionError:
        return "not allowed to read"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too large to draw"
    except (OSError, ValueError, SyntaxError, EOFError):
        return "not a readable image"
    if clear:
        return Image.alpha_composite(Image.new("RGBA", picture.size, _PAPER), picture).convert("RGB")
    return picture


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, *, width: int
) -> None:
    """Write one line of text, cut to a width in pixels."""
    font = ImageFont.load_default(size)
    draw.text(at, _shortened(_drawable(text), font, width), colour, font)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut a text that is wider than `width`, and end it with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    fits = next((n for n in range(len(text), 0, -1) if font.getlength(f"{text[:n].rstrip()}…") <= width), 0)
    return f"{text[:fits].rstrip()}…"


def _drawable(text: str) -> str:
    """Put a text on one line, with a plain letter or a middle dot for each character that the font lacks."""
    return "".join(c if _has_glyph(c) else _plain(c) for c in " ".join(text.split()))


def _plain(character: str) -> str:
    base = unicodedata.normalize("NFKD", _STAND_INS.get(character, character))[:1]
    return base if _has_glyph(base) else "·"


@cache
def _has_glyph(character: str) -> bool:
    """Tell whether Pillow's own font draws a character as something else than its sign for the unknown."""
    font = ImageFont.load_default(16)
    return character.isprintable() and bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))

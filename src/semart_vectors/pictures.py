"""A picture of what was found: each query beside its nearest neighbours, on one quiet sheet.

Pillow's own font has the letters of English and few others. A sheet with more on it is written in the first
font of `_TYPEFACES` that is installed and has them all, or else most of them; what that lacks becomes the
plain letter, or a dot. Nothing is drawn as a box, and a computer without any of these fonts has dots.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps, features

from semart_vectors.files import write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

EXPLANATION = (
    "On the left a painting; beside it those whose vectors are nearest, with the cosine of the angle between."
)

_PLACES = 6
"""Neighbours that stand side by side; more go on below."""

# Sizes in pixels, all of them multiples of four.
_MARGIN, _GAP, _QUERY, _CELL = 64, 28, 248, 208
_HEADER, _CAPTION, _BETWEEN, _MAT = 132, 76, 36, 8
_LINE = _CELL + _CAPTION + _BETWEEN
_LEAST_WIDTH = 1040
_WORDS = (36, 30, 24, 20, 16)  # from the largest that words are set in

_TYPEFACES = (
    "",  # Pillow's own
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
)
"""Files that Pillow looks for in the system's folders of fonts."""

_STAND_INS = {"\N{MULTIPLICATION SIGN}": "x", "\N{EN DASH}": "-", "\N{EM DASH}": "-"}
GROUND, PAPER, EMPTY, HAIRLINE = "#f7f4ee", "#ffffff", "#e6e2da", "#d5d0c6"
INK, SOFT, FAINT = "#2b2926", "#716c64", "#9d978d"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sheet with its caption."""

    image: Path | None
    """The image file; where it cannot be read, a grey cell says why. None where words stand for one."""
    title: str
    """The first line of the caption, cut with an ellipsis where it is too long; or the words."""
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
    """Drawn beside it in this order, nearest first, in lines of six."""


def contact_sheet(
    rows: Sequence[SheetRow], output: str | PathLike[str], *, title: str, explanation: str = EXPLANATION
) -> None:
    """Draw queries with their neighbours as a PNG.

    Args:
        rows: As many as there are queries; they may differ in length.
        output: The final name of the PNG, which never holds half of it. What stands there is replaced.
        title: The headline.
        explanation: The line below it.

    Raises:
        CheckpointDiskError: the disk refused to write.
    """
    columns = min(max((len(row.neighbours) for row in rows), default=0), _PLACES)
    width = max(2 * _MARGIN + _QUERY + columns * (_GAP + _CELL) + _GAP, _LEAST_WIDTH)
    height = _MARGIN + _HEADER + sum(_depth(row) + _BETWEEN for row in rows)
    typeface = _typeface_for([title, explanation, *_texts(rows)])
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    line = width - 2 * _MARGIN
    write_line(draw, (_MARGIN, _MARGIN - 12), title, 36, INK, width=line, typeface=typeface)
    write_line(draw, (_MARGIN, _MARGIN + 40), explanation, 17, SOFT, width=line, typeface=typeface)
    top, rule = _MARGIN + _HEADER, _MARGIN + _QUERY + _GAP
    for row in rows:
        _hang(sheet, row.query, (_MARGIN, top + _QUERY), _QUERY, typeface, framed=True)
        draw.line([(rule, top), (rule, top + _depth(row) - 20)], HAIRLINE)
        for number, panel in enumerate(row.neighbours):
            line, place = divmod(number, _PLACES)
            corner = rule + _GAP + place * (_CELL + _GAP), top + _QUERY + line * _LINE
            _hang(sheet, panel, corner, _CELL, typeface)
        top += _depth(row) + _BETWEEN
    with write_aside(Path(output)) as aside:
        sheet.save(aside, "PNG")


def _depth(row: SheetRow) -> int:
    """Return the height of a query with all of its neighbours, captions included."""
    return _QUERY + _CAPTION + max(0, len(row.neighbours) - 1) // _PLACES * _LINE


def _hang(
    sheet: Image.Image,
    panel: Panel,
    corner: tuple[int, int],
    side: int,
    typeface: str,
    *,
    framed: bool = False,
) -> None:
    """Draw a picture with its lower left corner on the line where the row stands, and its caption below."""
    draw = ImageDraw.Draw(sheet)
    left, ground = corner
    mat = _MAT if framed else 0
    title = panel.title
    picture = None if panel.image is None else opened(panel.image, side - 2 * mat)
    if picture is None:
        draw.rectangle((left, ground - side, left + side - 1, ground - 1), PAPER, INK)
        _set(draw, (left + side // 2, ground - side // 2), title, side - 6 * _MAT, typeface)
        title = ""
    elif isinstance(picture, str):
        draw.rectangle((left, ground - side, left + side - 1, ground - 1), EMPTY, HAIRLINE)
        write_line(
            draw, (left + 12, ground - side // 2 - 8), picture, 14, SOFT, width=side - 24, typeface=typeface
        )
    else:
        right, top = left + picture.width + 2 * mat, ground - picture.height - 2 * mat
        draw.rectangle((left, top, right - 1, ground - 1), PAPER)
        sheet.paste(picture, (left + mat, top + mat))
        draw.rectangle((left, top, right - 1, ground - 1), outline=INK if framed else HAIRLINE)
    below = ground + 10
    for text, size, colour, step in (
        (title, 16 if framed else 15, INK, 21),
        (panel.detail, 13, SOFT, 19),
        ("" if panel.score is None else f"{panel.score:.3f}", 12, FAINT, 0),
    ):
        if text.strip():  # what is missing leaves no gap
            write_line(draw, (left, below), text, size, colour, width=side, typeface=typeface)
            below += step


def opened(path: Path, side: int) -> Image.Image | str:
    """Return a picture that fits into a square, upright and on white, or the reason why there is none."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * side, 2 * side))
            upright = _with_eight_bits(ImageOps.exif_transpose(image))
            clear = upright.has_transparency_data
            coloured = upright.convert("RGBA" if clear else "RGB")
            scale = side / max(coloured.size)
            width, height = (max(1, round(length * scale)) for length in coloured.size)
            picture = coloured.resize((width, height), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        return "missing"
    except PermissionError:
        return "not allowed to read"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too large to draw"
    except (OSError, ValueError, SyntaxError, EOFError):
        return "not a readable image"
    if clear:
        return Image.alpha_composite(Image.new("RGBA", picture.size, PAPER), picture).convert("RGB")
    return picture


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of eight bits a channel; by itself Pillow makes white of all but the darkest."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
        image.info.pop("transparency", None)  # a shade of the 65,536
    if image.mode in {"I", "F"}:
        raise ValueError("nothing says which pixels of 32 bits are white")
    return image


def write_line(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    *,
    width: int,
    typeface: str | None = None,
) -> None:
    """Write one line of text, cut to a width in pixels; in the font that suits it unless one is named."""
    typeface = _typeface_for([text]) if typeface is None else typeface
    font = _font(typeface, size)
    draw.text(at, _shortened(_drawable(text, typeface), font, width), colour, font)


def _set(draw: ImageDraw.ImageDraw, middle: tuple[int, int], text: str, side: int, typeface: str) -> None:
    """Set words in the middle of a square, as large as they fit into it, and cut where they never do."""
    words = _drawable(text, typeface).split()
    for size in _WORDS:
        font, step = _font(typeface, size), size * 5 // 4
        lines = _broken(words, font, side)
        if len(lines) * step <= side and all(font.getlength(line) <= side for line in lines):
            break
    else:
        kept = side // step
        cut = [*lines[: kept - 1], " ".join(lines[kept - 1 :])]
        lines = [_shortened(line, font, side) for line in cut]
    x, top = middle[0], middle[1] - len(lines) * step / 2
    for number, line in enumerate(lines):
        draw.text((x, top + (number + 0.5) * step), line, INK, font, anchor="mm")


def _broken(words: list[str], font: Font, width: int) -> list[str]:
    """Break words into lines; a word that is wider alone has its own."""
    lines: list[str] = []
    for word in words:
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _shortened(text: str, font: Font, width: int) -> str:
    """Cut a text that is wider than `width`, and end it with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    fits = next(
        (n for n in range(min(len(text), width), 0, -1) if font.getlength(f"{text[:n].rstrip()}…") <= width),
        0,
    )
    return f"{text[:fits].rstrip()}…"


def _texts(rows: Sequence[SheetRow]) -> Iterator[str]:
    for row in rows:
        for panel in (row.query, *row.neighbours):
            yield panel.title
            yield panel.detail


def _typeface_for(texts: Iterable[str]) -> str:
    """Choose the font for texts that stand together: of those that lack the fewest characters the first."""
    wanted = {c for text in texts for c in unicodedata.normalize("NFC", text)} - _STAND_INS.keys()
    foreign = [c for c in wanted if not c.isascii() and not c.isspace()]
    return min(_TYPEFACES, key=lambda typeface: sum(not _has_glyph(c, typeface) for c in foreign))


@cache
def _font(typeface: str, size: int) -> Font:
    return ImageFont.truetype(typeface, size) if typeface else ImageFont.load_default(size)


def _drawable(text: str, typeface: str = "") -> str:
    """Put a text on one line, with a plain letter or a middle dot for each character that a font lacks."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(c if _has_glyph(c, typeface) else _plain(c, typeface) for c in composed)


def _plain(character: str, typeface: str) -> str:
    if unicodedata.combining(character):  # the letter before it is plain enough
        return ""
    base = unicodedata.normalize("NFKD", _STAND_INS.get(character, character))[:1]
    return base if _has_glyph(base, typeface) else "·"


@cache
def _has_glyph(character: str, typeface: str) -> bool:
    """Tell whether a font is there, and draws a character as something else than its sign for the unknown."""
    try:
        font = _font(typeface, 16)
    except OSError:
        return False
    if unicodedata.bidirectional(character) in {"R", "AL"} and not features.check("raqm"):
        return False  # its letters would stand in the wrong order
    return character.isprintable() and bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))

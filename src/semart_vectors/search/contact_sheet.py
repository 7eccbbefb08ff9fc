"""Search results as a picture: each query beside its nearest neighbours, on one sheet.

Pillow's own font has the letters of English and few others. A sheet with other characters uses the installed
font of `_TYPEFACES` that lacks the fewest of them; a character that it lacks becomes the plain letter, or a
dot, never an empty box.
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
    "On the left the query; beside it the images whose vectors are nearest, with their cosine similarity."
)

_PLACES = 6
"""Neighbours side by side; further ones go on lines below."""

# Sizes in pixels, all of them multiples of four.
_MARGIN, _GAP, _QUERY, _CELL = 64, 28, 248, 208
_HEADER, _CAPTION, _BETWEEN, _MAT = 132, 76, 36, 8
_LINE = _CELL + _CAPTION + _BETWEEN
_MIN_WIDTH = 1040
_TEXT_SIZES = (36, 30, 24, 20, 16)  # of a query that is a text; the largest that fits is used

_TYPEFACES = (
    "",  # Pillow's own
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
)
"""Files that Pillow looks for in the system's font folders, in order of preference."""

_STAND_INS = {"\N{MULTIPLICATION SIGN}": "x", "\N{EN DASH}": "-", "\N{EM DASH}": "-"}
GROUND, PAPER, EMPTY, HAIRLINE = "#f7f4ee", "#ffffff", "#e6e2da", "#d5d0c6"
INK, SOFT, FAINT = "#2b2926", "#716c64", "#9d978d"


@dataclass(frozen=True, slots=True)
class Panel:
    """One image of a sheet with its caption."""

    image: Path | None
    """The image file; if it cannot be read, a grey cell says why. None draws the title in its place."""
    title: str
    """The first line of the caption, cut with an ellipsis if it is too long."""
    detail: str = ""
    """The second line, smaller: the artist, the type."""
    score: float | None = None
    """Cosine similarity to the query; nothing is printed for None."""
    names_file: bool = False
    """Whether the title is a file's name and the detail its folder: their ends are kept."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A query and its results."""

    query: Panel
    """Drawn first, larger and framed."""
    neighbours: Sequence[Panel]
    """Drawn beside it in this order, nearest first, in lines of six."""


def contact_sheet(
    rows: Sequence[SheetRow], output: str | PathLike[str], *, title: str, explanation: str = EXPLANATION
) -> None:
    """Draw queries with their neighbours as a PNG.

    Args:
        rows: One for each query; they may differ in length.
        output: The path of the PNG. An earlier file is replaced only once the new one is complete.
        title: The headline.
        explanation: The line below it.

    Raises:
        DiskError: the output cannot be written.
    """
    columns = min(max((len(row.neighbours) for row in rows), default=0), _PLACES)
    width = max(2 * _MARGIN + _QUERY + columns * (_GAP + _CELL) + _GAP, _MIN_WIDTH)
    max_height = _MARGIN + _HEADER + sum(_max_height(row) + _BETWEEN for row in rows)
    typeface = _typeface_for([title, explanation, *_texts(rows)])
    sheet = Image.new("RGB", (width, max_height), GROUND)
    draw = ImageDraw.Draw(sheet)
    within = width - 2 * _MARGIN
    write_line(draw, (_MARGIN, _MARGIN - 12), title, 36, INK, width=within, typeface=typeface)
    write_line(draw, (_MARGIN, _MARGIN + 40), explanation, 17, SOFT, width=within, typeface=typeface)
    top = _MARGIN + _HEADER
    for row in rows:
        top = _draw_row(sheet, row, top, typeface) + _BETWEEN
    with write_aside(Path(output)) as aside:
        sheet.crop((0, 0, width, top)).save(aside, "PNG")


def _max_height(row: SheetRow) -> int:
    """Return an upper bound for the height in pixels of a query with its neighbours."""
    return _QUERY + _CAPTION + max(0, len(row.neighbours) - 1) // _PLACES * _LINE


def _draw_row(sheet: Image.Image, row: SheetRow, top: int, typeface: str) -> int:
    """Draw a query with its neighbours, each line as high as its highest image; return where it ends."""
    rule = _MARGIN + _QUERY + _GAP
    bottom = top
    for start in range(0, max(1, len(row.neighbours)), _PLACES):
        line = row.neighbours[start : start + _PLACES]
        cells = [_draw_panel(panel, _CELL, typeface) for panel in line]
        places = [rule + _GAP + number * (_CELL + _GAP) for number in range(len(cells))]
        if start == 0:
            cells.append(_draw_panel(row.query, _QUERY, typeface, framed=True))
            places.append(_MARGIN)
        else:
            bottom += _BETWEEN
        bottom += max(cell.height for cell in cells)
        for left, cell in zip(places, cells, strict=True):
            sheet.paste(cell, (left, bottom - cell.height))
    ImageDraw.Draw(sheet).line([(rule, top), (rule, bottom - 20)], HAIRLINE)
    return bottom


def _draw_panel(panel: Panel, side: int, typeface: str, *, framed: bool = False) -> Image.Image:
    """Draw an image with its caption below it, as high as both together."""
    mat = _MAT if framed else 0
    title = panel.title
    picture = None if panel.image is None else open_scaled(panel.image, side - 2 * mat)
    width = height = side
    if isinstance(picture, Image.Image):
        width, height = picture.width + 2 * mat, picture.height + 2 * mat
    cell = Image.new("RGB", (side, height + _CAPTION), GROUND)
    draw = ImageDraw.Draw(cell)
    frame = (0, 0, width - 1, height - 1)
    if picture is None:
        draw.rectangle(frame, PAPER, INK)
        _draw_text(draw, (side // 2, side // 2), title, side - 6 * _MAT, typeface)
        title = ""
    elif isinstance(picture, str):
        draw.rectangle(frame, EMPTY, HAIRLINE)
        write_line(draw, (12, side // 2 - 8), picture, 14, SOFT, width=side - 24, typeface=typeface)
    else:
        draw.rectangle(frame, PAPER)
        cell.paste(picture, (mat, mat))
        draw.rectangle(frame, outline=INK if framed else HAIRLINE)
    below = height + 10
    for text, size, colour, step in (
        (title, 16 if framed else 15, INK, 21),
        (panel.detail, 13, SOFT, 19),
        ("" if panel.score is None else f"{panel.score:.3f}", 14, INK, 0),
    ):
        if text.strip():  # a line that is missing leaves no gap
            write_line(
                draw,
                (0, below),
                text,
                size,
                colour,
                width=side,
                typeface=typeface,
                keep_end=panel.names_file,
            )
            below += step
    return cell


def open_scaled(path: Path, side: int) -> Image.Image | str:
    """Return an image scaled to fit into a square, upright and on white, or the reason why it cannot be."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("opening a pipe would wait")  # noqa: TRY301 - handled below like any unreadable file
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
    except Exception:  # noqa: BLE001 - decoders raise errors of any type; the others are drawn all the same
        return "not a readable image"
    if clear:
        return Image.alpha_composite(Image.new("RGBA", picture.size, PAPER), picture).convert("RGB")
    return picture


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Return an image with eight bits a channel; Pillow's own conversion turns most of 16 bits white."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
        image.info.pop("transparency", None)  # one of the 65,536 shades, which no longer exists
    if image.mode in {"I", "F"}:
        raise ValueError("nothing says which values of 32 bits are white")
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
    keep_end: bool = False,
) -> None:
    """Write one line of text, cut to a width in pixels; without `typeface`, in the font that suits it.

    What is too long loses its end, or, with `keep_end`, its middle.
    """
    typeface = _typeface_for([text]) if typeface is None else typeface
    font = _font(typeface, size)
    shorten = _shorten if keep_end else _truncate
    draw.text(at, shorten(_drawable(text, typeface), font, width), colour, font)


def _draw_text(
    draw: ImageDraw.ImageDraw, middle: tuple[int, int], text: str, side: int, typeface: str
) -> None:
    """Write a text in the middle of a square in the largest size that fits, or cut in the smallest."""
    words = _drawable(text, typeface).split()
    for size in _TEXT_SIZES:
        font, step = _font(typeface, size), size * 5 // 4
        lines = _wrap(words, font, side)
        if len(lines) * step <= side and all(font.getlength(line) <= side for line in lines):
            break
    else:
        kept = side // step
        cut = [*lines[: kept - 1], " ".join(lines[kept - 1 :])]
        lines = [_truncate(line, font, side) for line in cut]
    x, top = middle[0], middle[1] - len(lines) * step / 2
    for number, line in enumerate(lines):
        draw.text((x, top + (number + 0.5) * step), line, INK, font, anchor="mm")


def _wrap(words: list[str], font: Font, width: int) -> list[str]:
    """Break words into lines; a word that is too wide has a line of its own."""
    lines: list[str] = []
    for word in words:
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _truncate(text: str, font: Font, width: int) -> str:
    """Cut a text that is wider than `width` pixels, and end it with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    fits = next(
        (n for n in range(min(len(text), width), 0, -1) if font.getlength(f"{text[:n].rstrip()}…") <= width),
        0,
    )
    return f"{text[:fits].rstrip()}…"


def _shorten(text: str, font: Font, width: int) -> str:
    """Leave out the middle of a text that is wider than `width` pixels; most of what stays is its end."""
    if font.getlength(text) <= width:
        return text
    for kept in range(min(len(text) - 1, width), 2, -1):
        start = kept // 3
        shorter = f"{text[:start].rstrip()}…{text[start - kept :].lstrip()}"
        if font.getlength(shorter) <= width:
            return shorter
    return _truncate(text, font, width)


def _texts(rows: Sequence[SheetRow]) -> Iterator[str]:
    for row in rows:
        for panel in (row.query, *row.neighbours):
            yield panel.title
            yield panel.detail


def _typeface_for(texts: Iterable[str]) -> str:
    """Choose one font for several texts: the first of those that lack the fewest characters."""
    wanted = {c for text in texts for c in unicodedata.normalize("NFC", text)} - _STAND_INS.keys()
    foreign = [c for c in wanted if not c.isascii() and not c.isspace()]
    return min(_TYPEFACES, key=lambda typeface: sum(not _has_glyph(c, typeface) for c in foreign))


@cache
def _font(typeface: str, size: int) -> Font:
    return ImageFont.truetype(typeface, size) if typeface else ImageFont.load_default(size)


def _drawable(text: str, typeface: str = "") -> str:
    """Put a text on one line, and replace each character that a font lacks by a plain letter or a dot."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(c if _has_glyph(c, typeface) else _plain(c, typeface) for c in composed)


def _plain(character: str, typeface: str) -> str:
    if unicodedata.combining(character):  # an accent: the letter before it is enough
        return ""
    base = unicodedata.normalize("NFKD", _STAND_INS.get(character, character))[:1]
    return base if _has_glyph(base, typeface) else "·"


@cache
def _has_glyph(character: str, typeface: str) -> bool:
    """Whether a font is installed, and draws a character other than as its sign for unknown ones."""
    try:
        font = _font(typeface, 16)
    except OSError:
        return False
    if unicodedata.bidirectional(character) in {"R", "AL"} and not features.check("raqm"):
        return False  # without raqm its letters would be in the wrong order
    return character.isprintable() and bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))

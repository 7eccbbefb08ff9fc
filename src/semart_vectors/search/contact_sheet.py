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
    "On the left the query; beside it those whose vectors are nearest, with the cosine of the angle between."
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
        DiskError: the disk refused to write.
    """
    columns = min(max((len(row.neighbours) for row in rows), default=0), _PLACES)
    width = max(2 * _MARGIN + _QUERY + columns * (_GAP + _CELL) + _GAP, _LEAST_WIDTH)
    highest = _MARGIN + _HEADER + sum(_highest(row) + _BETWEEN for row in rows)
    typeface = _typeface_for([title, explanation, *_texts(rows)])
    sheet = Image.new("RGB", (width, highest), GROUND)
    draw = ImageDraw.Draw(sheet)
    within = width - 2 * _MARGIN
    write_line(draw, (_MARGIN, _MARGIN - 12), title, 36, INK, width=within, typeface=typeface)
    write_line(draw, (_MARGIN, _MARGIN + 40), explanation, 17, SOFT, width=within, typeface=typeface)
    top = _MARGIN + _HEADER
    for row in rows:
        top = _hang(sheet, row, top, typeface) + _BETWEEN
    with write_aside(Path(output)) as aside:
        sheet.crop((0, 0, width, top)).save(aside, "PNG")


def _highest(row: SheetRow) -> int:
    """Return how high a query with its neighbours is at the most."""
    return _QUERY + _CAPTION + max(0, len(row.neighbours) - 1) // _PLACES * _LINE


def _hang(sheet: Image.Image, row: SheetRow, top: int, typeface: str) -> int:
    """Draw a query with its neighbours, each line as high as its highest picture; return where it ends."""
    rule = _MARGIN + _QUERY + _GAP
    bottom = top
    for start in range(0, max(1, len(row.neighbours)), _PLACES):
        line = row.neighbours[start : start + _PLACES]
        cells = [_drawn(panel, _CELL, typeface) for panel in line]
        places = [rule + _GAP + number * (_CELL + _GAP) for number in range(len(cells))]
        if start == 0:
            cells.append(_drawn(row.query, _QUERY, typeface, framed=True))
            places.append(_MARGIN)
        else:
            bottom += _BETWEEN
        bottom += max(cell.height for cell in cells)
        for left, cell in zip(places, cells, strict=True):
            sheet.paste(cell, (left, bottom - cell.height))
    ImageDraw.Draw(sheet).line([(rule, top), (rule, bottom - 20)], HAIRLINE)
    return bottom


def _drawn(panel: Panel, side: int, typeface: str, *, framed: bool = False) -> Image.Image:
    """Draw a picture with its caption below, as high as the two are."""
    mat = _MAT if framed else 0
    title = panel.title
    picture = None if panel.image is None else opened(panel.image, side - 2 * mat)
    width = height = side
    if isinstance(picture, Image.Image):
        width, height = picture.width + 2 * mat, picture.height + 2 * mat
    cell = Image.new("RGB", (side, height + _CAPTION), GROUND)
    draw = ImageDraw.Draw(cell)
    frame = (0, 0, width - 1, height - 1)
    if picture is None:
        draw.rectangle(frame, PAPER, INK)
        _set(draw, (side // 2, side // 2), title, side - 6 * _MAT, typeface)
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
        ("" if panel.score is None else f"{panel.score:.3f}", 12, FAINT, 0),
    ):
        if text.strip():  # what is missing leaves no gap
            write_line(draw, (0, below), text, size, colour, width=side, typeface=typeface)
            below += step
    return cell


def opened(path: Path, side: int) -> Image.Image | str:
    """Return a picture that fits into a square, upright and on white, or the reason why there is none."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("a pipe would be waited for")  # noqa: TRY301 - told as all that is no image
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
    except Exception:  # noqa: BLE001 - decoders of rare forms raise whatever they like; one picture is lost by it
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

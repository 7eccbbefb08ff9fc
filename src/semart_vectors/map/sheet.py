"""The map as one picture: every painting in a cell of its own."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageDraw

from semart_vectors.map.layout import FREE, snap
from semart_vectors.search.contact_sheet import EMPTY, GROUND, HAIRLINE, INK, SOFT, write_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from semart_vectors.map.layout import Vectors

# Sizes in pixels.
_SHEET, _SMALLEST, _LARGEST, _NARROWEST = 6000, 24, 128, 960
_MARGIN, _HEADER, _GAP = 64, 108, 2


def side_px(count: int) -> int:
    """Return the side of the square that each of so many pictures must fit into."""
    return _cell_px(count) - 2 * _GAP


def write_sheet(
    places: Vectors,
    pictures: Iterable[Image.Image | None],
    output: IO[bytes],
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Set pictures at their places on a sheet, each in a cell of its own.

    Returns:
        Which of them are None: their cells are grey.
    """
    cell = _cell_px(len(places))
    cells = snap(places)
    columns, lines = cells.max(axis=0).tolist() if len(cells) else (0, 0)
    width = max(2 * _MARGIN + (columns + 1) * cell, _NARROWEST)
    left = (width - (columns + 1) * cell) // 2
    scale = max(1, width / 2400)  # a large sheet is looked at from further away
    top = _MARGIN + round(_HEADER * scale)
    sheet = Image.new("RGB", (width, top + (lines + 1) * cell + _MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    inner_width, headline, below = width - 2 * _MARGIN, _MARGIN - 12, _MARGIN - 12 + round(52 * scale)
    write_line(draw, (_MARGIN, headline), title, round(36 * scale), INK, width=inner_width)
    write_line(draw, (_MARGIN, below), explanation, round(17 * scale), SOFT, width=inner_width)
    missing = []
    for number, ((column, line), picture) in enumerate(zip(cells.tolist(), pictures, strict=True)):
        # Upwards on a plane is downwards on a sheet.
        x, y = left + column * cell, top + (lines - line) * cell
        if picture is None:
            missing.append(number)
            far = cell - _GAP - 1
            draw.rectangle((x + _GAP, y + _GAP, x + far, y + far), EMPTY, HAIRLINE)
        else:
            sheet.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
    sheet.save(output, "PNG")
    return missing


def _cell_px(count: int) -> int:
    return max(_SMALLEST, min(_LARGEST, round(_SHEET / math.sqrt(FREE * max(1, count)))))

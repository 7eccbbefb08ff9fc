"""The map as a PNG: every image in a grid cell of its own."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageDraw

from semart_vectors.map.layout import CELLS_PER_IMAGE, snap_to_grid
from semart_vectors.search.contact_sheet import EMPTY, GROUND, HAIRLINE, INK, SOFT, write_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from semart_vectors.map.layout import Vectors

# Sizes in pixels.
_SHEET, _MIN_CELL, _MAX_CELL, _MIN_WIDTH = 6000, 24, 128, 960
_MARGIN, _HEADER, _GAP = 64, 108, 2


def side_px(count: int) -> int:
    """Return the side in pixels of the square that each of `count` images must fit into."""
    return _cell_px(count) - 2 * _GAP


def write_sheet(
    positions: Vectors,
    pictures: Iterable[Image.Image | None],
    output: IO[bytes],
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Draw images near their positions, each in a cell of its own, and write the sheet as PNG.

    Returns:
        The indexes of the pictures that are None: their cells are grey.
    """
    cell = _cell_px(len(positions))
    cells = snap_to_grid(positions)
    columns, lines = cells.max(axis=0).tolist() if len(cells) else (0, 0)
    width = max(2 * _MARGIN + (columns + 1) * cell, _MIN_WIDTH)
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
        # On the plane y points upwards, on the sheet downwards.
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
    return max(_MIN_CELL, min(_MAX_CELL, round(_SHEET / math.sqrt(CELLS_PER_IMAGE * max(1, count)))))

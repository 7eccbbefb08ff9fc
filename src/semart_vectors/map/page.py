"""The map as one HTML page: a plot by Bokeh, and beside it the painting that is looked at."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import math
from collections import Counter
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from semart_vectors.search.contact_sheet import EMPTY, FAINT, INK

try:
    from bokeh.embed import json_item
    from bokeh.models import (
        BooleanFilter,
        CDSView,
        ColumnDataSource,
        HoverTool,
        IndexFilter,
        Range1d,
        TapTool,
    )
    from bokeh.plotting import figure
    from bokeh.resources import Resources
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the map needs Bokeh, which is not installed: pip install 'semart-vectors[map]'", name="Bokeh"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

    from semart_vectors.map.layout import Rows, Vectors
    from semart_vectors.map.paintings import Painting

# To be told from one another, on a light ground and on a dark one.
_COLOURS = (
    *("#3f7cbf", "#d0573c", "#5b9a58", "#d9a02f", "#8a63bd", "#33a3a1", "#b8417f", "#94714a", "#e58f7c"),
    *("#5f7c94", "#93ad4c", "#b08bbb", "#6f9be0", "#bd6a17", "#2b8f68", "#dd6fb0", "#7673ae", "#b5a26a"),
)
_OTHERS = "#9d978d"

_PICTURES_BYTES = 22_500_000
"""Room for all pictures, 30 MB as text: it is shared out, so that few are large and thousands are small."""

_BYTES_A_PIXEL = 0.2
"""What a WebP of quality 60 takes at such sizes; a photograph takes 0.19, a plain picture less."""

_SMALLEST, _LARGEST, _QUALITY = 64, 400, 60

_MOST_IN_VIEW = 1500
"""Of more paintings than these, all are dots: a picture here and there would hide what is to be seen."""

_CLOSEST_PX = 240
"""So far from its nearest stands a painting on the plot that cannot be zoomed any more."""

_SAMPLE = 200
"""Paintings whose nearest is looked for, to know how far it usually is."""


def side_px(count: int) -> int:
    """Return the side of the square that each of so many pictures must fit into."""
    fits = math.sqrt(_PICTURES_BYTES / (_BYTES_A_PIXEL * max(1, count)))
    return max(_SMALLEST, min(_LARGEST, int(fits)))


class Thumbnail(NamedTuple):
    """A picture as a page holds it."""

    address: str
    """WebP, as a data URI."""
    width_px: int
    height_px: int


def thumbnail(picture: Image.Image) -> Thumbnail:
    """Return a picture as a page holds it."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY)
    address = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return Thumbnail(address, *picture.size)


_NO_PICTURE = Thumbnail("", 1, 1)


def write_page(
    paintings: Sequence[Painting],
    places: Vectors,
    near: tuple[Rows, Vectors],
    pictures: Iterable[Thumbnail | None],
    output: IO[bytes],
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Write a page that loads nothing: its own policy forbids it to, and allows its own scripts alone.

    Returns:
        Which of the pictures are None: they are grey.
    """
    read = list(pictures)
    held = [_NO_PICTURE if picture is None else picture for picture in read]
    rows, cosines = near
    groups, numbers = _groups(paintings)
    # Of each picture's sides, the longer one is 1.
    wide = [round(each.width_px / max(each.width_px, each.height_px), 3) for each in held]
    high = [round(each.height_px / max(each.width_px, each.height_px), 3) for each in held]
    west, south, east, north = _bounds(places)
    share = _share(places)
    columns = {
        "x": places[:, 0],
        "y": places[:, 1],
        "colour": [groups[number]["colour"] for number in numbers],
        "picture": [each.address for each in held],
        "w": wide,
        "h": high,
    }
    known = {
        "plot": json_item(_plot(columns)),
        "bounds": [west, east, south, north],
        "share": share,
        "most": _MOST_IN_VIEW,
        "closest": _CLOSEST_PX / _step(places, share),
        "title": [each.title for each in paintings],
        "author": [each.author for each in paintings],
        "group": numbers,
        "groups": groups,
        "details": [each.details for each in paintings],
        "neighbours": rows.tolist(),
        "cosines": [[round(cosine, 3) for cosine in each] for each in cosines.tolist()],
    }
    scripts = {"bokeh": Resources(mode="inline", components=["bokeh"]).js_raw[0], "script": _part("page.js")}
    # Texts go into the page as JSON without any "<", which alone could end it.
    parts = {
        "title": html.escape(title.encode(errors="replace").decode()),
        "explanation": html.escape(explanation),
        "hashes": " ".join(map(_hash, scripts.values())),
        "known": orjson.dumps(known).decode().replace("<", "\\u003c"),
        **scripts,
    }
    frame = _part("page.html").split("%%")
    page = "".join(parts[part] if number % 2 else part for number, part in enumerate(frame))
    output.write(page.encode())
    return [number for number, picture in enumerate(read) if picture is None]


def _plot(columns: dict[str, Any]) -> figure:
    """Return the plot; what has a name is found by it in page.js, which sets colours by day and by night."""
    count = len(columns["x"])
    plot = figure(
        sizing_mode="stretch_both",
        tools="pan,wheel_zoom",
        active_scroll="wheel_zoom",
        toolbar_location=None,
        x_range=Range1d(),
        y_range=Range1d(),
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=0,
        lod_threshold=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    source = ColumnDataSource(columns, name="paintings")
    pictures = ColumnDataSource(
        {name: [] for name in ("picture", "x", "y", "w", "h", "alpha")}, name="pictures"
    )
    chosen = ColumnDataSource({name: [] for name in ("x", "y", "w", "h")}, name="chosen")
    lines = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": []}, name="lines")
    shown = BooleanFilter(booleans=[True] * count, name="visible")
    pictured = IndexFilter(indices=[], name="pictured")
    # Where the others are, while some are hidden.
    places = plot.scatter(
        "x", "y", source=source, name="places", size=4, fill_color=FAINT, fill_alpha=0.4, line_color=None
    )
    places.visible, places.nonselection_glyph = False, None
    plot.segment("x0", "y0", "x1", "y1", source=lines, name="links", line_color=INK)
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        view=CDSView(filter=shown),
        name="dots",
        size=12 if count <= 1000 else 8 if count <= 5000 else 6,  # noqa: PLR2004 - so that they seldom overlap
        fill_color="colour",
        line_color=None,
        line_width=2,
        selection_line_color=INK,
        nonselection_alpha=0.3,
    )
    frames = plot.rect(
        "x",
        "y",
        "w",
        "h",
        source=source,
        view=CDSView(filter=pictured),
        name="frames",
        width_units="screen",
        height_units="screen",
        fill_color=EMPTY,
        line_color="colour",
        line_width=4,
        line_join="miter",
        selection_line_color=INK,
        nonselection_line_alpha=0.3,
        nonselection_fill_alpha=1,
    )
    plot.rect(
        "x",
        "y",
        "w",
        "h",
        source=chosen,
        name="chosen frame",
        width_units="screen",
        height_units="screen",
        fill_color=None,
        line_color=INK,
        line_width=10,
        line_join="miter",
    )
    # In a source of their own: Bokeh loads what stands there, and cannot let unselected pictures fade.
    plot.image_url(
        "picture",
        "x",
        "y",
        "w",
        "h",
        source=pictures,
        w_units="screen",
        h_units="screen",
        anchor="center",
        global_alpha="alpha",
    )
    # Both find the same paintings: the page decides which lies above.
    plot.add_tools(
        HoverTool(tooltips=None, renderers=[dots, frames]),
        TapTool(mode="replace", renderers=[dots, frames]),
    )
    return plot


def _bounds(places: Vectors) -> list[float]:
    return [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()] if len(places) else [0.0] * 4


def _share(places: Vectors) -> float:
    """Return the side of a square that each painting would have to itself; of a line, its part of that."""
    if len(places) == 0:
        return 1.0
    wide, high = np.ptp(places, axis=0).tolist()
    return max(math.sqrt(wide * high / len(places)), (wide + high) / len(places)) or 1.0


def _step(places: Vectors, share: float) -> float:
    """Return how far a painting's nearest stands from it: the median of a sample, or a speck of its share."""
    if len(places) < 2:  # noqa: PLR2004 - one has no nearest
        return share
    sample = places[:: math.ceil(len(places) / _SAMPLE)]
    apart = [np.partition(np.hypot(*(places - each).T), 1)[1] for each in sample]
    return max(float(np.median(apart)), share / 50)


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _part(name: str) -> str:
    return (files("semart_vectors.map") / name).read_text("utf-8")


def _groups(paintings: Sequence[Painting]) -> tuple[list[dict[str, Any]], list[int]]:
    """Give each of the largest groups a colour, and all others, if there are any, one together.

    Returns:
        The groups, the largest first, and the number of each painting's among them.
    """
    sizes = Counter(each.group for each in paintings).most_common()
    number_of = {name: min(number, len(_COLOURS)) for number, (name, _) in enumerate(sizes)}
    groups: list[dict[str, Any]] = [
        {"name": name, "colour": colour, "count": count}
        for (name, count), colour in zip(sizes, _COLOURS, strict=False)
    ]
    if rest := sizes[len(_COLOURS) :]:
        count = sum(count for _, count in rest)
        groups.append({"name": f"{len(rest):,} others", "colour": _OTHERS, "count": count})
    return groups, [number_of[each.group] for each in paintings]

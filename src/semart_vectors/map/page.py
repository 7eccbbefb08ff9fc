"""The map as one HTML page: a plot by Bokeh, and beside it a panel with the selected image."""

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

    from semart_vectors.map.entries import MapEntry
    from semart_vectors.map.layout import Rows, Vectors

# Easy to tell apart, on a light background and on a dark one.
_COLOURS = (
    *("#3f7cbf", "#d0573c", "#5b9a58", "#d9a02f", "#8a63bd", "#33a3a1", "#b8417f", "#94714a", "#e58f7c"),
    *("#5f7c94", "#93ad4c", "#b08bbb", "#6f9be0", "#bd6a17", "#2b8f68", "#dd6fb0", "#7673ae", "#b5a26a"),
)
_OTHERS = "#9d978d"

_PICTURES_BYTES = 22_500_000
"""Size of all pictures together, 30 MB as text: with fewer pictures, each is larger."""

_BYTES_PER_PIXEL = 0.2
"""Size of a WebP of quality 60 at such sizes: a photograph takes 0.19, a plain picture less."""

_MIN_SIDE, _MAX_SIDE, _QUALITY = 64, 400, 60

_MAX_IN_VIEW = 1500
"""If more images are in view, all are dots: a picture here and there would hide the structure."""

_MAX_ZOOM_PX = 240
"""At the largest zoom, the typical distance between an image and its nearest."""

_SAMPLE = 200
"""Number of images from which that typical distance is estimated."""


def side_px(count: int) -> int:
    """Return the side in pixels of the square that each of `count` pictures must fit into."""
    fits = math.sqrt(_PICTURES_BYTES / (_BYTES_PER_PIXEL * max(1, count)))
    return max(_MIN_SIDE, min(_MAX_SIDE, int(fits)))


class Thumbnail(NamedTuple):
    """A picture as the page embeds it."""

    data_uri: str
    """The WebP file."""
    width_px: int
    height_px: int


def thumbnail(picture: Image.Image) -> Thumbnail:
    """Encode a picture for the page."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY)
    data_uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return Thumbnail(data_uri, *picture.size)


_NO_PICTURE = Thumbnail("", 1, 1)


def write_page(
    entries: Sequence[MapEntry],
    positions: Vectors,
    neighbours: tuple[Rows, Vectors],
    pictures: Iterable[Thumbnail | None],
    output: IO[bytes],
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Write a page that loads nothing: its policy forbids that, and allows no scripts except its own.

    Args:
        entries: One for each image.
        positions: float32, shape (n, 2).
        neighbours: The rows of the nearest images of each image, and their cosines.
        pictures: One for each image; None if it could not be read.
        output: Where to write the page.
        title: The headline.
        explanation: The line below it.

    Returns:
        The indexes of the pictures that are None: they are grey.
    """
    read = list(pictures)
    thumbnails = [_NO_PICTURE if picture is None else picture for picture in read]
    rows, cosines = neighbours
    groups, numbers = _groups(entries)
    # Of each picture's sides, the longer one is 1.
    wide = [round(each.width_px / max(each.width_px, each.height_px), 3) for each in thumbnails]
    high = [round(each.height_px / max(each.width_px, each.height_px), 3) for each in thumbnails]
    west, south, east, north = _bounds(positions)
    spacing = _spacing(positions)
    columns = {
        "x": positions[:, 0],
        "y": positions[:, 1],
        "colour": [groups[number]["colour"] for number in numbers],
        "picture": [each.data_uri for each in thumbnails],
        "w": wide,
        "h": high,
    }
    data = {
        "plot": json_item(_plot(columns)),
        "bounds": [west, east, south, north],
        "spacing": spacing,
        "max_in_view": _MAX_IN_VIEW,
        "max_zoom": _MAX_ZOOM_PX / _nearest_distance(positions, spacing),
        "title": [each.title for each in entries],
        "author": [each.author for each in entries],
        "group": numbers,
        "groups": groups,
        "details": [each.details for each in entries],
        "neighbours": rows.tolist(),
        "cosines": [[round(cosine, 3) for cosine in each] for each in cosines.tolist()],
    }
    scripts = {
        "bokeh": Resources(mode="inline", components=["bokeh"]).js_raw[0],
        "script": _read_resource("page.js"),
    }
    # Texts go into the page as JSON without "<", the only character that could end the script element.
    parts = {
        "title": html.escape(title.encode(errors="replace").decode()),
        "explanation": html.escape(explanation),
        "hashes": " ".join(map(_csp_hash, scripts.values())),
        "data": orjson.dumps(data).decode().replace("<", "\\u003c"),
        **scripts,
    }
    frame = _read_resource("page.html").split("%%")
    page = "".join(parts[part] if number % 2 else part for number, part in enumerate(frame))
    output.write(page.encode())
    return [number for number, picture in enumerate(read) if picture is None]


def _plot(columns: dict[str, Any]) -> figure:
    """Return the plot; page.js finds its models by name, and sets colours for light and dark."""
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
    source = ColumnDataSource(columns, name="images")
    pictures = ColumnDataSource(
        {name: [] for name in ("picture", "x", "y", "w", "h", "alpha")}, name="pictures"
    )
    chosen = ColumnDataSource({name: [] for name in ("x", "y", "w", "h")}, name="chosen")
    lines = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": []}, name="lines")
    shown = BooleanFilter(booleans=[True] * count, name="visible")
    pictured = IndexFilter(indices=[], name="pictured")
    # Shows where the hidden ones are, while some are hidden.
    hidden = plot.scatter(
        "x", "y", source=source, name="hidden", size=4, fill_color=FAINT, fill_alpha=0.4, line_color=None
    )
    hidden.visible, hidden.nonselection_glyph = False, None
    plot.segment("x0", "y0", "x1", "y1", source=lines, name="links", line_color=INK)
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        view=CDSView(filter=shown),
        name="dots",
        size=12 if count <= 1000 else 8 if count <= 5000 else 6,  # noqa: PLR2004 - so that dots seldom overlap
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
    # In a source of their own: Bokeh loads every picture of a source, and cannot fade unselected ones.
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
    # Both renderers find the same images: page.js decides which one is on top.
    plot.add_tools(
        HoverTool(tooltips=None, renderers=[dots, frames]),
        TapTool(mode="replace", renderers=[dots, frames]),
    )
    return plot


def _bounds(positions: Vectors) -> list[float]:
    """Return west, south, east and north."""
    if len(positions) == 0:
        return [0.0] * 4
    return [*positions.min(axis=0).tolist(), *positions.max(axis=0).tolist()]


def _spacing(positions: Vectors) -> float:
    """Return how far apart the images would be if they were spread evenly, over an area or along a line."""
    if len(positions) == 0:
        return 1.0
    width, height = np.ptp(positions, axis=0).tolist()
    return max(math.sqrt(width * height / len(positions)), (width + height) / len(positions)) or 1.0


def _nearest_distance(positions: Vectors, spacing: float) -> float:
    """Return the median distance of a sample to the nearest image; at least a fiftieth of `spacing`."""
    if len(positions) < 2:  # noqa: PLR2004 - a single image has no nearest
        return spacing
    sample = positions[:: math.ceil(len(positions) / _SAMPLE)]
    distances = [np.partition(np.hypot(*(positions - each).T), 1)[1] for each in sample]
    return max(float(np.median(distances)), spacing / 50)


def _csp_hash(script: str) -> str:
    """Return a script's hash as a Content-Security-Policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read_resource(name: str) -> str:
    return (files("semart_vectors.map") / name).read_text("utf-8")


def _groups(entries: Sequence[MapEntry]) -> tuple[list[dict[str, Any]], list[int]]:
    """Give each of the largest groups a colour, and one colour to all the other groups together.

    Returns:
        The groups, the largest first, and for each image the index of its group.
    """
    sizes = Counter(each.group for each in entries).most_common()
    number_of = {name: min(number, len(_COLOURS)) for number, (name, _) in enumerate(sizes)}
    groups: list[dict[str, Any]] = [
        {"name": name, "colour": colour, "count": count}
        for (name, count), colour in zip(sizes, _COLOURS, strict=False)
    ]
    if rest := sizes[len(_COLOURS) :]:
        count = sum(count for _, count in rest)
        groups.append({"name": f"{len(rest):,} others", "colour": _OTHERS, "count": count})
    return groups, [number_of[each.group] for each in entries]

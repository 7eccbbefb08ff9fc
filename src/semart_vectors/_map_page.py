"""The map as one HTML page: a plot by Bokeh, and beside it the painting that is looked at."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson
from bokeh.embed import components
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, CustomJS, HoverTool, TapTool
from bokeh.plotting import figure
from bokeh.resources import Resources
from PIL import Image

from semart_vectors.files import write_aside
from semart_vectors.pictures import EMPTY, GROUND, INK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from semart_vectors.map import Painting, Rows, Vectors

_COLOURS = (
    *("#3b6ea5", "#c8553d", "#5b8c5a", "#d9a441", "#7d5ba6", "#4aa3a2", "#a23b72", "#8a6d4b", "#e08e79"),
    *("#2f4858", "#9bb05a", "#b08bbb", "#6c8ebf", "#b5651d", "#1f7a5c", "#d16ba5", "#5f5b8a", "#c2b280"),
)
_OTHERS, _OTHERS_COLOUR = "all others", "#9d978d"

_TOOLTIP = """
<div style="display: flex; gap: 10px; max-width: 320px; font: 13px/1.4 system-ui, sans-serif; color: #2b2926">
  <img src="@picture" alt="" style="max-width: 120px; max-height: 120px; align-self: flex-start">
  <div><b>@title</b><br>@author<br><span style="color: #716c64">@group</span></div>
</div>
"""
"""Bokeh escapes what it puts in."""


def map_page(
    paintings: Sequence[Painting],
    places: Vectors,
    near: tuple[Rows, Vectors],
    pictures: Iterator[Image.Image | None],
    output: Path,
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Write a page that loads nothing: its own policy forbids it to.

    Returns:
        Which of the pictures are None: they are grey.
    """
    images = list(pictures)
    empty = _data_uri(Image.new("RGB", (8, 8), EMPTY))
    groups = _groups(paintings)
    # Text goes into the page as JSON, and from there by textContent: no markup is ever made of it.
    source = ColumnDataSource(
        {
            "x": places[:, 0].tolist(),
            "y": places[:, 1].tolist(),
            "title": [each.title for each in paintings],
            "author": [each.author for each in paintings],
            "group": [each.group for each in paintings],
            "colour": [groups.get(each.group, _OTHERS_COLOUR) for each in paintings],
            "picture": [empty if image is None else _data_uri(image) for image in images],
        },
        name="paintings",
    )
    script, plot = components(_figure(source, len(paintings)))
    rows, cosines = near
    known = {
        "details": [each.details for each in paintings],
        "neighbours": rows.tolist(),
        "cosines": [[round(cosine, 3) for cosine in each] for each in cosines.tolist()],
        "groups": groups,
    }
    parts = {
        "title": html.escape(title),
        "explanation": html.escape(explanation),
        "bokeh": Resources(mode="inline", components=["bokeh"]).render(),
        "plot": plot,
        "script": script,
        "known": orjson.dumps(known).decode().replace("<", "\\u003c"),
    }
    frame = (files("semart_vectors") / "_map_page.html").read_text("utf-8").split("%%")
    page = "".join(parts[part] if number % 2 else part for number, part in enumerate(frame))
    with write_aside(output) as aside:
        aside.write_text(page, "utf-8")
    return [number for number, image in enumerate(images) if image is None]


def _groups(paintings: Sequence[Painting]) -> dict[str, str]:
    """Give the largest groups a colour each, and the rest, if there is one, one together."""
    sizes = Counter(each.group for each in paintings)
    largest = [group for group, _ in sizes.most_common(len(_COLOURS))]
    groups = dict(zip(largest, _COLOURS, strict=False))
    return groups if len(groups) == len(sizes) else {**groups, _OTHERS: _OTHERS_COLOUR}


def _figure(source: ColumnDataSource, count: int) -> figure:
    plot = figure(
        sizing_mode="stretch_both",
        tools="pan,wheel_zoom,box_zoom,reset",
        active_scroll="wheel_zoom",
        match_aspect=True,
        background_fill_color=GROUND,
        border_fill_color=GROUND,
        outline_line_color=None,
        toolbar_location="above",
    )
    plot.toolbar.logo = None  # it is a link to another site
    plot.axis.visible = False
    plot.grid.visible = False
    size_px = 12 if count <= 1000 else 8 if count <= 5000 else 6  # noqa: PLR2004 - so that they seldom overlap
    # One renderer for all groups: of dots that lie on one another, one is told, not one of each group.
    shown = BooleanFilter(booleans=[True] * count, name="shown")
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        view=CDSView(filter=shown),
        size=size_px,
        fill_color="colour",
        line_color="white",
        line_width=0.5,
        fill_alpha=0.9,
        nonselection_alpha=0.35,
    )
    marks = ColumnDataSource({"x": [], "y": [], "size": [], "width": []}, name="marks")
    marked = plot.scatter("x", "y", source=marks, size="size", line_width="width", line_color=INK)
    marked.glyph.fill_color = None
    plot.add_tools(
        HoverTool(tooltips=_TOOLTIP, renderers=[dots], limit=1, attachment="horizontal"),
        TapTool(renderers=[dots]),
    )
    source.selected.js_on_change(
        "indices", CustomJS(args={"source": source, "marks": marks}, code="window.show(source, marks)")
    )
    return plot


def _data_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=70, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()

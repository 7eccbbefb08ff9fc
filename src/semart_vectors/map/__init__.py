"""The map of a collection: near paintings stand together, on one sheet or on a page to click through."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semart_vectors.errors import ConfigurationError
from semart_vectors.files import write_aside
from semart_vectors.map.layout import neighbours, place
from semart_vectors.map.page import side_px as side_on_page_px, thumbnail, write_page
from semart_vectors.map.paintings import read_paintings, read_pictures
from semart_vectors.map.sheet import side_px as side_on_sheet_px, write_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from semart_vectors.gallery import Gallery
    from semart_vectors.map.layout import Rows

_logger = logging.getLogger(__name__)

__all__ = ["MOST", "MapReport", "draw_map"]

MOST = 20_000
"""Paintings on one map: the time to place them and the room of their pictures grow with each."""

_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class MapReport:
    """What was drawn."""

    paintings: int
    """On the map; at most `MOST`."""
    total: int
    """In the gallery."""
    without_picture: tuple[str, ...]
    """Names of those whose image could not be read: they are grey."""


def draw_map(
    gallery: Gallery,
    images_dir: str | PathLike[str],
    output: str | PathLike[str],
    *,
    colour_by: str | None = None,
    title: str = "A map of the collection",
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> MapReport:
    """Draw a gallery as a sheet (.png), or as a page that needs nothing but itself (.html).

    Of more than 20,000 paintings as many are drawn, taken evenly from the whole file, and neighbours are
    those among them. It blocks, for a minute where there are ten thousand, and meanwhile holds all of the
    process's BLAS to one thread, so that the same vectors get the same places.

    Args:
        gallery: The paintings with their vectors.
        images_dir: The folder that the names of the images are relative to.
        output: The final name, which never holds half of it. What stands there is replaced.
        colour_by: The column that says which paintings have one colour on the page; the first of type,
            school and timeframe unless given. A sheet has no colours but those of the paintings.
        title: The headline.
        progress: Wraps the pictures while they are read, as ``tqdm`` does.

    Raises:
        ConfigurationError: a folder, the column or all of the images are not there, the name ends
            otherwise, or a sheet is to be coloured.
        DiskError: the disk refused to write.
    """
    images_dir, output = Path(images_dir), Path(output)
    kind = output.suffix.lower()
    if kind not in {".png", ".html"}:
        raise ConfigurationError(f"{output}: a map is a .png or an .html")
    if kind == ".png" and colour_by is not None:
        raise ConfigurationError(f"{output}: a sheet has no dots to colour by {colour_by!r}; an .html has")
    for folder in (images_dir, output.parent):
        if not os.path.isdir(folder):  # noqa: PTH112 - says no where one may not look
            raise ConfigurationError(f"there is no folder {folder}")
    rows = spread(len(gallery))
    paintings = read_paintings(gallery, rows.tolist(), images_dir, colour_by)
    images = [painting.image for painting in paintings if painting.image is not None]
    if paintings and not any(map(os.path.isfile, images)):
        raise ConfigurationError(
            f"none of the {len(paintings):,} images is in {images_dir}: give the folder that their names are "
            "relative to"
        )
    vectors = gallery.vectors[rows]
    words = {"title": title, "explanation": _explained(len(rows), len(gallery))}
    # Opened before anything else: a minute later is too late to hear that nothing can be written there.
    with write_aside(output) as aside, aside.open("wb") as file:
        _logger.info("placing %s paintings", f"{len(rows):,}")
        places = place(vectors)
        if kind == ".png":
            with read_pictures(paintings, side_on_sheet_px(len(rows)), lambda it: it) as pictures:
                missing = write_sheet(places, progress(pictures), file, **words)
        else:
            near = neighbours(vectors, _NEIGHBOURS)
            with read_pictures(paintings, side_on_page_px(len(rows)), thumbnail) as thumbnails:
                missing = write_page(paintings, places, near, progress(thumbnails), file, **words)
    return MapReport(len(rows), len(gallery), tuple(paintings[each].image_file for each in missing))


def spread(count: int) -> Rows:
    """Return the rows that are drawn of so many: all, or `MOST` of them at even steps."""
    return np.arange(count) if count <= MOST else np.arange(MOST) * count // MOST


def _explained(drawn: int, total: int) -> str:
    count = f"{total:,}" if drawn == total else f"{drawn:,} of {total:,}"
    noun = "painting" if total == 1 else "paintings"
    return f"{count} {noun}. The nearer two stand, the more alike are their vectors; directions mean nothing."

"""`draw_map`: check what is asked for, place the images, and write a sheet or a page."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from tqdm import tqdm

from semart_vectors.errors import ConfigurationError
from semart_vectors.files import write_aside
from semart_vectors.gallery import Gallery
from semart_vectors.map.entries import read_entries, read_pictures
from semart_vectors.map.layout import neighbours, positions_of
from semart_vectors.map.page import side_px as side_on_page_px, thumbnail, write_page
from semart_vectors.map.sheet import side_px as side_on_sheet_px, write_sheet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from semart_vectors.map.layout import Rows

PictureT = TypeVar("PictureT")

_logger = logging.getLogger(__name__)

MAX_IMAGES = 20_000
"""Images on one map: the time to place them, and the size of their pictures, grow with each."""

_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class MapReport:
    """What `draw_map` drew."""

    drawn: int
    """Images on the map; at most `MAX_IMAGES`."""
    total: int
    """Images in the gallery."""
    unreadable: tuple[str, ...]
    """Names of the images that could not be read: they are grey on the map."""


def draw_map(
    gallery: Gallery | str | PathLike[str],
    images_dir: str | PathLike[str],
    output: str | PathLike[str],
    *,
    colour_by: str | None = None,
    title: str = "A map of the collection",
    progress: bool | None = None,
) -> MapReport:
    """Draw a gallery as one picture (.png), or as a page that needs no other file (.html).

    Of more than 20,000 images, 20,000 are drawn, taken evenly from the whole file; the neighbours are those
    among them. It blocks, for about a minute for ten thousand images, and in that time limits the BLAS of
    the whole process to one thread, so that the same vectors always get the same positions.

    Args:
        gallery: The images with their vectors: a `Gallery`, or the path of a file that `merge_vectors` wrote.
        images_dir: The folder that the names of the images are relative to.
        output: Path of the map. An earlier file is replaced only once the new one is complete.
        colour_by: The column that gives the dots of a page their colours; unless given, the first of type,
            school and timeframe that exists, else the folder of each image. A .png has no dots.
        title: The headline.
        progress: Whether to show a progress bar on stderr; None shows it on a terminal.

    Raises:
        ConfigurationError: a folder, the column or all of the images do not exist; the output has another
            suffix; or a .png is to be coloured.
        VectorFileError: the file of vectors cannot be used.
        DiskError: the output cannot be written.
    """
    images_dir, output = Path(images_dir), Path(output)
    is_page = _check_output(output, colour_by)
    for folder in (images_dir, output.parent):
        if not os.path.isdir(folder):  # noqa: PTH112 - `Path.is_dir` raises where one lacks permission
            raise ConfigurationError(f"there is no folder {folder}")
    if not isinstance(gallery, Gallery):
        gallery = Gallery.open(gallery)
    rows = choose_rows(len(gallery))
    entries = read_entries(gallery, rows.tolist(), images_dir, colour_by)
    paths = [entry.path for entry in entries if entry.path is not None]
    if entries and not any(map(os.path.isfile, paths)):
        raise ConfigurationError(
            f"none of the {len(entries):,} images is in {images_dir}: give the folder that their names are "
            "relative to"
        )
    vectors = gallery.vectors[rows]
    words = {"title": title, "explanation": _explanation(len(rows), len(gallery))}
    # Open the output first: after a minute is too late to find out that nothing can be written there.
    with write_aside(output) as aside, aside.open("wb") as file:
        _logger.info("placing %s images", f"{len(rows):,}")
        positions = positions_of(vectors)
        if is_page:
            near = neighbours(vectors, _NEIGHBOURS)
            with read_pictures(entries, side_on_page_px(len(rows)), thumbnail) as thumbnails:
                shown = _with_progress(thumbnails, len(rows), progress)
                missing = write_page(entries, positions, near, shown, file, **words)
        else:
            with read_pictures(entries, side_on_sheet_px(len(rows)), lambda it: it) as pictures:
                missing = write_sheet(positions, _with_progress(pictures, len(rows), progress), file, **words)
    return MapReport(len(rows), len(gallery), tuple(entries[index].image_file for index in missing))


def choose_rows(count: int) -> Rows:
    """Return which rows of a gallery of `count` images are drawn: all, or `MAX_IMAGES` at even steps."""
    return np.arange(count) if count <= MAX_IMAGES else np.arange(MAX_IMAGES) * count // MAX_IMAGES


def _check_output(output: Path, colour_by: str | None) -> bool:
    """Return whether the output is a page; refuse what is neither a page nor a sheet."""
    suffix = output.suffix.lower()
    if suffix not in {".png", ".html"}:
        raise ConfigurationError(f"{output}: the name of a map must end with .png or .html")
    if suffix == ".png" and colour_by is not None:
        raise ConfigurationError(f"{output}: a .png has no dots to colour by {colour_by!r}; an .html has")
    return suffix == ".html"


def _with_progress(pictures: Iterable[PictureT], total: int, shown: bool | None) -> Iterable[PictureT]:  # noqa: FBT001 - as `draw_map` got it
    return tqdm(
        pictures, total=total, unit="img", desc="pictures", disable=None if shown is None else not shown
    )


def _explanation(drawn: int, total: int) -> str:
    count = f"{total:,}" if drawn == total else f"{drawn:,} of {total:,}"
    noun = "image" if total == 1 else "images"
    return f"{count} {noun}. The closer two are, the more similar their vectors; directions have no meaning."

"""What a map shows of each image: its title, author, group and other columns, and the picture itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from semart_vectors.errors import ConfigurationError
from semart_vectors.search.contact_sheet import open_scaled
from semart_vectors.search.results import image_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from semart_vectors.gallery import Gallery

ResultT = TypeVar("ResultT")

_GROUP_COLUMNS = ("type", "school", "timeframe")
"""Of these columns the first that exists colours the page, or else the folder of each image."""

_FOLDER, _TOP = "folder", "top folder"


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One image on the map, without its pixels."""

    image_file: str
    path: Path | None
    """Where the image is; None if its name cannot be that of a file below the folder."""
    title: str
    author: str
    group: str
    """Images of one group have one colour."""
    details: dict[str, str]
    """The other columns, as text."""


def read_entries(
    gallery: Gallery, rows: Sequence[int], images_dir: Path, colour_by: str | None
) -> list[MapEntry]:
    """Return the entries for some rows of a gallery.

    Raises:
        ConfigurationError: the gallery has no column `colour_by`.
    """
    columns = gallery.columns(rows)
    names = columns["image_file"]
    others = [name for name in columns if name not in {"title", "author"}]
    # Every image has a folder, whether the file has such a column or not.
    columns.setdefault(_FOLDER, [name.rpartition("/")[0] for name in names])
    if colour_by is None:
        colour_by = next((name for name in _GROUP_COLUMNS if name in columns), _FOLDER)
    elif colour_by not in columns:
        raise ConfigurationError(
            f"there is no column {colour_by!r} to colour by; the columns are {', '.join(columns)}"
        )
    without = _TOP if colour_by == _FOLDER else "unknown"

    def text(column: str, row: int) -> str:
        value = columns[column][row] if column in columns else None
        return "" if value is None else str(value)

    return [
        MapEntry(
            image_file=names[row],
            path=image_path(images_dir, names[row]),
            title=text("title", row) or names[row],
            author=text("author", row),
            group=text(colour_by, row) or without,
            details={name: value for name in others if (value := text(name, row))},
        )
        for row in range(len(names))
    ]


@contextmanager
def read_pictures(
    entries: Sequence[MapEntry],
    side_px: int,
    convert: Callable[[Image.Image], ResultT],
) -> Iterator[Iterator[ResultT | None]]:
    """Read the image of each entry, scaled into a square of `side_px`, in several threads.

    Yields:
        The converted images, in the order of the entries; None for each that cannot be read.
    """

    def read(entry: MapEntry) -> ResultT | None:
        picture = None if entry.path is None else open_scaled(entry.path, side_px)
        return convert(picture) if isinstance(picture, Image.Image) else None

    threads = ThreadPoolExecutor()
    try:
        yield threads.map(read, entries)
    finally:
        threads.shutdown(cancel_futures=True)

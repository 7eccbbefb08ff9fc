"""What a map shows of a painting: what is known of it, and its picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from semart_vectors.errors import ConfigurationError
from semart_vectors.search.contact_sheet import opened
from semart_vectors.search.results import image_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from semart_vectors.gallery import Gallery

MadeT = TypeVar("MadeT")

_COLOURED_BY = ("type", "school", "timeframe")


@dataclass(frozen=True, slots=True)
class Painting:
    """One painting, without its picture."""

    image_file: str
    image: Path | None
    """Its image file; None where its name is no file's below the folder."""
    title: str
    author: str
    group: str
    """Paintings of one group have one colour."""
    details: dict[str, str]
    """All else that is known of it, by column."""


def read_paintings(
    gallery: Gallery, rows: Sequence[int], images_dir: Path, colour_by: str | None
) -> list[Painting]:
    """Return what is known of some rows of a gallery.

    Raises:
        ConfigurationError: there is no column `colour_by`.
    """
    columns = gallery.columns(rows)
    names = columns["image_file"]
    if colour_by is None:
        colour_by = next((name for name in _COLOURED_BY if name in columns), None)
    elif colour_by not in columns:
        raise ConfigurationError(f"there is no column {colour_by!r} to colour by: {', '.join(columns)}")
    others = [name for name in columns if name not in {"title", "author"}]

    def text(column: str | None, row: int) -> str:
        value = columns[column][row] if column in columns else None
        return "" if value is None else str(value)

    return [
        Painting(
            image_file=names[row],
            image=image_path(images_dir, names[row]),
            title=text("title", row) or names[row],
            author=text("author", row),
            group=text(colour_by, row) or ("unknown" if colour_by else ""),
            details={name: value for name in others if (value := text(name, row))},
        )
        for row in range(len(names))
    ]


@contextmanager
def read_pictures(
    paintings: Sequence[Painting],
    side_px: int,
    make: Callable[[Image.Image], MadeT],
) -> Iterator[Iterator[MadeT | None]]:
    """Yield what is made of each picture, in their order; None for each that cannot be read.

    Several are read at a time. They fit into a square of `side_px`.
    """

    def read(painting: Painting) -> MadeT | None:
        picture = None if painting.image is None else opened(painting.image, side_px)
        return make(picture) if isinstance(picture, Image.Image) else None

    readers = ThreadPoolExecutor()
    try:
        yield readers.map(read, paintings)
    finally:
        readers.shutdown(cancel_futures=True)

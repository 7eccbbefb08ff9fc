"""The map of a collection: near paintings stand together, on one sheet or on a page to click through."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageDraw
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from semart_vectors.errors import ConfigurationError, UnreadableImageError
from semart_vectors.files import write_aside
from semart_vectors.names import to_path
from semart_vectors.pictures import EMPTY, GROUND, HAIRLINE, INK, SOFT, opened, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from semart_vectors.gallery import Gallery

    Vectors: TypeAlias = NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.int64]

MOST = 20_000
"""Paintings on one map: the time to place them and the room of their pictures grow with each."""

NEIGHBOURS = 8

# As is usual with t-SNE: the directions that hold nearly all that the vectors say, and its own perplexity.
_COMPONENTS, _PERPLEXITY, _FEWEST = 50, 30, 8

# Sizes in pixels.
_SHEET, _SMALLEST, _LARGEST, _MARGIN, _HEADER, _GAP = 6000, 24, 128, 64, 108, 2

_FREE = 1.5
"""Cells for each painting: so much room that groups and the gaps between them keep their shape."""


@dataclass(frozen=True, slots=True)
class Painting:
    """What a map shows of a painting."""

    image: Path | None
    """Its image file; None where its name is no file's below the folder."""
    title: str
    author: str
    group: str
    """Paintings of one group have one colour."""
    details: dict[str, str]
    """All else that is known of it, by column."""


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
    on_picture: Callable[[], object] = lambda: None,
) -> MapReport:
    """Draw a gallery as a sheet (.png), or as a page that needs nothing but itself (.html).

    Of more than 20,000 paintings as many are drawn, taken evenly from the whole file. It blocks, for
    minutes where there are thousands.

    Args:
        gallery: The paintings with their vectors.
        images_dir: The folder that the names of the images are relative to.
        output: The final name, which never holds half of it. What stands there is replaced.
        colour_by: The column that says which paintings have one colour on the page; the first of type,
            school and timeframe unless given.
        title: The headline.
        on_picture: Called after each picture that was read.

    Raises:
        ConfigurationError: a folder or the column is not there, or the name ends otherwise.
        CheckpointDiskError: the disk refused to write.
    """
    images_dir, output = Path(images_dir), Path(output)
    if output.suffix.lower() not in {".png", ".html"}:
        raise ConfigurationError(f"{output}: a map is a .png or an .html")
    for folder in (images_dir, output.parent):
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder}")
    rows = spread(len(gallery))
    paintings = _paintings(gallery, rows, images_dir, colour_by)
    vectors = gallery.vectors[rows]
    places = place(vectors)
    explanation = _explained(len(rows), len(gallery))
    with _pictures(paintings, _side_of(output, len(rows)), on_picture) as pictures:
        if output.suffix.lower() == ".png":
            missing = map_png(places, pictures, output, title=title, explanation=explanation)
        else:
            from semart_vectors._map_page import map_page  # noqa: PLC0415 - Bokeh is for pages alone

            near = neighbours(vectors, NEIGHBOURS)
            missing = map_page(
                paintings, places, near, pictures, output, title=title, explanation=explanation
            )
    return MapReport(len(rows), len(gallery), tuple(gallery.image_files[rows[each]] for each in missing))


def _explained(drawn: int, total: int) -> str:
    count = f"{total:,}" if drawn == total else f"{drawn:,} of {total:,}"
    return (
        f"{count} paintings. The nearer two stand, the more alike are their vectors; directions mean nothing."
    )


def spread(count: int) -> Rows:
    """Return the rows that are drawn of so many: all, or `MOST` of them at even steps."""
    if count <= MOST:
        return np.arange(count)
    return np.arange(MOST) * count // MOST


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions; one without length stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def place(vectors: Vectors) -> Vectors:
    """Find a place on a plane for each vector, so that those at small angles stand together.

    By principal components, then t-SNE from a fixed start and in one thread: the same vectors get the same
    places. A few have no neighbourhoods to keep, and get their first two components.

    Returns:
        float32, shape (n, 2), each column around 0.
    """
    count = len(vectors)
    alike = unit(vectors)
    if count < 2 or np.ptp(alike, axis=0).max() < np.finfo(np.float32).eps:  # noqa: PLR2004 - one has no distance
        return np.zeros((count, 2), np.float32)
    few = count < _FEWEST
    with threadpool_limits(1):  # sums of several threads are rounded in the order in which they end
        components = PCA(2 if few else min(_COMPONENTS, count), svd_solver="covariance_eigh")
        places = components.fit_transform(alike)
        if not few:
            perplexity = min(_PERPLEXITY, (count - 1) / 3)
            places = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(places)
    return np.asarray(places - places.mean(axis=0), np.float32)


def neighbours(vectors: Vectors, k: int) -> tuple[Rows, Vectors]:
    """Find the k nearest others of each vector, nearest first: their rows, and the cosines."""
    alike = unit(vectors)
    k = max(0, min(k, len(alike) - 1))
    rows = np.empty((len(alike), k), np.int64)
    cosines = np.empty((len(alike), k), np.float32)
    for start in range(0, len(alike) if k else 0, 1024):
        scores = alike[start : start + 1024] @ alike.T
        within = np.arange(len(scores))
        scores[within, start + within] = -np.inf
        best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        rows[start : start + 1024] = best
        cosines[start : start + 1024] = np.take_along_axis(scores, best, axis=1)
    return rows, cosines


def snap(places: Vectors) -> Rows:
    """Give each place a cell of a grid to itself: the nearest that is free, from the middle outwards.

    Returns:
        shape (n, 2): column and row, both from 0.
    """
    count = len(places)
    if not count:
        return np.zeros((0, 2), np.int64)
    extent = np.maximum(np.ptp(places, axis=0), 1e-6)
    wide, high = np.clip(extent / extent.max(), 0.5, 1)  # also a line gets room for both directions
    inner = math.sqrt(_FREE * count * wide / high)
    inner_size = np.ceil([inner, _FREE * count / inner])
    margin = math.ceil(0.2 * inner_size.max())  # a group at the edge may grow beyond it
    columns, lines = (inner_size.astype(int) + 2 * margin).tolist()
    inside = (places - places.min(axis=0)) / extent * (inner_size - 1) + margin
    across, down = (axis.ravel() for axis in np.meshgrid(np.arange(columns), np.arange(lines)))
    across, down = across.astype(np.float32), down.astype(np.float32)
    middle = np.array([columns - 1, lines - 1]) / 2
    cells = np.empty(count, np.int64)
    taken = np.zeros(columns * lines, np.float32)
    for each in np.argsort(np.hypot(*(inside - middle).T), kind="stable"):
        x, y = inside[each].astype(np.float32)
        cells[each] = cell = np.argmin((across - x) ** 2 + (down - y) ** 2 + taken)
        taken[cell] = np.inf
    used = np.stack([cells % columns, cells // columns], axis=1)
    return np.asarray(used - used.min(axis=0))


def _cell_px(count: int) -> int:
    return max(_SMALLEST, min(_LARGEST, round(_SHEET / math.sqrt(_FREE * max(1, count)))))


def _side_of(output: Path, count: int) -> int:
    """Return the side of the square that each picture must fit into, in pixels."""
    if output.suffix.lower() == ".png":
        return _cell_px(count) - 2 * _GAP
    return max(64, min(240, round(64 * math.sqrt(12_000 / max(1, count)))))  # some 25 MB of pictures in all


def map_png(
    places: Vectors,
    pictures: Iterator[Image.Image | None],
    output: Path,
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Set pictures at their places on a sheet, each in a cell of its own.

    Returns:
        Which of them are None: their cells are grey.
    """
    cell_px = _cell_px(len(places))
    cells = snap(places)
    columns, lines = cells.max(axis=0).tolist() if len(cells) else (0, 0)
    width = max(2 * _MARGIN + (columns + 1) * cell_px, 960)
    left = (width - (columns + 1) * cell_px) // 2
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _HEADER + (lines + 1) * cell_px), GROUND)
    draw = ImageDraw.Draw(sheet)
    scale = max(1, width / 2400)  # a large sheet is looked at from further away
    write_line(draw, (_MARGIN, _MARGIN - 12), title, round(36 * scale), INK, width=width - 2 * _MARGIN)
    below = _MARGIN - 12 + round(52 * scale)
    write_line(draw, (_MARGIN, below), explanation, round(17 * scale), SOFT, width=width - 2 * _MARGIN)
    missing = []
    for number, ((column, line), picture) in enumerate(zip(cells.tolist(), pictures, strict=True)):
        # Upwards on a plane is downwards on a sheet.
        corner = (left + column * cell_px, _MARGIN + _HEADER + (lines - line) * cell_px)
        if picture is None:
            missing.append(number)
            inner = cell_px - 2 * _GAP - 1
            at = (corner[0] + _GAP, corner[1] + _GAP)
            draw.rectangle((*at, at[0] + inner, at[1] + inner), EMPTY, HAIRLINE)
        else:
            free = ((cell_px - picture.width) // 2, (cell_px - picture.height) // 2)
            sheet.paste(picture, (corner[0] + free[0], corner[1] + free[1]))
    with write_aside(output) as aside:
        sheet.save(aside, "PNG")
    return missing


def _paintings(gallery: Gallery, rows: Rows, images_dir: Path, colour_by: str | None) -> list[Painting]:
    columns = gallery.columns()
    names = columns["image_file"]
    if colour_by is None:
        colour_by = next((name for name in ("type", "school", "timeframe") if name in columns), None)
    elif colour_by not in columns:
        raise ConfigurationError(f"there is no column {colour_by!r} to colour by: {', '.join(columns)}")
    shown = [name for name in columns if name not in {"title", "author"}]

    def text(column: str | None, row: int) -> str:
        value = columns[column][row] if column in columns else None
        return "" if value is None else str(value)

    return [
        Painting(
            image=_path(images_dir, names[row]),
            title=text("title", row) or names[row],
            author=text("author", row),
            group=text(colour_by, row) or ("unknown" if colour_by else ""),
            details={name: value for name in shown if (value := text(name, row))},
        )
        for row in rows.tolist()
    ]


def _path(images_dir: Path, name: str) -> Path | None:
    try:
        return images_dir / to_path(name)
    except UnreadableImageError:
        return None


@contextmanager
def _pictures(
    paintings: Sequence[Painting], side_px: int, on_picture: Callable[[], object]
) -> Iterator[Iterator[Image.Image | None]]:
    """Read pictures in their order, as many at a time as there are processors; None for each that fails."""

    def read(painting: Painting) -> Image.Image | None:
        picture = None if painting.image is None else opened(painting.image, side_px)
        on_picture()
        return picture if isinstance(picture, Image.Image) else None

    readers = ThreadPoolExecutor()
    try:
        yield readers.map(read, paintings)
    finally:
        readers.shutdown(cancel_futures=True)

"""Search results as a row of a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from semart_vectors.errors import UnreadableImageError
from semart_vectors.images.names import to_path
from semart_vectors.search.contact_sheet import Panel, SheetRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from semart_vectors.gallery import Match
    from semart_vectors.search.query import Query


def result_row(query: Query, matches: Sequence[Match], images_dir: Path) -> SheetRow:
    """Return the row of a sheet that shows a query beside its results.

    Args:
        query: What was searched for.
        matches: The results, best first.
        images_dir: The folder that the names of the images are relative to.
    """
    if query.kind == "file":
        panel = Panel(Path(query.text), Path(query.text).name, "the query, an image", names_file=True)
    elif query.kind == "url":
        panel = Panel(None, query.text, "the query, the image at this address")
    elif query.kind == "text":
        panel = Panel(None, query.text, "the query, a text")
    else:
        title, author = caption(query.metadata)
        detail = f"{author} · the query" if author else "the query, an image of the gallery"
        name = query.text.rpartition("/")[2]
        panel = Panel(image_path(images_dir, query.text), title or name, detail, names_file=not title)
    return SheetRow(panel, [_panel(match, images_dir) for match in matches])


def caption(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return the title and the author of an image; an empty text for each that is missing."""
    title, author = (metadata.get(name) for name in ("title", "author"))
    return "" if title is None else str(title), "" if author is None else str(author)


def image_path(images_dir: Path, image_file: str) -> Path | None:
    """Return the path of an image; None for a name that cannot be that of a file below the folder."""
    try:
        return images_dir / to_path(image_file)
    except UnreadableImageError:
        return None


def name_panel(images_dir: Path, image_file: str, score: float | None = None) -> Panel:
    """Return the panel of an image of which only the name is known: the file's name above its folder."""
    folder, _, name = image_file.rpartition("/")
    return Panel(image_path(images_dir, image_file), name, folder, score, names_file=True)


def _panel(match: Match, images_dir: Path) -> Panel:
    title, author = caption(match.metadata)
    if not title:
        return name_panel(images_dir, match.image_file, match.score)
    return Panel(image_path(images_dir, match.image_file), title, author, match.score)

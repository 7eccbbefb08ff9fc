"""What was found for a query, as a row of a sheet."""

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


def found_row(query: Query, matches: Sequence[Match], images_dir: Path) -> SheetRow:
    """Show a query as it was asked, beside what was found for it.

    Args:
        query: What was searched for.
        matches: The nearest, best first.
        images_dir: The folder that the names of the paintings are relative to.
    """
    if query.kind == "file":
        asked = Panel(Path(query.text), Path(query.text).name, "the query, a picture")
    elif query.kind == "url":
        asked = Panel(None, query.text, "the query, a picture at this address")
    elif query.kind == "words":
        asked = Panel(None, query.text, "the query, in words")
    else:
        title, author = title_and_author(query.metadata)
        told = f"{author} · the query" if author else "the query, one of the paintings"
        asked = Panel(image_path(images_dir, query.text), title or query.text, told)
    return SheetRow(asked, [_panel(match, images_dir) for match in matches])


def title_and_author(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a painting is captioned with; what is missing is an empty text."""
    title, author = (metadata.get(name) for name in ("title", "author"))
    return "" if title is None else str(title), "" if author is None else str(author)


def _panel(match: Match, images_dir: Path) -> Panel:
    title, author = title_and_author(match.metadata)
    return Panel(image_path(images_dir, match.image_file), title or match.image_file, author, match.score)


def image_path(images_dir: Path, image_file: str) -> Path | None:
    """Return where a painting's image is; None for a name that is no file's below the folder."""
    try:
        return images_dir / to_path(image_file)
    except UnreadableImageError:
        return None

"""Search results, as a row of a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from semart_vectors import Embedding, Match
from semart_vectors.search.contact_sheet import Panel
from semart_vectors.search.query import Query
from semart_vectors.search.results import caption, result_row

if TYPE_CHECKING:
    from typing import Literal

IMAGES = Path("images")


def asked(text: str, kind: Literal["file", "gallery", "text"], **metadata: Any) -> Query:
    """Return a query."""
    return Query(text, kind, Embedding(text, np.zeros(1024, np.float32), "m"), metadata)


@pytest.mark.parametrize(
    ("query", "panel"),
    [
        (
            asked("there/a.jpg", "file"),
            Panel(Path("there/a.jpg"), "a.jpg", "the query, an image", names_file=True),
        ),
        (asked("a ship", "text"), Panel(None, "a ship", "the query, a text")),
        (
            asked("b/a.jpg", "gallery", title="The Ship", author="TURNER", type="x"),
            Panel(IMAGES / "b/a.jpg", "The Ship", "TURNER · the query"),
        ),
        (
            asked("b/a.jpg", "gallery", title=None),
            Panel(IMAGES / "b/a.jpg", "a.jpg", "the query, an image of the gallery", names_file=True),
        ),
    ],
)
def test_a_query_is_captioned_by_what_it_is(query: Query, panel: Panel) -> None:
    """An image of the gallery by its title and author, as the results are; a file by its name."""
    assert result_row(query, [], IMAGES).query == panel


def test_what_was_found_is_captioned_by_caption() -> None:
    """With its score; by its name if it has no title; never with an image from outside the folder."""
    matches = [
        Match("a.jpg", 0.5, {"title": "The Ship", "author": "TURNER"}),
        Match("2021/may/b.jpg", -0.1, {"year": 1800}),
        Match("../c.jpg", -0.2, {"title": 3, "author": None}),
    ]
    assert result_row(asked("a ship", "text"), matches, IMAGES).neighbours == [
        Panel(IMAGES / "a.jpg", "The Ship", "TURNER", 0.5),
        Panel(IMAGES / "2021/may/b.jpg", "b.jpg", "2021/may", -0.1, names_file=True),
        Panel(None, "3", "", -0.2),
    ]
    assert caption({}) == ("", "")

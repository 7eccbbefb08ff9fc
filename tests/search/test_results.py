"""What was found, as a row of a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from semart_vectors import Embedding, Match
from semart_vectors.search.contact_sheet import Panel
from semart_vectors.search.query import Query
from semart_vectors.search.results import found_row, title_and_author

if TYPE_CHECKING:
    from typing import Literal

IMAGES = Path("images")


def asked(text: str, kind: Literal["file", "painting", "words"], **metadata: Any) -> Query:
    """Return a query."""
    return Query(text, kind, Embedding(text, np.zeros(1024, np.float32), "m"), metadata)


@pytest.mark.parametrize(
    ("query", "panel"),
    [
        (asked("there/a.jpg", "file"), Panel(Path("there/a.jpg"), "a.jpg", "the query, a picture")),
        (asked("a ship", "words"), Panel(None, "a ship", "the query, in words")),
        (
            asked("b/a.jpg", "painting", title="The Ship", author="TURNER", type="x"),
            Panel(IMAGES / "b/a.jpg", "The Ship", "TURNER · the query"),
        ),
        (
            asked("a.jpg", "painting", title=None),
            Panel(IMAGES / "a.jpg", "a.jpg", "the query, one of the paintings"),
        ),
    ],
)
def test_a_query_is_captioned_by_what_it_is(query: Query, panel: Panel) -> None:
    """A painting by its title and author, as those that were found are; a file by its name."""
    assert found_row(query, [], IMAGES).query == panel


def test_what_was_found_is_captioned_by_title_and_author() -> None:
    """With its score; by its name where it has no title; never by a picture outside the folder."""
    matches = [
        Match("a.jpg", 0.5, {"title": "The Ship", "author": "TURNER"}),
        Match("b.jpg", -0.1, {"year": 1800}),
        Match("../c.jpg", -0.2, {"title": 3, "author": None}),
    ]
    assert found_row(asked("a ship", "words"), matches, IMAGES).neighbours == [
        Panel(IMAGES / "a.jpg", "The Ship", "TURNER", 0.5),
        Panel(IMAGES / "b.jpg", "b.jpg", "", -0.1),
        Panel(None, "3", "", -0.2),
    ]
    assert title_and_author({}) == ("", "")

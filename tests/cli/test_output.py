"""What commands print."""

from __future__ import annotations

import pytest

from semart_vectors.cli.output import first_few, printable


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 and 1 more"), (2000, "0, 1, 2, 3, 4 and 1,995 more")],
)
def test_of_many_names_five_are_listed(count: int, text: str) -> None:
    """And how many more there are."""
    assert first_few(tuple(map(str, range(count)))) == text


def test_control_characters_are_escaped() -> None:
    """All other characters stay."""
    assert printable("é\N{ARTIST PALETTE}\x1b[2J\n\u202e") == "é\N{ARTIST PALETTE}\\x1b[2J\\n\\u202e"

"""The page tells of every row that there is."""

from __future__ import annotations

from scorecard import PAGE, ROWS


def test_the_page_has_every_row() -> None:
    """Rows are named there as they are here, whatever was found."""
    page = PAGE.read_text("utf-8")
    assert [f"| {number} | {row.fault} | {row.must_show} |" in page for number, row in ROWS.items()] == (
        [True] * 27
    )

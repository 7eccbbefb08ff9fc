"""Values of Arrow that Python has no type for are given as text, and end nothing."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from command_in_process import cli_here
from merged import vectors_of, write_merged
from semart_vectors.metadata.python_values import to_python

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = -894_720
"""In days since 1970: the fifth of May 481 BC, by the calendar of today."""


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([LONG_AGO, 0, None], pa.date32()), ["0481-05-05 BC", date(1970, 1, 1), None]),
        (pa.array([LONG_AGO * 86_400_000], pa.date64()), ["0481-05-05 BC"]),
        (pa.array([LONG_AGO * 86_400], pa.timestamp("s")), ["0481-05-05 00:00:00 BC"]),
        (pa.array([LONG_AGO * 86_400], pa.timestamp("s", "UTC")), ["0481-05-05 00:00:00+00 BC"]),
        (pa.array([4_000_000], pa.date32()), ["12921-08-18"]),
        (pa.array([[LONG_AGO]], pa.list_(pa.date32())), [["0481-05-05 BC"]]),
        (pa.array([{"made": LONG_AGO}], pa.struct({"made": pa.date32()})), [{"made": "0481-05-05 BC"}]),
        (pa.array([10**17], pa.duration("s")), ["100000000000000000 duration[s]"]),
    ],
)  # fmt: skip  # a kind a line
def test_what_no_type_of_python_holds_is_its_text(column: Any, values: list[Any]) -> None:
    """Dates as PostgreSQL writes them, also inside of lists and structures; the others stay what they are."""
    assert to_python(column) == values


def test_antiquities_are_searched_and_exported(tmp_path: Path) -> None:
    """A date before Christ in the metadata is printed, and may stand in a condition."""
    made = pa.array([LONG_AGO, LONG_AGO + 1], pa.date32())
    write_merged(tmp_path / "m.parquet", vectors_of(2), made=made)
    ran = cli_here("search", "0.jpg", "--vectors", "m.parquet", "--json", cwd=tmp_path)
    assert (ran.code, '"made":"0481-05-06 BC"' in ran.out) == (0, True)
    where = ("--where", "made < DATE '0001-01-01'")
    assert cli_here("search", "0.jpg", "--vectors", "m.parquet", *where, cwd=tmp_path).out.endswith("1.jpg\n")
    assert cli_here("export", "m.parquet", "-o", "v.npy", cwd=tmp_path).code == 0

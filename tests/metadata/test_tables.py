"""Tables of metadata: what is written comes back, and what is wrong is named."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from semart_vectors.errors import ConfigurationError, DiskError, MetadataError, VectorFileError
from semart_vectors.gallery import Gallery
from semart_vectors.metadata.tables import read_metadata, write_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
EDGES = st.sampled_from(["", "None", "NA", '"', "\t", "\n", "\r", "\r\n", "\\.", "a,b", " ", "\ufeff"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    rows=st.dictionaries(TEXTS.filter(bool), st.tuples(TEXTS | EDGES, TEXTS | EDGES)),
    suffix=st.sampled_from([".parquet", ".csv", ".TSV"]),
)
def test_a_table_comes_back_as_it_was(tmp_path: Path, rows: dict[str, tuple[str, str]], suffix: str) -> None:
    """Any texts survive both forms, those that mean something to other readers too."""
    values = [[name, *others] for name, others in rows.items()]
    table = pd.DataFrame(values, columns=["image_file", "title", "ü \t"], dtype="str")
    write_metadata(table, tmp_path / f"table{suffix}")
    again = read_metadata(tmp_path / f"table{suffix}")
    assert list(again.columns) == list(table.columns)
    assert again.to_numpy().tolist() == values


def test_the_tab_form_is_what_the_tutorial_writes(tmp_path: Path) -> None:
    """TABs, LF, no index, quotes only where needed; a null is an empty field, an empty text is quoted."""
    table = pd.DataFrame({"image_file": ["a.jpg", "b.jpg"], "title": ['"No"', ""], "year": [1640, None]})
    write_metadata(table.astype({"year": "Int64"}).set_index("year", drop=False), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == (
        b'image_file\ttitle\tyear\na.jpg\t"""No"""\t1640\nb.jpg\t""\t\n'
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "table.csv"]


def test_other_columns_stay_as_they_are(tmp_path: Path) -> None:
    """Columns of the user's own pass, typed in Parquet; an image_file kept as the index becomes a column."""
    table = pd.DataFrame({"image_file": ["b", "a"], "year": [1640, 1], "tags": [["x"], []]})
    write_metadata(table, tmp_path / "table.parquet")
    again = read_metadata(tmp_path / "table.parquet")
    assert again["year"].tolist() == [1640, 1]
    assert [list(tags) for tags in again["tags"]] == [["x"], []]
    table.set_index("image_file").to_parquet(tmp_path / "indexed.parquet")
    assert read_metadata(tmp_path / "indexed.parquet")["image_file"].tolist() == ["b", "a"]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    """Spreadsheets put one before UTF-8."""
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbfimage_file\ttitle\na.jpg\tA\n")
    assert read_metadata(tmp_path / "table.csv").columns.tolist() == ["image_file", "title"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name\ttitle\na\tb\n", "no column image_file; the columns are 'name', 'title'"),
        (b"image_file\na\nb\na\nb\nc\nc\nd\nd", "line 4: image_file is 'a', as in line 2 (and 3 more names)"),
        (b"image_file\ttitle\na\tx\n\ty\n", "table.tsv, line 3: image_file is empty or not text"),
        (b"image_file\na\n\xe9\x81\n", "line 3: undefined bytes; convert the table to UTF-8"),
        (None, "table.tsv: No such file or directory"),
    ],
)  # fmt: skip  # a fault a line
def test_a_faulty_tab_form_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    """The error says what was found in the file."""
    if content is not None:
        (tmp_path / "table.tsv").write_bytes(content)
    with pytest.raises(MetadataError, match=r"table\.tsv") as caught:
        read_metadata(tmp_path / "table.tsv")
    assert told in str(caught.value)


def test_a_damaged_parquet_table_is_refused(tmp_path: Path) -> None:
    """What pyarrow says becomes a MetadataError; pages are verified."""
    path = tmp_path / "table.parquet"
    write_metadata(pd.DataFrame({"image_file": ["a" * 99, "b" * 99]}), path)
    good = path.read_bytes()
    for damaged in (b"PAR1", good[:30] + bytes([good[30] ^ 1]) + good[31:]):
        path.write_bytes(damaged)
        with pytest.raises(MetadataError, match=r"cannot read .*table\.parquet: "):
            read_metadata(path)


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, DiskError), (errno.EACCES, None)])
@pytest.mark.parametrize("read", [read_metadata, Gallery.open], ids=["a table", "a file of vectors"])
def test_a_disk_that_fails_is_not_a_fault_of_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], object],
    number: int,
    kind: type[Exception] | None,
) -> None:
    """It may be all right; any other reason is about the file itself."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    kind = kind or (MetadataError if read is read_metadata else VectorFileError)
    with pytest.raises(kind, match=rf"cannot read .*table\.parquet: {os.strerror(number)}"):
        read(tmp_path / "table.parquet")


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A number or a null in image_file names nothing."""
    pq.write_table(pa.table({"image_file": [7, 8]}), tmp_path / "table.parquet")
    with pytest.raises(
        MetadataError,
        match=r"row 0 .*: image_file is empty or not text \(and 1 more row\)",
    ):
        read_metadata(tmp_path / "table.parquet")


def test_what_cannot_be_written_is_said_before_anything_is(tmp_path: Path) -> None:
    """Unknown form, no folder, a folder in its place, no names, mixed columns, a NUL."""
    table = pd.DataFrame({"image_file": ["a"]})
    (tmp_path / "folder.csv").mkdir()
    for name, told in {
        "table.xlsx": r"must end with \.parquet, or with \.csv or \.tsv",
        "folder.csv": "it is a folder",
    }.items():
        with pytest.raises(ConfigurationError, match=told):
            write_metadata(table, tmp_path / name)
    with pytest.raises(MetadataError, match="no column image_file"):
        write_metadata(table.rename(columns={"image_file": "name"}), tmp_path / "table.csv")
    with pytest.raises(MetadataError, match="a column that cannot be stored"):
        write_metadata(pd.DataFrame({"image_file": ["a", "b"], "mixed": [1, "x"]}), tmp_path / "table.csv")
    with pytest.raises(MetadataError, match="a NUL character"):
        write_metadata(table.assign(title="\0"), tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]

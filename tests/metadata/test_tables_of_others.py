"""Tables and parts as spreadsheets, pandas, Polars, pyarrow and DuckDB write them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_in_process import cli_here
from merged import MODEL, vectors_of, write_merged
from semart_vectors import Gallery, merge_vectors, read_metadata
from semart_vectors.errors import MetadataError
from semart_vectors.metadata.tables import read_table
from written_checkpoints import checkpoint, entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = [["a.jpg", 'Caf\xe9, "the"; old'], ["b.jpg", "two\nlines"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["where needed", "all"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_text_is_read_as_it_was_written(
    tmp_path: Path, delimiter: str, quoting: Literal[0, 1], encoding: str
) -> None:
    """Any delimiter under any suffix, with or without quotes and a byte order mark, in UTF-8 or cp1252."""
    path = tmp_path / "table.csv"
    table = pd.DataFrame(ROWS, columns=["image_file", "title, or name"])
    table.to_csv(path, sep=delimiter, quoting=quoting, encoding=encoding, index=False)
    assert read_metadata(path).to_numpy().tolist() == ROWS


def test_the_column_that_holds_the_names_may_be_named(tmp_path: Path) -> None:
    """In Python and on the command line, in text and in Parquet; the output calls it image_file."""
    checkpoint(tmp_path / "ck", entries("a.jpg"))
    table = pd.DataFrame({"id": [7], "File": ["a.jpg"]})
    table.to_csv(tmp_path / "t.csv", index=False, sep=";")
    named = ("--name-column", "File")
    assert cli_here("merge", "t.csv", "ck", *named, "-o", "m.parquet", cwd=tmp_path).code == 0
    assert Gallery.open(tmp_path / "m.parquet").columns() == {"id": ["7"], "image_file": ["a.jpg"]}
    merge_vectors(table, tmp_path / "ck", tmp_path / "m.parquet", name_column="File")
    for wrong, told in (
        ("file", "has no column 'file'; the columns are 'id', 'File'"),
        ("image_file", "no column"),
    ):
        with pytest.raises(MetadataError, match=told):
            read_table(tmp_path / "t.csv", wrong)
    with pytest.raises(MetadataError, match="has a column image_file beside 'File'"):
        merge_vectors(table.assign(image_file="x"), tmp_path / "ck", tmp_path / "o.csv", name_column="File")


def test_only_the_names_of_a_table_are_read_for_them(tmp_path: Path) -> None:
    """What another column holds costs nothing, and cannot be in the way."""
    half = pa.array(np.ones(1, np.float16))
    pq.write_table(pa.table({"image_file": ["a.jpg"], "half": half}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", names_only=True).column_names == ["image_file"]


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table, lambda data: duckdb.from_arrow(pa.table(data))]
)
def test_tables_of_other_libraries_are_merged(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    """Whatever speaks Arrow's C stream is a table, without a file between."""
    data = {"image_file": ["b.jpg", "a.jpg"], "year": [1, 2]}
    checkpoint(tmp_path / "ck", entries("a.jpg", "b.jpg"))
    assert merge_vectors(make(data), tmp_path / "ck", tmp_path / "m.parquet").rows == 2
    assert Gallery.open(tmp_path / "m.parquet").columns() == data


def test_what_is_no_table_is_told_so(tmp_path: Path) -> None:
    """A list of names is a mistake that is easily made."""
    checkpoint(tmp_path / "ck", entries("a.jpg"))
    with pytest.raises(MetadataError, match="list is no table: give one of pandas, Polars or pyarrow"):
        merge_vectors(["a.jpg"], tmp_path / "ck", tmp_path / "m.parquet")  # type: ignore[arg-type]


def by_pandas(table: Any, path: Path) -> None:
    """Rewrite with pandas, which makes lists of what had a fixed size."""
    table.to_pandas().to_parquet(path)


def by_polars(table: Any, path: Path) -> None:
    """Rewrite with Polars."""
    pl.DataFrame(table).write_parquet(path)


def by_polars_as_float64(table: Any, path: Path) -> None:
    """Rewrite with Polars, as lists of float64 and categories."""
    columns = [pl.col("vector").cast(pl.List(pl.Float64)), pl.col("model_version").cast(pl.Categorical)]
    pl.DataFrame(table).with_columns(columns).write_parquet(path)


def by_duckdb(table: Any, path: Path) -> None:
    """Rewrite with DuckDB."""
    duckdb.from_arrow(table).write_parquet(str(path))


def as_large_and_categories(table: Any, path: Path) -> None:
    """Rewrite with pyarrow, in the types that few use."""
    columns = {
        "image_file": table["image_file"].cast(pa.large_string()),
        "vector": table["vector"].cast(pa.large_list(pa.float64())),
        "model_version": table["model_version"].combine_chunks().dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path)


def as_views(table: Any, path: Path) -> None:
    """Rewrite with pyarrow, as views."""
    text = table["image_file"].cast(pa.string_view())
    columns = {"image_file": text, "vector": table["vector"], "model_version": table["model_version"]}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize(
    "rewrite", [by_pandas, by_polars, by_polars_as_float64, by_duckdb, as_large_and_categories, as_views]
)
def test_rewritten_parts_and_files_are_read_by_every_command(
    tmp_path: Path, rewrite: Callable[[Any, Path], None]
) -> None:
    """The same rule for a merged file, for a checkpoint, and for a merge; every number stays as it was."""
    vectors = vectors_of(2)
    source = write_merged(tmp_path / "source.parquet", vectors, MODEL, title=None, year=None)
    (tmp_path / "ck" / "vectors").mkdir(parents=True)
    part = tmp_path / "ck" / "vectors" / "part.parquet"
    rewrite(pq.read_table(source), part)
    merge_vectors(None, tmp_path / "ck", tmp_path / "again.parquet")
    for path in (part, tmp_path / "ck", tmp_path / "again.parquet"):
        gallery = Gallery.open(path)
        assert (gallery.image_files, gallery.model_version) == (["0.jpg", "1.jpg"], MODEL)
        assert gallery.vectors.tobytes() == vectors.tobytes()

"""Vectors and metadata put together: every vector on its row, bit for bit, and nothing dropped unsaid."""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointInUseError,
    CheckpointMismatchError,
    ConfigurationError,
    DiskError,
    MetadataError,
    SemartVectorsError,
)
from semart_vectors.metadata import merge
from semart_vectors.metadata.merge import merge_vectors
from semart_vectors.metadata.tables import write_metadata
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MODEL = "2023-04-15"


def vectors_of(names: list[str]) -> NDArray[np.float32]:
    """Vectors that only depend on the name; any finite bits may occur in them."""
    made = np.empty((len(names), DIMENSION), dtype=np.float32)
    for vector, name in zip(made, names, strict=True):
        seed = int.from_bytes(name.encode(), "big")
        bits = np.random.default_rng(seed).integers(0, 2**32, DIMENSION, dtype=np.uint32)
        vector[:] = np.where(np.isfinite(bits.view(np.float32)), bits.view(np.float32), np.float32(-0.0))
    return made


def write_part(checkpoint: Path, names: list[str], part: str = "part-0.parquet", **columns: Any) -> Path:
    """Write a part as a job does; `columns` replace its own, None leaves one out."""
    (checkpoint / "vectors").mkdir(parents=True, exist_ok=True)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors_of(names).ravel()), DIMENSION)
    data = {
        "content_sha256": ["0" * 64] * len(names),
        "vector": lists,
        "model_version": pa.array([MODEL] * len(names), pa.string()),
        "image_file": pa.array(names, pa.string()),
    } | columns
    table = pa.table({name: column for name, column in data.items() if column is not None})
    path = checkpoint / "vectors" / part
    pq.write_table(table, path, write_page_checksum=True, row_group_size=3)
    return path


def table_of(names: list[str]) -> pd.DataFrame:
    """Metadata with a row for each name."""
    return pd.DataFrame(
        {"image_file": names, "title": [f"Painting\t{number}" for number in range(len(names))]}
    )


def read_tab(path: Path) -> tuple[list[list[str]], NDArray[np.float32]]:
    """Read the tutorial's form with the standard library: the other columns, and the vectors."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header[-1] == "vector"
    vectors = np.array([json.loads(row[-1]) for row in rows], dtype=np.float32)
    return [header[:-1], *(row[:-1] for row in rows)], vectors


def test_every_row_gets_its_vector_in_the_metadatas_order(tmp_path: Path) -> None:
    """Both sides are in orders of their own; what has no partner is reported and not written."""
    write_part(tmp_path, ["z", "d", "b", "y"])
    write_part(tmp_path, ["c", "a", "e", "x"], "part-1.parquet")
    write_part(tmp_path, [], "part-2.parquet")
    report = merge_vectors(table_of(["a", "m", "b", "c", "d", "n", "e"]), tmp_path, tmp_path / "out.parquet")
    assert (report.rows, report.without_vector, report.without_metadata) == (5, ("m", "n"), ("x", "y", "z"))
    merged = pd.read_parquet(tmp_path / "out.parquet")
    assert merged["image_file"].tolist() == ["a", "b", "c", "d", "e"]
    assert merged["title"].tolist() == [f"Painting\t{number}" for number in (0, 2, 3, 4, 6)]
    assert np.stack(list(merged["vector"])).tobytes() == vectors_of(["a", "b", "c", "d", "e"]).tobytes()
    assert set(merged["model_version"]) == {MODEL}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "vectors"]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(data=st.data(), names=st.lists(NAMES, unique=True, min_size=1, max_size=12))
def test_any_two_sides_meet_as_in_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, names: list[str]
) -> None:
    """Whatever the names and orders, both forms hold what a dictionary lookup gives, bit for bit."""
    folder = tmp_path_factory.mktemp("merge")
    shared = data.draw(st.integers(1, len(names)))
    asked = data.draw(st.permutations(names))
    done = data.draw(
        st.permutations(names[:shared] + [f"{name} other" for name in names if name + " other" not in names])
    )
    cut = data.draw(st.integers(0, len(done)))
    write_part(folder, done[:cut])
    write_part(folder, done[cut:], "part-1.parquet")
    write_metadata(table_of(asked), folder / "table.tsv")
    expected = [name for name in asked if name in done]
    for output in (folder / "out.parquet", folder / "out.csv"):
        report = merge_vectors(folder / "table.tsv", folder, output)
        assert report.without_vector == tuple(name for name in asked if name not in done)
        assert report.without_metadata == tuple(sorted(set(done) - set(asked)))
    merged = pq.read_table(folder / "out.parquet")
    texts, vectors = read_tab(folder / "out.csv")
    assert merged["image_file"].to_pylist() == [text[0] for text in texts[1:]] == expected
    assert vectors.tobytes() == vectors_of(expected).tobytes()
    assert merged["vector"].combine_chunks().flatten().to_numpy().tobytes() == vectors.tobytes()


def test_more_rows_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and shelves join without a seam, rows without a vector between them."""
    monkeypatch.setattr(merge, "_BLOCK_ROWS", 4)
    monkeypatch.setattr(merge, "_SHELF_ROWS", 8)
    names = [f"{number:02}.jpg" for number in range(23)]
    write_part(tmp_path, [*names[12::-1], "other", *names[15:]])
    merge_vectors(table_of(names), tmp_path, tmp_path / "out.parquet")
    merged = pd.read_parquet(tmp_path / "out.parquet")
    assert merged["image_file"].tolist() == [*names[:13], *names[15:]]
    assert np.stack(list(merged["vector"])).tobytes() == vectors_of([*names[:13], *names[15:]]).tobytes()
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups == 6


def test_the_parquet_form_is_small_checked_and_says_its_model(tmp_path: Path) -> None:
    """Byte-stream-split and zstd for the vectors, page checksums, model and dimension in the schema."""
    write_part(tmp_path, ["a", "b"])
    output = tmp_path / "out.parquet"
    merge_vectors(table_of(["a", "b"]).assign(year=[1640, 1]), tmp_path, output)
    schema = pq.read_schema(output)
    assert schema.names == ["image_file", "title", "year", "vector", "model_version"]
    assert (schema.field("vector").type.list_size, schema.field("year").type) == (DIMENSION, pa.int64())
    assert schema.metadata[b"semart_vectors.model_version"] == MODEL.encode()
    assert schema.metadata[b"semart_vectors.dimension"] == b"1024"
    column = pq.read_metadata(output).row_group(0).column(3)
    assert (column.path_in_schema, column.compression) == ("vector.list.element", "ZSTD")
    assert "BYTE_STREAM_SPLIT" in column.encodings
    damaged = bytearray(output.read_bytes())
    damaged[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    output.write_bytes(damaged)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(output, page_checksum_verification=True)


def test_the_tab_form_is_the_tutorials(tmp_path: Path) -> None:
    """TABs, quotes where needed, the shortest digits that read back; the model has no column there."""
    numbers = np.zeros(DIMENSION, dtype=np.float32)
    numbers[:4] = [0.1, -0.2, 1e-7, 3]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(numbers), DIMENSION)
    write_part(tmp_path, ["a"], vector=lists)
    merge_vectors(table_of(["a"]), tmp_path, tmp_path / "out.csv")
    start = b'image_file\ttitle\tvector\na\t"Painting\t0"\t[0.1, -0.2, 1e-7, 3.0, 0.0, '
    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(start)
    assert content.endswith(b", 0.0]\n")


def test_names_match_to_the_character(tmp_path: Path) -> None:
    """Quotes, line ends, emoji and both spellings of an accent are themselves and nothing else."""
    names = [
        'say "no".jpg',
        "a\tb",
        "a\nb",
        "a\rb",
        "\N{ARTIST PALETTE}",
        "e\u0301",
        " a",
        "None",
        "-x",
        "a/b",
    ]
    write_part(tmp_path, names[::-1])
    write_metadata(table_of(names), tmp_path / "table.csv")
    assert merge_vectors(tmp_path / "table.csv", tmp_path, tmp_path / "out.tsv").rows == len(names)
    assert [text[0] for text in read_tab(tmp_path / "out.tsv")[0][1:]] == names
    report = merge_vectors(table_of(["a/b", "\xe9", "A/B"]), tmp_path, tmp_path / "out.parquet")
    assert report.without_vector == ("\xe9", "A/B")


def test_what_is_not_a_part_is_not_read(tmp_path: Path) -> None:
    """Names that begin with an underscore or a dot, and other suffixes, are no parts, as for any reader."""
    write_part(tmp_path, ["a"])
    for name in ("_part.parquet", ".part.parquet", "part.parquet.tmp"):
        (tmp_path / "vectors" / name).write_bytes(b"half a fi")
    assert merge_vectors(table_of(["a"]), tmp_path, tmp_path / "out.csv").rows == 1


@pytest.mark.parametrize(
    "make", [lambda _: None, lambda path: (path / "vectors").mkdir(), lambda p: write_part(p, [])]
)
def test_a_checkpoint_without_vectors_says_what_to_do(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """No folder, no part, and no row in any part are the same: nothing was embedded yet."""
    make(tmp_path)
    with pytest.raises(ConfigurationError, match="holds no vectors yet: run `semart-vectors embed` with"):
        merge_vectors(table_of(["a"]), tmp_path, tmp_path / "out.parquet")


SHORT = pa.array([[0.0] * 512], pa.list_(pa.float32(), 512))
NULL = pa.array([None], pa.list_(pa.float32(), DIMENSION))
HOLE = pa.array([[None] + [0.0] * 1023], pa.list_(pa.float32(), DIMENSION))
NAN = pa.array([[float("nan")] * DIMENSION], pa.list_(pa.float32(), DIMENSION))


@pytest.mark.parametrize(
    ("columns", "error", "told"),
    [
        ({"model_version": ["2022-04-11"]}, CheckpointMismatchError, "'2023-04-15' in .*0.*'2022-04-11' in"),
        ({"vector": SHORT}, CheckpointMismatchError, r"part-1\.parquet .*vector is fixed.*\[512\], not 1024"),
        ({"vector": [[0] * DIMENSION]}, CheckpointMismatchError, "vector is list<.*int64>, not 1024 float"),
        ({"vector": [[0.0] * 9]}, CheckpointMismatchError, "part-1.*does not have 1024 numbers"),
        ({"vector": ["[0.1]"]}, CheckpointMismatchError, "vector is string, not 1024 float"),
        ({"image_file": ["a"]}, CheckpointDamagedError, "'a' has two vectors, in .*part-0.* and .*part-1"),
        ({"image_file": ["x"]}, CheckpointDamagedError, "'x' has two vectors, in .*part-0.* and .*part-1"),
        ({"image_file": None, "model_version": None}, CheckpointDamagedError, "no column image_file and m"),
        ({"image_file": pa.array([None], pa.string())}, CheckpointDamagedError, "a value is missing"),
        ({"vector": NULL}, CheckpointDamagedError, "a value is missing"),
        ({"vector": HOLE}, CheckpointDamagedError, "a value is missing"),
        ({"vector": NAN}, CheckpointDamagedError, "not finite"),
    ],
)  # fmt: skip  # a fault a line
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, columns: dict[str, Any], error: type[SemartVectorsError], told: str
) -> None:
    """Another model, another shape, a name twice, a hole: an error that names the part, and no output."""
    write_part(tmp_path, ["a", "x"])
    write_part(tmp_path, ["b"], "part-1.parquet", **columns)
    with pytest.raises(error, match=told):
        merge_vectors(table_of(["a", "b"]), tmp_path, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    """Cut anywhere, or with a bit flipped in its vectors, a part is damaged and an earlier output stays."""
    part = write_part(tmp_path, ["a", "b"])
    output = tmp_path / "out.parquet"
    merge_vectors(table_of(["a", "b"]), tmp_path, output)
    earlier, good = output.read_bytes(), part.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for damaged in (bytes(flipped), good[:-1], good[:100], b"PAR1", b""):
        part.write_bytes(damaged)
        with pytest.raises(
            CheckpointDamagedError,
            match=r"part-0\.parquet is damaged \(.*check --repair",
        ):
            merge_vectors(table_of(["a", "b"]), tmp_path, output)
    assert output.read_bytes() == earlier


@pytest.mark.parametrize(
    ("raised", "error", "told"),
    [
        (FileNotFoundError(2, "gone"), CheckpointInUseError, r"part-0\.parquet was removed while it was"),
        (OSError(5, "Input/output error"), DiskError, r"cannot read .*part-0\.parquet: Input"),
    ],
)  # fmt: skip  # a fault a line
def test_what_the_system_refuses_is_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, error: type[CheckpointError], told: str
) -> None:
    """A part that another process took away, and a disk that fails, are said as what they are."""
    write_part(tmp_path, ["a"])

    def refuse(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(error, match=told):
        merge_vectors(table_of(["a"]), tmp_path, tmp_path / "out.parquet")


def test_a_full_disk_leaves_the_earlier_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch file and the output fail alike: one sentence, nothing left behind."""
    write_part(tmp_path, ["a"])
    (tmp_path / "out.csv").write_text("earlier")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskError, match=r"cannot write .*out\.csv: No space left on device"):
        merge_vectors(table_of(["a"]), tmp_path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "vectors"]


def test_no_match_at_all_shows_a_name_of_each_side(tmp_path: Path) -> None:
    """The usual reason is a folder in front of the names."""
    write_part(tmp_path, ["b.jpg", "a.jpg"])
    with pytest.raises(
        MetadataError, match=r"has 'Images/a\.jpg', the checkpoint has 'a\.jpg'; are the names rel"
    ):
        merge_vectors(table_of(["Images/a.jpg"]), tmp_path, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (table_of(["a"]).assign(vector=1), "the table has a column vector already: drop it"),
        (table_of(["a"]).assign(vector=1, model_version=1), "a column vector and model_version already"),
        (table_of([]).astype("str"), "the table: no rows to merge"),
        (table_of(["a"]).rename(columns=str.upper), "no column image_file; the columns are 'IMAGE_FILE'"),
        (table_of(["a", "a"]), "the table, row 1 .*: image_file is 'a', as in row 0 "),
        (table_of(["a"]).assign(image_file=7), "the table, row 0 .*: image_file is empty or not text"),
    ],
)  # fmt: skip  # a fault a line
def test_metadata_that_cannot_be_merged_is_refused(tmp_path: Path, table: pd.DataFrame, told: str) -> None:
    """Columns in the way, no rows, no names, names twice."""
    write_part(tmp_path, ["a"])
    with pytest.raises(MetadataError, match=told):
        merge_vectors(table, tmp_path, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("out.json", r"must end with \.parquet, or with \.csv or \.tsv"),
        ("vectors/../table.csv", "is the metadata itself: it would lose its rows without a vector"),
        ("vectors/out.parquet", "would become a part of the checkpoint"),
    ],
)  # fmt: skip  # a fault a line
def test_an_output_in_a_wrong_place_is_refused_first(tmp_path: Path, output: str, told: str) -> None:
    """Before any vector is read; neither side is ever written to."""
    part = write_part(tmp_path, ["a"])
    write_metadata(table_of(["a"]), tmp_path / "table.csv")
    part.write_bytes(b"not even looked at")
    with pytest.raises(ConfigurationError, match=told):
        merge_vectors(str(tmp_path / "table.csv"), str(tmp_path), str(tmp_path / output))

"""Searching a merged file: exact, by any query, and never silently wrong."""

from __future__ import annotations

import errno
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from helpers import SHARED_DATA
from merged import cosines, write_merged
from semart_vectors import Embedding, Gallery, Match, gallery as module
from semart_vectors.errors import (
    ConfigurationError,
    DiskError,
    ModelMismatchError,
    VectorFileError,
)
from semart_vectors.records import DIMENSION
from semart_vectors.search import conditions as _conditions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MODEL = "2023-04-15"


def some_vectors(count: int, seed: int = 0) -> Vectors:
    """Make vectors that lie as close to one another as real ones do."""
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, DIMENSION)) + 1).astype(np.float32)


def query(vector: Vectors, model: str = MODEL) -> Embedding:
    """Return a query as an embedder would."""
    return Embedding("words", vector, model)


def names(matches: list[Match]) -> list[str]:
    """Return what was found."""
    return [match.image_file for match in matches]


@pytest.mark.parametrize("rows_in_memory", [1 << 16, 10], ids=["in memory", "mapped"])
def test_the_nearest_are_those_of_an_independent_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_in_memory: int
) -> None:
    """Best first, with their scores and other columns, wherever the vectors are kept."""
    monkeypatch.setattr(module, "_ROWS_IN_MEMORY", rows_in_memory)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 64)
    vectors, (asked,) = some_vectors(300), some_vectors(1, seed=1)
    found = Gallery.open(write_merged(tmp_path / "m.parquet", vectors)).search(query(asked), k=20)
    expected = cosines(vectors, asked)
    best = np.argsort(-expected)[:20]
    assert names(found) == [f"{row}.jpg" for row in best]
    np.testing.assert_allclose([match.score for match in found], expected[best], rtol=1e-12)
    assert found[0].metadata == {"title": f"Title {best[0]}", "year": 1600 + best[0]}


@pytest.mark.parametrize("mapped", [False, True])
def test_a_gallery_gives_its_vectors_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, mapped: bool
) -> None:
    """In the order of the file, and not to be written to; a handed-out vector outlives the gallery."""
    monkeypatch.setattr(module, "_ROWS_IN_MEMORY", 0 if mapped else 100)
    vectors = some_vectors(30)
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", vectors))
    assert (len(gallery), gallery.model_version) == (30, MODEL)
    assert gallery.metadata("7.jpg") == {"title": "Title 7", "year": 1607}
    assert gallery.image_files == [f"{row}.jpg" for row in range(30)]
    np.testing.assert_array_equal(gallery.vectors, vectors)
    own = gallery.embedding("7.jpg")
    with pytest.raises(ValueError, match="read-only"):
        own.vector[0] = 0
    for look_up in (gallery.embedding, gallery.metadata):
        with pytest.raises(KeyError):
            look_up("absent.jpg")
    del gallery
    np.testing.assert_array_equal(own.vector, vectors[7])


@settings(max_examples=25)
@given(copies=st.lists(st.integers(0, 2), min_size=1, max_size=40), k=st.integers(1, 50))
def test_of_equally_near_ones_the_first_in_the_file_comes_first(
    tmp_path_factory: pytest.TempPathFactory, copies: list[int], k: int
) -> None:
    """Equal vectors have equal scores, wherever they stand; and k may be larger than the gallery."""
    vectors = some_vectors(3)[copies]
    gallery = Gallery.open(write_merged(tmp_path_factory.mktemp("ties") / "m.parquet", vectors))
    found = gallery.search(query(some_vectors(1, seed=1)[0]), k=k)
    near = cosines(some_vectors(3), some_vectors(1, seed=1)[0])
    order = sorted(range(len(copies)), key=lambda row: (-near[copies[row]], row))
    assert names(found) == [f"{row}.jpg" for row in order[:k]]


def test_what_float32_cannot_tell_apart_is_ordered_all_the_same(tmp_path: Path) -> None:
    """The least bit of one number decides."""
    vectors = np.repeat(some_vectors(1), 50, axis=0)
    asked = some_vectors(1, seed=1)[0]
    for row in range(50):
        vectors[row, 0] = np.nextafter(vectors[row, 0], np.float32(9), dtype=np.float32) + row * 1e-6
    found = Gallery.open(write_merged(tmp_path / "m.parquet", vectors)).search(query(asked), k=5)
    assert names(found) == [f"{row}.jpg" for row in np.argsort(-cosines(vectors, asked), kind="stable")[:5]]


def test_a_painting_is_nearest_to_itself_unless_left_out(tmp_path: Path) -> None:
    """Leaving one out makes room for the next."""
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(20)))
    own = gallery.embedding("3.jpg")
    with_itself = gallery.search(own, k=6)
    assert with_itself[0].image_file == "3.jpg"
    assert with_itself[0].score == pytest.approx(1, abs=1e-15)
    assert gallery.search(own, k=5, exclude="3.jpg") == with_itself[1:]
    assert gallery.search(own, k=5, exclude="absent.jpg") == with_itself[:5]


def test_vectors_of_length_0_are_near_nothing(tmp_path: Path) -> None:
    """Their score is 0, as a query or as a painting."""
    vectors = some_vectors(3)
    vectors[1] = 0
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", vectors))
    assert {match.image_file: match.score for match in gallery.search(query(vectors[0]))}["1.jpg"] == 0
    assert [match.score for match in gallery.search(query(vectors[1]))] == [0, 0, 0]


def test_the_length_of_a_vector_does_not_matter(tmp_path: Path) -> None:
    """Not even one whose square float32 cannot hold."""
    vectors, (asked,) = some_vectors(300), some_vectors(1, seed=1)
    vectors[::3] *= np.float32(1e-30)
    vectors[1::3] *= np.float32(1e25)
    found = Gallery.open(write_merged(tmp_path / "m.parquet", vectors)).search(query(asked), k=20)
    assert names(found) == [f"{row}.jpg" for row in np.argsort(-cosines(vectors, asked))[:20]]


def test_a_condition_chooses_among_the_other_columns(tmp_path: Path) -> None:
    """Exact within what it leaves, and nothing where it leaves nothing."""
    vectors, (asked,) = some_vectors(200), some_vectors(1, seed=1)
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", vectors))
    found = gallery.search(query(asked), k=5, where="year % 2 = 1 AND title LIKE 'Title 1%'")
    rows = [row for row in range(1, 200, 2) if str(row).startswith("1")]
    best = sorted(rows, key=lambda row: -cosines(vectors, asked)[row])[:5]
    assert names(found) == [f"{row}.jpg" for row in best]
    assert gallery.search(query(asked), where="year < 0") == []
    only = gallery.search(query(asked), where="image_file IN ('4.jpg', '5.jpg')", exclude="4.jpg")
    assert names(only) == ["5.jpg"]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "no_such_column = 1",
        "title",
        "1 = 1) --",
        "1 = 1; DROP TABLE paintings",
        "EXISTS (SELECT * FROM read_csv('{file}'))",
        "EXISTS (SELECT * FROM '{file}')",
        "EXISTS (SELECT * FROM numbered)",
        "getenv('HOME') = 'x'",
    ],
)
def test_a_condition_that_cannot_be_used_is_said_to_be(tmp_path: Path, condition: str) -> None:
    """It reaches neither files nor our variables, and the columns are named."""
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(3)))
    condition = condition.format(file=tmp_path / "secret.csv")
    with pytest.raises(ConfigurationError, match="the columns are image_file, title, year"):
        gallery.search(query(some_vectors(1)[0]), where=condition)


def test_a_condition_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may ask may not hold up all others."""
    monkeypatch.setattr(_conditions, "_TIME_LIMIT_S", 0.05)
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(3)))
    endless = "(SELECT count(*) FROM range(10000000000000), range(1000000)) > 0"
    with pytest.raises(ConfigurationError, match="takes longer than"):
        gallery.count(endless)
    assert gallery.count("year > 0") == 3


def test_ctrl_c_ends_a_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As anything else, though DuckDB makes an error of it."""
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(3)))

    def interrupted(*_: object) -> None:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("duckdb.DuckDBPyRelation.filter", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gallery.count("year > 0")


def test_columns_that_differ_in_case_only_are_not_confused(tmp_path: Path) -> None:
    """DuckDB would read the first for the second."""
    path = write_merged(tmp_path / "m.parquet", some_vectors(2), Title=pa.array(["a", "b"]))
    with pytest.raises(ConfigurationError, match="differ in case only: title"):
        Gallery.open(path).count("\"Title\" = 'a'")


def test_a_condition_without_duckdb_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else works without."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(3)))
    assert len(gallery.search(query(some_vectors(1)[0]))) == 3
    with pytest.raises(ConfigurationError, match=r"semart-vectors\[search\]"):
        gallery.search(query(some_vectors(1)[0]), where="year > 0")


def test_a_query_of_another_model_is_refused(tmp_path: Path) -> None:
    """Its scores would mean nothing."""
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(3)))
    with pytest.raises(ModelMismatchError, match="2022-04-11"):
        gallery.search(query(some_vectors(1)[0], "2022-04-11"))
    with pytest.raises(ConfigurationError, match="at least 1"):
        gallery.search(query(some_vectors(1)[0]), k=0)


def test_what_another_program_has_rewritten_is_searched(tmp_path: Path) -> None:
    """Pandas makes plain lists of the vectors, and may have added columns of any kind."""
    vectors = some_vectors(20)
    table = pd.read_parquet(write_merged(tmp_path / "m.parquet", vectors))
    table["score"] = "its own"
    table[table["year"] >= 1605].to_parquet(tmp_path / "some.parquet")
    gallery = Gallery.open(tmp_path / "some.parquet")
    (found,) = gallery.search(query(vectors[7]), k=1)
    assert (found.image_file, found.metadata["score"]) == ("7.jpg", "its own")


NAN = np.full((2, DIMENSION), np.nan, np.float32)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"vector": None}, "no column vector"),
        ({"image_file": None, "model_version": None}, "no column image_file and model_version"),
        ({"image_file": pa.array([1, 2])}, "image_file is int64"),
        ({"vector": pa.array(["[0.1]", "[0.2]"])}, "vector is string"),
        ({"vector": pa.array([[0.5] * 3, [0.5] * 3])}, "does not have 1024 numbers"),
        ({"vector": pa.array([[0.5] * DIMENSION, None])}, "row 1 .* vector is missing"),
        (
            {"vector": pa.array([[0.5] * DIMENSION, [None] * DIMENSION], pa.list_(pa.float32()))},
            "row 1 .*not finite",
        ),
        ({"vector": pa.array(list(NAN))}, "missing or not finite"),
        ({"model_version": pa.array(["2023-04-15", "2022-04-11"])}, "2022-04-11 and 2023-04-15"),
        ({"model_version": pa.array([None, None], pa.string())}, "row 0 .* model_version is missing"),
        ({"model_version": pa.array([1, 2])}, "model_version is int64, not text"),
        ({"image_file": pa.array(["a.jpg", "a.jpg"])}, "image_file occurs twice"),
    ],
)
def test_a_file_that_is_no_merged_table_says_why(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    """What is missing in it, or wrong."""
    path = write_merged(tmp_path / "m.parquet", some_vectors(2), **columns)
    with pytest.raises(VectorFileError, match=says):
        Gallery.open(path)


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    """Absent, a folder, empty, text, or cut."""
    whole = write_merged(tmp_path / "m.parquet", some_vectors(50)).read_bytes()
    for content in (b"", b"image_file\ttitle\n", whole[:-100], whole[:4] + bytes(9000) + whole[9004:]):
        (tmp_path / "bad.parquet").write_bytes(content)
        with pytest.raises(VectorFileError, match=r"bad\.parquet"):
            Gallery.open(tmp_path / "bad.parquet")
    os.mkfifo(tmp_path / "pipe.parquet")  # is not waited for
    for path in (tmp_path / "absent.parquet", tmp_path, tmp_path / "pipe.parquet"):
        with pytest.raises(VectorFileError):
            Gallery.open(path)


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_names_may_be_texts_of_any_kind(tmp_path: Path, kind: Any) -> None:
    """As pandas and Polars write them."""
    named = pa.array(["a.jpg", "b.jpg"]).cast(kind)
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(2), image_file=named))
    assert gallery.image_files == ["a.jpg", "b.jpg"]
    assert names(gallery.search(gallery.embedding("b.jpg"), exclude="b.jpg")) == ["a.jpg"]


def test_columns_that_duckdb_has_no_type_for_refuse_no_condition(tmp_path: Path) -> None:
    """Numbers of 16 or 256 bits are compared as float64."""
    path = write_merged(
        tmp_path / "m.parquet",
        some_vectors(3),
        half=pa.array(np.array([0.5, 1.5, 2.5], np.float16)),
        wide=pa.array([Decimal(1), Decimal(2), Decimal(3)], pa.decimal256(50, 2)),
    )
    gallery = Gallery.open(path)
    assert (gallery.count("year > 1600"), gallery.count("half > 1"), gallery.count("wide >= 3")) == (2, 2, 1)
    assert gallery.columns([0])["wide"] == [Decimal("1.00")]


def test_a_file_without_images_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Nothing to search in is an error, whatever types its columns have lost."""
    table = pd.read_parquet(write_merged(tmp_path / "m.parquet", some_vectors(3)))
    table[table["year"] < 0].to_parquet(tmp_path / "none.parquet")
    for path in (tmp_path / "none.parquet", write_merged(tmp_path / "m.parquet", some_vectors(0))):
        with pytest.raises(VectorFileError, match=r"holds no images: give the .parquet file that"):
            Gallery.open(path)


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room for a large gallery's vectors is taken before they are unpacked."""
    path = write_merged(tmp_path / "m.parquet", some_vectors(30))
    monkeypatch.setattr(module, "_ROWS_IN_MEMORY", 10)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(DiskError, match="No space left"):
            Gallery.open(path)
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm/absent")  # noqa: S108 - it is not there
    with pytest.raises(DiskError):
        Gallery.open(path)


def test_many_threads_may_search_at_a_time(tmp_path: Path) -> None:
    """Each gets its own answer."""
    gallery = Gallery.open(write_merged(tmp_path / "m.parquet", some_vectors(200)))

    def nearest(row: int) -> str:
        own = gallery.embedding(f"{row}.jpg")
        return gallery.search(own, k=1, where="year >= 1600")[0].image_file

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(nearest, range(60))) == [f"{row}.jpg" for row in range(60)]


REAL = SHARED_DATA / "azure_vectors" / "vectors.json"


@pytest.mark.skipif(not REAL.exists(), reason="the real vectors are not part of the project")
def test_real_vectors_have_the_neighbours_that_float64_gives_them(tmp_path: Path) -> None:
    """Each of the 120 as a query, all others in order."""
    recorded = json.loads(REAL.read_text())
    vectors = np.array(list(recorded.values()), np.float32)
    path = write_merged(tmp_path / "m.parquet", vectors, "2022-04-11", image_file=pa.array(list(recorded)))
    gallery = Gallery.open(path)
    for name, vector in zip(recorded, vectors, strict=True):
        scores = cosines(vectors, vector)
        order = [other for other in np.argsort(-scores, kind="stable") if list(recorded)[other] != name]
        found = gallery.search(gallery.embedding(name), k=119, exclude=name)
        assert names(found) == [list(recorded)[other] for other in order]
        np.testing.assert_allclose([match.score for match in found], scores[order], rtol=1e-12)

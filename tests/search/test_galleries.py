"""What a gallery of a file and one of a table have in common: whoever searches need not know which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from merged import MODEL, NAMES, merged, query, table_of
from semart_vectors.errors import ConfigurationError, ModelMismatchError
from semart_vectors.gallery import Gallery
from semart_vectors.postgres import PostgresGallery, load_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    AnyGallery: TypeAlias = Gallery | PostgresGallery

VECTORS = np.random.default_rng(3).normal(size=(6, 1024)).astype(np.float32)


@pytest.fixture(params=["file", "table"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyGallery]:
    """Open six paintings."""
    path = merged(tmp_path, VECTORS)
    if request.param == "file":
        yield Gallery.open(path)
    else:
        url = request.getfixturevalue("server").url()
        load_vectors(path, url, replace=True)
        with PostgresGallery.open(url) as opened:
            yield opened


def test_it_knows_its_paintings(gallery: AnyGallery) -> None:
    """How many, of which model, and each one's vector and columns; no other is known."""
    assert (len(gallery), gallery.count(), gallery.model_version) == (6, 6, MODEL)
    table = table_of(NAMES).astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    for name, vector, row in zip(NAMES, VECTORS, rows, strict=True):
        own = gallery.embedding(name)
        assert (own.source, own.model_version, own.attempts) == (name, MODEL, 0)
        assert own.vector.tobytes() == vector.tobytes()
        assert not own.vector.flags.writeable
        told = gallery.metadata(name)
        assert told == {column: value for column, value in row.items() if column != "image_file"}
    for unknown in ("missing.jpg", "", "a\0b"):
        with pytest.raises(KeyError):
            gallery.embedding(unknown)
        with pytest.raises(KeyError):
            gallery.metadata(unknown)


def test_it_finds_the_nearest_best_first(gallery: AnyGallery) -> None:
    """With their scores and columns, but for one that is not wanted."""
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    scores = unit @ unit[2]
    order = np.argsort(-scores)
    found = gallery.search(gallery.embedding(NAMES[2]), k=99)
    assert [match.image_file for match in found] == [NAMES[row] for row in order]
    assert [match.score for match in found] == pytest.approx(scores[order], abs=1e-6)
    assert [match.metadata for match in found] == [gallery.metadata(NAMES[row]) for row in order]
    assert gallery.search(query(VECTORS[2]), k=2, exclude=NAMES[2]) == found[1:3]


@pytest.mark.parametrize(
    ("where", "years"),
    [
        ("year >= 1603", [1603, 1604, 1605]),
        ("school IS NULL AND year < 1604", [1601, 1603]),
        ("image_file LIKE '%s{}%' -- a name", [1605]),
        ("year < 0", []),
    ],
)
def test_a_condition_is_sql(gallery: AnyGallery, where: str, years: list[int]) -> None:
    """It is counted, and searched within."""
    assert gallery.count(where) == len(years)
    assert sorted(match.metadata["year"] for match in gallery.search(query(VECTORS[0]), where=where)) == years


def test_it_refuses_what_means_nothing(gallery: AnyGallery) -> None:
    """A query of another model, no neighbours, and what is no condition."""
    with pytest.raises(ModelMismatchError, match="vectors of different models cannot be compared"):
        gallery.search(query(VECTORS[0], model="2022-04-11"))
    with pytest.raises(ConfigurationError, match="k must be at least 1"):
        gallery.search(query(VECTORS[0]), k=0)
    for where in ("painter = 'x'", "year =", "TRUE); DROP TABLE paintings; --", ""):
        for ask in (gallery.count, lambda where: gallery.search(query(VECTORS[0]), where=where)):
            condition: Any = where
            with pytest.raises(ConfigurationError, match="cannot be used"):
                ask(condition)

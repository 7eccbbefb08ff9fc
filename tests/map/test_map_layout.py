"""Positions on the map: similar images are near one another, and the same vectors get the same positions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from helpers import SHARED_DATA
from map_galleries import in_groups, make_gallery
from semart_vectors.map.layout import neighbours, positions_of, snap_to_grid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_those_of_one_direction_stand_together() -> None:
    """However long their vectors are, the nearest on the map is one of the same group."""
    places = positions_of(in_groups(6, 30))
    assert places.dtype == np.float32
    assert places.shape == (180, 2)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) // 30 == np.arange(180) // 30).all()
    middles = places.reshape(6, 30, 2).mean(axis=1)
    to_middles = np.hypot(*(places[:, None] - middles[None]).transpose(2, 0, 1))
    assert (to_middles.argmin(axis=1) == np.arange(180) // 30).all()


def test_the_same_vectors_get_the_same_places() -> None:
    """To the last bit: a map that is drawn again is the map that is known."""
    vectors = in_groups(5, 60)
    np.testing.assert_array_equal(positions_of(vectors), positions_of(vectors))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 9])
def test_a_few_have_places_too(count: int) -> None:
    """All different, where the vectors are."""
    places = positions_of(in_groups(1, count) if count else np.zeros((0, 1024), np.float32))
    assert places.dtype == np.float32
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == count


@pytest.mark.parametrize("count", [2, 5, 40])
def test_equal_vectors_and_those_without_length_have_places(count: int) -> None:
    """Nothing divides by the distance that they do not have."""
    for vectors in (np.ones((count, 1024), np.float32), np.zeros((count, 1024), np.float32)):
        np.testing.assert_array_equal(positions_of(vectors), np.zeros((count, 2)))
    mixed = in_groups(1, count)
    mixed[::2] = mixed[0]
    mixed[1] = 0
    assert np.isfinite(positions_of(mixed)).all()


@pytest.fixture(scope="module")
def real_vectors() -> NDArray[np.float32]:
    """Read the vectors of the 120 photographs, where they are."""
    recorded = SHARED_DATA / "azure_vectors" / "vectors.json"
    if not recorded.exists():
        pytest.skip("the real vectors are not part of the project")
    return np.array(list(json.loads(recorded.read_text()).values()), np.float32)


def test_real_vectors_keep_their_neighbourhoods(real_vectors: NDArray[np.float32]) -> None:
    """By the usual measure, trustworthiness: 0.96 of 120 photographs, where chance has 0.5."""
    places = {
        "placed": positions_of(real_vectors),
        "by chance": np.random.default_rng(1).normal(size=(120, 2)),
    }
    kept = {
        how: trustworthiness(real_vectors, where, n_neighbors=5, metric="cosine")
        for how, where in places.items()
    }
    assert kept["by chance"] < 0.6
    assert kept["placed"] > 0.93


def test_near_photographs_stand_nearer_than_others(real_vectors: NDArray[np.float32]) -> None:
    """119 of 120 stand within a quarter of the usual distance from the one most like them."""
    places = positions_of(real_vectors)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    usual = np.median(apart[np.triu_indices(120, 1)])
    most_like = neighbours(real_vectors, 1)[0][:, 0]
    to_most_like = apart[np.arange(120), most_like]
    assert (to_most_like < usual / 4).mean() > 0.9
    assert np.median(to_most_like) < usual / 8


def test_every_painting_has_a_cell_to_itself() -> None:
    """Near where it belongs, also where many would stand on one spot."""
    places = np.concatenate([positions_of(in_groups(4, 30)), np.full((80, 2), 3, np.float32)])
    cells = snap_to_grid(places)
    assert len(np.unique(cells, axis=0)) == 200
    assert cells.min() == 0
    assert cells.max() < 30
    for axis in (0, 1):
        low, high = np.quantile(places[:, axis], [0.1, 0.9])
        assert cells[places[:, axis] < low, axis].max() < cells[places[:, axis] > high, axis].min()
    for few in (0, 1, 2):
        assert len(np.unique(snap_to_grid(np.zeros((few, 2), np.float32)), axis=0)) == few


def test_neighbours_are_those_that_a_search_finds(tmp_path: Path) -> None:
    """In the same order, with the same cosines, without the painting itself."""
    gallery = make_gallery(tmp_path, in_groups(4, 10), type=["portrait"] * 40)
    rows, cosines = neighbours(gallery.vectors, 8)
    for row, name in enumerate(gallery.image_files):
        found = gallery.search(gallery.embedding(name), k=8, exclude=name)
        assert [gallery.image_files[each] for each in rows[row]] == [each.image_file for each in found]
        np.testing.assert_allclose(cosines[row], [each.score for each in found], atol=1e-5)
    assert neighbours(gallery.vectors[:1], 8)[0].shape == (1, 0)
    assert neighbours(gallery.vectors[:3], 8)[0].shape == (3, 2)

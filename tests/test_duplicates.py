"""Groups of equal and of nearly equal pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from merged import cosines, write_merged
from semart_vectors import ConfigurationError, Duplicate, Gallery, duplicates, find_duplicates

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def apart(*angles: float) -> NDArray[np.float32]:
    """Return vectors of different lengths in one plane, at these angles in degrees."""
    vectors = np.zeros((len(angles), 1024), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    return vectors * np.arange(1, len(angles) + 1, dtype=np.float32)[:, None]


def in_file(path: Path, vectors: NDArray[np.float32], threshold: float = 0.97) -> list[list[str]]:
    """Return the names in each group of a merged file of these vectors."""
    groups = find_duplicates(write_merged(path / "m.parquet", vectors), threshold)
    return [[image.image_file for image in group.images] for group in groups]


def unlike(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors at nearly right angles to one another."""
    return np.random.default_rng(seed).normal(size=(count, 1024)).astype(np.float32)


def test_a_group_is_its_first_picture_and_those_like_it_nearest_first(tmp_path: Path) -> None:
    """The score is the cosine to the first; a vector twice as long is in the same direction."""
    (group,) = find_duplicates(write_merged(tmp_path / "m.parquet", apart(0, 90, 10, 5, 180)))
    assert [image.image_file for image in group.images] == ["0.jpg", "3.jpg", "2.jpg"]
    scores = [image.score for image in group.images]
    assert scores == pytest.approx([1, np.cos(np.radians(5)), np.cos(np.radians(10))])


def test_no_chain_of_small_steps_joins_what_is_unlike(tmp_path: Path) -> None:
    """Each is 10 degrees from the next, the threshold is 14: a group reaches no further than its first."""
    assert in_file(tmp_path, apart(0, 10, 20, 30, 40)) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"]]


def test_a_picture_joins_the_nearest_of_the_groups_it_is_like(tmp_path: Path) -> None:
    """Also where an earlier group would have it."""
    assert in_file(tmp_path, apart(0, 20, 12)) == [["1.jpg", "2.jpg"]]


def test_equal_vectors_have_exactly_one_and_no_others(tmp_path: Path) -> None:
    """A threshold of 1 finds those alone, whatever rounding makes of their products."""
    vectors = unlike(40)
    vectors[20:30] = vectors[:10]
    vectors[30:] = vectors[:10] * np.float32(1 + 1e-6) + np.float32(1e-4)
    groups = find_duplicates(write_merged(tmp_path / "m.parquet", vectors), 1)
    assert [group.images for group in groups] == [
        (Duplicate(f"{row}.jpg", 1.0), Duplicate(f"{row + 20}.jpg", 1.0)) for row in range(10)
    ]


def test_vectors_without_a_direction_are_like_nothing(tmp_path: Path) -> None:
    """Not even like one another."""
    assert in_file(tmp_path, np.zeros((3, 1024), np.float32)) == []


@pytest.mark.parametrize("threshold", [0.97, 0.8])
def test_over_many_blocks_the_groups_are_those_of_the_plain_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: float
) -> None:
    """Compared with the rule written down one picture at a time, in float64; copies lie in other blocks."""
    monkeypatch.setattr(duplicates, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(duplicates, "_FIRST_BLOCK_ROWS", 24)
    dice = np.random.default_rng(3)
    vectors = np.repeat(unlike(60), 5, axis=0)
    vectors += dice.uniform(0, 0.6, (300, 1)) * unlike(300, seed=1)
    vectors = dice.permutation(vectors).astype(np.float32)
    expected: dict[int, list[int]] = {}
    for row, vector in enumerate(vectors):
        firsts = np.array(list(expected), int)
        near = cosines(vectors[firsts], vector)
        if len(near) and near.max() >= threshold:
            expected[int(firsts[near.argmax()])].append(row)
        else:
            expected[row] = []
    groups = find_duplicates(write_merged(tmp_path / "m.parquet", vectors), threshold)
    found = {group.images[0].image_file: {each.image_file for each in group.images[1:]} for group in groups}
    assert found == {
        f"{first}.jpg": {f"{row}.jpg" for row in others} for first, others in expected.items() if others
    }
    assert len(found) > 20
    for group in groups:
        rows = [int(image.image_file[:-4]) for image in group.images]
        assert [image.score for image in group.images] == pytest.approx(
            cosines(vectors[rows], vectors[rows[0]])
        )


def test_the_outline_of_two_vectors_is_never_below_their_cosine() -> None:
    """Or a pair would be missed: for vectors that lie along the axes, beside them, and between."""
    vectors = np.concatenate([unlike(50), apart(*range(50)), unlike(50, seed=2) + 40 * apart(*range(50))])
    units = duplicates._unit(vectors)
    for axes in (duplicates._main_axes(vectors), np.eye(1024, 63, dtype=np.float32)):
        outlines = duplicates._outlines(units, axes)
        assert (outlines @ outlines.T >= units @ units.T - duplicates._ROUNDING).all()


def test_many_copies_of_one_picture_are_one_list(tmp_path: Path) -> None:
    """5,000 of them have twelve million pairs; each is compared with the first alone."""
    vectors = np.broadcast_to(unlike(1), (5000, 1024))
    groups = duplicates._Groups(vectors, 0.97)
    for start in range(0, 5000, duplicates._BLOCK_ROWS):
        groups.add(start)
    assert groups._count == 1
    assert not groups.first_of.any()
    assert in_file(tmp_path, vectors[:100].copy()) == [[f"{row}.jpg" for row in range(100)]]


def test_an_open_gallery_will_do_and_one_picture_has_no_duplicates(tmp_path: Path) -> None:
    """No axes to find, no error."""
    assert find_duplicates(Gallery.open(write_merged(tmp_path / "m.parquet", unlike(1)))) == ()


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(tmp_path: Path, threshold: float) -> None:
    """Before the file is opened."""
    with pytest.raises(ConfigurationError, match="above 0 and at most 1"):
        find_duplicates(tmp_path / "missing.parquet", threshold)

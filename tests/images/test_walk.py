"""Finding the images below a folder: all of them, in order, and a piece at a time."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from semart_vectors.errors import ConfigurationError
from semart_vectors.images import walk as walk_module
from semart_vectors.images.formats import SUFFIXES
from semart_vectors.images.walk import walk_images

if TYPE_CHECKING:
    from pathlib import Path


def found(folder: Path) -> list[str]:
    """Return what a walk finds, in its order."""
    return [name for names in walk_images(folder) for name in names]


def test_images_are_found_in_order_below_a_folder(tmp_path: Path) -> None:
    """A folder's own first, sorted, then its folders'; what has another suffix is no image."""
    wanted = ["B.JPG", "z.webp", "a/1.jpg", "a/2.Tif", "a/c/deep/1.gif", "a b/1.png", "é/\N{SHIP}.jpeg"]
    for name in [*wanted, "a/notes.txt", "jpg", ".jpg", "a/c/1.jpg.part", "z.svg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path) == wanted


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_counts_in_any_case(tmp_path: Path, suffix: str) -> None:
    """As cameras and old systems write them."""
    for name in (f"a{suffix}", f"b{suffix.upper()}", f"c{suffix.title()}"):
        (tmp_path / name).touch()
    assert len(found(tmp_path)) == 3


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    """The former may go in circles."""
    folder = tmp_path / "images"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "1.jpg").touch()
    (folder / "circle").symlink_to(folder)
    (folder / "2.jpg").symlink_to(folder / "inner" / "1.jpg")
    assert found(folder) == ["2.jpg", "inner/1.jpg"]


def test_odd_names_come_as_they_are(tmp_path: Path) -> None:
    """Blanks, quotes, newlines, leading dashes, both forms of an umlaut, bytes that are no Unicode."""
    names = ["-rf.jpg", " .jpg", "a\nb.jpg", "'\".jpg", "é.jpg", "e\u0301.jpg", "x" * 251 + ".jpg"]
    for name in [*names, "\udcff.jpg"]:
        (tmp_path / name).touch()
    assert found(tmp_path) == sorted([*names, "//ff.jpg"])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, name: str) -> None:
    """It is what the caller asked for, so it ends the job."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"cannot list the images in .*{name}"):
        list(walk_images(tmp_path / name))


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    """That is no error here."""
    assert found(tmp_path) == []


def test_a_walk_takes_no_more_of_a_large_folder_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the names piece by piece, and holds those that were picked until they are sorted."""
    monkeypatch.setattr(walk_module, "NAMES_AT_A_TIME", 3)
    names = [f"{number:02}.jpg" for number in range(20)]
    for name in names:
        (tmp_path / name).touch()
    shown: list[list[str]] = []

    def pick(piece: list[str]) -> list[str]:
        shown.append(piece)
        return [name for name in piece if name > "05.jpg"]

    pieces = list(walk_images(tmp_path, only=pick))
    assert list(chain.from_iterable(pieces)) == names[6:]
    assert sorted(chain.from_iterable(shown)) == names
    assert max(map(len, pieces + shown)) == 3
    assert pieces[: len(shown)] == [[]] * len(shown)  # a moment to leave after each piece

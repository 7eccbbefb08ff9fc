"""Finding the images below a folder: all of them, in order, and a piece at a time."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from semart_vectors.errors import ConfigurationError, OutOfResourcesError
from semart_vectors.images import walk as walk_module
from semart_vectors.images.formats import SUFFIXES
from semart_vectors.images.selection import ImageSelection
from semart_vectors.images.walk import walk_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def found(folder: Path) -> list[str]:
    """Return what a walk finds, in its order."""
    return [name for names in walk_images(folder) for name in names]


def made(folder: Path, *names: str) -> Path:
    """Make empty files below a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def walked(folder: Path, selection: ImageSelection) -> tuple[list[str], dict[str, int]]:
    """Return what a walk finds, and what it passes over."""
    skipped: Counter[str] = Counter()
    names = chain.from_iterable(
        walk_images(folder, selection=selection, skip=lambda kind: skipped.update([kind]))
    )
    return list(names), skipped


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


def test_hidden_files_and_what_systems_make_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """Thumbnails, deleted files, resource forks; a folder counts once, and is not looked into."""
    wanted = ["1.jpg", "lost+found/2.jpg"]
    hidden = ["._1.jpg", ".Trash-1000/files/a.jpg", ".thumbnails/a.png"]
    system = ["#recycle/a.jpg", "$Recycle.Bin/a.jpg", "@eaDir/1.jpg/T.jpg", "__MACOSX/a.jpg"]
    made(tmp_path, *wanted, *hidden, *system, ".DS_Store")
    assert walked(tmp_path, ImageSelection()) == (
        wanted,
        {"hidden folder": 2, "hidden image": 1, "system folder": 4},
    )
    names, skipped = walked(tmp_path, ImageSelection(include_hidden=True))
    assert (sorted(names), skipped) == (sorted([*wanted, *hidden, *system]), {})


def test_what_is_no_image_is_counted_by_suffix(tmp_path: Path) -> None:
    """In lower case; what is no suffix is not taken for one."""
    made(tmp_path, "1.HEIC", "2.heic", "3.CR2", "4.mp4", "a/5.mp4", "none", "a. b c", "x.jpg.download")
    assert walked(tmp_path, ImageSelection())[1] == {
        ".heic": 2, ".cr2": 1, ".mp4": 2, "no suffix": 2, ".download": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["1.jpg", "a/2.jpg", "a/raw/3.jpg", "raw/4.jpg"]),
        ("raw", ["1.jpg", "5.png", "a/2.jpg"]),
        ("raw/", ["1.jpg", "5.png", "a/2.jpg"]),
        ("**/raw", ["1.jpg", "5.png", "a/2.jpg"]),
        ("/raw", ["1.jpg", "5.png", "a/2.jpg", "a/raw/3.jpg"]),
        ("a/raw", ["1.jpg", "5.png", "a/2.jpg", "raw/4.jpg"]),
        ("a/*.jpg", ["1.jpg", "5.png", "raw/4.jpg"]),
        ("[0-2].jpg", ["5.png", "a/raw/3.jpg", "raw/4.jpg"]),
        ("RAW", ["1.jpg", "5.png", "a/2.jpg", "a/raw/3.jpg", "raw/4.jpg"]),
    ],
)
def test_a_pattern_leaves_out_names_at_any_depth_or_paths_from_the_top(
    tmp_path: Path, pattern: str, left: list[str]
) -> None:
    """With a slash before its end it is a path; a folder goes with all below it."""
    made(tmp_path, "1.jpg", "5.png", "a/2.jpg", "a/raw/3.jpg", "raw/4.jpg")
    names, skipped = walked(tmp_path, ImageSelection(exclude=(pattern,)))
    assert names == left
    assert set(skipped) == ({"excluded"} if len(left) < 5 else set())


@pytest.mark.parametrize("pattern", ["", "/", "!keep.jpg"])
def test_a_pattern_that_excludes_nothing_is_refused(pattern: str) -> None:
    """Who gives one expects something of it."""
    with pytest.raises(ConfigurationError, match="excludes nothing"):
        ImageSelection(exclude=(pattern,))


def test_linked_folders_are_gone_through_once_and_last(tmp_path: Path) -> None:
    """An image has its own folder's name where it has one; circles and second links lead nowhere."""
    top = made(tmp_path / "top", "z/1.jpg")
    other = made(tmp_path / "other", "2.jpg", "in/3.jpg")
    for link, target in {"a": top / "z", "b": other, "c": other, "z/up": top, "z/out": tmp_path}.items():
        (top / link).symlink_to(target)
    (other / "back").symlink_to(other)
    assert walked(top, ImageSelection()) == (["z/1.jpg"], {"linked folder": 5})
    assert walked(top, ImageSelection(follow_links=True)) == (["z/1.jpg", "b/2.jpg", "b/in/3.jpg"], {})


@pytest.mark.parametrize("reason", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "gone")])
def test_a_folder_below_that_cannot_be_listed_is_named_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: OSError
) -> None:
    """It may be another user's, or vanish while the walk is under way."""
    made(tmp_path, "1.jpg", "a/2.jpg", "b/3.jpg")
    listed = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("a/"):
            raise reason
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    told: list[tuple[str, OSError]] = []
    walk = walk_images(tmp_path, cannot_list=lambda *each: told.append(each))
    assert list(chain.from_iterable(walk)) == ["1.jpg", "b/3.jpg"]
    assert told == [("a", reason)]


def test_a_lack_of_descriptors_is_no_folder_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All further ones would fare the same."""
    made(tmp_path, "a/2.jpg")
    walk = walk_images(tmp_path)
    next(walk)

    def scandir(_: str) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OutOfResourcesError, match="ulimit -n"):
        list(walk)

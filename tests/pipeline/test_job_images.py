"""`JobImages`: which images a job has, and where their files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from semart_vectors.errors import ConfigurationError, UnreadableImageError
from semart_vectors.images.walk import NAMES_AT_A_TIME
from semart_vectors.pipeline.job_images import NO_FILE, JobImages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of ten files with the names of images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(bytes(number))
    return folder


def test_images_are_counted_until_nobody_needs_the_number(images: Path) -> None:
    """A count of millions ends when the job does."""
    source = JobImages(images, None)
    assert source.prepare() is None
    assert source.count() == 10
    source.stop_counting()
    assert source.count() is None


def test_a_folder_that_is_missing_is_reported_at_once(tmp_path: Path) -> None:
    """Before a checkpoint is made."""
    with pytest.raises(ConfigurationError, match="cannot list"):
        JobImages(tmp_path / "missing", None).prepare()


def test_names_are_taken_once_each_in_their_order(images: Path) -> None:
    """Also where the second mention comes thousands of names later, in another piece."""
    names = [f"{number}.jpg" for number in range(NAMES_AT_A_TIME + 5)]
    source = JobImages(images, (*names, names[3], names[0]))
    assert source.prepare() == len(names)
    pieces = list(source.select(list))
    assert [len(piece) for piece in pieces] == [NAMES_AT_A_TIME, 5]
    assert [name for piece in pieces for name in piece] == names


def test_names_without_repetition_are_counted_too(images: Path) -> None:
    """The folder is not asked: a missing image is a failure of the run."""
    source = JobImages(images, ("9.jpg", "missing.jpg"))
    assert source.prepare() == 2
    assert list(source.select(list)) == [["9.jpg", "missing.jpg"]]


def test_only_what_is_selected_comes_back(images: Path) -> None:
    """From a folder and from a list alike; the rest takes no memory."""
    names = tuple(sorted(path.name for path in images.iterdir()))
    for source in (JobImages(images, None), JobImages(images, names)):
        selected = source.select(lambda names: [name for name in names if name > "7"])
        assert [name for piece in selected for name in piece] == ["7.jpg", "8.jpg", "9.jpg"]


def test_a_fingerprint_changes_with_the_file(images: Path) -> None:
    """And a file that is out of reach, or outside, has none."""
    source = JobImages(images, None)
    before = source.fingerprint("0.jpg")
    assert before not in (NO_FILE, source.fingerprint("1.jpg"))
    (images / "0.jpg").write_bytes(b"another length")
    assert source.fingerprint("0.jpg") not in (NO_FILE, before)
    for name in ("missing.jpg", "../images/0.jpg", "nul\0.jpg"):
        assert source.fingerprint(name) == NO_FILE


def test_no_path_leads_out_of_the_folder(images: Path) -> None:
    """A name is a path below it."""
    source = JobImages(images, None)
    assert source.path("a/b.jpg") == str(images / "a" / "b.jpg")
    with pytest.raises(UnreadableImageError, match="leads out"):
        source.path("../b.jpg")

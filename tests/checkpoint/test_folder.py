"""`CheckpointFolder`: which files belong to a checkpoint, and under which number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.errors import CheckpointDamagedError, CheckpointMismatchError, DiskError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Make a folder with an empty ``vectors/``."""
    (tmp_path / "vectors").mkdir()
    return CheckpointFolder(tmp_path)


def test_numbered_files_are_listed_by_their_numbers(folder: CheckpointFolder) -> None:
    """However long the numbers are, and not by name."""
    for of_number, listed in (
        (folder.part, folder.parts),
        (folder.journal, folder.journals),
        (folder.replaced_file, folder.replaced_files),
    ):
        for number in (10, 9, 1_000_000, 0):
            of_number(number).touch()
        assert listed() == {number: of_number(number) for number in (0, 9, 10, 1_000_000)}
        assert list(listed()) == [0, 9, 10, 1_000_000]


@pytest.mark.parametrize("name", ["part-1.parquet", "part-000001 (copy).parquet", "copy.parquet"])
def test_a_foreign_file_that_readers_take_for_a_part_is_refused(folder: CheckpointFolder, name: str) -> None:
    """By its name; what readers skip is left alone."""
    for left_alone in ("_part.parquet", ".part-000001.parquet", "notes.txt"):
        (folder.vectors / left_alone).touch()
    assert folder.parts() == {}
    (folder.vectors / name).touch()
    assert folder.vector_files() == [folder.vectors / name]
    with pytest.raises(CheckpointDamagedError, match="was not put there by a job"):
        folder.parts()


def test_a_missing_folder_holds_nothing_and_is_free(tmp_path: Path) -> None:
    """As is one that holds only what a killed process has left of a new checkpoint."""
    folder = CheckpointFolder(tmp_path / "new")
    assert folder.parts() == folder.journals() == folder.replaced_files() == {}
    folder.check_is_free()
    folder.path.mkdir()
    folder.lock.touch()
    folder.check_is_free()
    (folder.path / "a.jpg").touch()
    with pytest.raises(CheckpointMismatchError, match="holds other files"):
        folder.check_is_free()


def test_a_folder_that_cannot_be_listed_is_no_empty_one(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken for not done because the disk refused to list it."""

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder.path), "iterdir", refuse)
    with pytest.raises(DiskError, match=r"cannot read .*vectors: Permission denied; make it readable"):
        folder.parts()

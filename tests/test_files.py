"""Files that are written aside: the final name never holds half of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from semart_vectors import files
from semart_vectors.errors import DiskError
from semart_vectors.files import disk_errors, write_aside


def refuse(*_: object, **__: object) -> NoReturn:
    """Stand in for a system call on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir())


def test_the_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Until then the old one stands there, and nothing but the new one stays."""
    target = tmp_path / "file"
    target.write_text("old")
    with write_aside(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
        assert aside.parent == tmp_path
        assert aside.name.startswith("_")
    assert target.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_the_temporary_file_may_live_elsewhere(tmp_path: Path) -> None:
    """So that a folder others read holds finished files only."""
    (tmp_path / "parts").mkdir()
    with write_aside(tmp_path / "parts" / "file", folder=tmp_path) as aside:
        aside.write_text("new")
        assert names(tmp_path / "parts") == []
    assert names(tmp_path) == ["parts"]
    assert (tmp_path / "parts" / "file").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), OSError(errno.EIO, "I/O error")])
def test_the_old_file_survives_a_failure(tmp_path: Path, error: BaseException) -> None:
    """Whatever goes wrong while the new one is written, and nothing is left over."""
    target = tmp_path / "file"
    target.write_text("old")
    expected = DiskError if isinstance(error, OSError) else type(error)

    def write() -> None:
        with write_aside(target) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(expected):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The error says which file, why, and what to do."""
    target = tmp_path / "file"
    target.write_text("old")
    monkeypatch.setattr(os, call, refuse)
    with (
        pytest.raises(
            DiskError,
            match=r"file: No space left on device; free some space or choose another place, and run again",
        ) as caught,
        write_aside(target) as aside,
    ):
        aside.write_text("new")
    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_that_is_none_is_the_disks_refusal(tmp_path: Path) -> None:
    """A file in its place, or nothing: `DiskError`, not whatever tidying up meets next."""
    (tmp_path / "plain").write_text("a file")
    for folder in ("plain", "missing"):
        with pytest.raises(DiskError), write_aside(tmp_path / folder / "file") as aside:
            aside.write_text("new")


def test_tidying_up_never_hides_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only disk even removing a file that is not there is refused."""
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(DiskError), write_aside(tmp_path / "file") as aside:
        aside.write_text("new")


@pytest.mark.parametrize(
    "name",
    ["x" * 255, "é" * 127, "\N{SHIP}" * 60 + ".csv", "\udcff" * 255],
    ids=["ASCII", "two bytes", "four bytes", "no Unicode"],
)
def test_a_name_of_any_legal_length_can_be_written(tmp_path: Path, name: str) -> None:
    """The temporary name is no longer than a name may be, counted in bytes."""
    with write_aside(tmp_path / name) as aside:
        aside.write_text("new")
    assert names(tmp_path) == [name]


def test_the_disks_errors_keep_their_cause_and_are_named_once() -> None:
    """An inner translation is not translated again."""
    with pytest.raises(DiskError) as caught, disk_errors(Path("outer")), disk_errors(Path("inner")):
        refuse()
    assert "inner" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_file_system_that_cannot_sync_a_folder_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The file is synced and stands whole under its name: that is no failure. A failing disk is one."""
    synced = files.sync

    def sync(path: Path) -> None:
        if path.is_dir():
            raise OSError(code, os.strerror(code))
        synced(path)

    monkeypatch.setattr(files, "sync", sync)
    with write_aside(tmp_path / "file") as aside:
        aside.write_text("new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "new")]
    code = errno.EIO
    with pytest.raises(DiskError), write_aside(tmp_path / "file") as aside:
        aside.write_text("newer")

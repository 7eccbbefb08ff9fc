"""New fingerprints of files that were copied or touched: kept, beside the parts and without a second row."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from checkpoint_records import done, failed
from fake_service import MODEL
from semart_vectors import check_checkpoint, read_status
from semart_vectors.checkpoint import publishing as publishing_module
from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.store import Checkpoint, Touched

if TYPE_CHECKING:
    from pathlib import Path


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint of the fake service's model."""
    return Checkpoint.open(folder, model_version=MODEL)


def touched(name: str, fingerprint: int, content: bytes | None = None) -> Touched:
    """Make the record of a file that holds what `done` recorded, with another fingerprint."""
    content = name.encode() if content is None else content
    return Touched(name, hashlib.sha256(content).digest(), fingerprint)


def fingerprint(checkpoint: Checkpoint, name: str) -> int:
    """Return the fingerprint by which the next run would know an image."""
    found, fingerprints = checkpoint.done_before([name])
    assert found.all()
    return int(fingerprints[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a checkpoint of two images."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg"), done("b.jpg")])
    return tmp_path


@pytest.mark.parametrize("killed", [False, True])
def test_a_new_fingerprint_is_known_after_closing_and_after_a_kill(folder: Path, *, killed: bool) -> None:
    """To whoever looks and whoever opens; the vectors are as they were, each once."""
    parts = {path: path.read_bytes() for path in (folder / "vectors").iterdir()}
    checkpoint = open_checkpoint(folder)
    checkpoint.record([touched("a.jpg", 7)])
    checkpoint._closing.close() if killed else checkpoint.close()
    assert fingerprint(Checkpoint.peek(folder, model_version=MODEL), "a.jpg") == 7
    for _ in range(2):
        with open_checkpoint(folder) as again:
            assert (fingerprint(again, "a.jpg"), fingerprint(again, "b.jpg")) == (7, 1)
    assert {path: path.read_bytes() for path in (folder / "vectors").iterdir()} == parts
    assert (read_status(folder).done, check_checkpoint(folder).damaged) == (2, ())


def test_a_new_fingerprint_is_of_one_content(folder: Path) -> None:
    """What an image held when its file was touched says nothing of what it was given since."""
    with open_checkpoint(folder) as checkpoint:
        checkpoint.record([touched("a.jpg", 7), touched("b.jpg", 7, b"other"), touched("c.jpg", 7)])
        assert (checkpoint.done("c.jpg"), fingerprint(checkpoint, "b.jpg")) == (None, 1)
    with open_checkpoint(folder) as checkpoint:
        checkpoint.record([done("a.jpg", b"new", fingerprint=8)])
    with open_checkpoint(folder) as checkpoint:
        assert fingerprint(checkpoint, "a.jpg") == 8
        checkpoint.record([done("a.jpg", fingerprint=9)])
    with open_checkpoint(folder) as checkpoint:
        assert fingerprint(checkpoint, "a.jpg") == 9
        checkpoint.record([failed("a.jpg"), touched("a.jpg", 10)])
        assert checkpoint.done("a.jpg") is None


def test_many_new_fingerprints_move_into_the_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a job completes, so that their files do not add up; one that was stopped leaves them."""
    monkeypatch.setattr(publishing_module, "_MANY_TOUCHED_FILES", 1)
    for number in (5, 6, 7):
        with open_checkpoint(folder) as checkpoint:
            checkpoint.record([touched("a.jpg", number)])
    assert len(CheckpointFolder(folder).touched_files()) == 3
    with open_checkpoint(folder) as checkpoint:
        checkpoint.mark_complete()
    assert not CheckpointFolder(folder).touched_files()
    table = pd.read_parquet(folder / "vectors").set_index("image_file")["file_fingerprint"]
    assert table.to_dict() == {"a.jpg": 7, "b.jpg": 1}
    assert check_checkpoint(folder).damaged == ()


def test_damaged_fingerprints_cost_a_look_at_the_files(folder: Path) -> None:
    """They go into quarantine, and the images are done all the same."""
    with open_checkpoint(folder) as checkpoint:
        checkpoint.record([touched("a.jpg", 7)])
    (path,) = CheckpointFolder(folder).touched_files().values()
    path.write_bytes(path.read_bytes()[:-9])
    assert len(check_checkpoint(folder).damaged) == 1
    with open_checkpoint(folder) as checkpoint:
        assert fingerprint(checkpoint, "a.jpg") == 1
    assert check_checkpoint(folder).damaged == ()

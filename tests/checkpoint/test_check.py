"""`check`: every stored byte is compared, and what is damaged goes into quarantine on request."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from checkpoint_records import done, failed
from fake_service import MODEL
from helpers import contents
from semart_vectors import check_checkpoint
from semart_vectors.checkpoint.status import read_status
from semart_vectors.checkpoint.store import Checkpoint
from semart_vectors.errors import CheckpointInUseError, CheckpointMismatchError, ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Make a checkpoint with two parts, a failure, and a journal that a killed job left."""
    for names in (["a.jpg", "b.jpg"], ["c.jpg"]):
        with Checkpoint.open(tmp_path, model_version=MODEL) as opened:
            opened.record([done(name) for name in names])
            opened.record([failed("x.jpg")])
            opened.note_images_asked_for(5)
            opened.note_calls_free_at(7.0)
    killed = Checkpoint.open(tmp_path, model_version=MODEL)
    killed.record([done("d.jpg")])
    killed._closing.close()
    return tmp_path


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def test_a_whole_checkpoint_is_said_to_be(checkpoint: Path) -> None:
    """With how much was read; nothing is changed."""
    before = contents(checkpoint)
    report = check_checkpoint(checkpoint)
    assert (report.files, report.vectors, report.damaged) == (8, 3, ())
    assert report.bytes == sum(map(len, before.values()))
    assert before == contents(checkpoint)


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ("vectors/part-000001.parquet", {"a.jpg", "b.jpg"}),
        ("vectors/part-000002.parquet", {"c.jpg"}),
        ("failures.parquet", set()),
        ("_journal-*", set()),
        ("_checkpoint.json", set()),
        ("_job.json", set()),
        ("_pace.json", set()),
    ],
)
def test_damage_is_named_and_a_repair_quarantines_it(checkpoint: Path, pattern: str, lost: set[str]) -> None:
    """After it all is whole, but for the vectors that the damage hit; what was damaged is kept."""
    (path,) = checkpoint.glob(pattern)
    flip(path)
    (damage,) = check_checkpoint(checkpoint).damaged
    assert path.name in damage
    assert check_checkpoint(checkpoint, repair=True).damaged == (damage,)
    assert check_checkpoint(checkpoint).damaged == ()
    assert [kept.name for kept in (checkpoint / "_damaged").iterdir()] == [path.name]
    with Checkpoint.open(checkpoint, model_version=MODEL) as opened:
        assert {name for name in ("a.jpg", "b.jpg", "c.jpg") if opened.done(name) is None} == lost
        assert opened.done("d.jpg") is not None  # the flip hit the journal's zeros
    assert (
        set(pd.read_parquet(checkpoint / "vectors")["image_file"])
        == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"} - lost
    )


def test_a_file_that_no_job_put_there_goes_into_quarantine(checkpoint: Path) -> None:
    """A copy of a part would double its images for every reader."""
    copy = checkpoint / "vectors" / "part-000001 (copy).parquet"
    shutil.copy(checkpoint / "vectors" / "part-000001.parquet", copy)
    assert any(copy.name in damage for damage in check_checkpoint(checkpoint, repair=True).damaged)
    assert check_checkpoint(checkpoint).damaged == ()
    assert read_status(checkpoint).done == 4


def test_an_image_with_two_rows_is_named_as_damage(checkpoint: Path) -> None:
    """A repair keeps one of them."""
    parts = checkpoint / "vectors"
    shutil.copy(parts / "part-000001.parquet", parts / "part-000009.parquet")
    assert (
        "4 rows are of images that have more than one row"
        in check_checkpoint(checkpoint, repair=True).damaged[0]
    )
    assert pd.read_parquet(parts)["image_file"].is_unique


def test_a_checkpoint_with_nothing_left_that_tells_its_model_begins_anew(tmp_path: Path) -> None:
    """Nobody could say what else it was of."""
    with Checkpoint.open(tmp_path, model_version=MODEL):
        pass
    flip(tmp_path / "_checkpoint.json")
    assert len(check_checkpoint(tmp_path, repair=True).damaged) == 1
    flip(tmp_path / "vectors" / "part-000000.parquet")
    assert len(check_checkpoint(tmp_path, repair=True).damaged) == 1
    with Checkpoint.open(tmp_path, model_version="2022-04-11") as opened:
        opened.record([])
    assert check_checkpoint(tmp_path).damaged == ()


def test_a_checkpoint_in_use_is_left_alone(tmp_path: Path) -> None:
    """What a job is just writing would look damaged."""
    with Checkpoint.open(tmp_path, model_version=MODEL), pytest.raises(CheckpointInUseError):
        check_checkpoint(tmp_path)


def test_a_folder_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    """And stays as it is."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="is no checkpoint"):
            check_checkpoint(folder, repair=True)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_format_is_not_called_damaged(checkpoint: Path) -> None:
    """Nothing of it is compared or moved."""
    (checkpoint / "_checkpoint.json").write_text('{"format_version": 3, "model_version": "x"}')
    before = contents(checkpoint)
    for repair in (False, True):
        with pytest.raises(CheckpointMismatchError, match="format 3 instead of 2"):
            check_checkpoint(checkpoint, repair=repair)
    assert before == contents(checkpoint)

"""Bytes of a checkpoint that are not what was written: told, and paid for only as far as they were hit."""

from __future__ import annotations

import hashlib
import random
import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pytest

from fake_service import MODEL, vector_for
from semart_vectors import check_checkpoint, merge_vectors
from semart_vectors.checkpoint.store import Checkpoint, Done, Failed
from semart_vectors.errors import CheckpointDamagedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

IMAGES = {
    "vectors/part-000001.parquet": ["a.jpg", "b.jpg", "c.jpg"],
    "vectors/part-000002.parquet": ["d.jpg"],
    "_journal": ["e.jpg", "f.jpg"],
}
"""What each file holds; the journal is that of a killed job."""

EVERY_IMAGE = {name for names in IMAGES.values() for name in names}


class After(NamedTuple):
    """What became of a damaged checkpoint."""

    told: tuple[str, ...]
    lost: set[str]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Make a checkpoint with every kind of file in it."""
    directory = tmp_path / "whole"
    for names in IMAGES.values():
        checkpoint = Checkpoint.open(directory, model_version=MODEL)
        checkpoint.record([_done(name) for name in names])
        checkpoint.note_images_asked_for(7)
        checkpoint.note_calls_free_at(1.0)
        if "e.jpg" in names:
            checkpoint._closing.close()  # as a kill leaves it
        else:
            checkpoint.record([Failed("x.jpg", "InvalidInputError", "it is empty", 0, 1)])
            checkpoint.close()
    assert check_checkpoint(directory).damaged == ()
    return directory


def _done(name: str) -> Done:
    return Done(name, vector_for(name.encode()), hashlib.sha256(name.encode()).digest(), 1)


def _files(directory: Path) -> list[Path]:
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def _held_by(file: Path) -> set[str]:
    return {name for start, names in IMAGES.items() if file.as_posix().startswith(start) for name in names}


def _damage(whole: Path, directory: Path, file: Path, content: bytes) -> After:
    """Put other bytes into a copy's file, see who tells, open it as a job does, and see what is left."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(whole, directory)
    (directory / file).write_bytes(content)
    told = check_checkpoint(directory).damaged
    if file.parent.name == "vectors":
        with pytest.raises(CheckpointDamagedError):
            merge_vectors(
                pd.DataFrame({"image_file": ["a.jpg"]}), directory, directory.parent / "all.parquet"
            )
    with Checkpoint.open(directory, model_version=MODEL) as checkpoint:
        lost = {name for name in EVERY_IMAGE if checkpoint.done(name) is None}
    table = pd.read_parquet(directory / "vectors")
    assert sorted(table["image_file"]) == sorted(EVERY_IMAGE - lost)
    for name, vector in zip(table["image_file"], table["vector"], strict=True):
        np.testing.assert_array_equal(vector, vector_for(name.encode()))
    assert check_checkpoint(directory).damaged == ()
    return After(told, lost)


@pytest.mark.row(7)
@pytest.mark.timeout(1800)
def test_a_cut_file_is_told_and_costs_only_what_was_cut(
    whole: Path, tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Parts, journal, table of failures and notes, cut at every length."""
    cuts = 0
    for file in _files(whole):
        content = (whole / file).read_bytes()
        # A journal is zeros to its end, of which every length is like the next.
        lengths = range(min(len(content), 10_000))
        for length in lengths[:: extent.pick(quick=701, all=17)]:
            after = _damage(whole, tmp_path / "cut", file, content[:length])
            assert after.told or not any(content[length:]), f"{file} cut to {length}"
            assert after.lost <= _held_by(file)
        shutil.copytree(whole, tmp_path / "copy", dirs_exist_ok=True)
        for length in lengths[:: extent.pick(quick=67, all=1)]:
            (tmp_path / "copy" / file).write_bytes(content[:length])
            told = check_checkpoint(tmp_path / "copy").damaged
            assert told or not any(content[length:]), f"{file} cut to {length}"
            cuts += 1
    score(f"{cuts:,} cuts, each told unless it took only zeros; nothing lost but what the file held")


@pytest.mark.row(8)
@pytest.mark.timeout(1800)
def test_a_flipped_bit_is_told_and_costs_only_what_it_hit(
    whole: Path, tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Anywhere, and twice as often in what is short: notes, footers, heads of records."""
    chance = random.Random(8)  # noqa: S311 - chance that can be repeated, no secret
    flips = extent.pick(quick=60, all=3000)
    unnoticed = lost = 0
    files = [file for file in _files(whole) if (whole / file).stat().st_size]
    for number in range(flips):
        file = files[number % len(files)]
        content = bytearray((whole / file).read_bytes())
        place = chance.randrange(len(content))
        if file.name.startswith("_journal") and number % 2:
            place %= 10_000  # where its records are
        elif number % 2:
            place = -1 - place % min(len(content), 900)  # Parquet's footer
        content[place] ^= 1 << chance.randrange(8)
        after = _damage(whole, tmp_path / "flipped", file, bytes(content))
        unnoticed += not after.told
        lost = max(lost, len(after.lost))
        assert after.lost <= _held_by(file)
    assert not unnoticed
    score(
        f"{unnoticed} of {flips:,} flips unnoticed; at most {lost} of {len(EVERY_IMAGE)} vectors lost by one"
    )

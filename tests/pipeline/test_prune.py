"""`prune`: images whose files are gone are forgotten; nothing that is paid for is lost by a slip."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from checkpoint_records import done, failed
from command_in_process import cli_here
from fake_service import MODEL
from helpers import contents, make_images
from jobs import check_vectors, run
from semart_vectors import AsyncVisionEmbedder, check_checkpoint, prune_checkpoint
from semart_vectors.checkpoint import publishing as publishing_module
from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.checkpoint.store import Checkpoint
from semart_vectors.errors import ConfigurationError, DiskError

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService


@pytest.fixture
def ck(tmp_path: Path) -> Path:
    """Make a checkpoint of 24 images, one of them hidden, and of two failures; of the folder beside it."""
    names = list(make_images(tmp_path / "images", 24))
    (tmp_path / "images" / names[0]).rename(tmp_path / "images" / ".hidden.jpg")
    (tmp_path / "images" / "a.jpg").touch()
    with Checkpoint.open(tmp_path / "ck", model_version=MODEL) as checkpoint:
        checkpoint.record([*map(done, names[1:]), done(".hidden.jpg"), failed("a.jpg"), failed("b.jpg")])
        checkpoint.note_images_asked_for(22, str(tmp_path / "images"))
    return tmp_path / "ck"


def remove(ck: Path, count: int) -> None:
    """Remove the last images of the folder."""
    for path in sorted((ck.parent / "images").glob("*-image.jpg"))[-count:]:
        path.unlink()


def test_what_is_gone_is_forgotten_and_what_is_there_stays(ck: Path) -> None:
    """Its failure too, and what no job would find stays; a dry run counts and changes nothing."""
    remove(ck, 4)
    assert "`semart-vectors prune` forgets images" in cli_here("status", ck, cwd=ck.parent).out
    before = contents(ck)
    would = cli_here("prune", ck, "--dry-run", cwd=ck.parent)
    assert would.out.startswith("4 done and 1 failed would be pruned"), would.err
    assert contents(ck) == before
    gone_from = f"whose files are gone from {ck.parent / 'images'}"
    says = f"4 done and 1 failed were pruned, {gone_from}; 20 stay\n"
    assert cli_here("prune", ck, cwd=ck.parent).out == says
    assert [failure.image_file for failure in read_failures(ck)] == ["a.jpg"]
    report = prune_checkpoint(ck)
    assert (report.kept, report.pruned, report.failures_pruned) == (20, 0, 0)
    assert check_checkpoint(ck).damaged == ()
    assert "prune" not in cli_here("status", ck, cwd=ck.parent).out


def test_a_disk_that_is_not_mounted_costs_nothing(ck: Path) -> None:
    """A folder that is missing, empty, or lacks most of the images is no reason to forget them."""
    before = contents(ck / "vectors")
    with pytest.raises(ConfigurationError, match=r"missing; mount its disk"):
        prune_checkpoint(ck, ck.parent / "elsewhere", force=True)
    remove(ck, 13)
    refused = cli_here("prune", ck, cwd=ck.parent)
    assert (refused.code, "13 of 24 images are not in" in refused.err) == (2, True)
    shutil.move(ck.parent / "images", ck.parent / "moved")
    (ck.parent / "images").mkdir()
    with pytest.raises(ConfigurationError, match=r"24 of 24 images are not in .*--force"):
        prune_checkpoint(ck)
    assert contents(ck / "vectors") == before
    assert prune_checkpoint(ck, ck.parent / "moved", force=True).pruned == 13


def test_a_disk_that_refuses_loses_no_vector(ck: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written aside stays where it was."""
    remove(ck, 4)
    before = contents(ck / "vectors")

    def refuse(*_: object) -> None:
        raise DiskError("full")

    with monkeypatch.context() as patch:
        patch.setattr(publishing_module, "write_part", refuse)
        with pytest.raises(DiskError):
            prune_checkpoint(ck)
    assert contents(ck / "vectors") == before
    assert prune_checkpoint(ck).pruned == 4


async def test_an_image_that_was_only_renamed_gets_its_vector_back(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Pruned before the next job finds it, it costs no call all the same."""
    images = make_images(tmp_path / "images", 4)
    await run(embedder, tmp_path)
    name = min(images)
    (tmp_path / "images" / name).rename(tmp_path / "images" / "renamed.jpg")
    assert (await asyncio.to_thread(prune_checkpoint, tmp_path / "ck")).pruned == 1
    report = await run(embedder, tmp_path)
    assert (report.total, report.embedded, report.calls) == (4, 1, 0)
    check_vectors(tmp_path, {"renamed.jpg": images.pop(name)} | images)
    assert len(service.calls) == 4


def test_a_checkpoint_that_does_not_know_its_folder_asks_for_it(tmp_path: Path) -> None:
    """As does a folder that is none."""
    with pytest.raises(ConfigurationError, match="is no checkpoint"):
        prune_checkpoint(tmp_path)
    Checkpoint.open(tmp_path / "ck", model_version=MODEL).close()
    with pytest.raises(ConfigurationError, match="--images"):
        prune_checkpoint(tmp_path / "ck")

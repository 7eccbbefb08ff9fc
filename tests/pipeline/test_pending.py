"""`PendingImages`: new images first, changed ones then, and sums that add up."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from fake_service import MODEL, vector_for
from semart_vectors.checkpoint.store import Checkpoint, Done, Failed
from semart_vectors.pipeline import job_images as source_module
from semart_vectors.pipeline.job_images import JobImages
from semart_vectors.pipeline.pending import PendingBatch, PendingImages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of ten files with the names of images."""
    folder = tmp_path / "images"
    for number in range(10):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 2}" / f"{number}.jpg").write_bytes(b"%d" % number)
    return folder


def pending_of(images: Path, checkpoint: Checkpoint, *, retry_failed: bool = False) -> PendingImages:
    """Look for what is pending in a folder."""
    return PendingImages(JobImages(images, None), checkpoint, retry_failed=retry_failed)


def open_checkpoint(images: Path) -> Checkpoint:
    """Open the checkpoint beside a folder of images."""
    return Checkpoint.open(images.parent / "ck", model_version=MODEL)


def record(images: Path, checkpoint: Checkpoint, *names: str, failed: bool = False) -> None:
    """Record images as done or failed, with their files as they are."""
    source = JobImages(images, None)
    for name in names:
        content, fingerprint = (images / name).read_bytes(), source.fingerprint(name)
        digest = hashlib.sha256(content).digest()
        done = Done(name, vector_for(content), digest, fingerprint)
        checkpoint.record([Failed(name, "InvalidInputError", "no", 1, fingerprint) if failed else done])


def summed(batches: Iterator[PendingBatch]) -> PendingBatch:
    """Put together what a pass found."""
    names: list[str] = []
    already_done = failed = 0
    for each in batches:
        names += each.names
        already_done += each.already_done
        failed += each.failed
    return PendingBatch(names, already_done, failed)


def test_new_images_are_found_without_a_look_at_the_files_of_the_others(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the first call waits for no million looks."""
    with open_checkpoint(images) as checkpoint:
        record(images, checkpoint, "0/0.jpg", "1/1.jpg")
    with open_checkpoint(images) as checkpoint:
        monkeypatch.setattr(source_module, "fingerprint_of", None)
        found = summed(pending_of(images, checkpoint).new())
    assert found.names == [f"{number % 2}/{number}.jpg" for number in (2, 4, 6, 8, 3, 5, 7, 9)]
    assert (found.already_done, found.failed, found.total) == (2, 0, 10)


def test_changed_images_are_found_then_and_no_longer_count_as_done(images: Path) -> None:
    """One that is out of reach keeps its vector; what this run has done is left alone."""
    with open_checkpoint(images) as checkpoint:
        record(images, checkpoint, "0/0.jpg", "0/2.jpg", "0/4.jpg", "1/1.jpg")
    (images / "0/2.jpg").write_bytes(b"changed")
    (images / "0/4.jpg").unlink()
    (images / "0/4.jpg").symlink_to("nowhere")
    with open_checkpoint(images) as checkpoint:
        pending = pending_of(images, checkpoint)
        new = summed(pending.new())
        assert (len(new.names), new.already_done) == (6, 4)
        record(images, checkpoint, *new.names[:3])
        (images / new.names[0]).write_bytes(b"changed after it was done")
        changed = summed(pending.changed())
    assert changed == PendingBatch(["0/2.jpg"], -1, 0)


def test_the_sums_are_right_when_files_go_and_come_between_the_passes(images: Path) -> None:
    """A known one that went is no part of the job any more; a new one waits for the next run."""
    with open_checkpoint(images) as checkpoint:
        record(images, checkpoint, "0/0.jpg", "0/2.jpg", "1/1.jpg")
    with open_checkpoint(images) as checkpoint:
        pending = pending_of(images, checkpoint)
        new = summed(pending.new())
        (images / "0/0.jpg").unlink()
        (images / "1/new.jpg").touch()
        changed = summed(pending.changed())
    assert changed.names == []
    assert (new.already_done + changed.already_done, new.total + changed.total) == (2, 9)


def test_what_failed_is_left_unless_it_changed_or_is_asked_for(images: Path) -> None:
    """Each is looked at in the first pass and not counted again in the second."""
    with open_checkpoint(images) as checkpoint:
        record(images, checkpoint, "0/0.jpg")
        record(images, checkpoint, "0/2.jpg", "0/4.jpg", failed=True)
    (images / "0/4.jpg").write_bytes(b"mended")
    with open_checkpoint(images) as checkpoint:
        pending = pending_of(images, checkpoint)
        new = summed(pending.new())
        assert ("0/2.jpg" in new.names, "0/4.jpg" in new.names, new.failed, new.total) == (False, True, 1, 10)
        assert summed(pending.changed()) == PendingBatch([], 0, 0)
        assert len(summed(pending_of(images, checkpoint, retry_failed=True).new()).names) == 9


def test_a_fresh_run_walks_once(images: Path) -> None:
    """Where nothing was done there is nothing to look at again."""
    with open_checkpoint(images) as checkpoint:
        pending = pending_of(images, checkpoint)
        assert len(summed(pending.new()).names) == 10
        os.rename(images, images.parent / "gone")  # noqa: PTH104 - a test
        assert list(pending.changed()) == []


def test_named_images_are_taken_once_each_in_their_order(images: Path) -> None:
    """Also those that are missing: their reading will say so."""
    names = ("1/1.jpg", "missing.jpg", "0/0.jpg", "1/1.jpg")
    with open_checkpoint(images) as checkpoint:
        record(images, checkpoint, "0/0.jpg")
    with open_checkpoint(images) as checkpoint:
        source = JobImages(images, names)
        assert source.prepare() == 3
        pending = PendingImages(source, checkpoint, retry_failed=False)
        assert summed(pending.new()) == PendingBatch(["1/1.jpg", "missing.jpg"], 1, 0)
        assert summed(pending.changed()) == PendingBatch([], 0, 0)

"""Another folder with the same file names: most of a checkpoint is replaced only when asked to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from helpers import jpeg, make_images, write_images
from jobs import check_vectors, run
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.errors import CheckpointMismatchError
from semart_vectors.pipeline.replacing import EvenSample

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService


def other_folder(folder: Path, count: int) -> dict[str, bytes]:
    """Make a folder of other images, numbered alike."""
    images = {f"{number:05}-image.jpg": jpeg(1000 + number) for number in range(count)}
    write_images(folder, images)
    return images


@pytest.mark.parametrize("same_path", [False, True])
async def test_most_of_a_checkpoint_is_replaced_only_when_asked_to(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path, *, same_path: bool
) -> None:
    """Another folder is refused before the first call, a card with other contents before the first loss."""
    images = make_images(tmp_path / "images", 12)
    await run(embedder, tmp_path)
    folder = tmp_path / ("images" if same_path else "other")
    others = other_folder(folder, 13)
    for _ in range(2):
        with pytest.raises(CheckpointMismatchError, match=r"of 1[23] looked at, 12 have another.*--replace"):
            await EmbeddingJob(embedder, folder, checkpoint=tmp_path / "ck").run()
    if not same_path:
        check_vectors(tmp_path, images)
        assert len(service.calls) == 12
    report = await EmbeddingJob(embedder, folder, checkpoint=tmp_path / "ck", replace=True).run()
    assert (report.total, report.replaced, report.failed) == (13, 12, 0)
    check_vectors(tmp_path, others)
    assert len(service.calls) == 25


async def test_edited_images_are_replaced_and_counted(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Half of them, or all of a few; what only moved, was touched, failed or is new does not count."""
    images = make_images(tmp_path / "images", 20)
    assert (await run(embedder, tmp_path)).replaced == 0
    edited = other_folder(tmp_path / "images", 10)
    assert (await run(embedder, tmp_path)).replaced == 10
    check_vectors(tmp_path, images | edited)
    (tmp_path / "images").rename(tmp_path / "moved")
    report = await EmbeddingJob(embedder, tmp_path / "moved", checkpoint=tmp_path / "ck").run()
    assert (report.already_done, report.replaced, len(service.calls)) == (20, 0, 30)


async def test_renumbered_images_replace_nothing_that_is_lost(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Every name has another content now, and every content its vector: no call, no question."""
    images = make_images(tmp_path / "images", 12)
    await run(embedder, tmp_path)
    names = sorted(images)
    shifted = dict(zip(names, [images[name] for name in (*names[1:], names[0])], strict=True))
    write_images(tmp_path / "images", shifted)
    assert (await run(embedder, tmp_path)).replaced == 12
    check_vectors(tmp_path, shifted)
    assert len(service.calls) == 12


def test_a_sample_is_spread_evenly_and_bounded() -> None:
    """Whatever the pieces in which the names come."""
    sample = EvenSample()
    numbers = iter(range(10_000))
    for size in (1, 7, 300, 0, 1024, 3, 8665):
        sample.add([str(next(numbers)) for _ in range(size)])
    kept = [int(name) for name in sample.names]
    steps = {after - before for before, after in pairwise(kept)}
    assert (sample.added, kept[0], len(steps)) == (10_000, 0, 1)
    assert 100 <= len(kept) <= 200

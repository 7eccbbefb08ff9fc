"""No content is paid for twice: other names, renamed files, files met half copied."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from fake_service import FakeService
from helpers import QUICK, jpeg, make_images, write_images
from jobs import check_vectors, run
from semart_vectors import AsyncVisionEmbedder, plan_job

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_touched_or_copied_image_costs_nothing(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """A new time or a new disk is no new content, and is read once: after that it is as it was recorded."""
    images = make_images(tmp_path / "images", 3)
    await run(embedder, tmp_path)
    shutil.move(tmp_path / "images", tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "images", copy_function=shutil.copyfile)
    report = await run(embedder, tmp_path)
    assert (report.already_done, report.calls) == (3, 0)
    check_vectors(tmp_path, images)
    assert len(service.calls) == 3
    plan = await plan_job(tmp_path / "images", checkpoint=tmp_path / "ck")
    assert (plan.already_done, plan.to_do) == (3, 0)


async def test_the_same_content_under_many_names_is_paid_for_once(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """In one run, in a later one, and after a rename."""
    images = make_images(tmp_path / "images", 2)
    content = jpeg(0)
    twins = {f"twin-{number}.jpg": content for number in range(20)}
    for name in twins:
        (tmp_path / "images" / name).write_bytes(content)
    await run(embedder, tmp_path)
    assert len(service.calls) == 2
    (tmp_path / "images" / "twin-0.jpg").rename(tmp_path / "images" / "renamed.jpg")
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.calls) == (1, 0)
    check_vectors(tmp_path, images | twins | {"renamed.jpg": content})


async def test_renumbered_files_keep_their_own_vectors_and_cost_nothing(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """One image is put in front, all others move up by a name: one call, each vector on its image."""
    before = make_images(tmp_path / "images", 400)
    await run(embedder, tmp_path)
    contents = [jpeg(1000), *before.values()]
    images = {f"{number:05}-image.jpg": content for number, content in enumerate(contents)}
    await asyncio.to_thread(write_images, tmp_path / "images", images)
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.calls) == (401, 1)
    await asyncio.to_thread(check_vectors, tmp_path, images)
    assert Counter(service.paid) == Counter(contents)


async def test_stopping_among_renumbered_files_costs_nothing_either(tmp_path: Path) -> None:
    """Vectors whose old names are taken, and whose new names were not reached, are known to the next run."""
    before = make_images(tmp_path / "images", 60)
    async with (
        FakeService(latency_s=0.02) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=4, retry=QUICK
        ) as embedder,
    ):
        await run(embedder, tmp_path)
        contents = [*map(jpeg, range(1000, 1020)), *before.values()]
        images = {f"{number:05}-image.jpg": content for number, content in enumerate(contents)}
        await asyncio.to_thread(write_images, tmp_path / "images", images)
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(run(embedder, tmp_path))
            await service.calls_reach(70)
            stopped.cancel()
        await run(embedder, tmp_path)
        assert Counter(service.paid) == Counter(contents)
    await asyncio.to_thread(check_vectors, tmp_path, images)


async def test_an_image_that_was_met_half_copied_costs_nothing_when_it_is_whole(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """It has failed meanwhile, and its vector is known still."""
    images = make_images(tmp_path / "images", 2)
    await run(embedder, tmp_path)
    name, content = next(iter(images.items()))
    for part in (content[:-100], content):
        await asyncio.to_thread((tmp_path / "images" / name).write_bytes, part)
        report = await run(embedder, tmp_path)
    assert (report.embedded, report.failed, len(service.paid)) == (1, 0, 2)
    await asyncio.to_thread(check_vectors, tmp_path, images)

"""A process that is killed at any moment: nothing is lost, and only a moment is paid again."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from fake_service import Call, FakeService, good_reply
from helpers import make_images
from outside import UNSAVED_S, Site
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.checkpoint.status import read_status
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent


@pytest.mark.row(1)
@pytest.mark.timeout(900)
async def test_a_kill_loses_nothing_and_costs_a_moment(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Every third kill is aimed at the publishing of a part; all the while somebody reads.

    A run pays at most for what the kill before it had left unrecorded; the full run also holds that against
    the clock, where nothing else keeps the machine busy.
    """
    rounds, kills_a_round = extent.pick(quick=(1, 5), all=(24, 9))
    moments = random.Random(1)  # noqa: S311 - the same moments each time
    paid_again = most_again = reads = 0
    for number in range(rounds):
        async with FakeService(latency_s=0.01) as service:
            site = Site(tmp_path / str(number), service, kills_a_round * 130)
            kept: set[bytes] = set()
            for kill in range(kills_a_round):
                before, answered = len(service.paid), len(service.answers)
                unsaved = await asyncio.to_thread(site.unsaved)
                killed_s, seen = await _killed(site, moments, in_compaction=kill % 3 == 0)
                # What the kills before may not have cost was not paid again in this run.
                again = service.paid[before:]
                assert kept.isdisjoint(again)
                most_again = max(most_again, len(set(again) & set(service.paid[:before])))
                assert len(set(again) & set(service.paid[:before])) <= unsaved
                reads += 2
                kept |= seen | await asyncio.to_thread(site.visible)
                if extent.is_all:
                    settled_s = killed_s - UNSAVED_S
                    kept |= {body for at_s, body in service.answers[answered:] if at_s < settled_s}
            await site.finish(kept)
            paid_again += site.paid_again
    score(
        f"{rounds * kills_a_round} kills: 0 lost, {paid_again} paid again, at most {most_again} after one; "
        f"{reads} reads in between, all whole"
    )


async def _killed(site: Site, moments: random.Random, *, in_compaction: bool) -> tuple[float, set[bytes]]:
    """Run the job, read meanwhile, and kill it; return when, and what was read."""
    async with site.started(per_s=500, rows_a_part=32) as started:
        await site.service.calls_reach(len(site.service.calls) + moments.randrange(1, 60))
        seen = await asyncio.to_thread(site.visible)
        recorded = await asyncio.to_thread(site.recorded)
        if in_compaction:
            before = _parts(site.checkpoint)
            async with asyncio.timeout(60):
                while _parts(site.checkpoint) == before:  # noqa: ASYNC110 - another process makes them
                    await asyncio.sleep(0)
            await asyncio.sleep(moments.uniform(0, 0.004))
        else:
            await asyncio.sleep(moments.uniform(0, 0.1))
        killed_s = time.monotonic()
        started.process.kill()
        assert (await started.end()).code < 0
    assert await asyncio.to_thread(site.recorded) >= recorded
    return killed_s, seen


def _parts(checkpoint: Path) -> set[str]:
    """Name the files of parts, those under way among them."""
    return {path.name for path in checkpoint.rglob("*part-*")}


@pytest.mark.row(1)
def test_an_answer_is_on_disk_a_moment_later(tmp_path: Path, score: Callable[[str], None]) -> None:
    """Within the 0.25 s that a kill may cost, by the clock of the job's own loop, however slow the calls."""
    images = make_images(tmp_path / "images", 40)
    chance = random.Random(1)  # noqa: S311 - chance that can be repeated, no secret
    answered_s: list[float] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(chance.choice((0.01, 0.1, 0.4)))
        answered_s.append(asyncio.get_running_loop().time())
        return httpx.Response(200, content=good_reply(Call(0.0, "/", {}, request.content)).body)

    async def watch() -> int:
        """Look again and again, as another process would, until all is done."""
        clock, looks = asyncio.get_running_loop().time, 0
        while len(answered_s) < len(images):
            await asyncio.sleep(0.03)
            expected = sum(at_s <= clock() - UNSAVED_S for at_s in answered_s)
            if expected:
                assert (await asyncio.to_thread(read_status, tmp_path / "ck")).done >= expected
                looks += 1
        return looks

    async def story() -> int:
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
            AsyncVisionEmbedder(
                "https://a.example", "k", requests_per_second=20, max_in_flight=4, http_client=client
            ) as embedder,
            asyncio.TaskGroup() as group,
        ):
            watching = group.create_task(watch())
            job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck", progress=False)
            await job.run()
        return watching.result()

    looks = run_virtual(story())
    assert looks > 20
    score(f"on disk {UNSAVED_S} s after the answer at each of {looks} looks")

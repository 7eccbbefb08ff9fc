"""A process that is killed at any moment: nothing is lost, and only a moment is paid again."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from fake_service import FakeService
from outside import UNSAVED_S, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

KILLS_A_ROUND = 9


@pytest.mark.row(1)
@pytest.mark.timeout(900)
async def test_a_kill_loses_nothing_and_costs_a_moment(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Every third kill is aimed at the publishing of a part; all the while somebody reads."""
    rounds = extent.pick(quick=1, all=24)
    moments = random.Random(1)  # noqa: S311 - the same moments each time
    paid_again = most_again = reads = 0
    for number in range(rounds):
        async with FakeService(latency_s=0.01) as service:
            site = Site(tmp_path / str(number), service, KILLS_A_ROUND * 130)
            kept: set[bytes] = set()
            for kill in range(KILLS_A_ROUND):
                before, answered = len(service.paid), len(service.answers)
                killed_s, seen = await _killed(site, moments, in_compaction=kill % 3 == 0)
                # What the kills before may not have cost was not paid again in this run.
                again = service.paid[before:]
                assert kept.isdisjoint(again)
                reads += 2
                kept |= seen | await asyncio.to_thread(site.visible)
                settled_s = killed_s - UNSAVED_S
                kept |= {body for at_s, body in service.answers[answered:] if at_s < settled_s}
                most_again = max(most_again, len(set(again) & set(service.paid[:before])))
            before = len(service.paid)
            assert (await site.run()).code == 0
            assert kept.isdisjoint(service.paid[before:])
            await asyncio.to_thread(site.check)
            paid_again += site.paid_again
    score(
        f"{rounds * KILLS_A_ROUND} kills: 0 lost, {paid_again} paid again, at most {most_again} after one; "
        f"{reads} reads in between, all whole"
    )


async def _killed(site: Site, moments: random.Random, *, in_compaction: bool) -> tuple[float, set[bytes]]:
    """Run the job, read meanwhile, and kill it; return when, and what was read."""
    async with site.started(per_s=500, rows_a_part=32) as started:
        await site.service.calls_reach(len(site.service.calls) + moments.randrange(1, 60))
        seen = await asyncio.to_thread(site.visible)
        if in_compaction:
            before = _parts(site.checkpoint)
            async with asyncio.timeout(20):
                while _parts(site.checkpoint) == before:  # noqa: ASYNC110 - another process makes them
                    await asyncio.sleep(0)
            await asyncio.sleep(moments.uniform(0, 0.004))
        else:
            await asyncio.sleep(moments.uniform(0, 0.1))
        killed_s = time.monotonic()
        started.process.kill()
        assert (await started.end()).code < 0
    return killed_s, seen


def _parts(checkpoint: Path) -> set[str]:
    """Name the files of parts, those under way among them."""
    return {path.name for path in checkpoint.rglob("*part-*")}

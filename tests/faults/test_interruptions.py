"""Ctrl-C once, twice, and SIGTERM, at any moment of a run."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from fake_service import FakeService, Reply
from outside import UNSAVED_S, Site
from semart_vectors.checkpoint.status import read_status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

DRAINED_S = 5
LATENCY_S = 0.3


@pytest.mark.row(20)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_asked_once_it_drains_and_nothing_is_paid_again(
    tmp_path: Path, extent: Extent, score: Callable[[str], None], number: signal.Signals
) -> None:
    """What is under way is answered and recorded; exit 130."""
    times = extent.pick(quick=3, all=50)
    moments = random.Random(number)  # noqa: S311 - the same moments each time
    slowest_s = 0.0
    async with FakeService(latency_s=LATENCY_S) as service:
        site = Site(tmp_path, service, times * 60)
        for _ in range(times):
            async with site.started(per_s=100, in_flight=32) as started:
                await _some_moment(service, moments)
                began_s = time.monotonic()
                started.process.send_signal(number)
                ran = await started.end()
                slowest_s = max(slowest_s, time.monotonic() - began_s)
            assert (ran.code, "to continue" in ran.err, "Traceback" in ran.err) == (130, True, False)
            status = await asyncio.to_thread(read_status, site.checkpoint)
            assert status.done == len(service.paid)
        assert slowest_s <= DRAINED_S
        service.latency_s = 0
        assert (await site.run()).code == 0
        await asyncio.to_thread(site.check)
        assert site.paid_again == 0
    score(f"{number.name} {times} times: drained within {slowest_s:.1f} s, paid again 0")


@pytest.mark.row(20)
@pytest.mark.timeout(300)
async def test_asked_twice_it_leaves_at_once_and_costs_a_moment(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """As after SIGKILL, only what was under way or came in the last quarter of a second is paid again."""
    times = extent.pick(quick=3, all=50)
    moments = random.Random(2)  # noqa: S311 - as above
    slowest_s = 0.0
    kept: set[bytes] = set()
    async with FakeService(latency_s=LATENCY_S) as service:
        site = Site(tmp_path, service, times * 60)
        for _ in range(times):
            before, answered = len(service.paid), len(service.answers)
            async with site.started(per_s=100, in_flight=32) as started:
                await _some_moment(service, moments)
                started.process.send_signal(signal.SIGINT)
                await asyncio.sleep(moments.uniform(0.01, 0.2))
                began_s = time.monotonic()
                if started.process.returncode is None:
                    started.process.send_signal(signal.SIGINT)
                ran = await started.end()
                slowest_s = max(slowest_s, time.monotonic() - began_s)
            assert ran.code in {130, -signal.SIGINT}
            assert kept.isdisjoint(service.paid[before:])
            kept |= {body for at_s, body in service.answers[answered:] if at_s < began_s - UNSAVED_S}
        assert slowest_s <= DRAINED_S
        before = len(service.paid)
        service.latency_s = 0
        assert (await site.run()).code == 0
        assert kept.isdisjoint(service.paid[before:])
        await asyncio.to_thread(site.check)
        paid_again = site.paid_again
    score(
        f"SIGINT twice, {times} times: left within {slowest_s:.1f} s, lost 0, {paid_again} paid again in all"
    )


@pytest.mark.row(20)
async def test_a_service_that_hangs_does_not_hold_up_who_leaves(
    tmp_path: Path, score: Callable[[str], None]
) -> None:
    """What it does not answer within a few seconds is given up; it was not paid for."""
    async with FakeService(lambda _: Reply(hang=True)) as service:
        site = Site(tmp_path, service, 20)
        async with site.started() as started:
            await service.calls_reach(8)
            began_s = time.monotonic()
            started.process.send_signal(signal.SIGINT)
            ran = await started.end()
            took_s = time.monotonic() - began_s
        assert (ran.code, "to continue" in ran.err) == (130, True)
        assert took_s <= DRAINED_S
    score(f"service hangs: left within {took_s:.1f} s")


async def _some_moment(service: FakeService, moments: random.Random) -> None:
    """Wait for some calls, and then for a part of one."""
    await service.calls_reach(len(service.calls) + moments.randrange(1, 30))
    await asyncio.sleep(moments.uniform(0, LATENCY_S))

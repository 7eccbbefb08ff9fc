"""Ctrl-C once, twice, and SIGTERM, at any moment of a run."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from fake_service import FakeService, Reply
from outside import IN_FLIGHT, UNSAVED_S, Site
from semart_vectors.checkpoint.status import read_status
from semart_vectors.streams.window import DRAIN_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

DRAINED_S = 5
LATENCY_S = 0.3


@pytest.mark.row(20)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_asked_once_it_drains_and_nothing_is_paid_again(
    tmp_path: Path, extent: Extent, score: Callable[[str], None], number: signal.Signals
) -> None:
    """What is under way is answered and recorded; exit 130 or 143. The full run measures how long."""
    code = 128 + number
    times = extent.pick(quick=2, all=50)
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
            assert (ran.code, "to continue" in ran.err, "Traceback" in ran.err) == (code, True, False)
            status = await asyncio.to_thread(read_status, site.checkpoint)
            assert status.done == len(service.paid)
        assert slowest_s <= DRAINED_S or not extent.is_all
        service.latency_s = 0
        await site.run_here()
        await asyncio.to_thread(site.check)
        assert site.paid_again == 0
    score(f"{number.name} {times} times: drained within {slowest_s:.1f} s, paid again 0")


@pytest.mark.row(20)
async def test_asked_twice_it_leaves_at_once_and_costs_a_moment(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """As after SIGKILL, a run pays at most for what the one before it had left unrecorded.

    The full run also holds against the clock that this is what was under way or came in the last quarter of
    a second, and that nobody waits for the second Ctrl-C.
    """
    times = extent.pick(quick=2, all=50)
    moments = random.Random(2)  # noqa: S311 - as above
    slowest_s = 0.0
    kept: set[bytes] = set()
    async with FakeService(latency_s=LATENCY_S) as service:
        site = Site(tmp_path, service, times * 60)
        for _ in range(times):
            before, answered = len(service.paid), len(service.answers)
            unsaved = await asyncio.to_thread(site.unsaved)
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
            assert len(set(service.paid[before:]) & set(service.paid[:before])) <= unsaved
            kept |= await asyncio.to_thread(site.visible)
            if extent.is_all:
                kept |= {body for at_s, body in service.answers[answered:] if at_s < began_s - UNSAVED_S}
        assert slowest_s <= DRAINED_S or not extent.is_all
        await site.finish(kept)
        paid_again = site.paid_again
    score(
        f"SIGINT twice, {times} times: left within {slowest_s:.1f} s, lost 0, {paid_again} paid again in all"
    )


@pytest.mark.row(20)
async def test_a_service_that_hangs_does_not_hold_up_who_leaves(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """What it does not answer within a few seconds is given up, before it is asked a second time.

    The full run also holds it against the clock; `DRAIN_S` is tested on a virtual one.
    """
    async with FakeService(lambda _: Reply(hang=True)) as service:
        site = Site(tmp_path, service, 20)
        async with site.started() as started:
            await service.calls_reach(IN_FLIGHT)
            began_s = time.monotonic()
            started.process.send_signal(signal.SIGINT)
            ran = await started.end()
            took_s = time.monotonic() - began_s
        assert (ran.code, "to continue" in ran.err) == (130, True)
        assert len(service.calls) == IN_FLIGHT  # nobody waited until an attempt's time was over
        assert DRAIN_S < DRAINED_S
        assert took_s <= DRAINED_S or not extent.is_all
    score(f"service hangs: left within {took_s:.1f} s")


async def _some_moment(service: FakeService, moments: random.Random) -> None:
    """Wait for some calls, and then for a part of one."""
    await service.calls_reach(len(service.calls) + moments.randrange(1, 30))
    await asyncio.sleep(moments.uniform(0, LATENCY_S))

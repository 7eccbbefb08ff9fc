"""The rate that nobody stated: found, kept, and followed when it changes, on a clock of its own."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from semart_vectors.calls.adaptive import AdaptiveRate
from semart_vectors.calls.limiter import AdaptiveLimiter
from semart_vectors.emulator.rate_limit import LIMITS
from semart_vectors.errors import ConfigurationError
from virtual_clock import run_virtual
from virtual_service import drive

if TYPE_CHECKING:
    from semart_vectors.emulator.rate_limit import LimitKind

KINDS = list(LIMITS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [10, 30, 200])
def test_a_limit_is_found_from_cold_and_kept(limit: int, kind: LimitKind) -> None:
    """Most of it is used after twenty seconds, and few calls are refused."""
    ledger = drive(AdaptiveLimiter(), kind, {0: limit}, 60, tasks=limit // 2 + 20)
    assert ledger.share(limit, 20, 60) > 0.88
    assert ledger.refusals(20) <= 0.015 * 40 * limit
    assert ledger.refusals(0, 20) <= 0.4 * limit + 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_that_drops_is_followed_within_seconds(kind: LimitKind) -> None:
    """From 30 a second to 10: six seconds later nearly nothing is refused any more."""
    ledger = drive(AdaptiveLimiter(), kind, {0: 30, 30: 10}, 60, tasks=40)
    assert ledger.share(10, 36, 60) > 0.8
    assert ledger.refusals(36) <= 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(10, 30), (15, 120)])
def test_a_limit_that_rises_is_found_in_a_minute_or_so(before: int, after: int, kind: LimitKind) -> None:
    """The longer a rate is not refused, the faster it grows."""
    ledger = drive(AdaptiveLimiter(), kind, {0: before, 20: after}, 115, tasks=after // 2 + 20)
    assert ledger.share(after, 95, 115) > 0.75
    assert len(ledger.refused) <= 0.02 * len(ledger.accepted) + 30


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_a_minute_are_found_too(kind: LimitKind) -> None:
    """A refusal that asks to wait for a minute tells that the limit counts by the minute."""
    ledger = drive(AdaptiveLimiter(), kind, {0: 20 / 60}, 900, tasks=16)
    assert ledger.share(20 / 60, 60, 900) > 0.8
    assert ledger.refusals(90) <= 6


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_without_a_time_to_wait(kind: LimitKind) -> None:
    """A bare 429 is enough."""
    ledger = drive(AdaptiveLimiter(), kind, {0: 30}, 60, tasks=40, retry_after=False)
    assert ledger.share(30, 20, 60) > 0.85
    assert ledger.refusals(20) <= 30


def test_the_ceiling_is_never_passed() -> None:
    """However much the service would take."""
    ledger = drive(AdaptiveLimiter(20), "sliding", {0: 300}, 30, tasks=40)
    assert max(rate for _, rate in ledger.rates) == 20
    assert ledger.share(20, 15, 30) > 0.98
    assert ledger.refused == []


def test_a_rate_that_nobody_uses_up_does_not_grow() -> None:
    """Four tasks make ten calls a second; that no more are refused tells nothing."""
    ledger = drive(AdaptiveLimiter(), "sliding", {0: 300}, 60, tasks=4)
    assert max(rate for _, rate in ledger.rates) < 12
    assert ledger.refused == []


def grown(adaptive: AdaptiveRate, *, to: float, start_s: float = 0.0) -> float:
    """Send and accept calls until the rate is reached, and return the time."""
    now = start_s
    while adaptive.rate < to:
        adaptive.passed(now)
        adaptive.accepted()
        now += 1 / adaptive.rate
    return now


def test_a_refusal_at_the_very_start_tells_nothing() -> None:
    """Somebody else used the limit up: wait as asked, and begin anew."""
    adaptive = AdaptiveRate()
    adaptive.passed(0.0)
    adaptive.refused(0.0, 0.4, 1.0)
    assert adaptive.rate == 5
    assert grown(adaptive, start_s=2.0, to=40) < 10


def test_refusals_of_one_burst_count_once() -> None:
    """What was under way when the first came back belongs to it."""
    adaptive = AdaptiveRate()
    now = grown(adaptive, to=40)
    for passed_at in (now, now + 0.01, now + 0.02):
        adaptive.passed(passed_at)
    adaptive.refused(now, now + 0.4, 1.0)
    rate = adaptive.rate
    assert rate < 40
    adaptive.refused(now + 0.01, now + 0.41, 1.0)
    adaptive.refused(now + 0.02, now + 0.42, 1.0)
    assert adaptive.rate == rate


def test_what_is_accepted_in_a_pause_does_not_count() -> None:
    """It had been sent before."""
    adaptive = AdaptiveRate()
    now = grown(adaptive, to=40)
    adaptive.passed(now)
    adaptive.refused(now, now + 0.4, 1.0)
    rate = adaptive.rate
    adaptive.accepted()
    assert adaptive.rate == rate


def test_the_rate_flattens_at_the_limit_and_leaves_it_ever_faster() -> None:
    """Growth falls on the way back, and rises beyond."""
    adaptive = AdaptiveRate()
    now = grown(adaptive, to=40)
    adaptive.passed(now)
    adaptive.refused(now, now + 0.4, 1.0)
    start, rates, now = adaptive.rate, list[float](), now + 1.4
    for _ in range(1500):
        adaptive.passed(now)
        adaptive.accepted()
        now += 1 / adaptive.rate
        rates.append(adaptive.rate)
    growth = [later - before for before, later in pairwise([start, *rates])]
    slowest = growth.index(min(growth))
    assert 400 < slowest < 700
    assert growth[:slowest] == sorted(growth[:slowest], reverse=True)
    assert growth[-1] > growth[slowest + 200] > growth[slowest]


def test_the_limiter_tells_the_rate_it_has_found() -> None:
    """Its attributes are the estimate of the moment."""

    async def story() -> tuple[float, float]:
        limiter = AdaptiveLimiter()
        first = limiter.max_rate / limiter.time_period
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(answered(limiter))
        return first, limiter.max_rate / limiter.time_period

    async def answered(limiter: AdaptiveLimiter) -> None:
        await limiter.acquire()
        limiter.accepted()

    first, last = run_virtual(story())
    assert first == 5
    assert 8 < last < 15


@pytest.mark.parametrize("rate", [0, -1, math.nan, "3"])
def test_a_ceiling_is_a_number_above_0(rate: Any) -> None:
    """Said at once, and not by a limiter that never lets anything through."""
    with pytest.raises(ConfigurationError, match="max_requests_per_second"):
        AdaptiveLimiter(rate)

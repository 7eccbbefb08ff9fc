"""The rate limits on a clock of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from semart_vectors.emulator.rate_limit import LIMITS, FixedWindow, SlidingWindow, TokenBucket

if TYPE_CHECKING:
    from semart_vectors.emulator.rate_limit import LimitKind

LIMIT = st.integers(1, 5)
GAPS_MS = st.lists(st.integers(0, 20), min_size=1, max_size=80)


def admitted_by(kind: LimitKind, limit: int, period_ms: int, gaps_ms: list[int]) -> list[int]:
    """Call after each of the gaps, and return when calls were admitted."""
    now, admitted = 0, list[int]()
    rate_limit = LIMITS[kind](limit, period_ms, clock=lambda: now)
    for gap in gaps_ms:
        now += gap
        if rate_limit.admit() == 0:
            admitted.append(now)
    return admitted


@given(limit=LIMIT, period_ms=st.integers(1, 50), gaps_ms=GAPS_MS)
def test_no_sliding_window_admits_more_than_the_limit(limit: int, period_ms: int, gaps_ms: list[int]) -> None:
    """Wherever a window of the period begins, it holds at most `limit` admitted calls."""
    admitted = admitted_by("sliding", limit, period_ms, gaps_ms)
    for start in admitted:
        assert sum(start <= call < start + period_ms for call in admitted) <= limit


@given(limit=LIMIT, period_ms=st.integers(1, 50), gaps_ms=GAPS_MS)
def test_a_fixed_window_admits_its_limit_and_then_the_next_begins(
    limit: int, period_ms: int, gaps_ms: list[int]
) -> None:
    """Each aligned window admits what comes, up to `limit`, whatever the one before it admitted."""
    calls = [sum(gaps_ms[: number + 1]) // period_ms for number in range(len(gaps_ms))]
    windows = [call // period_ms for call in admitted_by("fixed", limit, period_ms, gaps_ms)]
    assert all(windows.count(window) == min(limit, calls.count(window)) for window in set(calls))


@given(limit=LIMIT, step_ms=st.integers(1, 20), gaps_ms=GAPS_MS)
def test_a_bucket_admits_its_burst_and_its_rate(limit: int, step_ms: int, gaps_ms: list[int]) -> None:
    """Any stretch of time holds at most the burst and what the rate brings; a pause brings the burst back."""
    admitted = admitted_by("bucket", limit, limit * step_ms, gaps_ms)
    for first, start in enumerate(admitted):
        for last, end in enumerate(admitted[first:], first):
            assert last - first + 1 <= limit + (end - start) // step_ms
    pause = [limit * step_ms] + [0] * limit
    assert len(admitted_by("bucket", limit, limit * step_ms, gaps_ms + pause)) == len(admitted) + limit


@pytest.mark.parametrize("kind", LIMITS)
@given(limit=LIMIT, gaps_ms=st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_the_wait_is_exact(kind: LimitKind, limit: int, gaps_ms: list[int]) -> None:
    """A refused call is admitted after the wait it was told, and not a millisecond before."""
    now = 0.0
    window = LIMITS[kind](limit, 60, clock=lambda: now)
    for gap in gaps_ms:
        now += gap
        if (wait := window.admit()) > 0:
            now += wait - 1
            assert window.admit() == 1
            now += 1
            assert window.admit() == 0


def test_the_kinds_differ_around_the_edge_of_a_window() -> None:
    """Ten calls at the end of a second and ten at the start of the next: one takes them all."""
    gaps = [950, *[0] * 9, 100, *[0] * 9]
    counts = {kind: len(admitted_by(kind, 10, 1000, gaps)) for kind in LIMITS}
    assert counts == {"sliding": 10, "fixed": 20, "bucket": 11}


def test_rounding_admits_nobody_at_the_end_of_a_window() -> None:
    """Half a second is the end of the fourth window of a tenth to some of the arithmetic."""
    window = FixedWindow(1, 0.1, clock=lambda: 0.5)
    assert window.admit() == 0
    assert window.admit() > 0


@pytest.mark.parametrize("kind", [SlidingWindow, FixedWindow, TokenBucket])
@pytest.mark.parametrize(
    ("rate", "limit", "period_s"), [(20, 20, 1), (1, 1, 1), (2.5, 2, 0.8), (1 / 3, 20, 60), (0.001, 1, 1000)]
)
def test_a_rate_becomes_a_window_of_about_a_second_or_a_minute(
    kind: type[SlidingWindow], rate: float, limit: int, period_s: float
) -> None:
    """Whole limits, and a period that makes the rate exact."""
    window = kind.of_rate(rate)
    assert window.limit == limit
    assert window.period_s == pytest.approx(period_s)

"""The exact sliding window."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from semart_vectors.emulator.rate_limit import SlidingWindow


@given(
    limit=st.integers(1, 5),
    period_ms=st.integers(1, 50),
    gaps_ms=st.lists(st.integers(0, 20), min_size=1, max_size=80),
)
def test_no_window_admits_more_than_the_limit(limit: int, period_ms: int, gaps_ms: list[int]) -> None:
    """Wherever a window of the period begins, it holds at most `limit` admitted calls."""
    now, admitted = 0, list[int]()
    window = SlidingWindow(limit, period_ms, clock=lambda: now)
    for gap in gaps_ms:
        now += gap
        if window.admit() == 0:
            admitted.append(now)
    for start in admitted:
        assert sum(start <= call < start + period_ms for call in admitted) <= limit


@given(limit=st.integers(1, 5), gaps_ms=st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_the_wait_is_exact(limit: int, gaps_ms: list[int]) -> None:
    """A refused call is admitted after the wait it was told, and not a millisecond before."""
    now = 0.0
    window = SlidingWindow(limit, 30, clock=lambda: now)
    for gap in gaps_ms:
        now += gap
        if (wait := window.admit()) > 0:
            now += wait - 1
            assert window.admit() == 1
            now += 1
            assert window.admit() == 0


@pytest.mark.parametrize(
    ("rate", "limit", "period_s"), [(20, 20, 1), (1, 1, 1), (2.5, 2, 0.8), (1 / 3, 20, 60), (0.001, 1, 1000)]
)
def test_a_rate_becomes_a_window_of_about_a_second_or_a_minute(
    rate: float, limit: int, period_s: float
) -> None:
    """Whole limits, and a period that makes the rate exact."""
    window = SlidingWindow.of_rate(rate)
    assert window.limit == limit
    assert window.period_s == pytest.approx(period_s)

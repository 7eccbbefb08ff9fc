"""Steps between calls: plain numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from semart_vectors.calls.pace import Pace


def sent(pace: Pace, *, start_s: float = 0.0, late_s: list[float]) -> list[float]:
    """Return when calls are sent, each so many seconds after it is due."""
    times, now = list[float](), start_s
    for seconds in late_s:
        now = max(now, pace.due + seconds)
        pace.take(now)
        times.append(now)
    return times


@given(
    limit=st.integers(1, 1000),
    late_s=st.lists(st.floats(0, 0.01) | st.floats(0, 20), min_size=2, max_size=200),
    spared=st.integers(0, 3),
)
def test_no_window_holds_more_than_the_limit(limit: int, late_s: list[float], spared: int) -> None:
    """However late calls are sent, those of any second are no more, and what is spared keeps them apart."""
    pace = Pace(limit)
    for _ in range(spared):
        pace.spare_more()
    times = sent(pace, late_s=late_s)
    assert all(later - first > 1.0058 for first, later in zip(times, times[limit:], strict=False))


@given(st.integers(1, 1000))
def test_calls_that_are_a_little_late_cost_nothing(limit: int) -> None:
    """Timers are late by a millisecond or two, and the limit is used to 99 %."""
    pace = Pace(limit)
    times = sent(pace, late_s=[0.002] * 4 * limit)
    assert times[-1] - times[-1 - limit] == pytest.approx(1.009)


@pytest.mark.parametrize("limit", [10, 300])
def test_a_loop_that_stood_still_costs_nothing(limit: int) -> None:
    """What could not be sent is sent at once, as far as no window sees more than the limit for it."""
    pace = Pace(limit)
    late_s = [0.0] * 14 * limit
    late_s[4 * limit] = 0.245
    times = sent(pace, late_s=late_s)
    assert times[4 * limit] - times[4 * limit - 1] > 0.245
    assert times[-1] - times[4 * limit - 1] == pytest.approx(10 * 1.009, abs=2e-3)


def test_what_is_later_is_lost() -> None:
    """Of half a second that the loop stood still, a quarter is made up for."""
    late_s = [0.0] * 100
    on_time = sent(Pace(10), late_s=late_s)
    late_s[30] = 0.5
    late = sent(Pace(10), late_s=late_s)
    assert late[-1] - on_time[-1] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("limit", [10, 300])
def test_the_first_two_seconds_are_softer_and_those_after_idleness(limit: int) -> None:
    """Calls that open connections arrive late, and the next must not catch up with them."""
    pace = Pace(limit)
    for start_s in (0.0, 100.0):
        times = sent(pace, start_s=start_s, late_s=[0.0] * 4 * limit)
        steps = [(later - first) * limit for first, later in pairwise(times)]
        soft = sum(time < start_s + 2 for time in times)
        assert steps[:soft] == pytest.approx([1.1099] * soft)
        assert steps[soft:] == pytest.approx([1.009] * (len(steps) - soft))


def test_slow_steps_are_no_idleness() -> None:
    """At one call in ten seconds connections are opened anew each time, and nobody catches up."""
    pace = Pace(6, 60)
    times = sent(pace, late_s=[0.0] * 5)
    assert times[-1] - times[-2] == pytest.approx(10.09)


def test_a_hold_is_never_shortened() -> None:
    """Neither by an earlier one nor by a call."""
    pace = Pace(10)
    pace.hold_until(50)
    pace.hold_until(20)
    assert pace.due == 50
    pace.take(50)
    assert pace.due > 50.1


def test_refusals_lengthen_the_steps_for_some_minutes() -> None:
    """Up to a twentieth, so that a wrong limit is still the user's to mend."""
    pace = Pace(10)
    pace.spare_more()
    assert pace.step_s == pytest.approx(0.1018)
    for _ in range(9):
        pace.spare_more()
    assert pace.step_s == pytest.approx(0.105)
    sent(pace, late_s=[0.0] * 6000)
    assert pace.step_s == pytest.approx(0.1009, abs=1e-5)


def test_no_limit_has_no_steps_but_holds() -> None:
    """None is due at once, but for a hold."""
    pace = Pace(math.inf)
    pace.take(7.0)
    assert pace.due <= 7
    pace.hold_until(9)
    assert pace.due == 9
    assert pace.step_s == 0


def test_another_limit_holds_from_the_next_call_on() -> None:
    """What was due stays due."""
    pace = Pace(10)
    assert pace.due == -math.inf
    pace.take(0)
    due_s = pace.due
    pace.keep_to(100)
    assert pace.due == due_s
    pace.take(due_s)
    assert pace.due == pytest.approx(due_s + 0.01109, abs=1e-4)

"""The emulator's account of its calls."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from semart_vectors.emulator import ServedCall
from semart_vectors.emulator.ledger import Ledger


def a_call(arrived_s: float = 0.0, status: int = 200, body_bytes: int = 0) -> ServedCall:
    """Return a call of which the rest does not matter."""
    return ServedCall(
        operation="vectorizeText",
        status=status,
        body_sha256="ab" * 32,
        body_bytes=body_bytes,
        arrived_s=arrived_s,
    )


def ledger_of(*calls: ServedCall, now_s: float = 0.0) -> Ledger:
    """Return a ledger that began at second 100 and now has these calls; they and `now_s` count from there."""
    times = iter([100.0])
    ledger = Ledger(clock=lambda: next(times, 100 + now_s))
    for call in calls:
        ledger.record(call)
    return ledger


def report(ledger: Ledger, *, after: int | None = None, limit: int = 500) -> Any:
    """Return what the ledger reports, free to be looked into."""
    return ledger.report(after=after, limit=limit)


def numbers(told: Any) -> list[int]:
    """Return the numbers of the calls in a report."""
    return [call["number"] for call in told["calls"]]


@pytest.mark.parametrize(
    ("after", "limit", "expected", "cursor"),
    [
        (None, 3, [8, 9, 10], 10),
        (None, 50, [*range(1, 11)], 10),
        (0, 3, [1, 2, 3], 3),
        (3, 3, [4, 5, 6], 6),
        (9, 3, [10], 10),
        (10, 3, [], 10),
        (99, 3, [], 10),
        (4, 0, [], 4),
    ],
)
def test_a_cursor_walks_through_all_calls(
    after: int | None, limit: int, expected: list[int], cursor: int
) -> None:
    """Calls after a number come oldest first, without a number the last ones; `next` goes on."""
    told = report(ledger_of(*(a_call() for _ in range(10))), after=after, limit=limit)
    assert (numbers(told), told["next"]) == (expected, cursor)


def test_memory_has_a_bound_and_counts_have_none() -> None:
    """Of very many calls the last are kept, under the numbers they always had; totals are of all."""
    ledger = ledger_of()
    ledger.calls = deque(maxlen=3)
    for _ in range(10):
        ledger.record(a_call(status=429, body_bytes=7))
    assert report(ledger)["totals"] == {"calls": 10, "by_status": {"429": 10}, "body_bytes": 70}
    assert numbers(report(ledger, after=2, limit=2)) == [8, 9]


def test_calls_are_counted_by_the_second_of_their_arrival() -> None:
    """The last sixty seconds have a count for each status; seconds without calls are left out."""
    calls = [a_call(100.2), a_call(100.9, 429), a_call(160.0), a_call(170.1), a_call(170.2, 400)]
    told = report(ledger_of(*calls, now_s=70.5))
    assert told["now_s"] == 70.5
    assert told["per_second"] == [
        {"second": 60, "by_status": {"200": 1}},
        {"second": 70, "by_status": {"200": 1, "400": 1}},
    ]


def test_counts_by_the_second_have_a_bound_too() -> None:
    """However long it runs, and however late a call is decided, sixty seconds are remembered."""
    ledger = ledger_of(*(a_call(100.0 + second) for second in range(1000)), a_call(100.0), now_s=1000)
    assert len(ledger._by_second) == 60
    assert len(report(ledger)["per_second"]) == 59


def test_a_call_tells_when_what_and_how_long() -> None:
    """Its moment is given since the start and by the clock on the wall."""
    ledger = ledger_of()
    ledger.record(a_call(101.25, body_bytes=3))
    told = report(ledger)
    (call,) = told["calls"]
    assert call.pop("arrived_at") >= told["started_at"]
    assert call == {
        "number": 1,
        "since_start_s": 1.25,
        "operation": "vectorizeText",
        "status": 200,
        "fault": None,
        "body_sha256": "ab" * 32,
        "body_bytes": 3,
        "duration_s": 0.0,
    }

"""The ledger: every call with its answer, and counts of them."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEDGER_CALLS = 100_000
"""How many of the last calls are kept; the counts include all calls."""
LEDGER_SECONDS = 60
"""For how many of the last seconds there are counts per second."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCall:
    """One call and its answer, without its key."""

    operation: str
    """``vectorizeImage``, ``vectorizeText``, or the path when it is neither."""
    status: int
    """The HTTP status that was sent, 0 for no answer at all; only a 200 is billed."""
    body_sha256: str
    """SHA-256 of the request's body, in hexadecimal."""
    body_bytes: int
    """Length of the request's body."""
    arrived_s: float
    """When the request's headers had arrived, on the service's monotonic clock."""
    arrived_at: datetime = field(default_factory=_now)
    """The same moment as a date and time, in UTC."""
    duration_s: float = 0.0
    """Seconds from the arrival until the answer is due, latency included."""
    fault: str | None = None
    """The fault that it met, as `Fault.parse` reads it; None for none."""


class Ledger:
    """The last calls, numbered from 1, and counts of all calls."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls: deque[ServedCall] = deque(maxlen=LEDGER_CALLS)
        self.by_status: Counter[int] = Counter()
        self.body_bytes = 0
        """The length of all bodies together."""
        self._clock = clock
        self._started_s = clock()
        self._started_at = _now()
        self._by_second: dict[int, Counter[int]] = {}

    def record(self, call: ServedCall) -> None:
        """Add a call."""
        self.calls.append(call)
        self.by_status[call.status] += 1
        self.body_bytes += call.body_bytes
        second = int(call.arrived_s - self._started_s)
        self._by_second.setdefault(second, Counter())[call.status] += 1
        if len(self._by_second) > LEDGER_SECONDS:
            del self._by_second[min(self._by_second)]

    def summary(self) -> dict[str, object]:
        """Return the number of calls, and of those with each status."""
        return {"calls": self.by_status.total(), "by_status": _ordered(self.by_status)}

    def report(self, *, after: int | None = None, limit: int) -> dict[str, object]:
        """Return counts, counts per second, and at most `limit` calls as plain values, the oldest first.

        Args:
            after: only calls with a higher number; None for the last calls.
            limit: how many calls at most.
        """
        now_s = self._clock() - self._started_s
        total = self.by_status.total()
        gone = total - len(self.calls)
        first = max(gone, total - limit if after is None else min(after, total))
        kept = itertools.islice(self.calls, first - gone, first - gone + limit)
        calls = [self._plain(number, call) for number, call in enumerate(kept, first + 1)]
        return {
            "started_at": _iso(self._started_at),
            "now_s": round(now_s, 3),
            "totals": {**self.summary(), "body_bytes": self.body_bytes},
            "per_second": [
                {"second": second, "by_status": _ordered(self._by_second[second])}
                for second in sorted(self._by_second)
                if second > int(now_s) - LEDGER_SECONDS
            ],
            "calls": calls,
            "next": first + len(calls),
        }

    def _plain(self, number: int, call: ServedCall) -> dict[str, object]:
        return {
            "number": number,
            "since_start_s": round(call.arrived_s - self._started_s, 3),
            "arrived_at": _iso(call.arrived_at),
            "operation": call.operation,
            "status": call.status,
            "fault": call.fault,
            "body_sha256": call.body_sha256,
            "body_bytes": call.body_bytes,
            "duration_s": round(call.duration_s, 6),
        }


def _ordered(by_status: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(by_status.items())}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

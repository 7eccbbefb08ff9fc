"""What was asked and answered."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

LEDGER_CALLS = 100_000
"""How many of the last calls are kept one by one; the counts go on beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call and its answer."""

    operation: str
    """``vectorizeImage``, ``vectorizeText``, or the path when it is neither."""
    status: int
    """The HTTP status that was sent, 0 for no answer at all; only a 200 is billed."""
    body_sha256: str
    """SHA-256 of the request's body, in hexadecimal."""
    body_bytes: int
    """Length of the request's body."""
    arrived_s: float
    """When the request's headers were there, on the service's monotonic clock."""
    fault: str | None = None
    """The fault that was ordered for it, as `Fault.parse` reads it."""


class Ledger:
    """The last calls one by one, and how many there ever were."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=LEDGER_CALLS)
        self.by_status: Counter[int] = Counter()

    def record(self, call: Call) -> None:
        """Add a call."""
        self.calls.append(call)
        self.by_status[call.status] += 1

    def summary(self) -> dict[str, object]:
        """Return how many calls there were, and how many of each status."""
        by_status = {str(status): count for status, count in sorted(self.by_status.items())}
        return {"calls": self.by_status.total(), "by_status": by_status}

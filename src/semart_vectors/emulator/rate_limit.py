"""Rate limits as arithmetic: a call comes in, a wait goes out. Nobody sleeps here."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimit(Protocol):
    """Decides about each call on its arrival."""

    def admit(self) -> float:
        """Take the call and return 0.0, or refuse it and return the seconds until one would be taken."""
        ...


class Unlimited:
    """Admits every call."""

    def admit(self) -> float:
        """Return 0.0."""
        return 0.0


class SlidingWindow:
    """No window of `period_s`, wherever it begins, ever holds more than `limit` admitted calls.

    Refused calls do not count.
    """

    def __init__(self, limit: int, period_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if limit < 1 or not (math.isfinite(period_s) and period_s > 0):
            raise ValueError(f"a limit of {limit} calls in {period_s} s admits nothing")
        self.limit = limit
        self.period_s = period_s
        self._clock = clock
        self._admitted: deque[float] = deque(maxlen=limit)

    @classmethod
    def of_rate(
        cls, requests_per_second: float, *, clock: Callable[[], float] = time.monotonic
    ) -> SlidingWindow:
        """Make the window that a tier of this rate has: about a second, or about a minute below one a second.

        The period gives way where the rate is not a whole number, so that the rate itself is always met.
        """
        if not (math.isfinite(requests_per_second) and requests_per_second > 0):
            raise ValueError(f"requests_per_second must be positive and finite, not {requests_per_second}")
        limit = max(1, round(requests_per_second * (1 if requests_per_second >= 1 else 60)))
        return cls(limit, limit / requests_per_second, clock=clock)

    def __repr__(self) -> str:
        return f"SlidingWindow({self.limit}, {self.period_s})"

    def admit(self) -> float:
        """Take the call and return 0.0, or refuse it and return the seconds until one would be taken."""
        now = self._clock()
        # Only the call `limit` places back matters: the window is full for as long as it is inside.
        if len(self._admitted) == self.limit and (wait_s := self._admitted[0] + self.period_s - now) > 0:
            return wait_s
        self._admitted.append(now)
        return 0.0

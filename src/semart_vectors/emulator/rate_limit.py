"""Rate limits as arithmetic: each call is admitted, or told how long to wait. Nothing sleeps here.

It is not documented which kind the service has, so clients must keep to each: a fixed window admits twice the
limit around its edge, a token bucket a burst and the rate on top of it, a sliding window neither.
"""

from __future__ import annotations

import math
import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

LimitKind: TypeAlias = Literal["sliding", "fixed", "bucket"]
Tier: TypeAlias = Literal["F0", "S1"]

TIERS: Final[Mapping[Tier, float]] = MappingProxyType(
    {
        # "20 transactions per minute" on every page.
        "F0": 20 / 60,
        # Three pages of the same documentation say 10, 20 and 30 a second; this is the lowest.
        "S1": 10.0,
    }
)
"""The requests per second of each pricing tier."""


class RateLimit(Protocol):
    """Decides about each call on its arrival."""

    def admit(self) -> float:
        """Admit the call and return 0.0, or refuse it and return the seconds until one would be admitted."""
        ...


class Unlimited:
    """Admits every call."""

    def admit(self) -> float:
        """Return 0.0."""
        return 0.0


class _Limited:
    """What all kinds share: `limit` calls in `period_s`, on a clock. Refused calls do not count."""

    def __init__(self, limit: int, period_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if limit < 1 or not (math.isfinite(period_s) and period_s > 0):
            raise ValueError(f"a limit of {limit} calls in {period_s} s admits no call")
        self.limit = limit
        self.period_s = period_s
        self._clock = clock

    @classmethod
    def of_rate(cls, requests_per_second: float, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """Make the limit of a tier with this rate: per second, or per minute for a rate below one a second.

        Where that is no whole number of calls, the period is adjusted, so that the rate is exact.
        """
        if not (math.isfinite(requests_per_second) and requests_per_second > 0):
            raise ValueError(f"requests_per_second must be positive and finite, not {requests_per_second}")
        limit = max(1, round(requests_per_second * (1 if requests_per_second >= 1 else 60)))
        return cls(limit, limit / requests_per_second, clock=clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.limit}, {self.period_s})"


class SlidingWindow(_Limited):
    """No window of `period_s`, wherever it begins, ever holds more than `limit` admitted calls."""

    def __init__(self, limit: int, period_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limit, period_s, clock=clock)
        self._admitted: deque[float] = deque(maxlen=limit)

    def admit(self) -> float:
        """Admit the call and return 0.0, or refuse it and return the seconds until one would be admitted."""
        now = self._clock()
        # Only the call `limit` places back matters: the window is full while that call is inside it.
        if len(self._admitted) == self.limit and (wait_s := self._admitted[0] + self.period_s - now) > 0:
            return wait_s
        self._admitted.append(now)
        return 0.0


class FixedWindow(_Limited):
    """Each window of `period_s`, counted from time zero, holds at most `limit` admitted calls."""

    _window = -math.inf
    _admitted = 0

    def admit(self) -> float:
        """Admit the call and return 0.0, or refuse it and return the seconds until one would be admitted."""
        now = self._clock()
        window = now // self.period_s
        if window != self._window:
            self._window, self._admitted = window, 0
        if self._admitted == self.limit:
            # By rounding, the end of the window may lie slightly before now.
            return max((window + 1) * self.period_s - now, math.ulp(now))
        self._admitted += 1
        return 0.0


class TokenBucket(_Limited):
    """A burst of `limit` calls at once, refilled evenly by `limit` calls in every `period_s`."""

    _full_at = -math.inf
    """When the bucket will be full again if no call comes."""

    def admit(self) -> float:
        """Admit the call and return 0.0, or refuse it and return the seconds until one would be admitted."""
        now = self._clock()
        step_s = self.period_s / self.limit
        # A call is admitted as long as at most `limit - 1` calls are missing from the bucket.
        if (wait_s := self._full_at - (self.limit - 1) * step_s - now) > 0:
            return wait_s
        self._full_at = max(self._full_at, now) + step_s
        return 0.0


LIMITS: Final[Mapping[LimitKind, type[SlidingWindow | FixedWindow | TokenBucket]]] = MappingProxyType(
    {"sliding": SlidingWindow, "fixed": FixedWindow, "bucket": TokenBucket}
)
"""The kinds of limits by name."""

"""Rate limits for the calls of an embedder, and of everybody else who uses the same resource."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Protocol

from aiolimiter import AsyncLimiter

from semart_vectors.calls.adaptive import AdaptiveRate
from semart_vectors.calls.pace import Pace
from semart_vectors.errors import ConfigurationError
from semart_vectors.streams.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("semart_vectors")

DEFAULT_RATE = 10.0
"""Calls a second: the least that a paid tier allows."""

_LOG_EVERY_S = 30.0

_SHORTEST_LOGGED_S = 0.1


class SteadyLimiter(AsyncLimiter):
    """An `aiolimiter.AsyncLimiter` that no window of the service ever finds too fast.

    ::

        limiter = SteadyLimiter(10)  # 10 calls a second
        async with AsyncVisionEmbedder(endpoint, key, limiter=limiter) as embedder:
            async with limiter:  # one of the ten, for a call of your own to the same resource
                ...

    A plain ``AsyncLimiter(30, 1)`` lets a bucket's burst through on top of the rate: up to 59 calls in its
    first second, and the service refuses what is over 30. This one lets calls through one by one, in the
    order they came, a step of ``time_period / max_rate`` and 0.9 % apart; what was late is made up for as far
    as no window of `time_period` sees more than `max_rate`, whether the service counts in fixed windows,
    in sliding ones or with a bucket. It uses 99 % of the limit where timers are late by a millisecond or two.

    Share one among all who use a resource: embedders of two models, and your own code. `pause` stops them
    all, as a 429 to any of the embedders does. It belongs to one event loop at a time.
    """

    def __init__(self, max_rate: float, time_period: float = 1.0) -> None:
        """Set a limit, as the service states it.

        Args:
            max_rate: Calls in each `time_period`; ``math.inf`` sets no limit, but for pauses.
            time_period: Seconds. The free tier's 20 a minute are ``SteadyLimiter(20, 60)``.

        Raises:
            ConfigurationError: one of them is not a number above 0, or the time is infinite.
        """
        for name, value in (("max_rate", max_rate), ("time_period", time_period)):
            if not (isinstance(value, int | float) and value > 0):  # type: ignore[redundant-expr] # from users
                raise ConfigurationError(f"{name} must be a number above 0, not {value!r}")
        if not time_period < math.inf:
            raise ConfigurationError("time_period must be a finite number of seconds")
        super().__init__(max_rate, time_period)
        self._pace = Pace(max_rate, time_period)
        self._line = Waiters[float]()
        self._timer: asyncio.TimerHandle | None = None
        self._user: asyncio.AbstractEventLoop | None = None
        self._paused_at = self._next_log_at = -math.inf
        self._refused_in_a_row = 0

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}(max_rate={self.max_rate:g}, time_period={self.time_period:g}), "
            f"{len(self._line)} waiting>"
        )

    def has_capacity(self, amount: float = 1) -> bool:
        """Say whether `acquire` would return at once."""
        loop = self._running_loop()
        return math.ceil(amount) <= 1 and not self._line and self._pace.due <= loop.time()

    async def acquire(self, amount: float = 1) -> None:
        """Wait until the next call may be sent, behind all who came before; for `amount` of them in turn.

        Raises:
            ValueError: the amount is below 0 or above `max_rate`.
        """
        if not 0 <= amount <= max(1, self.max_rate):
            raise ValueError(f"the amount must be a number from 0 to {self.max_rate:g}, not {amount!r}")
        for _ in range(math.ceil(amount)):
            if not self.try_acquire():
                if self._timer is None:
                    loop = self._running_loop()
                    self._timer = loop.call_at(self._pace.due, self._let_through, loop)
                await self._line.wait(self._hand_on)

    def try_acquire(self) -> bool:
        """Acquire if that needs no wait; return whether it did."""
        now = self._running_loop().time()
        if self._pace.due > now or self._line:
            return False
        self._take(now)
        return True

    def seconds_until_free(self, *, unseen_s: float = 0.0) -> float:
        """Return the seconds until a call may be sent, if nobody waits; 0.0 if at once.

        What a program notes when it ends, so that the next one, by `hold`, keeps to the same rate.

        Args:
            unseen_s: Assume that calls are still sent for this long before the program ends, in seconds.
        """
        free_s = max(0.0, self._pace.due - self._running_loop().time())
        return max(free_s, unseen_s) + self._pace.step_s if unseen_s else free_s

    def hold(self, seconds: float) -> None:
        """Let nothing through for `seconds`; a shorter time never ends a longer one."""
        self._pace.hold_until(self._running_loop().time() + seconds)

    def pause(self, seconds: float) -> None:
        """Let nothing through for `seconds`, because the service asks for it."""
        self._paused_at = self._running_loop().time()
        is_longer = self._paused_at + seconds > self._pace.due
        self.hold(seconds)
        if is_longer and seconds >= _SHORTEST_LOGGED_S and self._paused_at >= self._next_log_at:
            self._next_log_at = self._paused_at + _LOG_EVERY_S
            _logger.warning("the service is throttling: no calls for %.1f s; %s", seconds, self._advice())

    def refused(
        self, sent_at: float, *, retry_after_s: float | None, backoff_s: Callable[[int], float]
    ) -> None:
        """Pause everybody, because a call was answered 429.

        Args:
            sent_at: When it had been let through, on the event loop's clock. What was sent before the last
                pause began tells nothing new.
            retry_after_s: How long the answer asks to wait, in seconds, if it says so.
            backoff_s: Returns how long to pause otherwise, in seconds, by the number of such pauses in a row.
        """
        if sent_at > self._paused_at:
            self._refused_in_a_row += 1
            self._slow_down()
        self.pause(retry_after_s or backoff_s(max(self._refused_in_a_row, 1)))

    def accepted(self) -> None:
        """Count an answer that was not 429."""
        self._refused_in_a_row = 0

    def _slow_down(self) -> None:
        self._pace.spare_more()

    def _advice(self) -> str:
        return "if this keeps happening, lower the rate"

    def _take(self, now: float) -> None:
        self._pace.take(now)

    def _let_through(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let through whose turn it is, and come again when the next one's is."""
        self._timer = None
        now = loop.time()
        while self._line and self._pace.due <= now:
            if self._line.wake(now):
                self._take(now)
        if self._line:
            self._timer = loop.call_at(self._pace.due, self._let_through, loop)

    def _hand_on(self, passed_at: float) -> None:
        """Let another through in place of one that was cancelled before it went, unless a pause began."""
        if passed_at > self._paused_at:
            self._line.wake(passed_at)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs; those who waited in one that has ended are not waited for any more."""
        loop = asyncio.get_running_loop()
        if loop is not self._user:
            if self._user is not None and self._user.is_running():
                raise RuntimeError("a limiter belongs to one event loop, and this one is used in another")
            self._user, self._timer, self._line = loop, None, Waiters()
        return loop


class AdaptiveLimiter(SteadyLimiter):
    """A limiter that finds a limit nobody stated, from what the service accepts and refuses.

    `max_rate` and `time_period` give the current rate.
    """

    def __init__(self, max_requests_per_second: float | None = None) -> None:
        """Begin slowly.

        Args:
            max_requests_per_second: Never faster than this, whatever the service would take.

        Raises:
            ConfigurationError: it is not a number above 0.
        """
        _check_rate("max_requests_per_second", max_requests_per_second)
        self._rate = AdaptiveRate(max_requests_per_second)
        super().__init__(self._rate.rate)

    def refused(
        self, sent_at: float, *, retry_after_s: float | None, backoff_s: Callable[[int], float]
    ) -> None:
        """Pause everybody, and go on at a lower rate; arguments as for `SteadyLimiter.refused`."""
        self._rate.refused(sent_at, self._running_loop().time(), retry_after_s or 0.0)
        self._keep_to_rate()
        super().refused(sent_at, retry_after_s=retry_after_s, backoff_s=backoff_s)

    def accepted(self) -> None:
        """Count an answer that was not 429, and go faster if others wait."""
        super().accepted()
        if self._line:  # else it is not the limiter that holds calls back
            self._rate.accepted()
            self._keep_to_rate()

    def _slow_down(self) -> None:
        """Leave that to the rate."""

    def _advice(self) -> str:
        return f"then {self._rate.rate:.3g} a second"

    def _take(self, now: float) -> None:
        super()._take(now)
        self._rate.passed(now)

    def _keep_to_rate(self) -> None:
        self.max_rate, self.time_period = _as_stated(self._rate.rate)
        self._pace.keep_to(self.max_rate, self.time_period)


class Limiter(Protocol):
    """What calls need of a rate limit."""

    def try_acquire(self) -> bool:
        """Acquire if that needs no wait; return whether it did."""

    async def acquire(self) -> None:
        """Wait until the next call may be sent."""

    def refused(
        self, sent_at: float, *, retry_after_s: float | None, backoff_s: Callable[[int], float]
    ) -> None:
        """Pause, because a call was answered 429; as `SteadyLimiter.refused`."""

    def accepted(self) -> None:
        """Count an answer that was not 429."""

    def pause(self, seconds: float) -> None:
        """Let nothing through for a while."""


class PausableLimiter:
    """Any `aiolimiter.AsyncLimiter`, with the pauses of one embedder's calls, of which it knows nothing."""

    def __init__(self, limiter: AsyncLimiter) -> None:
        self._limiter = limiter
        self._pauses = SteadyLimiter(math.inf)
        self.refused = self._pauses.refused
        self.accepted = self._pauses.accepted
        self.pause = self._pauses.pause

    def try_acquire(self) -> bool:
        """Leave it to `acquire`: a plain limiter has no such method."""
        return False

    async def acquire(self) -> None:
        """Wait for the end of a pause, and for the limiter; again, if another pause began meanwhile."""
        await self._pauses.acquire()
        await self._limiter.acquire()
        while not self._pauses.has_capacity():
            await self._pauses.acquire()
            await self._limiter.acquire()


def limiter_for(
    limiter: AsyncLimiter | None,
    requests_per_second: float | str | None,
    max_requests_per_second: float | None,
) -> AsyncLimiter:
    """Return the limiter that an embedder's options ask for.

    Raises:
        ConfigurationError: they contradict each other, or one is unusable.
    """
    is_auto = requests_per_second == "auto"
    if not is_auto:
        _check_rate("requests_per_second", requests_per_second)
    _check_rate("max_requests_per_second", max_requests_per_second)
    if max_requests_per_second is not None and not (is_auto and limiter is None):
        raise ConfigurationError('max_requests_per_second goes with requests_per_second="auto" alone')
    if limiter is not None:
        return _checked(limiter, requests_per_second)
    if is_auto:
        return AdaptiveLimiter(max_requests_per_second)
    if requests_per_second is None:
        return SteadyLimiter(math.inf)
    return SteadyLimiter(*_as_stated(float(requests_per_second)))


def _as_stated(rate: float) -> tuple[float, float]:
    """Return a rate in calls a second as the service states a limit: a slow one by the minute."""
    return (rate, 1.0) if rate >= 1 else (60 * rate, 60.0)


def _checked(limiter: AsyncLimiter, requests_per_second: float | str | None) -> AsyncLimiter:
    if not isinstance(limiter, AsyncLimiter):
        raise ConfigurationError(
            f"limiter must be an aiolimiter.AsyncLimiter, such as SteadyLimiter, not {type(limiter).__name__}"
        )
    if requests_per_second != DEFAULT_RATE:
        raise ConfigurationError("give either a limiter or requests_per_second, not both")
    if limiter.max_rate < 1 and not isinstance(limiter, SteadyLimiter):
        raise ConfigurationError(
            f"AsyncLimiter({limiter.max_rate:g}, {limiter.time_period:g}) never has room for a whole call: "
            "state the limit over a longer time, as in AsyncLimiter(20, 60)"
        )
    return limiter


def _check_rate(name: str, rate: object) -> None:
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < math.inf):
        raise ConfigurationError(f"{name} must be a number above 0, not {rate!r}")

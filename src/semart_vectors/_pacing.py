"""One gate for every attempt of an embedder: its rate, and the pause that a 429 asks of all."""

from __future__ import annotations

import asyncio
import logging
import math

from aiolimiter import AsyncLimiter

from semart_vectors.errors import ConfigurationError

_logger = logging.getLogger("semart_vectors")

_SHARE_OF_LIMIT = 0.99
"""What is left keeps calls apart that the way to the service pushes together: 10 ms in a second's window."""

_CATCH_UP_S = 0.002
"""A timer that fires late may make up for as much; without it a fast rate loses a fifth to late timers."""


_SOFT_START_S = 1.0
_SOFT_START_EXTRA = 0.1
"""The first calls open connections and arrive late, so that those of the next second would catch up with
them: for so many seconds each call waits for that share of a step longer."""


_LOG_EVERY_S = 30.0


class Gate:
    """Lets attempts through one by one in the order they came, at a steady rate, and none during a pause.

    `AsyncLimiter(rate, 1)` would let nearly twice the rate through in its first second: a full bucket and
    what leaks meanwhile. A bucket of a single call and a few milliseconds keeps every window within the rate.
    """

    def __init__(self, requests_per_second: float | None) -> None:
        if requests_per_second is not None and not 0 < requests_per_second < math.inf:
            raise ConfigurationError(f"requests_per_second must be above 0, not {requests_per_second}")
        self.requests_per_second = requests_per_second
        self._limiter: AsyncLimiter | None = None
        if requests_per_second is not None:
            rate = _SHARE_OF_LIMIT * requests_per_second
            bucket = 1 + _CATCH_UP_S * rate
            self._limiter = AsyncLimiter(bucket, bucket / rate)
            self._soft_step_s = (1 + _SOFT_START_EXTRA) / rate
        self._turn = asyncio.Lock()
        self._open_at = 0.0
        self._settled_at: float | None = None
        self._paused_at = self._silent_until = -math.inf
        self._throttled_in_a_row = 0

    async def pass_through(self) -> float:
        """Wait until the next attempt may be sent, and return the loop's time at which it is."""
        clock = asyncio.get_running_loop().time
        if self._limiter is None:
            await self._wait_until_open()
            return clock()
        async with self._turn:
            await self._wait_until_open()
            await self._limiter.acquire()
            while self._open_at > clock():  # a pause began meanwhile: the rate holds on after it
                await self._wait_until_open()
                await self._limiter.acquire()
            if self._settled_at is None:
                self._settled_at = clock() + _SOFT_START_S
            if clock() < self._settled_at:
                self._open_at = clock() + self._soft_step_s
            return clock()

    async def _wait_until_open(self) -> None:
        clock = asyncio.get_running_loop().time
        while (pause_s := self._open_at - clock()) > 0:  # noqa: ASYNC110 - a pause may grow while it lasts
            await asyncio.sleep(pause_s)

    def pause(self, seconds: float) -> None:
        """Let nothing through for `seconds`; a shorter pause never ends a longer one."""
        self._paused_at = asyncio.get_running_loop().time()
        until = self._paused_at + seconds
        if until > self._open_at:
            self._open_at = until
            if self._paused_at >= self._silent_until:
                self._silent_until = self._paused_at + _LOG_EVERY_S
                _logger.warning(
                    "the service says this is too fast: no call for %.1f s; "
                    "if it goes on saying so, lower requests_per_second",
                    seconds,
                )

    def throttled(self, passed_at: float) -> int:
        """Count an answer 429 to an attempt, and return how many pauses in a row it makes.

        What had passed before the last pause began tells nothing new.
        """
        if passed_at > self._paused_at:
            self._throttled_in_a_row += 1
        return max(self._throttled_in_a_row, 1)

    def succeeded(self) -> None:
        """Count an answer that was not 429."""
        self._throttled_in_a_row = 0

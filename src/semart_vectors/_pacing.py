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


_FIRST_CALL_S = 0.025
"""The first call opens a connection and arrives late; the second would catch up with it."""


class Gate:
    """Lets attempts through one by one, at a steady rate, and none during a pause.

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
        self._open_at = 0.0
        self._passed_any = False
        self._throttled_in_a_row = 0

    async def pass_through(self) -> None:
        """Wait until the next attempt may be sent."""
        loop = asyncio.get_running_loop()
        while True:
            if self._limiter is not None:
                await self._limiter.acquire()
            if (pause_s := self._open_at - loop.time()) <= 0:
                break
            await asyncio.sleep(pause_s)  # then from the start: it may have grown, the rate holds on
        if self._limiter is not None and not self._passed_any:
            self._passed_any = True
            self._open_at = loop.time() + self._limiter.time_period + _FIRST_CALL_S

    def pause(self, seconds: float) -> None:
        """Let nothing through for `seconds`; a shorter pause never ends a longer one."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._open_at:
            self._open_at = until
            _logger.warning("the service asks for a pause: no call for %.1f s", seconds)

    def throttled(self) -> int:
        """Count an answer 429, and return how many pauses in a row that makes.

        What was already under way when the pause began counts with the answer that began it.
        """
        if self._open_at <= asyncio.get_running_loop().time():
            self._throttled_in_a_row += 1
        return max(self._throttled_in_a_row, 1)

    def succeeded(self) -> None:
        """Count an answer that was not 429."""
        self._throttled_in_a_row = 0

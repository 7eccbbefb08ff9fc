"""A breaker for outages: nobody sends, but for one who looks now and then whether the service is back."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from contextlib import suppress

from semart_vectors.errors import ServiceUnavailableError

_logger = logging.getLogger("semart_vectors")

PROBE_EVERY_S = 30.0
"""At most one call in so many seconds is sent while the service is down."""


class Breaker:
    """Lets calls through one by one, as probes, while it is open.

    Who must wait stands in one queue with one timer. A probe that failed goes to the queue's end, so that an
    image which always fails blocks nobody's way; who is cancelled leaves its turn to the next.
    """

    def __init__(self, limit_s: float) -> None:
        """Make a closed one; nobody waits for longer than `limit_s` after it opened."""
        self.is_open = False
        self._limit_s = limit_s
        self._reason = ""
        self._waiting = deque[asyncio.Future[bool]]()
        self._timer: asyncio.TimerHandle | None = None
        self._is_probing = False
        self._opened_at = self._probe_at = self._gives_up_at = -math.inf

    def open(self, reason: str) -> None:
        """Hold all calls back, because the service is down; the first probe goes a while later."""
        now = asyncio.get_running_loop().time()
        self.is_open, self._reason = True, reason
        self._opened_at, self._probe_at, self._gives_up_at = now, now + PROBE_EVERY_S, now + self._limit_s
        _logger.warning("the service is down (%s): one call in %g s, until it is back", reason, PROBE_EVERY_S)

    def close(self) -> None:
        """Let all through, because the service has answered."""
        down_s = asyncio.get_running_loop().time() - self._opened_at
        _logger.info("the service is back after %.0f s", down_s)
        self.release()

    def release(self) -> None:
        """Let all through."""
        self.is_open = self._is_probing = False
        self._wake_all()
        self._schedule()

    async def turn(self) -> bool:
        """Wait while it is open; return whether the caller is to probe, who says `probe_ended` after it.

        Raises:
            ServiceUnavailableError: the service has been down for too long.
        """
        clock = asyncio.get_running_loop().time
        while self.is_open:
            now = clock()
            if not self._waiting and self._is_probe_due(now):
                self._begin_probe(now)
                return True
            if now >= self._gives_up_at:
                raise ServiceUnavailableError(
                    f"the service has been down for {now - self._opened_at:.0f} s: {self._reason}; "
                    "run again when it is back"
                )
            if await self._wait():
                return True
        return False

    async def _wait(self) -> bool:
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._schedule()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            elif turn.result() and self.is_open:  # it was to probe, and was cancelled before it went
                self._probe_at = -math.inf
                self.probe_ended()
            raise

    def probe_ended(self) -> None:
        """Let another probe, after a while."""
        if self.is_open:
            self._is_probing = False
            self._schedule()

    def explain(self, reason: str) -> None:
        """Remember what the last call failed for."""
        self._reason = reason

    def wait_for_one_more(self) -> None:
        """Let the next caller probe, though it is late: the last one's image may be to blame for all."""
        now = asyncio.get_running_loop().time()
        self._gives_up_at = max(self._gives_up_at, min(self._probe_at, now + self._limit_s))

    def _is_probe_due(self, now: float) -> bool:
        return not self._is_probing and now >= self._probe_at

    def _begin_probe(self, now: float) -> None:
        self._is_probing, self._probe_at = True, now + PROBE_EVERY_S

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            at = self._gives_up_at if self._is_probing else min(self._probe_at, self._gives_up_at)
            self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        """Let the next one probe; when it has taken too long, wake all to be told so."""
        now = asyncio.get_running_loop().time()
        while self._waiting and self._is_probe_due(now):
            turn = self._waiting.popleft()
            if not turn.done():
                self._begin_probe(now)
                turn.set_result(True)
        if now >= self._gives_up_at:
            self._wake_all()
        self._schedule()

    def _wake_all(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)

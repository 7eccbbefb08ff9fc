"""One gate for every attempt of an embedder: its rate, and the pause that a 429 asks of all."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from contextlib import suppress
from typing import Literal

from semart_vectors.calls.adaptive import AdaptiveRate
from semart_vectors.calls.pace import Pace
from semart_vectors.errors import ConfigurationError

_logger = logging.getLogger("semart_vectors")

_LOG_EVERY_S = 30.0


# Not aiolimiter: its bucket either holds a burst on top of the rate, 54 calls in the first second of 30, or,
# with room for one call, loses a quarter of a fast rate to late timers; a size between serves few rates.
class Gate:
    """Lets attempts through one by one in the order they came, at a steady rate, and none during a pause.

    Who must wait stands in one queue, and one timer lets the first through: a waiter that is cancelled takes
    no slot, and who finds a slot free does not wait at all.
    """

    def __init__(
        self, requests_per_second: float | Literal["auto"] | None, *, ceiling: float | None = None
    ) -> None:
        """Take a limit in requests a second, or "auto" to find it, below `ceiling`, or None for no pacing."""
        adaptive = requests_per_second == "auto"
        for name, rate in (
            ("requests_per_second", None if adaptive else requests_per_second),
            ("max_requests_per_second", ceiling),
        ):
            if rate is not None and not (isinstance(rate, int | float) and 0 < rate < math.inf):
                raise ConfigurationError(f"{name} must be above 0, not {rate!r}")
        if ceiling is not None and not adaptive:
            raise ConfigurationError('max_requests_per_second goes with requests_per_second="auto" alone')
        self._adaptive = AdaptiveRate(ceiling) if adaptive else None
        self._limit = None if isinstance(requests_per_second, str) else requests_per_second
        self._pace = Pace(self.requests_per_second)
        self._waiting = deque[asyncio.Future[float]]()
        self._timer: asyncio.TimerHandle | None = None
        self._paused_at = self._silent_until = -math.inf
        self._throttled_in_a_row = 0

    @property
    def requests_per_second(self) -> float | None:
        """The limit kept to: as given, or as it is known at present."""
        return self._limit if self._adaptive is None else self._adaptive.rate

    async def pass_through(self) -> float:
        """Wait until the next attempt may be sent, and return the loop's time at which it is."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._waiting and self._pace.due <= now:
            self._take(now)
            return now
        turn: asyncio.Future[float] = loop.create_future()
        self._waiting.append(turn)
        if self._timer is None:
            self._timer = loop.call_at(self._pace.due, self._let_through, loop)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            elif turn.result() > self._paused_at:  # let through, and cancelled before it went
                self._next_waiter(turn.result())
            raise

    def _let_through(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let through whose turn it is, and come again when the next one's is."""
        self._timer = None
        now = loop.time()
        while self._waiting and self._pace.due <= now:
            if self._next_waiter(now):
                self._take(now)
        if self._waiting:
            self._timer = loop.call_at(self._pace.due, self._let_through, loop)

    def _next_waiter(self, now: float) -> bool:
        """Wake the first who still waits; return whether anybody does."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(now)
                return True
        return False

    def _take(self, now: float) -> None:
        self._pace.take(now)
        if self._adaptive is not None:
            self._adaptive.passed(now)

    def free_in_s(self, *, unseen_s: float = 0.0) -> float:
        """Return the seconds until an attempt may be sent, if nobody waits: 0.0 if at once.

        Args:
            unseen_s: Say so for the case that attempts are sent for so long still, and the asker is killed.
        """
        free_s = max(0.0, self._pace.due - asyncio.get_running_loop().time())
        return max(free_s, unseen_s) + self._pace.step_s if unseen_s else free_s

    def hold(self, seconds: float) -> None:
        """Let nothing through for `seconds`; a shorter time never ends a longer one."""
        self._pace.hold_until(asyncio.get_running_loop().time() + seconds)

    def pause(self, seconds: float) -> None:
        """Hold, because the service asks for it."""
        self._paused_at = asyncio.get_running_loop().time()
        is_longer = self._paused_at + seconds > self._pace.due
        self.hold(seconds)
        if is_longer and self._paused_at >= self._silent_until:
            self._silent_until = self._paused_at + _LOG_EVERY_S
            _logger.warning(
                "the service says this is too fast: no call for %.1f s; %s",
                seconds,
                "if it goes on saying so, lower requests_per_second"
                if self._adaptive is None
                else f"then {self._adaptive.rate:.3g} a second",
            )

    def throttled(self, passed_at: float, asked_s: float = 0.0) -> int:
        """Count an answer 429 to an attempt, and return how many pauses in a row it makes.

        What had passed before the last pause began tells nothing new. Call it before `pause`.

        Args:
            passed_at: What `pass_through` returned to the attempt.
            asked_s: The seconds that the answer asks to wait; 0.0 if it does not say.
        """
        now = asyncio.get_running_loop().time()
        if self._adaptive is not None:
            self._adaptive.refused(passed_at, now, asked_s)
            self._pace.keep_to(self._adaptive.rate)
        if passed_at > self._paused_at:
            self._throttled_in_a_row += 1
            if self._adaptive is None:
                self._pace.spare_more()
        return max(self._throttled_in_a_row, 1)

    def succeeded(self) -> None:
        """Count an answer that was not 429."""
        self._throttled_in_a_row = 0
        if self._adaptive is not None and self._waiting:  # else it is not the gate that holds calls back
            self._adaptive.accepted()
            self._pace.keep_to(self._adaptive.rate)

"""A circuit breaker for outages: nobody sends, but for one call now and then that probes the service."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from semart_vectors.errors import ServiceUnavailableError
from semart_vectors.service.messages import TransientError
from semart_vectors.streams.waiters import Waiters

if TYPE_CHECKING:
    from semart_vectors.calls.health import CallState

_logger = logging.getLogger("semart_vectors")

PROBE_EVERY_S = 30.0
"""At most one call in so many seconds is sent while the service is down."""

_LAST_PROBE_S = 5.0
"""The last probe goes so long before the limit, that its answer may still come within it."""


class CircuitBreaker:
    """Closed, it lets all calls pass; open, one at a time, as a probe.

    Waiting calls share one queue with one timer. A probe that failed goes to the queue's end, so that an
    image which always fails blocks nobody's way; who is cancelled leaves its turn to the next.
    """

    def __init__(self, limit_s: float) -> None:
        """Make a closed one; nobody waits longer than `limit_s` after it opened, but for a probe."""
        self.is_open = False
        self._limit_s = limit_s
        self._failure = TransientError("it was not asked yet")
        self._line = Waiters[bool]()
        self._timer: asyncio.TimerHandle | None = None
        self._is_probing = False
        self._opened_at = self._probed_at = self._probe_at = self._gives_up_at = -math.inf

    def open(self, failure: TransientError) -> None:
        """Hold all calls back, because the service is down; the first probe goes a while later."""
        now = asyncio.get_running_loop().time()
        self.is_open, self._failure = True, failure
        self._opened_at, self._gives_up_at = now, now + self._limit_s
        self._probe_at = self._next_probe_at(now)
        _logger.warning(
            "the service is down (%s): one call every %g s until it is back", failure, PROBE_EVERY_S
        )

    def close(self) -> None:
        """Let all pass, because the service has answered."""
        if self.is_open:
            down_s = asyncio.get_running_loop().time() - self._opened_at
            _logger.info("the service is back after %.0f s", down_s)
            self.release()

    def release(self) -> None:
        """Let all pass."""
        self.is_open = self._is_probing = False
        self._line.wake_all(False)  # noqa: FBT003 - whether to probe
        self._schedule()

    def lets_pass(self, call: CallState) -> bool:
        """Say whether a call may be sent now: the breaker is closed, or the call is its probe."""
        return not self.is_open or call.is_probe

    async def wait(self, call: CallState) -> None:
        """Wait while it is open, until it closes or the call is to probe; then say `probe_ended` after it.

        Raises:
            ServiceUnavailableError: the service has been down for too long.
        """
        clock = asyncio.get_running_loop().time
        while self.is_open:
            now = clock()
            if not self._line and self._is_probe_due(now):
                self._begin_probe(now)
                call.is_probe = True
                return
            if self._is_over(now):
                raise ServiceUnavailableError(
                    f"the service has been down for {now - self._opened_at:.0f} s: {self._failure}; "
                    "run again when it is back",
                    **self._failure.attributes,
                )
            self._schedule(somebody_waits=True)
            if await self._line.wait(self._hand_on):
                call.is_probe = True
                return

    def probe_ended(self, call: CallState) -> None:
        """Let another probe, after a while, if this call was one."""
        if call.is_probe:
            call.is_probe = False
            self._let_another_probe()

    def set_reason(self, failure: TransientError) -> None:
        """Remember what the last call failed for."""
        self._failure = failure

    def allow_one_more_probe(self) -> None:
        """Let the next caller probe, though it is late: the last one's image may be to blame for all."""
        now = asyncio.get_running_loop().time()
        self._gives_up_at = max(self._gives_up_at, min(self._probe_at, now + self._limit_s))

    def _hand_on(self, is_probe: bool) -> None:  # noqa: FBT001 - what `Waiters` gives it
        """Let another probe at once, in place of one that was cancelled before it went."""
        if is_probe and self.is_open:
            self._probe_at = -math.inf
            self._let_another_probe()

    def _let_another_probe(self) -> None:
        if self.is_open:
            self._is_probing = False
            self._schedule()

    def _is_probe_due(self, now: float) -> bool:
        return not self._is_probing and now >= self._probe_at

    def _begin_probe(self, now: float) -> None:
        self._is_probing, self._probed_at, self._probe_at = True, now, self._next_probe_at(now)

    def _next_probe_at(self, now: float) -> float:
        """Return when the next one is due after one `now`: one comes shortly before the limit."""
        last_at = self._gives_up_at - min(_LAST_PROBE_S, self._limit_s / 2)
        return min(now + PROBE_EVERY_S, last_at) if now < last_at < self._gives_up_at else now + PROBE_EVERY_S

    def _is_over(self, now: float) -> bool:
        """Whether it is time to tell all who wait; a probe from before may end, as an answer wins."""
        return now >= self._gives_up_at and not (self._is_probing and self._probed_at < self._gives_up_at)

    def _schedule(self, *, somebody_waits: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (self._line or somebody_waits) and not self._is_probing:  # its end schedules anew
            at = min(self._probe_at, self._gives_up_at)
            self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        """Let the next one probe; when it has taken too long, wake all to be told so."""
        now = asyncio.get_running_loop().time()
        if self._is_probe_due(now) and self._line.wake(True):  # noqa: FBT003 - whether to probe
            self._begin_probe(now)
        if self._is_over(now):
            self._line.wake_all(False)  # noqa: FBT003 - as above
        self._schedule()

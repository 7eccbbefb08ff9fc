"""One time limit for each of many waits, and one timer for all of them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Deadlines:
    """Limits of one and the same length: ``with deadlines.limit(): await ...`` raises `TimeoutError` in time.

    `asyncio.timeout` sets a timer and takes it back for every wait, which costs nearly as much as reading an
    answer. Limits of one length end in the order in which they began: one timer, for the oldest, will do.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._running: dict[_Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> _Limit:
        """Return a limit that begins when it is entered, by a task."""
        return _Limit(self)

    def close(self) -> None:
        """Take the timer back; what still runs has no limit any more."""
        if self._timer is not None:
            self._timer.cancel()

    def expire_all(self) -> None:
        """End all that run, as if their time were over."""
        for limit in list(self._running):
            self.end(limit)
            limit.expire()

    def begin(self, limit: _Limit) -> None:
        """Count a limit from now on."""
        loop = asyncio.get_running_loop()
        self._running[limit] = ends_at = loop.time() + self.timeout_s
        if self._timer is None and ends_at < math.inf:
            self._timer = loop.call_at(ends_at, self._end_those_due)

    def end(self, limit: _Limit) -> None:
        """Count it no longer."""
        self._running.pop(limit, None)

    def _end_those_due(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for limit, ends_at in list(self._running.items()):
            if ends_at > loop.time():
                self._timer = loop.call_at(ends_at, self._end_those_due)
                break
            self.end(limit)
            limit.expire()


class _Limit:
    """As `asyncio.Timeout`: a cancellation of its own becomes a `TimeoutError`, any other goes on."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - whoever awaits is a task
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt the wait."""
        self._expired = True
        self._task.cancel()

"""Even steps between calls: arithmetic on plain numbers; nobody waits here."""

from __future__ import annotations

import math

_SPARE = 0.008
"""A step is longer than the limit's by this share: in a second's window 8 ms for what keeps one call longer
on its way than a later one."""

_MOST_SPARE = 0.05
_SPARE_FOR_S = 60.0
"""Where this is too little, on a bad network, a refusal costs a second: each doubles what is spared, up to a
twentieth, and within some minutes without any it is back at what it was."""

_CATCH_UP_S = 0.004
"""A call that is late by so much does not delay those after it; without that a fast rate loses a fifth to
late timers. What is later is lost: made up for, it would share a window with the calls that were on time."""

_SOFT_START_S = 2.0
_SOFT_START_EXTRA = 0.1
"""The first calls open connections and arrive late, and the next, on connections that are open, catch up with
them: until the last such window has passed, each call waits for that share of a step longer."""

_IDLE_S = 5.0
"""Connections that nobody used for so long are likely to be opened anew."""


class Pace:
    """Says from when on the next call may be sent, so that calls stand one step apart.

    Nothing is saved up: whatever came before, no window of any kind sees more than the limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.due = -math.inf
        """The next call may be sent from this time on, in seconds on the clock of whoever asks."""
        self._spare = _SPARE
        self._soft_until = self._in_use_until = -math.inf
        self.keep_to(limit)

    def keep_to(self, limit: float | None) -> None:
        """Take another limit, in calls a second, from the next call on; None has no steps."""
        self._limit_step_s = 0.0 if limit is None else 1 / limit

    @property
    def step_s(self) -> float:
        """The distance of two calls, in seconds."""
        return self._limit_step_s * (1 + self._spare)

    def take(self, now: float) -> None:
        """Count a call as sent `now`, which is not before it was due."""
        if now > self._in_use_until:
            self.due, self._soft_until = now, now + _SOFT_START_S
        step_s = self.step_s * (1 + _SOFT_START_EXTRA) if now < self._soft_until else self.step_s
        self.due = max(self.due, now - _CATCH_UP_S) + step_s
        self._in_use_until = self.due + _IDLE_S
        self._spare += (_SPARE - self._spare) * min(1.0, step_s / _SPARE_FOR_S)

    def hold_until(self, time: float) -> None:
        """Let nothing be due before a time; an earlier one never takes the place of a later one."""
        self.due = max(self.due, time)

    def spare_more(self) -> None:
        """Lengthen the steps for some minutes, as calls were refused though they kept to the limit."""
        self._spare = min(_MOST_SPARE, 2 * self._spare)

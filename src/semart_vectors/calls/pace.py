"""A known limit kept to exactly: arithmetic on plain numbers; nobody waits here."""

from __future__ import annotations

import math
from collections import deque

_SPARE = 0.009
"""A step is longer than the limit's by this share: in a second's window 9 ms for what keeps one call longer
on its way than a later one."""

_KEPT = 0.65
"""The part of it that stays between a call that was late and the call that is due a window later; in the rest
lateness dies away."""

_MOST_SPARE = 0.05
_SPARE_FOR_S = 60.0
"""Where this is too little, on a bad network, a refusal costs a second: each doubles what is spared, up to a
twentieth, and within some minutes without any it is back at what it was."""

_CATCH_UP_S = 0.25
"""A call that is late by so much does not delay those after it; without that a fast rate loses a fifth to
late timers, and whatever time the loop stands still. What is later is lost."""

_AT_ONCE_S = 0.004
"""So much is made up for at once, for late timers, and the rest at twice the rate, once connections are open:
many calls sent together would queue on their way, and the last of them arrive late."""

_REMEMBERED = 4096
"""Calls whose time of sending is known. A limit of more a second is kept to in a shorter window."""

_SOFT_START_S = 2.0
_SOFT_START_EXTRA = 0.1
"""The first calls open connections and arrive late, and the next, on connections that are open, catch up with
them: until the last such window has passed, each call waits for that share of a step longer."""

_IDLE_S = 5.0
"""Connections that nobody used for so long are likely to be opened anew."""


class Pace:
    """Says from when on the next call may be sent: a step after the last, and what was late is made up for.

    Whatever came before, more than a window lies between a call and the one that is `limit` calls later, so
    that limits which count in sliding windows, in fixed ones or with a bucket accept them all.
    """

    def __init__(self, max_rate: float, period_s: float = 1.0) -> None:
        """Keep to `max_rate` calls in `period_s` seconds; an infinite rate has no steps."""
        self.due = -math.inf
        """The next call may be sent from this time on, in seconds on the clock of whoever asks."""
        self._slot = self._quick_slot = -math.inf
        self._sent = deque[float](maxlen=_REMEMBERED)
        self._spare = _SPARE
        self._soft_until = self._in_use_until = -math.inf
        self.keep_to(max_rate, period_s)

    def keep_to(self, max_rate: float, period_s: float = 1.0) -> None:
        """Take another limit from the next call on."""
        self._limit_step_s, self._window_calls = 0.0, 0
        if max_rate < math.inf:
            self._limit_step_s = period_s / max_rate
            self._window_calls = max(1, min(_REMEMBERED, round(max_rate)))

    @property
    def step_s(self) -> float:
        """The distance of two calls, in seconds."""
        return self._limit_step_s * (1 + self._spare)

    def take(self, now: float) -> None:
        """Count a call as sent `now`, which is not before it was due."""
        if not self._window_calls:
            return
        if now > self._in_use_until:
            self._slot, self._soft_until = now, now + _SOFT_START_S
        step_s, catch_up_s = self.step_s, _CATCH_UP_S
        if now < self._soft_until:
            step_s, catch_up_s = step_s * (1 + _SOFT_START_EXTRA), _AT_ONCE_S
        self._slot = max(self._slot, now - catch_up_s) + step_s
        self._quick_slot = max(self._quick_slot, now - _AT_ONCE_S) + step_s / 2
        self.due = max(self._slot, self._quick_slot)
        self._in_use_until = self._slot + _IDLE_S
        self._sent.append(now)
        if len(self._sent) >= self._window_calls:
            window_s = self._limit_step_s * self._window_calls * (1 + _KEPT * self._spare)
            self.due = max(self.due, self._sent[-self._window_calls] + window_s)
        self._spare += (_SPARE - self._spare) * min(1.0, step_s / _SPARE_FOR_S)

    def hold_until(self, time: float) -> None:
        """Let nothing be due before a time; an earlier one never takes the place of a later one."""
        self._slot = max(self._slot, time)
        self.due = max(self.due, time)

    def spare_more(self) -> None:
        """Lengthen the steps for some minutes, as calls were refused though they kept to the limit."""
        self._spare = min(_MOST_SPARE, 2 * self._spare)

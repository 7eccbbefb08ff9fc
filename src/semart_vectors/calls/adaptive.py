"""A limit that nobody stated, found from the answers: arithmetic on plain numbers; nobody waits here."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque

_FIRST_RATE = 5.0
"""Calls a second to begin with: half of the least that a paid tier allows."""

_DOUBLING_S = 2.0
"""While nothing is known of the limit, the rate doubles in so many seconds. With 0.4 s under way this sends
an eighth of a second's calls too many when it meets the limit; twice as fast, three times as many."""

_LEAST_RATE = 10 / 60
"""Half of the free tier's twenty a minute: no limit is lower."""

_WINDOW_S, _LONGEST_WINDOW_S = 1.0, 60.0
_WINDOW_CALLS = 10
"""A limit counts within a second; or as long as a refusal asks to wait, or as ten calls take."""

_STEADY = 0.9
"""What was accepted within a window is the limit, where it is less than this share of the rate; above, the
rate was as good as steady, and a bucket may have held a burst on top of its limit."""

_BELOW, _LEAST_BELOW = 0.3, 0.01
"""The limit is taken to be lower than a steady rate that was refused, by this part of what is in doubt."""

_CUT, _LEAST_CUT = 0.5, 0.04
"""The rate goes back behind where it was refused by this part of what is in doubt."""

_BACK_WINDOWS = 24
"""So many windows after a refusal the rate is back at the limit; the more is in doubt, the sooner."""

_BURST_WINDOWS = 1.0
"""No limit takes more than one window's calls on top; once so many were, it is not there any more."""


class AdaptiveRate:
    """The rate to send at, from what was accepted and refused.

    As long as no limit is known the rate doubles. A refusal tells where the limit is: at what was accepted
    within the last window or, after a steady rate, just below that rate, where a burst of one window in the
    time since the last pause is in doubt. The rate then goes behind the limit, comes back in a curve that
    flattens there, and leaves it upwards ever faster, as TCP's CUBIC does. Once more was accepted on top than
    any limit's burst, the limit has gone, and the rate doubles again.
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = math.inf if ceiling is None else ceiling
        self.rate = min(_FIRST_RATE, self._ceiling)
        """Calls a second."""
        self._limit: float | None = None
        self._window_s = _WINDOW_S
        self._cut = self._back_s = self._grown_s = self._on_top_s = 0.0
        self._passed = deque[float](maxlen=4096)
        self._began_at: float | None = None
        self._resumed_at: float | None = None
        self._stopped_at = -math.inf

    def passed(self, now: float) -> None:
        """Take notice of a call as it is sent."""
        if self._resumed_at is None:
            self._resumed_at = now
            self._began_at = now if self._began_at is None else self._began_at
        self._passed.append(now)

    def accepted(self) -> None:
        """Grow by the step of one call that was accepted while others waited.

        Growth goes by such calls, not by the clock: a rate that nobody uses up proves nothing. Nor does what
        is accepted during a pause.
        """
        if self._resumed_at is None:
            return
        step_s = 1 / self.rate
        if self._limit is None:
            rate = self.rate * 2 ** (step_s / _DOUBLING_S)
        else:
            self._grown_s += step_s
            way = self._grown_s / self._back_s - 1
            rate = self._limit * (1 + self._cut * way**3)
            self._on_top_s += max(0.0, rate / self._limit - 1) * step_s
            if self._on_top_s > _BURST_WINDOWS * self._window_s:
                self._limit = None
        self.rate = min(rate, self._ceiling)

    def refused(self, passed_at: float, now: float, asked_s: float) -> None:
        """Go back because of a call that was refused `now`, and was asked to wait for `asked_s`.

        What had been sent when the last refusal came belongs to that one.
        """
        self._forget(passed_at)
        if passed_at <= self._stopped_at or self._resumed_at is None or self._began_at is None:
            return
        steady_s = passed_at - self._resumed_at
        self._stopped_at, self._resumed_at = now, None
        if passed_at < self._began_at + _WINDOW_S:
            return  # others, or this program's last run, used the limit up
        window_s = max(_WINDOW_S, asked_s)
        accepted = sum(passed_at - window_s < time < passed_at for time in self._passed)
        met_at = max(_LEAST_RATE, min(self.rate, (accepted + 1) / window_s))
        self._window_s = min(_LONGEST_WINDOW_S, max(window_s, _WINDOW_CALLS / met_at))
        if self._limit is None:  # while doubling, so long at the last rate makes the same number of calls
            steady_s = min(steady_s, _DOUBLING_S / math.log(2))
        doubt = self._window_s / (self._window_s + max(self._window_s, steady_s))
        below = _BELOW * doubt if met_at > _STEADY * self.rate else 0.0
        self._limit = met_at * (1 - max(_LEAST_BELOW, below))
        self.rate = met_at * (1 - max(_LEAST_CUT, _CUT * doubt))
        self._cut = 1 - self.rate / self._limit
        self._back_s = _BACK_WINDOWS * self._window_s * (1 - doubt)
        self._grown_s = self._on_top_s = 0.0

    def _forget(self, passed_at: float) -> None:
        """Take the refused call out of those that were sent: the last one no later than that."""
        place = bisect_right(self._passed, passed_at) - 1
        if place >= 0:
            del self._passed[place]

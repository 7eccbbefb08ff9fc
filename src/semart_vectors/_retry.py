"""When to try again and how long to wait: arithmetic only, no clock and no sleep."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAID_IN_WORDS = re.compile(r"retry after (\S+) seconds?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a call is tried again.

    Waits are drawn evenly from 0 to a bound that doubles with each failure ("full jitter"), so that
    many clients which failed together do not come back together.
    """

    max_attempts: int = 4
    """Attempts for one image that end in a failure other than 429."""
    base_s: float = 0.5
    """Bound of the first wait after a failure, in seconds."""
    throttled_base_s: float = 1.0
    """Bound of the first common pause after a 429 that names no time, in seconds."""
    cap_s: float = 20.0
    """No such bound grows beyond this many seconds."""
    retry_after_cap_s: float = 120.0
    """The longest pause the service can ask for, in seconds."""
    throttled_limit_s: float = 600.0
    """For how long one image may be answered 429 before it counts as failed, in seconds."""
    attempt_timeout_s: float = 60.0
    """Limit of one attempt over everything: connecting, sending, and the whole answer, in seconds."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.max_attempts < 1:
            raise ConfigurationError(f"max_attempts must be at least 1, not {self.max_attempts}")
        for name in ("base_s", "throttled_base_s", "cap_s", "retry_after_cap_s", "throttled_limit_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} must be a finite number of seconds, not below 0")
        if not 0 < self.attempt_timeout_s < math.inf:
            raise ConfigurationError("attempt_timeout_s must be a finite number of seconds above 0")

    def backoff_bound_s(self, failures: int, *, throttled: bool = False) -> float:
        """Return the bound of the wait after the `failures`-th failure in a row, in seconds."""
        base_s = self.throttled_base_s if throttled else self.base_s
        return min(self.cap_s, base_s * 2.0 ** min(failures - 1, 60))


def retry_after_s(headers: Mapping[str, str], message: str) -> float | None:
    """Return the seconds an answer asks to wait, or None where it does not say.

    Milliseconds headers come first, then `Retry-After` in seconds or as an HTTP date (against the
    answer's own `Date`, so that a wrong clock here does not matter), then the words of the message.
    Anything not finite or below 0 is ignored.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := _number(headers.get(name, ""))) is not None:
            return milliseconds / 1000
    header = headers.get("retry-after", "")
    if (seconds := _number(header)) is not None:
        return seconds
    if (seconds := _seconds_between(headers.get("date", ""), header)) is not None:
        return seconds
    said = _SAID_IN_WORDS.search(message)
    return _number(said[1]) if said else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds_between(start: str, end: str) -> float | None:
    try:
        seconds = (parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not a date, or one with a zone and one without
        return None
    return seconds if seconds >= 0 else None

"""How long an answer asks to wait: its headers and words, read by one rule."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
"""What `float` takes beyond this, such as 1_0 or the digits of other scripts, no service means."""

_SAID_IN_WORDS = re.compile(r"retry after (\S+) seconds?", re.IGNORECASE)


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
    text = text.strip(" \t")
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _seconds_between(start: str, end: str) -> float | None:
    try:
        seconds = (parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not a date, or one with a zone and one without
        return None
    return seconds if seconds >= 0 else None

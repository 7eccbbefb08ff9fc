"""The rate from one run to the next: the calls of a run that has ended still count in the service's window.

These are the only two calls that a job makes to the rate limit of its embedder.
"""

from __future__ import annotations

from typing import Protocol

_LONGEST_HOLD_S = 120.0
"""No service asks for a longer pause. A note from before the clock was set back is believed so far."""


class RateLimited(Protocol):
    """Sends its calls at a rate that the next process can take over."""

    def calls_free_in_s(self, *, unseen_s: float = 0.0) -> float:
        """Return the seconds until the next call may be sent, if calls go on for `unseen_s` first."""

    def hold_calls(self, seconds: float) -> None:
        """Send no call for `seconds`."""


def seconds_until_free(embedder: RateLimited, *, unseen_s: float = 0.0) -> float:
    """Return the seconds until the rate allows the next call; 0.0 if it does now.

    Args:
        embedder: Sends the calls.
        unseen_s: Assume that calls are still sent for this long before the process ends, in seconds.
    """
    return embedder.calls_free_in_s(unseen_s=unseen_s)


def hold(embedder: RateLimited, seconds: float) -> None:
    """Let the embedder send no call for `seconds`; less than 0 is 0, and more than two minutes are two."""
    embedder.hold_calls(max(0.0, min(seconds, _LONGEST_HOLD_S)))

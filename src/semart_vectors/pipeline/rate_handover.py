"""The rate from one run to the next: the calls of a run that has ended still count in the service's window.

These are the only two calls that a job makes to the rate limit of its embedder.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

_LONGEST_HOLD_S = 120.0
"""No service asks for a longer pause. A note from before the clock was set back is believed so far."""


@runtime_checkable
class Resumable(Protocol):
    """A rate limit whose state the next process can take over, such as a `SteadyLimiter`."""

    def seconds_until_free(self, *, unseen_s: float = 0.0) -> float:
        """Return the seconds until the next call may be sent, if calls go on for `unseen_s` first."""

    def hold(self, seconds: float) -> None:
        """Send no call for `seconds`."""


class RateLimited(Protocol):
    """Sends its calls at a rate."""

    @property
    def limiter(self) -> object:
        """The rate limit; a plain `aiolimiter.AsyncLimiter` is not resumable, and begins anew."""


def seconds_until_free(embedder: RateLimited, *, unseen_s: float = 0.0) -> float:
    """Return the seconds until the rate allows the next call; 0.0 if it does now.

    Args:
        embedder: Sends the calls.
        unseen_s: Assume that calls are still sent for this long before the process ends, in seconds.
    """
    limiter = embedder.limiter
    return limiter.seconds_until_free(unseen_s=unseen_s) if isinstance(limiter, Resumable) else 0.0


def hold(embedder: RateLimited, seconds: float) -> None:
    """Let the embedder send no call for `seconds`; less than 0 is 0, and more than two minutes are two."""
    limiter = embedder.limiter
    if isinstance(limiter, Resumable):
        limiter.hold(max(0.0, min(seconds, _LONGEST_HOLD_S)))

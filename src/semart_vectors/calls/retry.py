"""When to try again and how long to wait: arithmetic only, no clock and no sleep."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semart_vectors.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a call is tried again.

    Waits are drawn evenly from 0 to a bound that doubles with each failure ("full jitter"), so that
    many clients which failed together do not come back together.
    """

    max_attempts: int = 4
    """Attempts for one image that end in a failure other than 429; three times as many while the service
    fails at random. Those that fail because the service is down do not count."""
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
    outage_limit_s: float = 3600.0
    """For how long calls wait for a service that is down, in seconds; 0 lets them fail at once."""
    attempt_timeout_s: float = 60.0
    """Limit of one attempt over everything: connecting, sending, and the whole answer, in seconds."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.max_attempts < 1:
            raise ConfigurationError(f"max_attempts must be at least 1, not {self.max_attempts}")
        for name in (
            "base_s", "throttled_base_s", "cap_s", "retry_after_cap_s", "throttled_limit_s", "outage_limit_s"
        ):  # fmt: skip  # one line for all
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} must be a finite number of seconds, not below 0")
        if not 0 < self.attempt_timeout_s < math.inf:
            raise ConfigurationError("attempt_timeout_s must be a finite number of seconds above 0")

    def backoff_bound_s(self, failures: int, *, throttled: bool = False) -> float:
        """Return the bound of the wait after the `failures`-th failure in a row, in seconds."""
        base_s = self.throttled_base_s if throttled else self.base_s
        return min(self.cap_s, base_s * 2.0 ** min(failures - 1, 60))

"""Whose fault a failure is, the service's or one image's: arithmetic on plain numbers; nobody waits here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semart_vectors.service.azure import TransientError

DOWN_AFTER_FAILURES, DOWN_AFTER_S = 4, 5.0
"""So many failures in a row, over so long, are an outage when the service is at fault."""

_LEAST_WITNESSES, _MOST_WITNESSES = 2, 8
"""Half of the calls in flight are enough to tell that it is not for their images that they fail."""

_PROVE_IT_WELL = 3
"""So many answers since a call first failed show that it is its image that fails. As many may have been on
their way when an outage began; but each makes room for another call, and those tell of it."""

_AT_RANDOM = 0.1
"""From this share of first attempts that fail on, the service fails at random."""

_RECENT = 100
"""The share is that of about so many calls; of half as many, chance alone would hide one failure in five."""

_HEAD_START = 20
"""Good calls that are taken for granted at the start, lest a few bad images in a small batch be a tenth."""

_RANDOM_FACTOR = 3
"""So many times as many attempts has an image while the service fails at random."""

_TOKENS, _RETRY_COSTS = 500, 14


class Call:
    """What a call has been through so far; nearly all go through nothing, so that it costs as much."""

    attempts = 0
    """Requests sent."""
    passed_at = 0.0
    """When the gate let the last of them through."""
    failure: TransientError | None = None
    """What the last of them failed for."""
    streak = -1
    """The last streak of failures that this call has a part in; below 0 if it has none."""
    failures = 0
    """Attempts that failed, but for 429, since the last outage."""
    strikes = 0
    """Those of them that speak against the image."""
    answered_before = 0
    """How many calls had been answered when the first of them failed."""
    is_retry = False
    """Whether the next attempt is one more because the last failed, but for 429."""
    throttled: tuple[float, int] | None = None
    """The time of the first 429, and how many calls had been answered then."""
    scarcities = 0
    """How often this machine lacked what a connection takes, with no other call to wait for."""

    def forget(self) -> None:
        """Count anew, after an outage."""
        self.failures = self.strikes = self.answered_before = 0
        self.is_retry, self.throttled = False, None


class Health:
    """What the answers of late tell of the service.

    A *streak* is a run of failures without an answer between. The service is *at fault* for it when enough
    calls are in it, or a failure of a kind that no image causes. A call that had failed before, while some
    others were answered, is no witness, so that a few images which always fail are no outage.

    Retries have a budget, as botocore's: one takes 14 of 500 tokens, and each answer gives one back. Who
    finds it spent is not failed, as there, but goes on with few others at a time.
    """

    def __init__(self, *, in_flight: int) -> None:
        """Begin with no doubt; `in_flight` calls may be under way at once."""
        self._enough = max(_LEAST_WITNESSES, min(_MOST_WITNESSES, in_flight // 2))
        self.answered = 0
        """Calls that were answered for good: this also numbers the streaks."""
        self.failure_share = 0.0
        """Of the first attempts of recent calls. What repeats of a bad image add to it is nothing."""
        self._tokens = _TOKENS
        self._streak = -1
        self._began_at = 0.0
        self._failures = self._calls = 0
        self._is_no_images_fault = False

    def succeeded(self, call: Call) -> None:
        """Count an answer for good: a vector, or a refusal of the image."""
        self.answered += 1
        if self._tokens < _TOKENS:
            self._tokens += 1
        if self.failure_share and call.streak < 0:
            self.failure_share -= self.failure_share * self._weight()

    def failed(self, call: Call, now: float, *, no_images_fault: bool) -> bool:
        """Count an attempt that failed `now`, but for 429; return whether it speaks against the image.

        It does unless the service was at fault already. A 429 has no part in this: it is no failure, as the
        service is well and says so, and no answer, as it comes from the gateway, which gives it as well when
        nothing behind it works.
        """
        if self._streak != self.answered:
            self._streak, self._began_at = self.answered, now
            self._failures = self._calls = 0
            self._is_no_images_fault = False
        is_strike = not self.is_at_fault
        self._failures += 1
        if call.streak < 0:
            self.failure_share += (1 - self.failure_share) * self._weight()
        if not call.failures:
            call.answered_before = self.answered
        is_new = call.streak != self._streak
        call.streak = self._streak
        if self.answered - call.answered_before < _PROVE_IT_WELL:
            self._calls += is_new
            self._is_no_images_fault |= no_images_fault
        call.failures += 1
        call.strikes += is_strike
        call.is_retry = True
        return is_strike

    def _weight(self) -> float:
        return 1 / min(_RECENT, _HEAD_START + 1 + self.answered)

    @property
    def is_at_fault(self) -> bool:
        """Whether the present streak is the service's."""
        return self._streak == self.answered and (self._calls >= self._enough or self._is_no_images_fault)

    @property
    def has_few_witnesses(self) -> bool:
        """Whether the present streak has too few calls to say for sure that no image is the reason."""
        return self._streak == self.answered and self._calls < self._enough

    def is_down(self, now: float) -> bool:
        """Whether the streak is an outage."""
        return (
            self.is_at_fault
            and self._failures >= DOWN_AFTER_FAILURES
            and now - self._began_at >= DOWN_AFTER_S
        )

    def attempts_allowed(self, max_attempts: int) -> int:
        """Return how many strikes an image may have: a multiple of `max_attempts` if they come at random."""
        return max_attempts * (_RANDOM_FACTOR if self.failure_share >= _AT_RANDOM else 1)

    def affords_retry(self) -> bool:
        """Take a retry's tokens, if they are there."""
        if self._tokens < _RETRY_COSTS:
            return False
        self._tokens -= _RETRY_COSTS
        return True

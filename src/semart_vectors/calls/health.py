"""Whose fault a failure is, the service's or one image's: arithmetic on plain numbers; nobody waits here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semart_vectors.service.messages import ErrorAttributes, TransientError

DOWN_AFTER_FAILURES, DOWN_AFTER_S = 4, 5.0
"""So many failures in a row, over so long, are an outage when the service is at fault."""

_MIN_CALLS, _MAX_CALLS = 2, 8
"""Half of the calls in flight, within these bounds, are enough to tell that it is not for their images that
they fail."""

_PROOF_ANSWERS = 3
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

_UNEXPLAINED_REFUSALS = 4
"""So many without a reason, and nothing ever accepted, are no image's fault."""


class CallState:
    """What a call has been through so far. The defaults live on the class: most calls never set them."""

    has_slot = False
    """Whether it counts among the calls under way."""
    attempts = 0
    """Requests sent."""
    sent_at = 0.0
    """When the limiter let the last of them through, on the event loop's clock."""
    is_probe = False
    """Whether it is sent to find out if an outage is over."""
    last_failure: TransientError | None = None
    """What the last attempt failed for."""
    last_answer: ErrorAttributes | None = None
    """What the last failure that was an answer said of itself; an attempt without an answer is no answer."""
    failures = 0
    """Attempts that failed since the last outage, but for 429: they set the wait before the next one."""
    own_failures = 0
    """Those of them that speak against the image: they set when it is given up."""
    answered_before = 0
    """How many calls had been answered when it first failed, or first after an outage."""
    throttled_since: float | None = None
    """The time of the first 429."""
    answered_before_throttled = 0
    """How many calls had been answered then."""
    shortages = 0
    """How often this machine lacked what a connection takes, with no other call to wait for."""

    def forget_failures(self) -> None:
        """Count anew, after an outage."""
        self.failures = self.own_failures = 0
        self.throttled_since = None


class ServiceHealth:
    """Two counts tell whose fault a failure is: calls answered, and calls failing since the last answer.

    The service is *at fault* when enough different calls have failed since its last answer, or one in a way
    that no image causes. A call that had failed before, while others were answered, does not count as one of
    these, so that a few images which always fail are no outage. The rest says how long the failures have
    lasted, and how many first attempts fail at random.
    """

    def __init__(self, *, in_flight: int) -> None:
        """Begin with no doubt; `in_flight` calls may be under way at once."""
        self._enough = max(_MIN_CALLS, min(_MAX_CALLS, in_flight // 2))
        self.answered = 0
        """Calls that were answered for good: a vector, or a refusal of the image."""
        self.failure_share = 0.0
        """Of the first attempts of recent calls; repeated attempts for one image do not count."""
        self._is_accepting = False
        self._unexplained_refusals = 0
        self._failing: set[CallState] = set()
        self._failures_in_a_row = 0
        self._failing_since = 0.0
        self._is_image_independent = False

    def accepted(self, call: CallState) -> None:
        """Count a vector."""
        self._is_accepting = True
        self._answered(call)

    def refused(self, call: CallState, *, is_explained: bool) -> None:
        """Count a refusal of an image or text."""
        self._unexplained_refusals = 0 if is_explained else self._unexplained_refusals + 1
        self._answered(call)

    @property
    def refuses_all(self) -> bool:
        """Whether it has accepted nothing so far, and refuses one image after the other without a reason."""
        return not self._is_accepting and self._unexplained_refusals >= _UNEXPLAINED_REFUSALS

    def _answered(self, call: CallState) -> None:
        self.answered += 1
        if self._failures_in_a_row:
            self._failures_in_a_row = 0
            self._failing.clear()
            self._is_image_independent = False
        if self.failure_share and not call.failures:
            self.failure_share -= self.failure_share * self._weight()

    def failed(self, call: CallState, now: float, *, is_image_independent: bool) -> bool:
        """Count an attempt that failed `now`, but for 429; return whether it speaks against the image.

        It does unless the service was at fault already. A 429 has no part in this: it is no failure, as the
        service is well and says so, and no answer, as it comes from the gateway, which gives it as well when
        nothing behind it works.
        """
        is_own = not self.is_at_fault
        if not self._failures_in_a_row:
            self._failing_since = now
        self._failures_in_a_row += 1
        if not call.failures:
            self.failure_share += (1 - self.failure_share) * self._weight()
            call.answered_before = self.answered
        if self.answered - call.answered_before < _PROOF_ANSWERS:
            self._failing.add(call)
            self._is_image_independent |= is_image_independent
        call.failures += 1
        call.own_failures += is_own
        return is_own

    def _weight(self) -> float:
        return 1 / min(_RECENT, _HEAD_START + 1 + self.answered)

    @property
    def is_at_fault(self) -> bool:
        """Whether the service is to blame for the failures since its last answer."""
        return self._is_image_independent or not self.may_be_images

    @property
    def may_be_images(self) -> bool:
        """Whether too few calls have failed since the last answer to be sure that no image is to blame."""
        return len(self._failing) < self._enough

    def is_down(self, now: float) -> bool:
        """Whether the failures since the last answer are an outage."""
        return (
            self.is_at_fault
            and self._failures_in_a_row >= DOWN_AFTER_FAILURES
            and now - self._failing_since >= DOWN_AFTER_S
        )

    def attempts_allowed(self, max_attempts: int) -> int:
        """Return how many failures of its own an image may have: a multiple if they come at random."""
        is_random = self.failure_share >= _AT_RANDOM and self.answered
        return max_attempts * (_RANDOM_FACTOR if is_random else 1)

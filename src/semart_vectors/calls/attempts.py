"""One call to the service, from its slot to its answer: the loop that every image and text goes through."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from semart_vectors.calls.circuit_breaker import CircuitBreaker
from semart_vectors.calls.client_errors import ShortageError, UnreachableError
from semart_vectors.calls.deadlines import Deadlines
from semart_vectors.calls.health import CallState, ServiceHealth
from semart_vectors.errors import (
    ApiError,
    EndpointError,
    InvalidInputError,
    ItemError,
    OutOfResourcesError,
    RateLimitError,
    RetriesExhaustedError,
    RunError,
    ServiceUnavailableError,
)
from semart_vectors.service.azure import read_vector
from semart_vectors.service.messages import TransientError

if TYPE_CHECKING:
    from semart_vectors.calls.connection import Connection
    from semart_vectors.calls.key import Key
    from semart_vectors.calls.limiter import Limiter
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.records import Vector
    from semart_vectors.service.messages import ServiceRequest
    from semart_vectors.streams.stop_token import StopToken

_logger = logging.getLogger("semart_vectors")

_MAX_SHORTAGES = 5
"""So often a call tries to get a connection from this machine when there is no other to wait for."""


class Calls:
    """The calls of one embedder: they share its slots, its limiter, its breaker and its connection."""

    def __init__(
        self,
        connection: Connection,
        limiter: Limiter,
        policy: RetryPolicy,
        *,
        key: Key,
        model_version: str,
        max_in_flight: int,
    ) -> None:
        self._connection, self._limiter, self._policy = connection, limiter, policy
        self._key, self._model_version = key, model_version
        self._slots = anyio.CapacityLimiter(max_in_flight)
        self._breaker = CircuitBreaker(policy.outage_limit_s)
        self._health = ServiceHealth(in_flight=max_in_flight)
        self._deadlines = Deadlines(policy.attempt_timeout_s)
        self._waits_for_turn = Deadlines(math.inf)  # which only `close` ends
        self._is_closed = self._is_short = False

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once: fewer than asked for where descriptors are scarce."""
        return int(self._slots.total_tokens)

    def close(self) -> None:
        """Let nobody wait any longer; whoever does is told that the embedder is closed."""
        self._is_closed = True
        self._deadlines.close()
        self._breaker.release()
        self._waits_for_turn.expire_all()

    async def call(self, request: ServiceRequest, token: StopToken) -> tuple[Vector, int]:
        """Send a request until it is answered for good; return its vector and the attempts it took.

        Raises:
            ItemError: the service refused this image or text, or kept failing for it.
            RunError: every further call would fare the same.
        """
        call = CallState()
        await self._take_slot(call)
        try:
            while True:
                try:
                    await self._wait_for_turn(call)
                    vector = await self._send(request, call, token)
                except (TransientError, ShortageError) as error:
                    failure = error
                else:
                    return vector, call.attempts
                finally:
                    self._breaker.probe_ended(call)
                token.raise_if_stopped()
                if isinstance(failure, ShortageError):
                    await self._use_fewer_slots(failure, call)
                else:
                    self._judge(failure, call)
                    await self._wait_to_retry(failure, call)
        finally:
            self._give_slot_back(call)

    async def _take_slot(self, call: CallState) -> None:
        try:
            self._slots.acquire_on_behalf_of_nowait(call)
        except anyio.WouldBlock:
            await self._slots.acquire_on_behalf_of(call)
        call.has_slot = True

    def _give_slot_back(self, call: CallState) -> None:
        if call.has_slot:
            call.has_slot = False
            self._slots.release_on_behalf_of(call)

    async def _wait_for_turn(self, call: CallState) -> None:
        """Wait for the end of an outage, or for this call's probe; then for the rate and for any pause."""
        while True:
            if self._breaker.is_open:
                await self._wait_out_outage(call)
            if not self._limiter.try_acquire():
                with suppress(TimeoutError), self._waits_for_turn.limit():
                    await self._limiter.acquire()
            if self._is_closed:
                raise RuntimeError("this embedder is closed: make a new one")
            if self._breaker.lets_pass(call):
                break
        call.sent_at = asyncio.get_running_loop().time()

    async def _send(self, request: ServiceRequest, call: CallState, token: StopToken) -> Vector:
        """Send once and classify the answer; what is raised has the key neither in words nor in variables."""
        call.attempts += 1
        try:
            with token.shielded(), self._deadlines.limit():
                # Without a name: as a variable here, an answer that repeats the key would be in tracebacks.
                vector = read_vector(await self._connection.send(request), model_version=self._model_version)
        except TimeoutError:
            pass  # raised below, where it does not bring the frames within along
        except ItemError as error:
            error.attempts = call.attempts
            raise self._key.hide_in_error(self._judge_refusal(error, call)) from None
        except (TransientError, ShortageError, RunError, asyncio.CancelledError) as error:
            raise self._key.hide_in_error(error) from None
        else:
            self._limiter.accepted()
            self._health.accepted(call)
            self._breaker.close()
            return vector
        # As a 504 is: what stands before the service would have said so, had it been quicker.
        raise TransientError(
            f"no whole answer within {self._deadlines.timeout_s:g} s", is_image_independent=True
        )

    def _judge_refusal(self, error: ItemError, call: CallState) -> ItemError | EndpointError:
        """Count a refusal; return what it means: one image's, or the endpoint's where all are refused."""
        is_explained = not isinstance(error, InvalidInputError) or error.is_explained
        self._health.refused(call, is_explained=is_explained)
        self._breaker.close()
        if is_explained or not self._health.refuses_all or not isinstance(error, ApiError):
            return error
        return EndpointError(
            f"the service refuses every image, and says nothing of why: {error}; check VISION_ENDPOINT, and "
            "that its region offers multimodal embeddings",
            status_code=error.status_code,
            code=error.code,
            request_id=error.request_id,
        )

    def _judge(self, failure: TransientError, call: CallState) -> None:
        """Count a failure; raise what it means, if that is the end of the call, or open the breaker."""
        now = asyncio.get_running_loop().time()
        call.last_failure = failure.with_traceback(None)  # whose frames have the image's bytes
        if failure.attributes["status_code"] is not None:
            call.last_answer = failure.attributes
        if failure.is_throttled:
            self._judge_throttling(failure, call, now)
            return
        is_own = self._health.failed(call, now, is_image_independent=failure.is_image_independent)
        max_attempts = self._policy.max_attempts
        if isinstance(failure, UnreachableError) and not self._connection.was_answered:
            if call.failures >= max_attempts:
                raise EndpointError(
                    f"{failure}; check VISION_ENDPOINT and the network, then run again"
                ) from failure
        elif is_own and call.own_failures >= self._health.attempts_allowed(max_attempts):
            raise _given_up(failure, call) from failure
        elif self._breaker.is_open:
            self._breaker.set_reason(failure)
        elif self._health.is_down(now) or (
            self._policy.outage_limit_s == 0 and self._health.is_at_fault and call.failures >= max_attempts
        ):
            self._breaker.open(failure)

    def _judge_throttling(self, failure: TransientError, call: CallState, now: float) -> None:
        """Being throttled uses up time, not attempts."""
        if call.throttled_since is None:
            call.throttled_since, call.answered_before_throttled = now, self._health.answered
        if now < call.throttled_since + self._policy.throttled_limit_s:
            return
        if self._health.answered > call.answered_before_throttled:
            raise _given_up(failure, call) from failure
        raise ServiceUnavailableError(
            f"the service has answered nothing but 429 for {now - call.throttled_since:.0f} s: {failure}; "
            "run again later",
            **failure.attributes,
        ) from failure

    async def _wait_to_retry(self, failure: TransientError, call: CallState) -> None:
        """Wait as long as a failure asks for: all together if the service said so, else this call alone."""
        asked_s = min(failure.retry_after_s or 0.0, self._policy.retry_after_cap_s)
        if failure.is_throttled:
            self._limiter.refused(call.sent_at, retry_after_s=asked_s, backoff_s=self._throttled_backoff_s)
        elif asked_s:
            self._limiter.pause(asked_s)
        elif not self._breaker.is_open:  # which is another wait
            await asyncio.sleep(_jittered(self._policy.backoff_bound_s(call.failures)))

    def _throttled_backoff_s(self, pauses: int) -> float:
        return _jittered(self._policy.backoff_bound_s(pauses, throttled=True))

    async def _wait_out_outage(self, call: CallState) -> None:
        """Wait while the service is down, which takes time and no attempts."""
        try:
            await self._breaker.wait(call)
        except ServiceUnavailableError:
            failure = call.last_failure
            if failure is None or isinstance(failure, UnreachableError) or not self._health.may_be_images:
                raise
            # A few images that are always answered 503, and are all that is left, look as an outage does.
            # Taken for one for ever, they would keep a job from its end in every run.
            self._breaker.allow_one_more_probe()
            raise _given_up(failure, call) from failure
        call.forget_failures()

    async def _use_fewer_slots(self, shortage: ShortageError, call: CallState) -> None:
        """Have one slot fewer from now on, and wait for one; while there are free ones, wait a while instead.

        Raises:
            OutOfResourcesError: no connection could be opened, several times, with no other call in flight.
        """
        call.attempts -= 1  # nothing was sent
        call.shortages += 1
        in_flight, is_lasting = self._slots.borrowed_tokens, call.shortages >= _MAX_SHORTAGES
        if in_flight > 1 and (self._slots.available_tokens <= 0 or is_lasting):
            self._slots.total_tokens = max(1, min(self._slots.total_tokens, in_flight) - 1)
            if not self._is_short:
                self._is_short = True
                _logger.warning("%s: fewer calls at once from now on (see ulimit -n)", shortage)
            self._give_slot_back(call)
            await self._take_slot(call)
            call.shortages = 0
            return
        if is_lasting:
            raise OutOfResourcesError(
                f"this machine cannot open another connection: {shortage}; raise its limits (ulimit -n), "
                "and run again"
            )
        await asyncio.sleep(self._policy.backoff_bound_s(call.shortages))


def _given_up(failure: TransientError, call: CallState) -> RetriesExhaustedError:
    message = f"given up after {call.attempts} attempt{'s' * (call.attempts != 1)}: {failure}"
    answered = call.last_answer or failure.attributes
    error = (
        RateLimitError(message, retry_after_s=failure.retry_after_s, **answered)
        if failure.is_throttled
        else RetriesExhaustedError(message, **answered)
    )
    error.attempts = call.attempts
    return error


def _jittered(bound_s: float) -> float:
    return random.uniform(0, bound_s)  # noqa: S311 - jitter is no secret

"""Whose fault a failure is: arithmetic only."""

from __future__ import annotations

import random

import pytest

from semart_vectors.calls.health import DOWN_AFTER_S, CallState, ServiceHealth


def fail(
    health: ServiceHealth, call: CallState, now: float = 0.0, *, is_image_independent: bool = False
) -> bool:
    """Count a failure; return whether it speaks against the image."""
    return health.failed(call, now, is_image_independent=is_image_independent)


def test_one_call_that_fails_is_its_images_fault() -> None:
    """However often, and for however long."""
    health, call = ServiceHealth(in_flight=2), CallState()
    assert [fail(health, call, 10.0 * each) for each in range(6)] == [True] * 6
    assert not health.is_down(60)


@pytest.mark.parametrize("kinds", [(False, False), (True, False), (False, True)])
def test_two_calls_that_fail_in_a_row_are_the_services_fault(kinds: tuple[bool, bool]) -> None:
    """From then on failures speak against no image, and in time they are an outage."""
    health, first, second = ServiceHealth(in_flight=2), CallState(), CallState()
    for call, kind in zip((first, second), kinds, strict=True):
        fail(health, call, is_image_independent=kind)
    assert not fail(health, first)
    assert health.is_at_fault
    assert not fail(health, second, DOWN_AFTER_S - 0.1)
    assert not health.is_down(DOWN_AFTER_S - 0.1)
    assert health.is_down(DOWN_AFTER_S)


@pytest.mark.parametrize(("in_flight", "enough"), [(1, 2), (2, 2), (4, 2), (8, 4), (16, 8), (1000, 8)])
def test_half_of_the_calls_in_flight_are_enough(in_flight: int, enough: int) -> None:
    """With more in flight, a few bad images at the end of a batch are not taken for an outage."""
    health = ServiceHealth(in_flight=in_flight)
    for _ in range(enough - 1):
        fail(health, CallState())
    assert (health.is_at_fault, health.may_be_images) == (False, True)
    fail(health, CallState())
    assert (health.is_at_fault, health.may_be_images) == (True, False)


def test_no_connection_is_is_image_independent() -> None:
    """One call is enough to say so."""
    health, call = ServiceHealth(in_flight=2), CallState()
    assert [fail(health, call, each, is_image_independent=True) for each in range(3)] == [True, False, False]
    assert not health.is_down(100)
    fail(health, call, DOWN_AFTER_S, is_image_independent=True)
    assert health.is_down(DOWN_AFTER_S)


def test_failures_are_at_random_only_where_others_are_answered() -> None:
    """While nothing ever was, each image has its four attempts."""
    health = ServiceHealth(in_flight=100)
    for _ in range(7):
        fail(health, CallState())
    assert health.attempts_allowed(4) == 4
    health.accepted(CallState())
    assert health.attempts_allowed(4) == 12


def test_four_refusals_without_a_reason_and_nothing_accepted_are_no_images_fault() -> None:
    """One that is explained, or a vector at any time before, says that the service does look at images."""
    for before, refuses_all in (((), True), (("accepted",), False), (("refused",), True)):
        health = ServiceHealth(in_flight=16)
        for kind in before:
            health.accepted(CallState()) if kind == "accepted" else health.refused(
                CallState(), is_explained=True
            )
        for _ in range(3):
            health.refused(CallState(), is_explained=False)
        assert not health.refuses_all
        health.refused(CallState(), is_explained=False)
        assert health.refuses_all == refuses_all


def test_an_answer_ends_the_streak() -> None:
    """Of whatever length it was."""
    health, calls = ServiceHealth(in_flight=2), [CallState() for _ in range(9)]
    for call in calls:
        fail(health, call)
    assert health.is_down(DOWN_AFTER_S)
    health.accepted(CallState())
    assert not health.is_down(DOWN_AFTER_S)
    assert not health.is_at_fault


@pytest.mark.parametrize("is_image_independent", [False, True])
def test_images_that_failed_while_others_were_answered_are_no_outage(*, is_image_independent: bool) -> None:
    """Not even when they are all that is left, as at the end of a batch."""
    health, bad = ServiceHealth(in_flight=2), [CallState() for _ in range(3)]
    for call in bad:
        fail(health, call, is_image_independent=is_image_independent)
    for _ in range(3):
        health.accepted(CallState())
    for second in range(3):
        for call in bad:
            assert fail(health, call, 10.0 * second, is_image_independent=is_image_independent)
    assert not health.is_down(30)
    assert min(call.own_failures for call in bad) == 3


def test_an_answer_that_was_on_its_way_does_not_hide_an_outage() -> None:
    """With two calls under way, one fails before the other's answer comes and again after it."""
    health, first, second = ServiceHealth(in_flight=2), CallState(), CallState()
    fail(health, first)
    health.accepted(CallState())
    fail(health, first)
    fail(health, second)
    assert health.is_down(DOWN_AFTER_S) is False
    assert health.is_at_fault


def test_a_service_that_fails_at_random_is_allowed_more_attempts() -> None:
    """A share of a fifth is seen soon; that of one bad image in fifty never, however often it fails."""
    chance = random.Random(1)  # noqa: S311 - chance that can be repeated, no secret
    for share, allowed in ((0.2, 12), (0.02, 4)):
        health, found = ServiceHealth(in_flight=2), set()
        for number in range(5_000):
            call = CallState()
            while chance.random() < share:
                fail(health, call)
            health.accepted(call)
            if number > 50:
                found.add(health.attempts_allowed(4))
        assert found == {allowed}, share


def test_a_first_image_that_fails_is_no_service_that_fails_at_random() -> None:
    """Its repeats do not count."""
    health, call = ServiceHealth(in_flight=2), CallState()
    for _ in range(4):
        fail(health, call)
    assert health.attempts_allowed(4) == 4


def test_after_an_outage_a_call_begins_anew() -> None:
    """What was sent is remembered."""
    call = CallState()
    call.attempts = 3
    fail(ServiceHealth(in_flight=2), call)
    call.forget_failures()
    assert (call.attempts, call.failures, call.own_failures) == (3, 0, 0)

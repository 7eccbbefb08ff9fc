"""The breaker on the virtual clock: who may look, when, and what becomes of the others."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from semart_vectors.calls.circuit_breaker import PROBE_EVERY_S, CircuitBreaker
from semart_vectors.calls.health import CallState
from semart_vectors.errors import ServiceUnavailableError
from semart_vectors.service.messages import TransientError
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable


OUT_OF_ORDER = TransientError("out of order", status_code=503, code="503", request_id="12-34")


class Callers:
    """Calls by name, each of which probes until it is let through or told to give up."""

    def __init__(
        self, breaker: CircuitBreaker, *, probe_s: float = 1.0, answers: Callable[[str], bool]
    ) -> None:
        self.breaker, self.probe_s, self.answers = breaker, probe_s, answers
        self.probes: list[tuple[float, str]] = []
        self.through: list[tuple[float, str]] = []
        self.given_up: list[float] = []

    async def call(self, name: str) -> None:
        clock, call = asyncio.get_running_loop().time, CallState()
        try:
            while self.breaker.is_open:
                await self.breaker.wait(call)
                assert self.breaker.lets_pass(call)
                if not call.is_probe:
                    break
                self.probes.append((round(clock(), 1), name))
                try:
                    await asyncio.sleep(self.probe_s)
                    if self.answers(name):
                        self.breaker.close()
                finally:
                    self.breaker.probe_ended(call)
            self.through.append((round(clock(), 1), name))
        except ServiceUnavailableError:
            self.given_up.append(round(clock(), 1))

    async def run(self, names: str) -> None:
        self.breaker.open(OUT_OF_ORDER)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self.call(name))


def outage_of(calls: int) -> Callable[[str], bool]:
    """Answer after so many calls."""
    left = iter([False] * calls)
    return lambda _: next(left, True)


def test_one_at_a_time_probes_every_thirty_seconds_in_turn() -> None:
    """The first after thirty; when one is answered, all go on at once."""
    callers = Callers(CircuitBreaker(3600), answers=outage_of(4))
    run_virtual(callers.run("abc"))
    assert callers.probes == [(30, "a"), (60, "b"), (90, "c"), (120, "a"), (150, "b")]
    assert sorted(callers.through) == [(151, "a"), (151, "b"), (151, "c")]


def test_a_slow_probe_is_the_only_one() -> None:
    """The next begins when it has ended."""
    callers = Callers(CircuitBreaker(3600), probe_s=60, answers=outage_of(2))
    run_virtual(callers.run("abc"))
    assert callers.probes == [(30, "a"), (90, "b"), (150, "c")]


def test_an_image_that_always_fails_blocks_nobodys_way() -> None:
    """It goes to the end of the queue."""
    callers = Callers(CircuitBreaker(3600), answers=lambda name: name != "a")
    run_virtual(callers.run("abc"))
    assert callers.probes == [(30, "a"), (60, "b")]


@pytest.mark.parametrize("limit_s", [0.0, 45.0, 600.0])
def test_after_the_limit_all_are_told(limit_s: float) -> None:
    """Those who wait at once, and who probes after that."""
    callers = Callers(CircuitBreaker(limit_s), answers=lambda _: False)
    run_virtual(callers.run("abc"))
    assert min(callers.given_up) == limit_s
    assert max(callers.given_up) <= limit_s + 1
    assert len(callers.given_up) == 3


@pytest.mark.parametrize(("limit_s", "last_s"), [(60.0, 55), (45.0, 40), (4.0, 2)])
def test_the_last_probe_comes_before_the_limit(limit_s: float, last_s: float) -> None:
    """So a service that came back shortly before is found."""
    callers = Callers(CircuitBreaker(limit_s), answers=lambda _: callers.probes[-1][0] >= last_s)
    run_virtual(callers.run("abc"))
    assert callers.probes[-1][0] == last_s
    assert len(callers.through) == 3


@pytest.mark.parametrize("answers", [True, False])
def test_an_answer_to_the_last_probe_wins(answers: bool) -> None:  # noqa: FBT001 - what pytest hands over
    """Though it comes after the limit: all wait for it."""
    callers = Callers(CircuitBreaker(45), probe_s=20, answers=lambda _: answers)
    run_virtual(callers.run("abc"))
    ends = {50.0, 70.0} if not answers else {50.0}
    assert {time for time, _ in callers.through} | set(callers.given_up) <= ends
    assert len(callers.through if answers else callers.given_up) == 3


def test_with_no_wait_at_all_there_is_still_a_probe() -> None:
    """Whoever comes when one is due finds out that the service is back; the others fail at once."""

    async def run() -> None:
        callers = Callers(CircuitBreaker(0), answers=lambda _: True)
        await callers.run("a")
        await asyncio.sleep(PROBE_EVERY_S)
        async with asyncio.TaskGroup() as group:
            for name in "bcd":
                group.create_task(callers.call(name))
        await callers.call("e")
        assert callers.probes == [(30, "b")]
        assert len(callers.given_up) == 3
        assert [name for _, name in callers.through] == ["b", "e"]

    run_virtual(run())


@pytest.mark.parametrize("after_s", [10.0, 30.0, 30.5, 60.0])
def test_who_is_cancelled_leaves_its_turn_to_the_next(after_s: float) -> None:
    """While it waits, in the very moment of its turn, or while it probes."""

    async def run() -> list[str]:
        callers = Callers(CircuitBreaker(3600), answers=lambda name: name == "b")
        callers.breaker.open(OUT_OF_ORDER)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            first, _ = group.create_task(callers.call("a")), group.create_task(callers.call("b"))
            loop.call_at(after_s, first.cancel)
        assert callers.breaker._timer is None
        return [name for _, name in callers.through]

    assert run_virtual(run())[-1] == "b"


def test_who_is_cancelled_in_the_moment_of_its_turn_costs_no_wait() -> None:
    """Nothing was sent."""

    async def run() -> None:
        callers = Callers(CircuitBreaker(3600), answers=lambda _: True)
        callers.breaker.open(OUT_OF_ORDER)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(callers.call("a"))
            group.create_task(callers.call("b"))
            await asyncio.sleep(PROBE_EVERY_S - 0.1)
            callers.breaker._probe_at = 0.0
            callers.breaker._look()  # as the timer does: its turn has come, and it does not run yet
            first.cancel()
        assert callers.probes == [(29.9, "b")]

    run_virtual(run())


def test_it_says_when_it_opens_and_when_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    """Once each."""
    caplog.set_level(logging.INFO, "semart_vectors")
    run_virtual(Callers(CircuitBreaker(3600), answers=outage_of(5)).run("abc"))
    opened, closed = caplog.records
    assert (opened.levelname, closed.levelname) == ("WARNING", "INFO")
    assert "out of order" in opened.getMessage()
    assert "181 s" in closed.getMessage()


def test_who_gives_up_is_told_what_the_service_answered_last() -> None:
    """In words, and as attributes that a program can read."""

    async def run() -> ServiceUnavailableError:
        breaker = CircuitBreaker(0)
        breaker.open(OUT_OF_ORDER)
        with pytest.raises(ServiceUnavailableError, match=r"down for 0 s: out of order; run again") as caught:
            await breaker.wait(CallState())
        breaker.set_reason(TransientError("nobody there", status_code=504))
        with pytest.raises(ServiceUnavailableError, match="nobody there"):
            await breaker.wait(CallState())
        return caught.value

    error = run_virtual(run())
    assert (error.status_code, error.code, error.request_id) == (503, "503", "12-34")


def test_open_it_lets_nobody_pass_but_its_probe() -> None:
    """Closed, it lets everybody pass."""

    async def run() -> list[bool]:
        breaker, probe, other = CircuitBreaker(3600), CallState(), CallState()
        seen = [breaker.lets_pass(other)]
        breaker.open(OUT_OF_ORDER)
        await breaker.wait(probe)
        seen += [breaker.lets_pass(probe), breaker.lets_pass(other)]
        breaker.probe_ended(probe)
        return [*seen, breaker.lets_pass(probe)]

    assert run_virtual(run()) == [True, True, False, False]

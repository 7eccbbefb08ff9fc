"""Many limits with one timer: each holds to the moment, and no cancellation but its own becomes a timeout."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from semart_vectors.calls.deadlines import Deadlines
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LIMIT_S = 30.0


async def ends_at(deadlines: Deadlines, begins_s: float, lasts_s: float) -> tuple[float, bool]:
    """Begin a wait at some time; return when it ended, and whether it was its limit that ended it."""
    await asyncio.sleep(begins_s)
    timed_out = False
    try:
        with deadlines.limit():
            await asyncio.sleep(lasts_s)
    except TimeoutError:
        timed_out = True
    return asyncio.get_running_loop().time(), timed_out


def play(story: Callable[[Deadlines], Coroutine[Any, Any, None]]) -> None:
    """Run a story on a virtual clock, and see that nothing runs on after it."""

    async def watched() -> None:
        deadlines = Deadlines(LIMIT_S)
        await story(deadlines)
        deadlines.close()
        assert not deadlines._running

    run_virtual(watched())


def test_each_wait_ends_at_its_own_limit() -> None:
    """Whenever it began, and however many others ended in time."""

    async def story(deadlines: Deadlines) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = {
                (begins_s, lasts_s): group.create_task(ends_at(deadlines, begins_s, lasts_s))
                for begins_s in (0, 1, 2.5, 29, 40)
                for lasts_s in (0, 5, 29.9, 30.1, 1000)
            }
        for (begins_s, lasts_s), task in tasks.items():
            end_s, timed_out = task.result()
            assert end_s == pytest.approx(begins_s + min(lasts_s, LIMIT_S), abs=0.01)
            assert timed_out == (lasts_s > LIMIT_S)

    play(story)


def test_a_thousand_limits_have_one_timer() -> None:
    """A timer for each would cost more than the rest of a call."""

    async def story(deadlines: Deadlines) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(ends_at(deadlines, 0, 10))
            await asyncio.sleep(1)
            timers: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            ours = [timer for timer in timers if "Deadlines" in repr(timer)]
            assert len(ours) == 1

    play(story)


@pytest.mark.parametrize("at_s", [5.0, LIMIT_S])
def test_a_cancellation_from_outside_goes_on_as_one(at_s: float) -> None:
    """Also when it comes at the very moment of the limit."""

    async def story(deadlines: Deadlines) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ends_at(deadlines, 0, 1000))
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_at(at_s, task.cancel)
        assert task.cancelled()

    play(story)


def test_a_shorter_limit_of_the_caller_ends_the_wait_as_its_own() -> None:
    """The inner limit does not take the outer one's timeout for itself."""

    async def story(deadlines: Deadlines) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await ends_at(deadlines, 0, 1000)
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.01)

    play(story)


def test_a_task_that_timed_out_can_be_waited_on_again() -> None:
    """Nothing of the interruption is left in it."""

    async def story(deadlines: Deadlines) -> None:
        for _ in range(3):
            assert (await ends_at(deadlines, 0, 1000))[1]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    play(story)

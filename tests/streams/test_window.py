"""The bounded window of workers: nothing lost, nothing left behind, and the right error at the right time."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from semart_vectors.streams.window import DRAIN_S, OutcomeStream
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from semart_vectors.streams.stop_token import StopToken

WIDTH = 4


class OwnError(Exception):
    """What the tests raise."""


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story on a virtual clock, and see that it leaves no task behind."""

    async def watched() -> None:
        await story()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(watched())


async def echo(item: int, _: StopToken) -> int:
    """Take a while that differs for each item, then return it."""
    await asyncio.sleep(item % 7 / 10)
    return item


async def asynchronously(items: Iterator[int] | range) -> AsyncIterator[int]:
    """Give items by an async generator that takes its time."""
    for item in items:
        await asyncio.sleep(0.01)
        yield item


async def collect(stream: OutcomeStream[int]) -> list[int]:
    """Take all outcomes."""
    return [outcome async for outcome in stream]


async def take_one(stream: OutcomeStream[int]) -> int:
    """Open a stream for its first outcome."""
    async with stream:
        return await anext(stream)


@pytest.mark.parametrize("source", [list, iter, asynchronously], ids=["iterable", "iterator", "async"])
@pytest.mark.parametrize("count", [0, 1, WIDTH, 100])
def test_every_item_has_one_outcome(source: Callable[[range], Any], count: int) -> None:
    """Synchronous and asynchronous sources of any length are worked off, each item once."""

    async def story() -> None:
        async with OutcomeStream(source(range(count)), echo, width=WIDTH) as stream:
            assert sorted(await collect(stream)) == list(range(count))

    play(story)


def test_outcomes_come_as_they_complete() -> None:
    """A slow item holds nobody up."""

    async def work(item: int, _: StopToken) -> int:
        await asyncio.sleep(100 if item == 0 else 1)
        return item

    async def story() -> None:
        async with OutcomeStream(range(50), work, width=WIDTH) as stream:
            assert (await collect(stream))[-1] == 0

    play(story)


class Meter:
    """Counts what is read of a source and what is at work."""

    def __init__(self) -> None:
        self.read = self.at_work = self.most_at_work = 0

    def source(self) -> Iterator[int]:
        """Give a hundred items."""
        for number in range(100):
            self.read = number + 1
            yield number

    async def work(self, item: int, _: StopToken) -> int:
        """Take a moment."""
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0.01)
        self.at_work -= 1
        return item


@pytest.mark.parametrize("width", [1, 3, 8])
def test_the_window_bounds_what_is_at_work_and_what_is_read_ahead(width: int) -> None:
    """At most `width` are at work, and `2 * width + 1` are read that the consumer has not seen."""
    meter = Meter()

    async def story() -> None:
        async with OutcomeStream(meter.source(), meter.work, width=width) as stream:
            async for taken_before in numbered(stream):
                await asyncio.sleep(0.05 * (taken_before % 3))
                assert meter.read - taken_before <= 2 * width + 1

    play(story)
    assert meter.most_at_work == width


async def numbered(stream: OutcomeStream[int]) -> AsyncIterator[int]:
    """Number the outcomes from 0: how many were taken before."""
    taken = 0
    async for _ in stream:
        yield taken
        taken += 1


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_leaving_early_ends_an_endless_source(taken: int) -> None:
    """No task is left, and the generator is closed at once."""
    closed = False

    async def endless() -> AsyncIterator[int]:
        nonlocal closed
        try:
            for number in itertools.count():
                yield number
        finally:
            closed = True

    async def story() -> None:
        async with OutcomeStream(endless(), echo, width=WIDTH) as stream:
            for _ in range(taken):
                await anext(stream)
            await asyncio.sleep(1)
        assert closed

    play(story)


@pytest.mark.parametrize("error", [OwnError(), KeyboardInterrupt(), asyncio.CancelledError(), SystemExit()])
def test_what_the_body_raises_comes_out_as_it_is(error: BaseException) -> None:
    """Not wrapped in an exception group."""

    async def leave() -> None:
        async with OutcomeStream(itertools.count(), echo, width=WIDTH) as stream:
            await anext(stream)
            raise error

    async def story() -> None:
        with pytest.raises(type(error)) as caught:
            await leave()
        assert caught.value is error

    play(story)


def test_a_generator_around_a_stream_can_be_closed() -> None:
    """Leaving an async generator in its middle leaves the stream inside it, without an exception group."""

    async def outcomes() -> AsyncIterator[int]:
        async with OutcomeStream(itertools.count(), echo, width=WIDTH) as stream:
            async for outcome in stream:
                yield outcome

    async def story() -> None:
        generator = outcomes()
        async with aclosing(generator):  # type: ignore[type-var] # a generator, though it is named an iterator
            await anext(generator)

    play(story)


def test_an_error_of_a_worker_is_raised_once_after_the_other_outcomes() -> None:
    """What was under way when it happened is still given."""

    async def work(item: int, worker: StopToken) -> int:
        with worker.shielded():
            await asyncio.sleep(1 if item == 1 else 2)
        if item == 1:
            raise OwnError
        return item

    async def story() -> None:
        async with OutcomeStream(itertools.count(), work, width=WIDTH) as stream:
            assert sorted([await anext(stream) for _ in range(3)]) == [0, 2, 3]
            with pytest.raises(OwnError):
                await anext(stream)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    play(story)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_of_the_source_is_raised_by_the_iteration(*, asynchronous: bool) -> None:
    """As it is, and what was begun before is given first."""

    def source() -> Iterator[int]:
        yield from range(3)
        raise OwnError

    async def work(item: int, worker: StopToken) -> int:
        with worker.shielded():
            await asyncio.sleep(1)
        return item

    async def story() -> None:
        items = asynchronously(source()) if asynchronous else source()
        async with OutcomeStream(items, work, width=WIDTH) as stream:
            assert {await anext(stream) for _ in range(3)} == {0, 1, 2}
            with pytest.raises(OwnError):
                await anext(stream)

    play(story)


def test_stop_lets_finish_what_may_be_paid_for_and_cancels_the_rest() -> None:
    """Even items pay for 2 seconds, odd ones only wait."""

    async def work(item: int, worker: StopToken) -> int:
        if item % 2:
            await asyncio.sleep(1000)
        with worker.shielded():
            await asyncio.sleep(2)
        return item

    async def story() -> None:
        async with OutcomeStream(itertools.count(), work, width=WIDTH) as stream:
            await asyncio.sleep(1)
            stream.stop()
            assert sorted(await collect(stream)) == [0, 2]
        assert asyncio.get_running_loop().time() == pytest.approx(2, abs=0.1)

    play(story)


def test_a_call_that_failed_while_stopping_is_not_tried_again() -> None:
    """The stop token ends the worker without an outcome, and nobody outside sees how."""
    attempts = 0

    async def work(_: int, worker: StopToken) -> int:
        nonlocal attempts
        while True:
            with worker.shielded():
                attempts += 1
                await asyncio.sleep(1)
            worker.raise_if_stopped()

    async def story() -> None:
        async with OutcomeStream(itertools.count(), work, width=WIDTH) as stream:
            await asyncio.sleep(0.5)
            stream.stop()
            assert await collect(stream) == []
        assert attempts == WIDTH

    play(story)


def test_a_call_that_is_not_answered_is_given_up() -> None:
    """A stopping stream waits a few seconds, not for ever."""

    async def work(_: int, worker: StopToken) -> int:
        with worker.shielded():
            await asyncio.Event().wait()
        return 0

    async def story() -> None:
        async with OutcomeStream(itertools.count(), work, width=WIDTH) as stream:
            await asyncio.sleep(1)
            stream.stop()
            assert await collect(stream) == []
        assert asyncio.get_running_loop().time() == pytest.approx(1 + DRAIN_S, abs=0.1)

    play(story)


def test_what_is_answered_is_given_however_late_it_is_taken() -> None:
    """A consumer that is busy for longer than a stopping stream waits loses nothing that was paid for."""
    paid = 0

    async def work(item: int, worker: StopToken) -> int:
        nonlocal paid
        with worker.shielded():
            await asyncio.sleep(0.1)
            paid += 1
        return item

    async def story() -> None:
        async with OutcomeStream(itertools.count(), work, width=WIDTH) as stream:
            await asyncio.sleep(1)
            stream.stop()
            await asyncio.sleep(3 * DRAIN_S)
            assert len(await collect(stream)) == paid

    play(story)


def test_stop_before_the_first_outcome_ends_the_iteration() -> None:
    """Nothing hangs when no worker has begun yet, and nothing is read."""
    source = iter(range(9))

    async def story() -> None:
        async with OutcomeStream(source, echo, width=WIDTH) as stream:
            stream.stop()
            stream.stop()
            assert await collect(stream) == []
        assert next(source) == 0

    play(story)


def test_stop_before_entering_starts_nothing() -> None:
    """What is stopped before it begins never begins."""

    async def story() -> None:
        stream = OutcomeStream(itertools.count(), echo, width=WIDTH)
        stream.stop()
        async with stream:
            assert await collect(stream) == []

    play(story)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8)
def test_cancelled_waits_for_an_outcome_lose_none(seed: int) -> None:
    """However often a wait times out or is cancelled, at whatever moment, all outcomes come, each once."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def work(item: int, _: StopToken) -> int:
        await asyncio.sleep(chance.choice((0, 0, 0.01, 0.02)))
        return item

    async def story() -> None:
        taken: list[int] = []
        async with OutcomeStream(range(1000), work, width=WIDTH) as stream:
            while len(taken) < 1000:
                with suppress(TimeoutError):
                    async with asyncio.timeout(chance.choice((0, 0.005, 0.01, 0.02, 1))):
                        taken.append(await anext(stream))
            assert await collect(stream) == []
        assert sorted(taken) == list(range(1000))

    play(story)


@pytest.mark.parametrize("turns", range(12))
def test_a_cancel_at_any_turn_of_the_loop_loses_no_outcome(turns: int) -> None:
    """Also when asyncio itself cancels who has just been woken up with an outcome."""

    async def story() -> None:
        async with OutcomeStream([1], echo, width=1) as stream, asyncio.TaskGroup() as group:
            taken: list[int] = []

            async def take() -> None:
                taken.append(await anext(stream))

            task = group.create_task(take())
            await asyncio.sleep(0.1)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert taken + await collect(stream) == [1]

    play(story)


def test_cancelling_the_consumer_cancels_the_workers_and_goes_on() -> None:
    """A cancellation is not swallowed, and reaches what is under way."""
    cancelled: list[int] = []

    async def work(item: int, worker: StopToken) -> int:
        try:
            with worker.shielded():
                await asyncio.Event().wait()
        finally:
            cancelled.append(item)
        return item

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(take_one(OutcomeStream(itertools.count(), work, width=WIDTH)))
            await asyncio.sleep(1)
            task.cancel()
        assert task.cancelled()
        assert len(cancelled) == WIDTH

    play(story)


def test_a_timeout_around_the_stream_is_a_timeout() -> None:
    """The time limit of a caller comes out as such, and everything is tidy after it."""

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), OutcomeStream(itertools.count(), echo, width=WIDTH) as stream:
                await collect(stream)

    play(story)


def test_one_stream_feeds_another() -> None:
    """A stream is itself a source; leaving both early leaves nothing."""

    async def story() -> None:
        async with (
            OutcomeStream(itertools.count(), echo, width=WIDTH) as first,
            OutcomeStream(first, echo, width=WIDTH) as second,
        ):
            assert len({await anext(second) for _ in range(50)}) == 50

    play(story)

"""Reads off the loop: each result to who asked, few visits to threads, and no wait for a slow disk."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from semart_vectors.streams import reading
from semart_vectors.streams.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """See that the threads of a closed reader end."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def reciprocal(number: int) -> float:
    """Fail for 0."""
    return 1 / number


async def read_all(reader: Reader[int, float], numbers: Iterable[int]) -> list[float | BaseException]:
    """Ask for many at once, and return what each got."""

    async def one(number: int) -> float | BaseException:
        try:
            return await reader.read(number)
        except ZeroDivisionError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in numbers]
    return [task.result() for task in tasks]


async def test_each_result_goes_to_who_asked_for_it() -> None:
    """And so does each error, which leaves the others of its visit alone."""
    reader = Reader(reciprocal, threads=3)
    results = await read_all(reader, range(200))
    reader.close()
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1:] == [1 / number for number in range(1, 200)]


async def test_one_visit_serves_many() -> None:
    """Once reads are known to be quick, those who ask in the same turn of the loop share a thread's time."""
    threads: list[str] = []

    def read(number: int) -> float:
        threads.append(threading.current_thread().name)
        return number

    reader = Reader(read, threads=4)
    await read_all(reader, range(40))
    del threads[:]
    await read_all(reader, range(32))
    reader.close()
    assert len(threads) == 32
    assert len(set(threads)) == 1


async def test_the_loop_goes_on_while_a_read_lasts() -> None:
    """Here it even ends the read."""
    is_over = threading.Event()
    reader: Reader[int, bool] = Reader(lambda _: is_over.wait(30), threads=1)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.read(1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()
        is_over.set()
    assert reading.result()
    reader.close()


async def test_slow_reads_run_side_by_side() -> None:
    """Four that wait for each other all come back."""
    barrier = threading.Barrier(4)
    reader: Reader[int, int] = Reader(lambda _: barrier.wait(30), threads=4)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(number)) for number in range(4)]
    assert sorted(task.result() for task in tasks) == [0, 1, 2, 3]
    reader.close()


async def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    """Neither before its read begins nor after."""
    reader = Reader(reciprocal, threads=2)
    for turns in range(8):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reader.read(number)) for number in range(1, 9)]
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[3].cancel()
        assert [task.result() for task in tasks if not task.cancelled()].count(1.0) == 1
        assert sum(not task.cancelled() for task in tasks) >= 7
    reader.close()


async def test_closing_tells_those_who_wait() -> None:
    """Whether their read has begun or not."""
    is_over = threading.Event()
    reader: Reader[int, bool] = Reader(lambda _: is_over.wait(30), threads=1)

    async def one(number: int) -> str:
        try:
            await reader.read(number)
        except RuntimeError as error:
            return str(error)
        return ""

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        reader.close()
    is_over.set()
    assert all("closed" in task.result() for task in tasks)


def test_a_loop_that_ends_meanwhile_is_no_error_of_the_thread() -> None:
    """A thread that comes back to a closed loop has nobody to tell."""
    is_over = threading.Event()
    reader: Reader[int, bool] = Reader(lambda _: is_over.wait(30), threads=1)

    async def leave() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await reader.read(1)
        reader.close()

    asyncio.run(leave())
    is_over.set()


async def test_a_busy_loop_does_not_wait_for_slow_reads() -> None:
    """However many ask at once: here it is the loop that ends their reads."""
    is_over = threading.Event()
    reader: Reader[int, float] = Reader(lambda number: number < 0 or is_over.wait(30), threads=4)
    await read_all(reader, range(-8, 0))  # which are quick: it would wait for such
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(number)) for number in range(40)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        is_over.set()
    assert all(task.result() for task in tasks)
    reader.close()


async def test_a_busy_loop_waits_for_quick_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there in the turn in which they were asked for, until one came late."""
    monkeypatch.setattr(reading, "_LOOP_WAITS_S", 10.0)  # a busy machine may hold any thread up
    is_slow, go_on = False, threading.Event()
    reader: Reader[int, float] = Reader(lambda _: go_on.wait(30) if is_slow else 1.0, threads=4)
    await read_all(reader, range(8))  # once, to learn how long a read takes

    async def turns_taken() -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reader.read(number)) for number in range(8)]
            for turns in range(1000):
                if all(task.done() for task in tasks):
                    return turns
                await asyncio.sleep(0)
            go_on.set()
        return 1000

    assert await turns_taken() <= 4
    monkeypatch.setattr(reading, "_LOOP_WAITS_S", 0.001)
    is_slow = True
    assert await turns_taken() == 1000
    reader.close()


async def test_however_many_ask_the_loop_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first visit of a turn uses the wait up; the loop goes on, and ends the reads of the second."""
    monkeypatch.setattr(reading, "_LOOP_WAITS_S", 10.0)
    monkeypatch.setattr(reading, "_VISIT_S", 1.0)  # 32 reads, however busy the machine is
    loop = asyncio.get_running_loop()
    clock, is_used_up, go_on = loop.time, False, threading.Event()
    monkeypatch.setattr(loop, "time", lambda: clock() + 20 * is_used_up)

    def read(number: int) -> float:
        nonlocal is_used_up
        is_used_up |= number == 31
        return number < 32 or go_on.wait(5)

    reader = Reader(read, threads=4)
    await read_all(reader, range(8))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(number)) for number in range(64)]
        for _ in range(5):
            await asyncio.sleep(0)
        go_on.set()
    assert all(task.result() for task in tasks)
    reader.close()


async def test_a_loop_that_waited_in_vain_waits_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a slow disk costs it a hundredth of its time; a quick read makes it forget."""
    now, go_on = 0.0, threading.Event()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    reader: Reader[int, float] = Reader(lambda number: number == 0 or go_on.wait(30), threads=4)
    for _ in range(2):
        await read_all(reader, [0] * 8)
        for no_wait_s in (0.01, 0.04, 0.16, 0.64, 0.64):
            go_on.clear()
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(reader.read(1))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert reader._no_wait_until - now == pytest.approx(no_wait_s)
                go_on.set()
            await read_all(reader, [0])  # too few to be waited for: the loop learns that reads are quick
            now += 1
    reader.close()

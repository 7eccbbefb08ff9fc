"""Blocking reads off the event loop, without a visit to a thread for each.

Whoever asks while the loop is busy is served together with all others who do: one visit to a thread reads for
ten. A disk so slow that reading outlasts the visit is asked by several threads at the same time instead.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_VISIT_S = 0.004
"""How long a visit to a thread should take: far more than going there, far less than anybody would notice."""

_MOST_A_VISIT = 32

_PATIENCE_S = 0.006
"""How long the loop stands still for visits, as long as they are over by then.

To read a file that the machine has in memory takes ten microseconds. While the loop is at work too it takes
ten times that, of both threads' time: at each system call they take the interpreter from each other."""

_IMPATIENCE_S = 0.01
"""For how long it stands still no more when one came late; four times as long after each further one, so
that a slow disk costs the loop a hundredth of its time."""

_MOST_IMPATIENT = 3


class _Visit(Generic[ItemT, ResultT]):
    """Some items on their way to a thread and back."""

    __slots__ = ("answers", "items", "results", "took_s")

    def __init__(self, asked: list[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        self.items, self.answers = [item for item, _ in asked], [answer for _, answer in asked]
        self.results: list[ResultT | Exception] = []
        self.took_s = 0.0


class Reader(Generic[ItemT, ResultT]):
    """Calls `read` for one item after the other in a few threads; each result goes to who asked for it."""

    def __init__(self, read: Callable[[ItemT], ResultT], *, threads: int, busy_from: int = 1) -> None:
        """Set up; no thread runs before the first item.

        Args:
            read: Reads an item.
            threads: How many items may be read at the same time.
            busy_from: So many who ask in one turn of the loop are a sign that it is busy.
        """
        self._read = read
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="semart-vectors-read")
        self._most_at_a_time = threads
        self._busy_from = busy_from
        self._asked: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._is_scheduled = False
        self._under_way: set[_Visit[ItemT, ResultT]] = set()
        self._finished: SimpleQueue[_Visit[ItemT, ResultT]] = SimpleQueue()
        self._read_s = _VISIT_S  # what reading an item took of late
        self._late_in_a_row = 0
        self._impatient_until = -math.inf
        self._is_waiting = False

    async def read(self, item: ItemT) -> ResultT:
        """Return ``read(item)``, or raise what it raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ResultT] = loop.create_future()
        self._asked.append((item, answer))
        if not self._is_scheduled:  # for when the loop has heard all who ask in this turn
            self._is_scheduled = True
            loop.call_soon(self._send)
        return await answer

    def close(self) -> None:
        """Let the threads go when they have read what they are at; whoever still waits is told so."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        waiting = [answer for _, answer in self._asked]
        waiting += [answer for visit in self._under_way for answer in visit.answers]
        self._asked.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(RuntimeError("closed while it was to be read"))

    def _send(self) -> None:
        self._is_scheduled = False
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + _PATIENCE_S
        size = max(1, min(_MOST_A_VISIT, int(_VISIT_S / self._read_s)))
        # Quick visits go one by one: at the same time they too would take the interpreter from each other.
        while self._asked and len(self._under_way) * size < self._most_at_a_time:
            asked = [self._asked.popleft() for _ in range(min(size, len(self._asked)))]
            if asked := [each for each in asked if not each[1].done()]:  # those that were not cancelled
                visit = _Visit(asked)
                self._under_way.add(visit)
                self._threads.submit(self._visit, visit, loop)
                if len(asked) >= self._busy_from:  # else the loop lets the thread read in peace
                    self._be_patient(loop.time, patient_until)

    def _be_patient(self, clock: Callable[[], float], until: float) -> None:
        """Wait for a visit, unless those before came late."""
        if clock() < self._impatient_until:
            return
        self._is_waiting = True
        try:
            self._take(self._finished.get(timeout=max(0.0, until - clock())))
            self._late_in_a_row = 0
        except Empty:
            self._impatient_until = clock() + _IMPATIENCE_S * 4**self._late_in_a_row
            self._late_in_a_row = min(self._late_in_a_row + 1, _MOST_IMPATIENT)
        finally:
            self._is_waiting = False
        self._take_finished()  # also what came when nobody waited any more, and its thread thought so

    def _visit(self, visit: _Visit[ItemT, ResultT], loop: asyncio.AbstractEventLoop) -> None:
        began_at = perf_counter()
        for item in visit.items:
            try:
                visit.results.append(self._read(item))
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                visit.results.append(error)
        visit.took_s = perf_counter() - began_at
        self._finished.put(visit)
        if not self._is_waiting:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._receive)

    def _receive(self) -> None:
        self._take_finished()
        self._send()

    def _take_finished(self) -> None:
        with suppress(Empty):
            while True:
                self._take(self._finished.get_nowait())

    def _take(self, visit: _Visit[ItemT, ResultT]) -> None:
        self._under_way.remove(visit)
        self._read_s = max(visit.took_s / len(visit.items), 1e-6)
        for answer, result in zip(visit.answers, visit.results, strict=True):
            if answer.done():  # it was cancelled
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

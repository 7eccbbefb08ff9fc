"""Blocking reads off the event loop, without a visit to a thread for each.

Whoever asks while the loop is busy is served together with all others who do: one visit to a thread reads for
ten, and the loop waits a few milliseconds for it. A disk so slow that reading takes longer is read by several
threads at the same time, and the loop goes on meanwhile.
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

_MAX_ITEMS_A_VISIT = 32

_BUSY_FROM = 4
"""So many who ask in one turn of the loop show that it works at its limit, and not at a rate."""

_LOOP_WAITS_S = 0.006
"""How long a busy loop waits in one turn, for all visits together. A file in memory is read in ten
microseconds; with the loop at work too it takes ten times that, of both threads' time, as each system call
hands the interpreter over."""

_NO_WAIT_S = 0.01
"""For how long it waits no more when that was not enough; four times as long after each further time, so that
a slow disk costs the loop a hundredth of its time."""

_MAX_LATE = 3


class _Visit(Generic[ItemT, ResultT]):
    """Some items on their way to a thread and back."""

    __slots__ = ("answers", "ended", "is_awaited", "items", "results", "took_s")

    def __init__(self, asked: list[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        self.items, self.answers = [item for item, _ in asked], [answer for _, answer in asked]
        self.results: list[ResultT | Exception] = []
        self.took_s = 0.0
        self.ended = SimpleQueue[None]()
        self.is_awaited = False


class Reader(Generic[ItemT, ResultT]):
    """Calls `read` for one item after the other in a few threads; each result goes to who asked for it."""

    def __init__(self, read: Callable[[ItemT], ResultT], *, threads: int) -> None:
        """Set up; no thread runs before the first item.

        Args:
            read: Reads an item; it may block.
            threads: How many items may be read at the same time.
        """
        self._read = read
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="semart-vectors-read")
        self._max_at_once = threads
        self._asked: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._is_scheduled = False
        self._under_way: set[_Visit[ItemT, ResultT]] = set()
        self._item_took_s = _VISIT_S  # of late
        self._late_in_a_row, self._no_wait_until = 0, -math.inf
        self._is_closed = False

    async def read(self, item: ItemT) -> ResultT:
        """Return ``read(item)``, or raise what it raises.

        Raises:
            RuntimeError: this was closed before the item was read.
        """
        if self._is_closed:
            raise RuntimeError("closed before this item was read")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ResultT] = loop.create_future()
        self._asked.append((item, answer))
        if not self._is_scheduled:  # for when the loop has heard all who ask in this turn
            self._is_scheduled = True
            loop.call_soon(self._send, loop)
        return await answer

    def close(self) -> None:
        """Let the threads go when they have read what they are at; whoever still waits is told so."""
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        waiting = [answer for _, answer in self._asked]
        waiting += [answer for visit in self._under_way for answer in visit.answers]
        self._asked.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(RuntimeError("closed before this item was read"))

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        wait_until = loop.time() + _LOOP_WAITS_S
        size = max(1, min(_MAX_ITEMS_A_VISIT, int(_VISIT_S / self._item_took_s)))
        # Quick visits go one by one: at the same time they would take the interpreter from each other.
        while self._asked and len(self._under_way) * size < self._max_at_once:
            asked = [self._asked.popleft() for _ in range(min(size, len(self._asked)))]
            if asked := [each for each in asked if not each[1].done()]:  # those that were not cancelled
                visit = _Visit(asked)
                self._under_way.add(visit)
                visit.is_awaited = len(asked) >= _BUSY_FROM and loop.time() >= self._no_wait_until
                self._threads.submit(self._visit, visit, loop)
                if visit.is_awaited:
                    self._wait_for(visit, wait_until, loop)

    def _wait_for(self, visit: _Visit[ItemT, ResultT], until: float, loop: asyncio.AbstractEventLoop) -> None:
        try:
            visit.ended.get(timeout=max(0.0, until - loop.time()))
        except Empty:
            visit.is_awaited = False
            self._no_wait_until = loop.time() + _NO_WAIT_S * 4**self._late_in_a_row
            self._late_in_a_row = min(self._late_in_a_row + 1, _MAX_LATE)
            if visit.ended.empty():  # its thread will see that nobody waits
                return
        else:
            self._late_in_a_row = 0
        self._take(visit)

    def _visit(self, visit: _Visit[ItemT, ResultT], loop: asyncio.AbstractEventLoop) -> None:
        began_at = perf_counter()
        for item in visit.items:
            try:
                visit.results.append(self._read(item))
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                visit.results.append(error)
        visit.took_s = perf_counter() - began_at
        visit.ended.put(None)
        if not visit.is_awaited:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._receive, visit, loop)

    def _receive(self, visit: _Visit[ItemT, ResultT], loop: asyncio.AbstractEventLoop) -> None:
        if visit in self._under_way:  # it may have ended in the moment when the loop waited no longer
            self._take(visit)
        self._send(loop)

    def _take(self, visit: _Visit[ItemT, ResultT]) -> None:
        self._under_way.remove(visit)
        self._item_took_s = max(visit.took_s / len(visit.items), 1e-6)
        for answer, result in zip(visit.answers, visit.results, strict=True):
            if answer.done():  # it was cancelled
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

"""A bounded window of workers over items of any number: stream in, stream out, nothing piles up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")

DRAIN_S = 4.0
"""How long a stopping stream waits for calls under way, in seconds: Ctrl-C is answered within five."""


class StoppedError(Exception):
    """Ends a worker whose stream stops before its next attempt; never seen outside."""


class Worker:
    """What a worker tells its stream: that it only waits, or is in a call that may be paid for."""

    __slots__ = ("_paying", "_stopping", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._paying = False
        self._stopping = False

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Mark what a stopping stream lets finish; the rest of its time a worker only waits."""
        self._paying = True
        try:
            yield
        finally:
            self._paying = False

    def go_on(self) -> None:
        """Start anew, unless the stream stops.

        Raises:
            StoppedError: the stream was stopped while this worker was in a call.
        """
        if self._stopping:
            raise StoppedError

    def belongs_to(self, task: asyncio.Task[None]) -> None:
        """Name the task that can be cancelled to end this worker."""
        self._task = task

    def stop(self) -> None:
        """End the worker now if it only waits, else after what may be paid for."""
        self._stopping = True
        if not self._paying:
            self.cancel()

    def cancel(self) -> None:
        """End the worker, whatever it does."""
        if self._task is not None:
            self._task.cancel()


class OutcomeStream(Generic[OutcomeT]):
    """Outcomes as they complete: open it with ``async with``, then iterate it with ``async for``.

    At most `width` items are worked on at a time, and as many outcomes wait to be taken. Leaving the block
    early cancels the rest. An error that concerns the whole run is raised by the iteration, once, after the
    outcomes of the calls that were under way. An iteration that was cancelled or timed out may be taken up
    again: no outcome is lost by it.
    """

    def __init__(
        self,
        items: Iterable[ItemT] | AsyncIterable[ItemT],
        work: Callable[[ItemT, Worker], Awaitable[OutcomeT]],
        *,
        width: int,
    ) -> None:
        self._source: AsyncIterator[Any] = as_async(items)
        self._work: Callable[[Any, Worker], Awaitable[OutcomeT]] = work
        self._workers = [Worker() for _ in range(width)]
        self._running: int | None = None
        self._outcomes: deque[OutcomeT] = deque()
        self._room = asyncio.Semaphore(width)
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()  # a generator cannot be advanced by two at once
        self._group = asyncio.TaskGroup()
        self._error: Exception | None = None
        self._stopping = False
        self._deadline: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("this stream was opened before: make a new one")
        self._running = len(self._workers)
        await self._group.__aenter__()
        for worker in self._workers:
            task = self._group.create_task(self._run(worker))
            task.add_done_callback(self._ended)  # runs also for a task that is cancelled before it begins
            worker.belongs_to(task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancel()
        if not isinstance(error, asyncio.CancelledError):  # the group would wrap it in an exception group
            kind = error = trace = None
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            if hasattr(self._source, "aclose"):
                await self._source.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OutcomeT:
        # An outcome leaves the queue only when nothing can interrupt its way to the caller any more: a memory
        # stream of anyio loses what it has just handed over when asyncio itself cancels the receiver.
        if self._running is None:
            raise RuntimeError("this stream is not open: use it with `async with`")
        while not self._outcomes:
            if self._running == 0:
                self._raise_error()
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        self._room.release()
        return self._outcomes.popleft()

    def stop(self) -> None:
        """Start nothing new, and end the iteration when the calls under way are answered.

        What is not answered within a few seconds is cancelled.
        """
        if self._stopping:
            return
        self._stopping = True
        for worker in self._workers:
            worker.stop()
        self._deadline = asyncio.get_running_loop().call_later(DRAIN_S, self._cancel)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _cancel(self) -> None:
        self._stopping = True
        if self._deadline is not None:
            self._deadline.cancel()
        for worker in self._workers:
            worker.cancel()

    async def _run(self, worker: Worker) -> None:
        try:
            worker.go_on()
            while True:
                async with self._turn:
                    try:
                        item = await anext(self._source)
                    except StopAsyncIteration:
                        return
                outcome = await self._work(item, worker)
                try:
                    with worker.paying():
                        await self._room.acquire()
                finally:  # it is paid for: out of time to wait for room, it is given all the same
                    self._outcomes.append(outcome)
                    self._news.set()
                worker.go_on()
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - raised again by the iteration
            self._error = self._error or error
            self.stop()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._stopping:  # by its work or its source: an item would be missing
            self._error = self._error or RuntimeError("work on an item was cancelled from within")
            self.stop()
        self._running = (self._running or 0) - 1
        self._news.set()


def as_async(items: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncIterator[ItemT]:
    """Iterate either kind of iterable with ``async for``.

    Raises:
        TypeError: it is a single text or path, which would be taken apart.
    """
    if isinstance(items, str | bytes | PathLike):
        raise TypeError(f"many are expected, not one {type(items).__name__}: put it in a list")
    return aiter(items) if isinstance(items, AsyncIterable) else _stepping(items)


async def _stepping(items: Iterable[ItemT]) -> AsyncIterator[ItemT]:
    for item in items:
        yield item

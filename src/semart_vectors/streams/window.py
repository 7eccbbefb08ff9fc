"""A bounded window of workers over items of any number: stream in, stream out, nothing piles up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")

_END: Any = object()
"""In the place of an item when there are no more."""

DRAIN_S = 4.0
"""How long a stopping stream waits for calls under way, in seconds: Ctrl-C is answered within five."""


class StoppedError(Exception):
    """Ends a worker whose stream stops before its next attempt; never seen outside."""


class StopToken:
    """What a worker tells its stream: that it only waits, or is in a call that may be paid for."""

    __slots__ = ("_paying", "_stopping", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._paying = False
        self._stopping = False

    def shielded(self) -> Self:
        """Mark, by ``with token.shielded()``, what a stopping stream lets finish; all else is a wait."""
        return self

    def __enter__(self) -> None:
        self._paying = True

    def __exit__(self, *_: object) -> None:
        self._paying = False

    def raise_if_stopped(self) -> None:
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
        work: Callable[[ItemT, StopToken], Awaitable[OutcomeT]],
        *,
        width: int,
    ) -> None:
        self._source = _Source(items)
        self._work: Callable[[Any, StopToken], Awaitable[OutcomeT]] = work
        self._workers = [StopToken() for _ in range(width)]
        self._running: int | None = None
        self._outcomes: deque[OutcomeT] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
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
            await self._source.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OutcomeT:
        # An outcome leaves the queue only when nothing can interrupt its way to the caller any more: a memory
        # stream of anyio loses what it has just handed over when asyncio itself cancels the receiver.
        await self._wait_for_outcomes()
        if not self._outcomes:
            raise StopAsyncIteration
        outcome = self._outcomes.popleft()
        self._room.set()
        return outcome

    async def next_batch(self) -> list[OutcomeT]:
        """Return all outcomes that are there, and wait while there are none; an empty list is the end.

        Raises what the iteration would.
        """
        await self._wait_for_outcomes()
        outcomes = list(self._outcomes)
        self._outcomes.clear()
        self._room.set()
        return outcomes

    async def _wait_for_outcomes(self) -> None:
        if self._running is None:
            raise RuntimeError("this stream is not open: use it with `async with`")
        while not self._outcomes:
            if self._running == 0:
                self._raise_error()
                return
            self._news.clear()
            await self._news.wait()

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

    async def _run(self, worker: StopToken) -> None:
        source = self._source
        try:
            while True:
                worker.raise_if_stopped()
                while len(self._outcomes) >= len(self._workers):
                    self._room.clear()
                    await self._room.wait()
                item = await source.next() if source.ready is None else next(source.ready, _END)
                if item is _END:
                    return
                self._outcomes.append(await self._work(item, worker))
                self._news.set()
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


class Chunked(Generic[ItemT]):
    """Items that come many at a time; a stream takes them so, and anybody else one by one."""

    def __init__(self, chunks: AsyncIterator[list[ItemT]]) -> None:
        self.chunks = chunks
        self._items: deque[ItemT] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        while not self._items:
            self._items.extend(await anext(self.chunks))
        return self._items.popleft()


class _Source:
    """Any kind of iterable, to be advanced by many workers."""

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any]) -> None:
        check_many(items)
        self.ready: Iterator[Any] | None = None
        """What is advanced without waiting, and so by anybody at any time."""
        self._coming: AsyncIterator[Any] | None = None
        self._is_chunked = isinstance(items, Chunked)
        if isinstance(items, Chunked):
            self._coming = items.chunks
        elif isinstance(items, AsyncIterable):
            self._coming = aiter(items)
        else:
            self.ready = iter(items)
        self._items: deque[Any] = deque()
        self._is_advanced = False  # by one at a time: an async generator bears no more
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def next(self) -> Any:
        """Wait for the next item; `_END` when there is none."""
        while not self._items:
            if self._coming is None:
                return _END
            if self._is_advanced:
                await self._wait()
            else:
                await self._advance(self._coming)
        return self._items.popleft()

    async def _advance(self, coming: AsyncIterator[Any]) -> None:
        self._is_advanced = True
        try:
            item = await anext(coming, _END)
            if item is _END:
                self._coming = None
            elif self._is_chunked:
                self._items.extend(item)
            else:
                self._items.append(item)
        finally:
            self._is_advanced = False
            # All who find an item, at once: a lock would let them in one by one, each in a turn of its own of
            # the loop. Who is here takes one first, so that the last of them finds none, and advances.
            self._wake(len(self._waiting) if self._coming is None else len(self._items))

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake(1)  # another shall have what this one does not take
            raise

    def _wake(self, count: int) -> None:
        while count and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def aclose(self) -> None:
        """Close an async generator."""
        if self._coming is not None and hasattr(self._coming, "aclose"):
            await self._coming.aclose()


def check_many(items: object) -> None:
    """Refuse a single text or path, which would be taken apart.

    Raises:
        TypeError: it is one.
    """
    if isinstance(items, str | bytes | PathLike):
        raise TypeError(f"many are expected, not one {type(items).__name__}: put it in a list")


def numbered(
    items: Iterable[ItemT] | AsyncIterable[ItemT],
) -> Iterable[tuple[int, ItemT]] | AsyncIterable[tuple[int, ItemT]]:
    """Number items from 0 on, as `enumerate` does, in either kind of iterable."""
    check_many(items)
    return _numbered(items) if isinstance(items, AsyncIterable) else enumerate(items)


async def _numbered(items: AsyncIterable[ItemT]) -> AsyncIterator[tuple[int, ItemT]]:
    number = 0
    async for item in items:
        yield number, item
        number += 1

"""A bounded window of workers over items of any number: stream in, stream out, nothing piles up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from semart_vectors.streams.source import END, Source
from semart_vectors.streams.stop_token import StoppedError, StopToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from types import TracebackType

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")

DRAIN_S = 4.0
"""How long a stopping stream waits for calls under way, in seconds: Ctrl-C is answered within five."""


class OutcomeStream(Generic[OutcomeT]):
    """Outcomes as they complete, of `AsyncVisionEmbedder.stream_images`.

    Open it with ``async with``, then iterate it with ``async for``. At most `width` items are worked on at a
    time, and as many outcomes wait to be taken. Leaving the block early cancels the rest. An error that
    concerns the whole run is raised by the iteration, once, after the outcomes of the calls that were under
    way. An iteration that was cancelled or timed out may be taken up again: no outcome is lost by it.
    """

    def __init__(
        self,
        items: Iterable[ItemT] | AsyncIterable[ItemT],
        work: Callable[[ItemT, StopToken], Awaitable[OutcomeT]],
        *,
        width: int,
    ) -> None:
        self._source = Source(items)
        self._work: Callable[[Any, StopToken], Awaitable[OutcomeT]] = work
        self._tokens = [StopToken() for _ in range(width)]
        self._workers_left: int | None = None
        self._outcomes: deque[OutcomeT] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._arrived = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._error: Exception | None = None
        self._stopping = False
        self._deadline: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._workers_left is not None:
            raise RuntimeError("this stream was opened before: make a new one")
        self._workers_left = len(self._tokens)
        await self._group.__aenter__()
        for token in self._tokens:
            task = self._group.create_task(self._work_on_items(token))
            task.add_done_callback(self._worker_ended)  # also if it is cancelled before it begins
            token.belongs_to(task)
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
        if self._workers_left is None:
            raise RuntimeError("this stream is not open: use it with `async with`")
        while not self._outcomes:
            if self._workers_left == 0:
                self._raise_error()
                return
            self._arrived.clear()
            await self._arrived.wait()

    def stop(self) -> None:
        """Start nothing new, and end the iteration when the calls under way are answered.

        What is not answered within a few seconds is cancelled.
        """
        if self._stopping:
            return
        self._stopping = True
        for token in self._tokens:
            token.stop()
        self._deadline = asyncio.get_running_loop().call_later(DRAIN_S, self._cancel)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _cancel(self) -> None:
        self._stopping = True
        if self._deadline is not None:
            self._deadline.cancel()
        for token in self._tokens:
            token.cancel()

    async def _work_on_items(self, token: StopToken) -> None:
        source = self._source
        try:
            while True:
                token.raise_if_stopped()
                while len(self._outcomes) >= len(self._tokens):
                    self._room.clear()
                    await self._room.wait()
                item = await source.next() if source.ready is None else next(source.ready, END)
                if item is END:
                    return
                self._outcomes.append(await self._work(item, token))
                self._arrived.set()
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - raised again by the iteration
            self._error = self._error or error
            self.stop()

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._stopping:  # by its work or its source: an item would be missing
            self._error = self._error or RuntimeError("the work on an item cancelled itself")
            self.stop()
        self._workers_left = (self._workers_left or 0) - 1
        self._arrived.set()

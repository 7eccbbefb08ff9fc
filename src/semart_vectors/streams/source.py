"""Any kind of iterable, to be advanced by many workers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from semart_vectors.streams.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterator

ItemT = TypeVar("ItemT")

END: Any = object()
"""In the place of an item when there are no more."""


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


class Source:
    """Items of an iterable or async iterable, one for each who asks, taken only when they are asked for."""

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
        self._is_advancing = False  # one at a time: an async generator bears no more
        self._waiting = Waiters[None]()

    async def next(self) -> Any:
        """Wait for the next item; `END` when there is none."""
        while not self._items:
            if self._coming is None:
                return END
            if self._is_advancing:
                await self._waiting.wait(self._waiting.wake)
            else:
                await self._advance(self._coming)
        return self._items.popleft()

    async def _advance(self, coming: AsyncIterator[Any]) -> None:
        self._is_advancing = True
        try:
            item = await anext(coming, END)
            if item is END:
                self._coming = None
            elif self._is_chunked:
                self._items.extend(item)
            else:
                self._items.append(item)
        finally:
            self._is_advancing = False
            # All who find an item, at once: a lock would let them in one by one, each in a turn of its own of
            # the loop. Who is here takes one first, so that the last of them finds none, and advances.
            for _ in range(len(self._waiting) if self._coming is None else len(self._items)):
                self._waiting.wake(None)

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

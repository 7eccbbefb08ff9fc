"""A line of tasks that wait for their turn: the one queue that limiter, breaker and stream share."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

TurnT = TypeVar("TurnT")


class Waiters(Generic[TurnT]):
    """First come, first served. A waiter that is cancelled leaves the line, or hands its turn on."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line = deque[asyncio.Future[TurnT]]()

    def __len__(self) -> int:
        return len(self._line)

    async def wait(self, hand_on: Callable[[TurnT], object]) -> TurnT:
        """Wait in line, and return what `wake` or `wake_all` was given.

        Args:
            hand_on: Called with that if the waiter is cancelled after its turn came and before it runs:
                nothing was done with the turn, so it belongs to another.
        """
        turn: asyncio.Future[TurnT] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._line.remove(turn)
            else:
                hand_on(turn.result())
            raise

    def wake(self, turn: TurnT) -> bool:
        """Give the first who still waits its turn; return whether anybody did."""
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(turn)
                return True
        return False

    def wake_all(self, turn: TurnT) -> None:
        """Give everybody a turn."""
        while self.wake(turn):
            pass

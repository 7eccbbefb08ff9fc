"""How a stream that stops tells its workers: end now if you only wait, else after the call under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import asyncio


class StoppedError(Exception):
    """Ends a worker whose stream stops before its next attempt; never seen outside."""


class StopToken:
    """One for each worker of a stream; who calls without a stream has one that nobody stops.

    anyio's shielded cancel scopes would do the same at twenty times the price: ``benchmarks/parts.py``.
    """

    __slots__ = ("_is_shielded", "_is_stopped", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._is_shielded = False
        self._is_stopped = False

    def shielded(self) -> Self:
        """Mark, by ``with token.shielded()``, what `stop` lets finish: a call that may be paid for."""
        return self

    def __enter__(self) -> None:
        self._is_shielded = True

    def __exit__(self, *_: object) -> None:
        self._is_shielded = False

    def raise_if_stopped(self) -> None:
        """Go on only while nobody wants this worker to end.

        Raises:
            StoppedError: `stop` was called meanwhile.
        """
        if self._is_stopped:
            raise StoppedError

    def belongs_to(self, task: asyncio.Task[None]) -> None:
        """Name the task that can be cancelled to end this worker."""
        self._task = task

    def stop(self) -> None:
        """End the worker: at once if it only waits, else after what is shielded."""
        self._is_stopped = True
        if not self._is_shielded:
            self.cancel()

    def cancel(self) -> None:
        """End the worker now, whatever it does."""
        if self._task is not None:
            self._task.cancel()

"""Blocking work in a thread, waited for on the event loop; and a limit for work that blocks."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

ResultT = TypeVar("ResultT")


async def in_thread(threads: Executor, work: Callable[..., ResultT], *args: object) -> ResultT:
    """Return ``work(*args)``, done in a thread."""
    return await finished(asyncio.get_running_loop().run_in_executor(threads, work, *args))


async def finished(future: asyncio.Future[ResultT]) -> ResultT:
    """Wait for work in a thread; a cancellation takes effect when it is finished, not in its middle."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await future
        raise


@contextmanager
def time_limit(seconds: float, end: Callable[[], object]) -> Iterator[None]:
    """Call `end`, from another thread, if what stands in the block takes longer."""
    timer = Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()

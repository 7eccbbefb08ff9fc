"""Blocking work in a thread, waited for on the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
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

"""Run one coroutine as a command, with Ctrl-C and SIGTERM as its cancellation."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm.contrib.logging import logging_redirect_tqdm

if TYPE_CHECKING:
    from collections.abc import Coroutine

ResultT = TypeVar("ResultT")


class Terminated(KeyboardInterrupt):
    """SIGTERM came instead of Ctrl-C."""


def terminate(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C is handled: so that nothing half written stays behind."""
    raise Terminated


def run_in_loop(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine to its end in an event loop of its own.

    Raises:
        KeyboardInterrupt: Ctrl-C cancelled it; `Terminated`, if it was SIGTERM.
    """
    interruption: KeyboardInterrupt = KeyboardInterrupt()

    async def cancelled_by_sigterm() -> ResultT:
        task = asyncio.current_task()

        def cancel() -> None:
            nonlocal interruption
            interruption = Terminated()
            if task is not None:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancel)
        return await main

    try:
        # On a terminal, log messages go above the progress bar instead of through it.
        with logging_redirect_tqdm() if sys.stderr and sys.stderr.isatty() else nullcontext():
            return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise interruption from None

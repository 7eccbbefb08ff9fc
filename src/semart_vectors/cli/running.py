"""How a command runs: one event loop, the environment, and what an extra brings."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click
import dotenv
from tqdm.contrib.logging import logging_redirect_tqdm

from semart_vectors import errors
from semart_vectors.cli.exit_codes import USAGE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

ResultT = TypeVar("ResultT")


def run_in_loop(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run to the end in an event loop; Ctrl-C and SIGTERM cancel it once, and end in KeyboardInterrupt."""

    async def cancelled_by_sigterm() -> ResultT:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    try:
        # On a terminal a warning stands above the progress bar, not in it.
        with logging_redirect_tqdm() if sys.stderr and sys.stderr.isatty() else nullcontext():
            return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def environment() -> dict[str, str]:
    """Return the environment, with what the .env file has of the two variables where they are not set."""
    environment = dict(os.environ)
    if not {"VISION_ENDPOINT", "VISION_KEY"} <= environment.keys():
        try:
            found = dotenv.dotenv_values(".env")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.ConfigurationError(
                f"cannot read .env: {error}; it must be UTF-8 text that you may read"
            ) from error
        for name, value in found.items():
            environment.setdefault(name, value or "")
    return environment


class _MissingExtraError(click.ClickException):
    exit_code = USAGE  # as a UsageError has, but in one sentence


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Name the extra that has what an import lacks."""
    try:
        yield
    except ImportError as error:  # psycopg raises it without a name where it finds no libpq
        raise _MissingExtraError(
            f"{error.name or name} is not installed: pip install 'semart-vectors[{name}]'"
        ) from error

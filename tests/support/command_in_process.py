"""The command line in this process, where a process of its own is not the point: it starts at once."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal

from command_line import Ran
from fake_service import FakeService
from semart_vectors.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def as_in_a_process() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Give the block what a process has of its own, and yield what it prints to stdout and stderr."""
    root, ours = logging.getLogger(), logging.getLogger("semart_vectors")
    before = root.handlers, root.level, ours.level, signal.getsignal(signal.SIGTERM)
    out, err = io.BytesIO(), io.BytesIO()
    streams = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8", "backslashreplace")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stdout(streams[0]))
        stack.enter_context(redirect_stderr(streams[1]))
        root.handlers = []
        try:
            yield out, err
        finally:
            for stream in streams:
                stream.detach()
            root.handlers = before[0]
            root.setLevel(before[1])
            ours.setLevel(before[2])
            signal.signal(signal.SIGTERM, before[3])


def cli_here(
    *arguments: str | Path, cwd: Path, service: FakeService | None = None, endpoint: str | None = None
) -> Ran:
    """Run a command to its end in this process, on a service in another thread or process, or on none."""
    endpoint = endpoint if service is None else service.endpoint
    with pytest.MonkeyPatch.context() as patch, as_in_a_process() as (out, err):
        for name in [name for name in os.environ if name.startswith("VISION_")]:
            patch.delenv(name)
        if endpoint is not None:
            patch.setenv("VISION_ENDPOINT", endpoint)
            patch.setenv("VISION_KEY", "k")
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["semart-vectors", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        sys.stdout.flush()
        sys.stderr.flush()
    code = left.value.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def served() -> Iterator[FakeService]:
    """Serve good answers on loopback from another thread, so that this one is free for a command."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(portal.call(_made)) as service:
        yield service


async def _made() -> FakeService:
    return FakeService()

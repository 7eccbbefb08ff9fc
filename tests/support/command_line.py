"""The command line as a user starts it: a process, its exit code, and what it says."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fake_service import FakeService


EMBED = ("embed", "images", "--checkpoint", "ck", "--requests-per-second=1000")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


async def start(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> asyncio.subprocess.Process:
    """Start the command line in a folder, with no more of an environment than is given.

    What is to be done `before` is done in the new process.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VISION_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "semart_vectors",
        *map(str, arguments),
        cwd=cwd,
        env={**clean, **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=before,
    )


async def end(process: asyncio.subprocess.Process) -> Ran:
    """Wait for a command, and check that it never shows a traceback."""
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode(errors="replace")
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def cli(*arguments: str | Path, cwd: Path, service: FakeService | None = None) -> Ran:
    """Run a command to its end, on a service or on none."""
    env = {} if service is None else {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"}
    return await end(await start(*arguments, cwd=cwd, env=env))


async def embed(cwd: Path, service: FakeService | None, *options: str) -> Ran:
    """Run the embed command on the images in a folder."""
    return await cli(*EMBED, *options, cwd=cwd, service=service)

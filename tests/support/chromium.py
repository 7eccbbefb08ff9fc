"""A real browser for the tests that need one: Chromium without a window."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser of this machine, if it has one."""

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt: chromium)")


async def opened(url: str, profile: Path, *, for_s: float = 5) -> tuple[str, list[str]]:
    """Open a page and return what it became, as HTML, and what its console said.

    The seconds are the page's own: its timers run ahead as fast as its requests are answered.
    """
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = await asyncio.create_subprocess_exec(
        *(CHROMIUM or "chromium", *FLAGS, *sandbox, f"--user-data-dir={profile}"),
        *(f"--virtual-time-budget={for_s * 1000:.0f}", "--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await browser.communicate()
    finally:
        if browser.returncode is None:
            browser.kill()
    assert browser.returncode == 0, err.decode()
    return out.decode(), [line for line in err.decode().splitlines() if "CONSOLE" in line]

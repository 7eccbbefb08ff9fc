"""Two processes and one checkpoint: the second leaves, and a dead process holds no lock."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from fake_service import FakeService
from outside import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

USUAL_START_S = 0.5
"""What a command takes to be loaded on a machine that is not busy; it is part of the 2 s."""


@pytest.mark.row(9)
async def test_the_second_leaves_and_the_third_follows_the_dead(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Each call bears the key of its process, so the ledger tells who made it.

    The holder has so many images that it is never done before it is killed, however slow the machine is.
    """
    rounds = extent.pick(quick=2, all=50)
    took_s: list[float] = []
    async with FakeService(latency_s=0.02) as service:
        site = Site(tmp_path, service, 400 + rounds * 20)
        for number in range(rounds):
            async with site.started(per_s=5, key=f"holder-{number}") as holder:
                await service.calls_reach(len(service.calls) + 1)
                assert _callers(service)[-1] == f"holder-{number}"  # though the one before was just killed
                began_s = time.monotonic()
                async with site.started(per_s=5, key=f"second-{number}") as second:
                    ran = await second.end()
                took_s.append(time.monotonic() - began_s)
                assert ran.code == 7
                assert "another process" in ran.err
                assert holder.process.returncode is None
                holder.process.kill()
                await holder.process.wait()
        if extent.is_all:
            start_s = await asyncio.to_thread(_start_s)
            assert statistics.median(took_s) <= 2 + max(0, start_s - USUAL_START_S)
        assert not [key for key in _callers(service) if key.startswith("second")]
        service.latency_s = 0
        await site.run_here()
        await asyncio.to_thread(site.check)
    score(
        f"{rounds} rounds: exit 7 after {statistics.median(took_s):.1f} s, at most {max(took_s):.1f}; "
        "0 calls by the second, 0 stale locks"
    )


def _start_s() -> float:
    """Return how long a command takes at this moment to be loaded, and to do nothing."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", "import semart_vectors.cli, semart_vectors.job"], check=True)
    return time.monotonic() - began_s


def _callers(service: FakeService) -> list[str]:
    return [call.headers["ocp-apim-subscription-key"] for call in service.calls]

"""Disks that are full, that take no longer file, or that take nothing at all."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fake_service import FakeService
from outside import IN_FLIGHT, Site, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from command_line import Ran
    from scorecard import Extent

STRACE = (
    *("strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--output=strace.log", "--failed-only"),
    *("--absolute-timestamps=format:unix,precision:us", "--trace=file,desc,pwrite64,fallocate"),
)
"""Notes when the disk refused something."""


class Disk:
    """A small file system in memory, mounted where only its keeper and who asks for it sees it."""

    def __init__(self, keeper: asyncio.subprocess.Process, mounted_at: Path) -> None:
        self._keeper = keeper
        self._mounted_at = mounted_at
        self.path = Path(f"/proc/{keeper.pid}/root{mounted_at}")

    async def do(self, command: str) -> bool:
        """Have the keeper run a command with the place of the disk behind it; tell whether it went well."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(f"{command} {self._mounted_at}; echo $?\n".encode())
        return await self._keeper.stdout.readline() == b"0\n"


@asynccontextmanager
async def disk_of(size: str, folder: Path) -> AsyncIterator[Disk]:
    """Mount a file system of this size, or skip the test where that is not allowed."""
    needs("unshare", "mount")
    (folder / "disk").mkdir()
    keeper = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "--user", "--map-root-user", "sh"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        disk = Disk(keeper, folder / "disk")
        if not await disk.do(f"mount -t tmpfs -o size={size} none"):
            pytest.skip("needs a file system of its own: may not mount one here")
        yield disk
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        await keeper.wait()


@pytest.mark.row(3)
@pytest.mark.parametrize(("full", "per_s"), [("disk", 20), ("file", 100), ("disk", 300)])
async def test_without_room_the_job_stops_and_keeps_what_it_paid_for(
    tmp_path: Path, extent: Extent, score: Callable[[str], None], full: str, per_s: int
) -> None:
    """One sentence, exit 8, hardly a call after it; with room again nothing is paid a second time."""
    needs("strace", "prlimit")
    sizes_kb = {
        "disk": extent.pick(quick=[400], all=[300, 400, 800, 2048]),
        "file": extent.pick(
            quick=[600], all=[200, 600, 800]
        ),  # of a journal, which takes its room beforehand
    }[full]
    calls = late = paid_again = 0
    for size_kb in sizes_kb:
        folder = tmp_path / str(size_kb)
        folder.mkdir()
        async with FakeService(latency_s=0.01) as service:
            if full == "disk":
                async with disk_of(f"{size_kb}k", folder) as disk:
                    site = Site(folder, service, 1200, checkpoint=disk.path)
                    late += await _stops(site, per_s)
                    calls += len(service.calls)
                    assert await disk.do("mount -o remount,size=64m")
                    await _goes_on(site)
            else:
                site = Site(folder, service, 200)
                late += await _stops(site, per_s, ["prlimit", f"--fsize={size_kb << 10}"], rows_a_part=4096)
                calls += len(service.calls)
                await _goes_on(site)
            paid_again += site.paid_again
    assert paid_again == 0
    score(
        f"{full} full {len(sizes_kb)} times at {per_s} a second, after {calls} calls in all: exit 8, "
        f"{late} calls after the error, lost 0, paid again {paid_again}"
    )


async def _stops(site: Site, per_s: int, under: Sequence[str] = (), *, rows_a_part: int = 16) -> int:
    """Run the job into the fault; return how many calls were made after the disk had refused."""
    ran = await site.run(per_s=per_s, rows_a_part=rows_a_part, under=[*STRACE, *under])
    assert_one_sentence(ran, ("No space left on device", "File too large"))
    refused = re.search(
        r"^\d+ +([\d.]+) .* (?:ENOSPC|EFBIG) ", (site.folder / "strace.log").read_text(), re.MULTILINE
    )
    assert refused is not None
    refused_s = float(refused[1]) - time.time() + time.monotonic()
    late = sum(call.arrived_s > refused_s for call in site.service.calls)
    assert late <= IN_FLIGHT
    return late


async def _goes_on(site: Site) -> None:
    visible, before = await asyncio.to_thread(site.visible), len(site.service.paid)
    site.service.latency_s = 0
    await site.run_here()
    assert visible.isdisjoint(site.service.paid[before:])
    await asyncio.to_thread(site.check)


def assert_one_sentence(ran: Ran, reasons: Sequence[str]) -> None:
    """Check that the disk's refusal ended the run in the way that is promised."""
    assert ran.code == 8, ran
    assert "Traceback" not in ran.err
    [said] = [line for line in ran.err.splitlines() if line.startswith("Error: ")]
    assert any(reason in said for reason in reasons)


@pytest.mark.row(5)
async def test_a_read_only_checkpoint_is_noticed_before_the_first_call(
    tmp_path: Path, score: Callable[[str], None]
) -> None:
    """A new one, and one that was begun."""
    async with FakeService() as service, disk_of("16m", tmp_path) as disk:
        site = Site(tmp_path, service, 20, checkpoint=disk.path)
        assert await disk.do("mount -o remount,ro")
        assert_one_sentence(await site.run(), ["Read-only file system"])
        assert await disk.do("mount -o remount,rw")
        assert not service.calls
        async with site.started(per_s=10) as started:
            await service.calls_reach(3)
            started.process.kill()
        assert await disk.do("mount -o remount,ro")
        before = Counter(call.body for call in service.calls)
        assert_one_sentence(await site.run(), ["Read-only file system"])
        assert Counter(call.body for call in service.calls) == before
        assert await disk.do("mount -o remount,rw")
        await _goes_on(site)
    score("a new and a begun one: exit 8, 0 calls")

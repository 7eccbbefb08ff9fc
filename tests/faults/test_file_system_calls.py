"""Death, or an I/O error, at each call that changes something in a checkpoint."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import pytest

from fake_service import FakeService
from outside import Ran, Site, needs
from semart_vectors.checkpoint.status import read_status
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

CHANGING = (
    "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,"
    "link,unlink,unlinkat,ftruncate,fallocate,mkdir,rmdir,copy_file_range"
)
FAILING = {"write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "fallocate", "unlink", "mkdir"}

STRACE = ("strace", "--follow-forks", "--quiet=all", "--output=strace.log")


class SystemCall(NamedTuple):
    """A call of one thread: the `number`-th of its kind that concerns this path."""

    kind: str
    path: str
    number: int

    def strace(self, fault: str, *, lasts: bool = False) -> list[str]:
        """Return the command under which the fault happens instead of it, and of all after it if it lasts."""
        # With --seccomp-bpf, strace 6.1 injects nothing into threads.
        inject = f"inject={self.kind}:{fault}:when={self.number}{'+' if lasts else ''}"
        return [*STRACE, f"--trace-path={self.path}", f"--trace={self.kind}", "-e", inject]


async def _calls_of(site: Site) -> list[SystemCall]:
    """Run the job once, and list its calls that change what the checkpoint holds."""
    under = [*STRACE, "--decode-fds=path", f"--trace={CHANGING}"]
    ran = await site.run(rows_a_part=4, under=under)
    assert ran.code == 0
    path = re.compile(r"^(\d+) +(\w+)\(.*?[\"<](" + re.escape(str(site.checkpoint)) + r"[^\">]*)(.*)")
    counts: Counter[tuple[str, ...]] = Counter()
    calls: dict[SystemCall, None] = {}
    for line in _log(site).splitlines():
        if (match := path.match(line)) is not None:
            thread, kind, name, rest = match.groups()
            counts[thread, kind, name] += 1
            if kind != "openat" or "O_CREAT" in rest:
                calls[SystemCall(kind, name, counts[thread, kind, name])] = None
    assert len(calls) > 30
    return list(calls)


def _log(site: Site) -> str:
    return (site.folder / "strace.log").read_text()


def _every(calls: list[SystemCall], share: int) -> list[SystemCall]:
    """Return so many of the calls, evenly spread."""
    return [calls[number * len(calls) // share] for number in range(share)]


@pytest.mark.row(2)
@pytest.mark.timeout(1200)
async def test_death_at_a_call_tears_nothing(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """The next plain run finishes, and pays for nothing that was published."""
    needs("strace")
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, 12)
        calls = await _calls_of(site)
        hit = 0
        tried = _every(calls, extent.pick(quick=4, all=len(calls)))
        for call in tried:
            site.start_over()
            ran = await site.run(rows_a_part=4, under=call.strace("signal=SIGKILL"))
            assert ran.code in {0, -signal.SIGKILL}, call
            hit += ran.code != 0
            await _finishes(site)
    assert hit >= 0.9 * len(tried)  # threads take turns as they like: not each run makes each call
    score(f"killed at {hit} of {len(calls)} calls: torn 0")


@pytest.mark.row(2)
async def test_vectors_can_be_read_as_soon_as_they_are_there(
    tmp_path: Path, score: Callable[[str], None]
) -> None:
    """There is no moment at which ``vectors/`` is no table."""
    needs("strace")
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, 12)
        vectors = site.checkpoint / "vectors"
        calls = await _calls_of(site)
        made = next(place for place, call in enumerate(calls) if call.path.startswith(str(vectors)))
        found = 0
        for call in calls[made + 1 : made + 6]:
            site.start_over()
            await site.run(rows_a_part=4, under=call.strace("signal=SIGKILL"))
            if vectors.exists():
                assert pd.read_parquet(vectors)["image_file"].is_unique
                found += 1
        assert found
    score("read at each step of its making")


@pytest.mark.row(4)
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
async def test_an_io_error_is_told_and_nothing_is_called_done_that_is_not(
    tmp_path: Path, extent: Extent, score: Callable[[str], None], *, lasts: bool
) -> None:
    """One sentence and exit 8, or the job goes on; what it says of itself holds for the run after it."""
    needs("strace")
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, 12)
        calls = [call for call in await _calls_of(site) if call.kind in FAILING]
        ended: Counter[int] = Counter()
        tried = _every(calls, extent.pick(quick=2, all=len(calls)))
        for call in tried:
            site.start_over()
            ran = await site.run(rows_a_part=4, under=call.strace("error=EIO", lasts=lasts))
            if "(INJECTED)" in _log(site):
                ended[ran.code] += 1
            _check_words(ran, call)
            said_done = await asyncio.to_thread(_said_done, site)
            report = await _finishes(site)
            assert said_done <= len(site.images) - report, call
    assert ended.total() >= 0.9 * len(tried)
    score(
        f"EIO at {ended.total()} of {len(calls)} calls, {'from then on' if lasts else 'once'}: "
        f"{ended[8]} ended with exit 8, {ended[0]} went on; falsely reported done 0"
    )


def _check_words(ran: Ran, call: SystemCall) -> None:
    assert ran.code in {0, 8}, (call, ran)
    assert "Traceback" not in ran.err, (call, ran)
    if ran.code == 8:
        last = ran.err.splitlines()[-1]
        assert last.startswith("Error: "), (call, ran)
        assert "Input/output error" in last, (call, ran)


def _said_done(site: Site) -> int:
    try:
        return read_status(site.checkpoint).done
    except ConfigurationError:  # it did not come so far as to be one
        return 0


async def _finishes(site: Site) -> int:
    """Let the plain job finish and keep the promise; return how many images it embedded."""
    visible, before = await asyncio.to_thread(site.visible), len(site.service.paid)
    report = await site.run_here()
    assert visible.isdisjoint(site.service.paid[before:])
    assert len(site.service.paid) - before == report.embedded
    await asyncio.to_thread(site.check)
    return report.embedded

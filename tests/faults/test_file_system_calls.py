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
from outside import Site, needs
from semart_vectors.checkpoint.status import read_status
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_line import Ran
    from scorecard import Extent

CHANGING = (
    "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,"
    "link,unlink,unlinkat,ftruncate,fallocate,mkdir,rmdir,copy_file_range"
)
FAILING = {"write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "fallocate", "unlink", "mkdir"}

IMAGES = 12

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


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[SystemCall]:
    """Run the job once, and list its calls that change what a checkpoint holds, with paths within it."""
    needs("strace")
    return asyncio.run(_listed(tmp_path_factory.mktemp("listed")))


async def _listed(folder: Path) -> list[SystemCall]:
    under = [*STRACE, "--seccomp-bpf", "--decode-fds=path", f"--trace={CHANGING}"]
    async with FakeService(latency_s=0.002) as service:
        site = Site(folder, service, IMAGES)
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
    return [call._replace(path=call.path.removeprefix(str(site.checkpoint))) for call in calls]


def _calls_of(site: Site, listed: list[SystemCall]) -> list[SystemCall]:
    """Return the calls as they are made in this checkpoint."""
    return [call._replace(path=f"{site.checkpoint}{call.path}") for call in listed]


def _log(site: Site) -> str:
    return (site.folder / "strace.log").read_text()


def _every(calls: list[SystemCall], share: int) -> list[SystemCall]:
    """Return so many of the calls, evenly spread."""
    return [calls[number * len(calls) // share] for number in range(share)]


def _tries(calls: list[SystemCall], extent: Extent, *, quick: int) -> tuple[list[SystemCall], float]:
    """Return the calls to try, and how many of them must be made.

    Threads take turns as they like, so a run does not make each call. All are tried, and nine of ten are
    made; or some, evenly spread, and then their neighbours until enough of them were made.
    """
    if extent.is_all:
        return calls, 0.9 * len(calls)
    return [call for shift in range(4) for call in _every(calls[shift:], quick)], quick


@pytest.mark.row(2)
@pytest.mark.timeout(1200)
async def test_death_at_a_call_tears_nothing(
    tmp_path: Path, listed: list[SystemCall], extent: Extent, score: Callable[[str], None]
) -> None:
    """The next plain run finishes, and pays for nothing that was published."""
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, IMAGES)
        calls = _calls_of(site, listed)
        hit = 0
        tries, wanted = _tries(calls, extent, quick=3)
        for call in tries:
            if not extent.is_all and hit >= wanted:
                break
            site.start_over()
            ran = await site.run(rows_a_part=4, under=call.strace("signal=SIGKILL"))
            assert ran.code in {0, -signal.SIGKILL}, call
            hit += ran.code != 0
            await _finishes(site)
    assert hit >= wanted
    score(f"killed at {hit} of {len(calls)} calls: torn 0")


@pytest.mark.row(2)
async def test_vectors_can_be_read_as_soon_as_they_are_there(
    tmp_path: Path, listed: list[SystemCall], extent: Extent, score: Callable[[str], None]
) -> None:
    """There is no moment at which ``vectors/`` is no table."""
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, IMAGES)
        vectors = site.checkpoint / "vectors"
        calls = _calls_of(site, listed)
        made = next(place for place, call in enumerate(calls) if call.path.startswith(str(vectors)))
        found = 0
        for call in calls[made + 1 : made + extent.pick(quick=4, all=6)]:
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
    tmp_path: Path, listed: list[SystemCall], extent: Extent, score: Callable[[str], None], *, lasts: bool
) -> None:
    """One sentence and exit 8, or the job goes on; what it says of itself holds for the run after it."""
    async with FakeService(latency_s=0.002) as service:
        site = Site(tmp_path, service, IMAGES)
        calls = [call for call in _calls_of(site, listed) if call.kind in FAILING]
        ended: Counter[int] = Counter()
        tries, wanted = _tries(calls, extent, quick=2)
        for call in tries:
            if not extent.is_all and ended.total() >= wanted:
                break
            site.start_over()
            ran = await site.run(rows_a_part=4, under=call.strace("error=EIO", lasts=lasts))
            if "(INJECTED)" in _log(site):
                ended[ran.code] += 1
            _check_words(ran, call)
            said_done = await asyncio.to_thread(_said_done, site)
            report = await _finishes(site)
            assert said_done <= len(site.images) - report, call
    assert ended.total() >= wanted
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

"""What the pieces of a call cost beside their alternatives: ratios of CPU time, in one run.

    python benchmarks/parts.py [--quick] [--json FILE]

Both of a pair do the same in one process, in turns. The time of an empty loop is subtracted from both, and
the figures are medians over the rounds. The CPU is that of all threads.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import httpx
from aiolimiter import AsyncLimiter

from common import options_parser, write_pictures, write_results
from peers import HEADERS, QUERY
from semart_vectors import SteadyLimiter
from semart_vectors.calls.connection import _OwnClient
from semart_vectors.images.read_image import LoadedImage, load_file
from semart_vectors.streams import reading
from semart_vectors.streams.reading import Reader
from semart_vectors.streams.stop_token import StopToken
from semart_vectors.streams.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAST = 1e9
"""A rate that no loop here reaches, in calls a second."""
SLOW, WAITING = 2000, 200
"""Calls a second, and tasks that wait for them."""
IN_FLIGHT, READERS = 32, 8
BUSY_FROM = reading._BUSY_FROM  # noqa: SLF001 - what is measured is a detail
URL = f"http://127.0.0.1:1{QUERY}"


class Pair(NamedTuple):
    """Two that do the same."""

    ours: str
    other: str
    run_ours: Callable[[int], Awaitable[None]]
    run_other: Callable[[int], Awaitable[None]]
    times: int
    """How often it is done in a round."""


async def answered() -> None:
    """Return at once: the call that is awaited."""


async def nothing(times: int) -> None:
    """Await as often as the others do."""
    for _ in range(times):
        await answered()


async def by_stop_token(times: int) -> None:
    """Shield a call by our stop token."""
    token = StopToken()
    for _ in range(times):
        with token.shielded():
            await answered()


async def by_cancel_scope(times: int) -> None:
    """Shield a call by a cancel scope of anyio."""
    for _ in range(times):
        with anyio.CancelScope(shield=True):
            await answered()


async def by_capacity_limiter(times: int) -> None:
    """Take a slot that is free and give it back, as each call does."""
    slots, call = anyio.CapacityLimiter(IN_FLIGHT), object()
    for _ in range(times):
        slots.acquire_on_behalf_of_nowait(call)
        await answered()
        slots.release_on_behalf_of(call)


async def by_semaphore(times: int) -> None:
    """Do the same with asyncio's semaphore."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    for _ in range(times):
        await slots.acquire()
        await answered()
        slots.release()


def free(make: Callable[[float, float], AsyncLimiter]) -> Callable[[int], Awaitable[None]]:
    """Acquire from a limiter that never makes anybody wait."""

    async def run(times: int) -> None:
        limiter = make(FAST, 1.0)
        for _ in range(times):
            await limiter.acquire()
            await answered()

    return run


def in_line(make: Callable[[float, float], AsyncLimiter]) -> Callable[[int], Awaitable[None]]:
    """Acquire from a limiter in front of which many wait."""

    async def run(times: int) -> None:
        limiter = make(SLOW, 1.0)
        left = iter(range(times))

        async def work() -> None:
            for _ in left:
                await limiter.acquire()

        async with asyncio.TaskGroup() as group:
            for _ in range(WAITING):
                group.create_task(work())

    return run


def small_bucket(rate: float, period_s: float) -> AsyncLimiter:
    """Return aiolimiter's limiter of the same rate without its burst, so that all have to wait."""
    return AsyncLimiter(1 + 0.004 * rate / period_s, (1 + 0.004 * rate / period_s) * period_s / rate)


async def by_looking(times: int) -> None:
    """Check whether anybody listens to the client: nobody does."""
    own = _OwnClient()
    for _ in range(times):
        assert not own.needs_whole_client()
        await answered()


async def by_objects(times: int) -> None:
    """Make the request and the response that the short way leaves out."""
    client = _OwnClient().client
    for _ in range(times):
        request = client.build_request("POST", URL, headers=HEADERS, content=b"")
        httpx.Response(200, headers={"Content-Type": "application/json"}, content=b"", request=request)
        await answered()


def in_workers(
    read: Callable[[str], Awaitable[LoadedImage]], paths: list[str]
) -> Callable[[], Awaitable[None]]:
    """Read all files, as many at a time as there are calls in flight."""

    async def run() -> None:
        left = iter(paths)

        async def work() -> None:
            for path in left:
                assert (await read(path)).data

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())

    return run


def by_reader(paths: list[str], *, waits: bool = True) -> Callable[[int], Awaitable[None]]:
    """Read files as an embedder does: a thread reads for all who asked at that moment, and the loop waits."""

    async def run(_: int) -> None:
        reading._BUSY_FROM = BUSY_FROM if waits else len(paths) + 1  # noqa: SLF001 - as above
        reader = Reader[str, LoadedImage](load_file, threads=READERS)
        await in_workers(reader.read, paths)()
        reader.close()

    return run


def by_visits(paths: list[str]) -> Callable[[int], Awaitable[None]]:
    """Visit a thread for each file."""

    async def run(_: int) -> None:
        with ThreadPoolExecutor(READERS) as threads:
            await in_workers(lambda path: in_thread(threads, load_file, path), paths)()

    return run


async def cpu_us(run: Callable[[int], Awaitable[None]], times: int) -> float:
    """Return the CPU time of a run, divided by `times`."""
    begun_s = time.process_time()
    await run(times)
    return 1e6 * (time.process_time() - begun_s) / times


async def measure(pair: Pair, rounds: int) -> dict[str, Any]:
    """Measure a pair in turns."""
    own_us, other_us = [], []
    for _ in range(rounds):
        empty_us = await cpu_us(nothing, pair.times)
        own_us.append(await cpu_us(pair.run_ours, pair.times) - empty_us)
        other_us.append(await cpu_us(pair.run_other, pair.times) - empty_us)
    result = {
        "ours": pair.ours,
        "other": pair.other,
        "ours_us": median(own_us),
        "other_us": median(other_us),
        "ratio": median(other / max(own, 1e-6) for own, other in zip(own_us, other_us, strict=True)),
    }
    print(
        f"{pair.ours:42}{result['ours_us']:8.2f} µs  {pair.other:48}{result['other_us']:8.2f} µs"
        f"{result['ratio']:8.1f} x",
        file=sys.stderr,
    )
    return result


def pairs(paths: list[str], times: int) -> list[Pair]:
    """Return what is measured."""
    return [
        Pair(
            *("`StopToken.shielded()`", "`anyio.CancelScope(shield=True)`", by_stop_token, by_cancel_scope),
            times=times,
        ),
        Pair(
            *("`anyio.CapacityLimiter`, a free slot", "`asyncio.Semaphore`"),
            *(by_capacity_limiter, by_semaphore),
            times=times,
        ),
        Pair(
            *("`SteadyLimiter.acquire`, nobody waits", "`AsyncLimiter.acquire`"),
            *(free(SteadyLimiter), free(AsyncLimiter)),
            times=times,
        ),
        Pair(
            *(f"`SteadyLimiter.acquire`, {WAITING} wait", "`AsyncLimiter.acquire`"),
            *(in_line(SteadyLimiter), in_line(small_bucket)),
            times=math.ceil(times / 20),
        ),
        Pair(
            *("a look whether anybody listens", "httpx's `Request` and `Response`"),
            *(by_looking, by_objects),
            times=times // 5,
        ),
        Pair(
            *("`Reader.read`, 32 ask at once", "a thread's visit for each file"),
            *(by_reader(paths), by_visits(paths)),
            times=len(paths),
        ),
        Pair(
            *("`Reader.read`, 32 ask at once", "the same without the loop's wait"),
            *(by_reader(paths), by_reader(paths, waits=False)),
            times=len(paths),
        ),
    ]


async def measure_all(paths: list[str], *, quick: bool) -> list[dict[str, Any]]:
    """Measure one pair after the other."""
    rounds, times = (3, 5_000) if quick else (11, 20_000)
    return [await measure(pair, rounds) for pair in pairs(paths, times)]


def main() -> None:
    """Measure all, and print a line for each pair."""
    options = options_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "images")
        write_pictures(folder, 500 if options.quick else 2_000)
        paths = sorted(str(path) for path in folder.iterdir())
        results = asyncio.run(measure_all(paths, quick=options.quick))
    write_results(results, options.json)


if __name__ == "__main__":
    main()

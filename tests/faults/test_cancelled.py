"""Row 19: tasks are cancelled at any moment, and leave nothing behind but what was paid for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from fake_service import FakeService, Reply
from helpers import QUICK, jpeg, make_images
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.job import plan_job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scorecard import Extent

IN_FLIGHT = 6
JOB_IMAGES = 40
PICTURES = [jpeg(number) for number in range(40)]

chance = random.Random(19)  # noqa: S311 - chance that can be repeated, no secret


async def cancel_at_random(work: Callable[[], Awaitable[object]], within_s: float = 0.03) -> bool:
    """Do some work in a task, cancel it at a random moment, and return whether that was before its end."""

    async def task() -> None:
        await work()

    async with asyncio.TaskGroup() as group:
        working = group.create_task(task())
        if chance.random() < 0.5:
            for _ in range(chance.randint(0, 60)):  # turns of the loop
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(chance.uniform(0, within_s))
        working.cancel()
        await asyncio.wait([working])
    return working.cancelled()


def tasks_left() -> list[asyncio.Task[object]]:
    """Return the tasks there are, but for this one and the service's."""
    return [
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and "FakeService" not in repr(task.get_coro())
    ]


def files_open() -> Counter[str]:
    """Name what this process has open, sockets among them."""
    names: Counter[str] = Counter()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them
            names[str(file.readlink())] += 1
    return names


async def connections_fall_to(service: FakeService, most: int) -> None:
    """Wait until the service, too, has noticed which connections were closed."""
    async with asyncio.timeout(60):
        while len(service._connections) > most:  # noqa: ASYNC110 - it does not tell
            await asyncio.sleep(0.005)


def open_embedder(service: FakeService, client: httpx.AsyncClient | None) -> AsyncVisionEmbedder:
    """Make an embedder without a pace, and quick to try again."""
    return AsyncVisionEmbedder(
        service.endpoint,
        "k",
        requests_per_second=None,
        max_in_flight=IN_FLIGHT,
        retry=QUICK,
        http_client=client,
    )


async def stream(embedder: AsyncVisionEmbedder) -> None:
    """Take all outcomes of a stream."""
    async with embedder.stream_images(PICTURES[:20]) as outcomes:
        async for _ in outcomes:
            pass


class Jobs:
    """Jobs of which each goes on with what the one before it left."""

    def __init__(self, folder: Path) -> None:
        make_images(folder / "images", JOB_IMAGES, first=1000)
        self._folder, self._number = folder, 0
        self._paid: Counter[bytes] = Counter()
        self.kept = 0

    async def run(self, embedder: AsyncVisionEmbedder) -> None:
        """Go on, and begin anew when all is done."""
        job = EmbeddingJob(embedder, self._folder / "images", checkpoint=self._checkpoint, progress=False)
        await job.run()

    async def check(self, paid: list[bytes]) -> None:
        """Check that what was just paid for is kept, and was not paid for before."""
        self._paid.update(paid)
        assert max(self._paid.values(), default=1) == 1
        plan = await plan_job(self._folder / "images", checkpoint=self._checkpoint)
        assert (plan.already_done, plan.failed) == (len(self._paid), 0)
        self.kept += len(paid)
        if not plan.to_do:
            self._number += 1
            self._paid.clear()

    @property
    def _checkpoint(self) -> Path:
        return self._folder / f"checkpoint {self._number}"


@pytest.mark.row(19)
@pytest.mark.parametrize("way", ["our connections", "a caller's client"])
async def test_whoever_is_cancelled_leaves_nothing_behind(
    tmp_path: Path, extent: Extent, score: Callable[[str], None], way: str
) -> None:
    """No slot, no task, no connection, no file; and a job keeps every vector that was paid for."""
    jobs = Jobs(tmp_path)
    cancelled = 0
    async with FakeService() as service:
        before = files_open()
        async with AsyncExitStack() as opened:
            client = None
            if way != "our connections":
                client = await opened.enter_async_context(httpx.AsyncClient())
            embedder = await opened.enter_async_context(open_embedder(service, client))
            for _ in range(extent.pick(quick=30, all=500)):
                service.latency_s = chance.choice([0, 0.001, 0.004])
                kind = chance.choice(["image", "images", "stream", "job"])
                paid_before = len(service.paid)
                work: dict[str, Callable[[], Awaitable[object]]] = {
                    "image": partial(embedder.embed_image, PICTURES[0]),
                    "images": partial(embedder.embed_images, PICTURES),
                    "stream": partial(stream, embedder),
                    "job": partial(jobs.run, embedder),
                }
                cancelled += await cancel_at_random(work[kind], 0.15 if kind == "job" else 0.03)
                assert tasks_left() == []
                if kind == "job":
                    await jobs.check(service.paid[paid_before:])
                async with asyncio.timeout(60):
                    batch = await embedder.embed_images(PICTURES[:IN_FLIGHT])
                batch.raise_for_failures()
            await connections_fall_to(service, IN_FLIGHT)
            service.answer = lambda _: Reply(hang=True)  # all slots are there, at the same time
            calls = len(service.calls)
            async with asyncio.TaskGroup() as group:
                filling = group.create_task(embedder.embed_images(PICTURES))
                await service.calls_reach(calls + IN_FLIGHT)
                filling.cancel()
        await connections_fall_to(service, 0)
        for _ in range(10):  # a transport closes its socket in a turn of the loop after it is gone
            await asyncio.sleep(0)
        assert files_open() - before == Counter()
    assert jobs.kept
    score(f"{cancelled} cancelled on {way}: left 0, {jobs.kept:,} of {jobs.kept:,} vectors of jobs kept")


@pytest.mark.row(19)
async def test_an_iteration_that_is_cancelled_loses_nothing(
    embedder: AsyncVisionEmbedder, service: FakeService, extent: Extent, score: Callable[[str], None]
) -> None:
    """Whoever takes it up again gets every outcome, each once."""
    service.latency_s = 0.002
    interrupted = taken = 0
    while interrupted < extent.pick(quick=40, all=400):
        seen: Counter[object] = Counter()
        async with embedder.stream_images(PICTURES) as outcomes:
            while sum(seen.values()) < len(PICTURES):
                try:
                    async with asyncio.timeout(chance.uniform(0, 0.001)):
                        seen[(await anext(outcomes)).source] += 1
                except TimeoutError:
                    interrupted += 1
        assert seen == Counter(PICTURES)
        taken += len(PICTURES)
    score(f"{interrupted} times in an iteration: 0 of {taken:,} outcomes lost")


@pytest.mark.row(19)
async def test_a_callers_client_with_few_connections_keeps_them(
    service: FakeService, extent: Extent, score: Callable[[str], None]
) -> None:
    """More calls than connections wait for one; what httpx alone loses of its own is only told."""
    connections, rounds = 3, extent.pick(quick=25, all=600)
    service.latency_s = 0.003
    limits = httpx.Limits(max_connections=connections)
    timeout = httpx.Timeout(30, pool=extent.pick(quick=30, all=1))
    async with (
        httpx.AsyncClient(limits=limits, timeout=timeout) as client,
        open_embedder(service, client) as embedder,
    ):
        for _ in range(rounds):
            await cancel_at_random(partial(embedder.embed_images, PICTURES))
        (await embedder.embed_images(PICTURES)).raise_for_failures()
        await connections_fall_to(service, connections)
    await connections_fall_to(service, 0)
    async with httpx.AsyncClient() as client:
        for _ in range(rounds):
            await cancel_at_random(partial(all_at_once, client, service))
        await client.get(service.endpoint)
        bare = len(service._connections)
    score(
        f"a client with {connections} connections kept them over {rounds} cancellations, while httpx alone, "
        f"called {IN_FLIGHT} times at once, had left {bare} open"
    )


async def all_at_once(client: httpx.AsyncClient, service: FakeService) -> None:
    """Call a service with nothing of ours between."""
    async with asyncio.TaskGroup() as group:
        for picture in PICTURES[:IN_FLIGHT]:
            group.create_task(client.post(service.endpoint, content=picture))

"""Who shares a limiter keeps to one rate, and is paused by a 429 to any: on the virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from aiolimiter import AsyncLimiter

from fake_service import Call, good_reply
from helpers import jpeg
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.calls.limiter import SteadyLimiter
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LATENCY_S, PAUSE_S = 0.2, 10.0


class Service(httpx.AsyncClient):
    """A client whose service refuses one call, and answers all others; and when each was sent."""

    def __init__(self, *, refuses: int) -> None:
        super().__init__(transport=httpx.MockTransport(self._answer))
        self.sent_s: list[float] = []
        self._refuses = refuses

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent_s.append(asyncio.get_running_loop().time())
        is_refused = len(self.sent_s) == self._refuses
        await asyncio.sleep(LATENCY_S)
        if is_refused:
            return httpx.Response(429, headers={"retry-after": str(PAUSE_S)})
        return httpx.Response(200, content=good_reply(Call(0, "/", {}, request.content)).body)


def embedder_on(service: Service, limiter: AsyncLimiter) -> AsyncVisionEmbedder:
    """Make an embedder whose calls go to a service."""
    return AsyncVisionEmbedder("https://a.example", "k", limiter=limiter, http_client=service)


async def all_at_once(*work: Callable[[], Awaitable[object]]) -> None:
    """Do several things at the same time."""

    async def do(each: Callable[[], Awaitable[object]]) -> None:
        await each()

    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(do(each))


@pytest.mark.parametrize("limiter", [SteadyLimiter(20), AsyncLimiter(5, 0.25)], ids=["steady", "plain"])
def test_a_429_pauses_all_who_share_an_embedder(limiter: AsyncLimiter) -> None:
    """What was sent before the answer came is under way; nothing more goes out before the pause ends."""

    async def run() -> list[float]:
        service = Service(refuses=3)
        async with service, embedder_on(service, limiter) as embedder:
            batch = await embedder.embed_images(jpeg(number) for number in range(40))
            await all_at_once(*[lambda: embedder.embed_text("a ship")] * 3)
        assert len(batch.sources) == 40
        return service.sent_s

    sent_s = run_virtual(run())
    answered_s = sent_s[2] + LATENCY_S
    assert [time for time in sent_s if answered_s + 1e-3 < time < answered_s + PAUSE_S] == []
    assert len(sent_s) == 44


def test_embedders_and_ones_own_calls_share_one_rate_and_its_pauses() -> None:
    """Two models of one resource, and code of the caller's: a 429 to one of them is for all."""

    async def run() -> tuple[list[float], float]:
        limiter, service, own_s = SteadyLimiter(20), Service(refuses=5), list[float]()
        loop = asyncio.get_running_loop()

        async def own_calls() -> None:
            for _ in range(40):
                async with limiter:
                    own_s.append(loop.time())

        async with service, embedder_on(service, limiter) as one, embedder_on(service, limiter) as other:
            await all_at_once(
                lambda: one.embed_images(jpeg(number) for number in range(40)),
                lambda: other.embed_images(jpeg(number) for number in range(40)),
                own_calls,
            )
        return sorted(service.sent_s + own_s), service.sent_s[4] + LATENCY_S

    times, answered_s = run_virtual(run())
    assert len(times) == 121
    assert min(later - first for first, later in zip(times, times[20:], strict=False)) > 1
    assert [time for time in times if answered_s + 1e-3 < time < answered_s + PAUSE_S] == []


def test_a_pause_of_ones_own_code_stops_an_embedder() -> None:
    """Who is refused elsewhere says so to the limiter."""

    async def run() -> float:
        limiter, service = SteadyLimiter(20), Service(refuses=0)
        async with service, embedder_on(service, limiter) as embedder:
            limiter.pause(30)
            await embedder.embed_image(jpeg(1))
        return service.sent_s[0]

    assert run_virtual(run()) >= 30


def test_a_plain_limiter_is_paused_for_the_embedders_own_calls_alone() -> None:
    """Whoever else uses it goes on."""

    async def run() -> tuple[list[float], float]:
        limiter, service = AsyncLimiter(1000, 1), Service(refuses=1)
        async with service, embedder_on(service, limiter) as embedder, asyncio.TaskGroup() as group:
            group.create_task(embedder.embed_image(jpeg(1)))
            await asyncio.sleep(1)
            await limiter.acquire()
            other_s = asyncio.get_running_loop().time()
        return service.sent_s, other_s

    (first_s, second_s), other_s = run_virtual(run())
    assert second_s >= first_s + LATENCY_S + PAUSE_S
    assert other_s < 1.1

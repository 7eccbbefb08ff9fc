"""Row 10: whatever a 429 says of how long to wait, nobody crashes and nobody is early."""

from __future__ import annotations

import asyncio
import random
from itertools import product
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
CAP_S = 120.0

NUMBERS: dict[str, float | None] = {
    "1": 1, "0": 0, " 7 ": 7, "12345678901234567890123": 12345678901234567890123.0, "-5": None, "1.5": 1.5,
    "inf": None, "nan": None, "1e9": 1e9, "abc": None, "": None, "10, 20": None,
}  # fmt: skip  # as the facts list them
DATES: dict[str, float | None] = {
    "Sun, 06 Nov 1994 08:50:37 GMT": 60,
    "Sun, 06 Nov 1994 08:49:36 GMT": None,
    "Mon, 06 Nov 1994 08:50:37 GMT": 60,  # the wrong weekday
    "Sun, 06 Nov 100000 08:49:37 GMT": None,
    "Sunday, 06-Nov-94 08:50:37 GMT": 60,
}
VALUES = NUMBERS | DATES
WAYS = ("Retry-After", "retry-after-ms", "x-ms-retry-after-ms", "words")


def asked_s(way: str, value: str) -> float:
    """Return the seconds that the rule gives, 0 where a value is to be ignored."""
    seconds = VALUES[value] if way == "Retry-After" else NUMBERS.get(value)
    return min(CAP_S, (seconds or 0.0) / (1000 if way.endswith("ms") else 1))


def too_fast(way: str, value: str) -> Reply:
    """Answer 429 with a value in one of the places where it may stand."""
    if way == "words":
        return error_reply(429, f"Please retry after {value.strip()} seconds. Please contact us.", date=NOW)
    reply = error_reply(429, "Please slow down.", date=NOW)
    return Reply(reply.status, reply.body, {**reply.headers, way: value})


class Ledger:
    """A service on a virtual clock that refuses some calls, and counts those that come in spite of it."""

    def __init__(self, refused: dict[int, tuple[str, str]], chance: random.Random) -> None:
        self.calls = self.early = 0
        self._refused, self._chance, self._not_before_s = refused, chance, 0.0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        clock = asyncio.get_running_loop().time
        self.early += clock() < self._not_before_s - 1e-9
        self.calls += 1
        refusal = self._refused.get(self.calls)
        await asyncio.sleep(self._chance.uniform(0.01, 0.8))
        if refusal is None:
            reply = good_reply(Call(0.0, "", {}, await request.aread()))
        else:
            reply = too_fast(*refusal)
            self._not_before_s = max(self._not_before_s, clock() + asked_s(*refusal))
        return httpx.Response(reply.status, content=reply.body, headers=dict(reply.headers))


async def share_one_embedder(ledger: Ledger, **options: Any) -> None:
    """Let tasks of every kind send at the same time, until all have their vectors."""

    async def stream(embedder: AsyncVisionEmbedder) -> None:
        async with embedder.stream_images([jpeg(number) for number in range(5)]) as outcomes:
            assert not [outcome async for outcome in outcomes if not hasattr(outcome, "vector")]

    async def batch(embedder: AsyncVisionEmbedder) -> None:
        (await embedder.embed_images([jpeg(number) for number in range(5)])).raise_for_failures()

    client = httpx.AsyncClient(transport=httpx.MockTransport(ledger.answer))
    async with (
        client,
        AsyncVisionEmbedder("https://a.example", "k", http_client=client, **options) as embedder,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(stream(embedder))
        group.create_task(batch(embedder))
        group.create_task(embedder.embed_image(jpeg(9)))
        group.create_task(embedder.embed_text("a ship"))


@pytest.mark.row(10)
def test_nobody_who_shares_an_embedder_is_early(extent: Extent, score: Callable[[str], None]) -> None:
    """Each value in each place, to first attempts and to retries, with shorter pauses asked for meanwhile."""
    chance = random.Random(10)  # noqa: S311 - chance that can be repeated, no secret
    refusals = calls = 0
    for _, (way, value), rate in product(
        range(extent.pick(quick=1, all=15)), product(WAYS, VALUES), (10.0, None)
    ):
        refused = dict.fromkeys(chance.sample(range(1, 12), 3), (way, value))
        refused |= dict.fromkeys(chance.sample(range(12, 16), 2), (way, value))
        refused[chance.randint(1, 12)] = ("Retry-After", "1")
        ledger = Ledger(refused, chance)
        run_virtual(share_one_embedder(ledger, requests_per_second=rate, max_in_flight=6))
        assert ledger.early == 0, (way, value, rate)
        assert ledger.calls == 12 + len(refused)
        refusals, calls = refusals + len(refused), calls + ledger.calls
    score(f"0 early of {calls:,} calls, {refusals:,} of them refused in {len(WAYS)} × {len(VALUES)} ways")


@pytest.mark.row(10)
async def test_nobody_is_early_on_real_sockets(score: Callable[[str], None]) -> None:
    """Calls that are asked for while the pause lasts wait for its end, on both kinds of connections."""
    refusals = [
        (error_reply(429, retry_after="0.5"), 0.5),
        (error_reply(429, retry_after_ms="500"), 0.5),
        (error_reply(429, x_ms_retry_after_ms="500"), 0.5),
        (error_reply(429, "Please retry after 1 second."), 1.0),
        (error_reply(429, date=NOW, retry_after=NOW.replace(":37", ":38")), 1.0),
    ]

    async def pause(refusal: Reply, seconds: float, client: httpx.AsyncClient | None) -> int:
        async with (
            FakeService() as service,
            AsyncVisionEmbedder(
                service.endpoint, "k", requests_per_second=None, retry=QUICK, http_client=client
            ) as embedder,
            asyncio.TaskGroup() as group,
        ):
            service.script.append(refusal)
            group.create_task(embedder.embed_image(jpeg(0)))
            while embedder.limiter.has_capacity():  # noqa: ASYNC110 - until the refusal has been read
                await asyncio.sleep(0)
            await embedder.embed_images(jpeg(number) for number in range(1, 20))
        refused, *later = service.calls
        assert len(later) == 20
        assert min(call.arrived_s for call in later) >= refused.arrived_s + seconds
        return len(service.calls)

    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        runs = [
            group.create_task(pause(refusal, seconds, way))
            for refusal, seconds in refusals
            for way in (None, client)
        ]
    score(f"none of {sum(run.result() for run in runs)} on real sockets")

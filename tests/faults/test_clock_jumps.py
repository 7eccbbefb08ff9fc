"""Row 24: the wall clock jumps, and no call is sent earlier or later for it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
import time_machine

from fake_service import Call, good_reply
from helpers import jpeg, make_images
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, RetryPolicy
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC).timestamp()  # a minute before many clocks are changed
HOUR_S = 3600.0
JUMPS_S = (HOUR_S, -HOUR_S, 24 * HOUR_S, -24 * HOUR_S, 87_600 * HOUR_S, -87_600 * HOUR_S, 0.5, -0.5, 59, -59)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
ATTEMPT_S = 7.0


class Service:
    """A service on a virtual clock: too fast, busy and hung now and then; the wall clock jumps meanwhile."""

    def __init__(self, seed: int, jumps: dict[int, float], clock: time_machine.Traveller) -> None:
        self.sent_s: list[float] = []
        self._chance, self._jumps, self._clock = random.Random(seed), jumps, clock  # noqa: S311 - no secret
        self._faults: dict[int, Callable[[], httpx.Response]] = {
            11: lambda: httpx.Response(429, headers={"retry-after": "30"}),
            29: lambda: httpx.Response(
                429, headers={"retry-after": DATE.replace(":37", ":57"), "date": DATE}
            ),
            47: lambda: httpx.Response(429),
            60: lambda: httpx.Response(503),
            75: lambda: httpx.Response(429, headers={"retry-after-ms": "2500"}),
        }

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.sent_s.append(asyncio.get_running_loop().time())
        number = len(self.sent_s)
        if number in self._jumps:
            self._clock.shift(self._jumps[number])
        if number == 66:
            await asyncio.sleep(HOUR_S)  # until the attempt's time is over
        await asyncio.sleep(self._chance.uniform(0.1, 0.6))
        if number in self._faults:
            return self._faults[number]()
        return httpx.Response(200, content=good_reply(Call(0.0, "", {}, await request.aread())).body)


def times_of_calls(seed: int, jumps: dict[int, float]) -> list[float]:
    """Return when calls were sent, in seconds on a clock that only goes on."""

    async def run(service: Service) -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(service.answer))
        retry = RetryPolicy(attempt_timeout_s=ATTEMPT_S)
        async with (
            client,
            AsyncVisionEmbedder("https://a.example", "k", http_client=client, retry=retry) as embedder,
        ):
            (await embedder.embed_images([jpeg(number) for number in range(90)])).raise_for_failures()

    with time_machine.travel(START) as clock:
        service = Service(seed, jumps, clock)
        random.seed(seed)
        run_virtual(run(service))
    return service.sent_s


@pytest.mark.row(24)
def test_calls_are_sent_when_they_would_be_without_jumps(
    extent: Extent, score: Callable[[str], None]
) -> None:
    """Pace, pauses, waits and limits of attempts: the same times, to the microsecond."""
    calls = jumped = 0
    for seed in range(extent.pick(quick=5, all=100)):
        chance = random.Random(seed)  # noqa: S311 - no secret
        expected = times_of_calls(seed, {})
        assert len(expected) == 96
        assert expected[-1] > 9 + 30 + 20 + 2.5  # the pace and the pauses that were asked for
        jumps = {chance.randint(1, 96): jump for jump in JUMPS_S}
        assert times_of_calls(seed, jumps) == pytest.approx(expected, abs=1e-6)
        calls, jumped = calls + len(expected), jumped + len(jumps)
    score(f"{calls:,} of {calls:,} calls at the same microsecond, with {jumped} jumps of up to ± 10 years")


@pytest.mark.row(24)
def test_a_clock_that_was_set_between_runs_holds_nobody_up_for_long(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """The note of the last run's pace is believed for two minutes at most, and not at all once it is past."""
    pause_s = 100.0

    async def run(folder: Path, refuse: int) -> list[float]:
        sent_s: list[float] = []

        async def answer(request: httpx.Request) -> httpx.Response:
            sent_s.append(asyncio.get_running_loop().time())
            if len(sent_s) == refuse:
                return httpx.Response(429, headers={"retry-after": str(pause_s)})
            if refuse and len(sent_s) > 1:
                return httpx.Response(401)
            return httpx.Response(200, content=good_reply(Call(0.0, "", {}, await request.aread())).body)

        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with client, AsyncVisionEmbedder("https://a.example", "k", http_client=client) as embedder:
            job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=folder, progress=False)
            running = asyncio.current_task()
            assert running is not None
            if refuse:  # stop in the pause
                asyncio.get_running_loop().call_later(0.5, running.cancel)
            await job.run()
        return sent_s

    make_images(tmp_path / "images", 3)
    waits: dict[float, float] = {}
    jumps = extent.pick(quick=JUMPS_S[:4], all=JUMPS_S)
    for jump_s in (0.0, *jumps):
        folder = tmp_path / f"checkpoint {jump_s}"
        with time_machine.travel(START, tick=False) as clock:
            with pytest.raises(asyncio.CancelledError):
                run_virtual(run(folder, refuse=1))
            clock.shift(jump_s)
            waits[jump_s] = run_virtual(run(folder, refuse=0))[0]
    for jump_s, wait_s in waits.items():
        expected_s = min(120.0, max(0.0, waits[0.0] - jump_s))
        assert wait_s == pytest.approx(expected_s, abs=0.01), jump_s
    assert waits[0.0] == pytest.approx(pause_s, abs=1)
    score(f"the next run waits {max(waits.values()):.0f} s at most after {len(jumps)} jumps between runs")

"""The limiter: its rate against three judges, and its pauses, on a clock of its own."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from aiolimiter import AsyncLimiter

from semart_vectors.calls.limiter import PausableLimiter, SteadyLimiter, limiter_for
from semart_vectors.emulator.rate_limit import LIMITS
from semart_vectors.errors import ConfigurationError
from virtual_clock import run_virtual
from virtual_service import drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from semart_vectors.emulator.rate_limit import LimitKind

A_MINUTE_20 = 20 / 60
RATES = (A_MINUTE_20, 1, 10, 20, 30, 300, 1000)


def stated(rate: float) -> tuple[int, float]:
    """Return the limit and the period in seconds in which the service states a rate."""
    return (round(60 * rate), 60.0) if rate < 1 else (int(rate), 1.0)


def sliding_window_refuses(times: list[float], limit: int, period_s: float) -> int:
    """Count the calls that come when `limit` others lie less than a period back."""
    return sum(later - first < period_s - 1e-9 for first, later in zip(times, times[limit:], strict=False))


def fixed_window_refuses(times: list[float], limit: int, period_s: float) -> int:
    """Count the calls beyond the limit in windows that begin at any of ten phases."""
    worst = 0
    for phase in range(10):
        seen: dict[int, int] = {}
        for time in times:
            window = math.floor(time / period_s + phase / 10)
            seen[window] = seen.get(window, 0) + 1
        worst = max(worst, *(count - limit for count in seen.values()))
    return worst


def token_bucket_refuses(times: list[float], limit: int, period_s: float) -> int:
    """Count the calls that find a bucket of `limit` tokens, refilled at the rate, empty."""
    tokens, before, refused = float(limit), times[0], 0
    for time in times:
        tokens = min(limit, tokens + (time - before) * limit / period_s)
        before = time
        refused += tokens < 1
        tokens -= tokens >= 1
    return refused


async def passed_at(limiter: SteadyLimiter) -> float:
    """Acquire a limiter, and return when that was."""
    await limiter.acquire()
    return asyncio.get_running_loop().time()


async def passes(limiter: SteadyLimiter, count: int, *, tasks: int = 16) -> list[float]:
    """Let `tasks` tasks together acquire a limiter `count` times, and return when each passed."""
    loop, times = asyncio.get_running_loop(), list[float]()

    async def go() -> None:
        while len(times) < count:
            await limiter.acquire()
            times.append(loop.time())

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(go())
    return times


def steady(rate: float | None) -> SteadyLimiter:
    """Return the limiter of an embedder for so many calls a second."""
    limiter = limiter_for(None, rate, None)
    assert isinstance(limiter, SteadyLimiter)
    return limiter


def late(seed: int) -> Callable[[], float]:
    """Return timers' lateness, up to two milliseconds, in seconds."""
    generator = random.Random(seed)  # noqa: S311 - lateness is no secret
    return lambda: generator.uniform(0, 0.002)


@pytest.mark.parametrize("lateness", [lambda: 0.0, late(1), late(2)], ids=["exact", "late", "late again"])
@pytest.mark.parametrize("rate", RATES)
def test_no_window_sees_more_than_the_limit_and_the_limit_is_used(
    rate: float, lateness: Callable[[], float]
) -> None:
    """Three kinds of rate limits refuse nothing, and at least 99 % of what they allow is used."""
    limit, period_s = stated(rate)
    times = run_virtual(passes(steady(rate), limit * 6 + 60), lateness=lateness)
    assert sliding_window_refuses(times, limit, period_s) == 0
    assert fixed_window_refuses(times, limit, period_s) <= 0
    assert token_bucket_refuses(times, limit, period_s) == 0
    settled = [time for time in times if time > times[0] + 2.2]  # after the softer start
    assert (len(settled) - 1) / (settled[-1] - settled[0]) >= 0.99 * rate


@pytest.mark.parametrize("kind", list(LIMITS))
@pytest.mark.parametrize("rate", RATES)
def test_a_service_refuses_nothing_and_its_limit_is_used(rate: float, kind: LimitKind) -> None:
    """With connections to open, answers that take 0.4 s, and calls not equally long on their way."""
    seconds = 14.0 if rate >= 300 else 30.0 if rate >= 1 else 600.0
    ledger = drive(steady(rate), kind, {0: rate}, seconds, tasks=round(rate * 0.6) + 16)
    assert ledger.refused == []
    settled = [time for time in ledger.accepted if time > 2.5]
    assert (len(settled) - 1) / (settled[-1] - settled[0]) >= 0.99 * rate


def test_a_bad_network_costs_few_refusals() -> None:
    """Calls that are longer on their way by more than is spared make the limiter spare more."""
    ledger = drive(steady(10), "sliding", {0: 10}, 120, tasks=20, jitter_s=0.006)
    assert ledger.refusals() <= 6
    assert ledger.share(10, 10, 120) > 0.9


def test_the_judges_notice_a_burst() -> None:
    """A limiter that lets twice the rate through for a second is found out by each of them."""
    times = [number / 20 for number in range(60)]
    assert sliding_window_refuses(times, 10, 1.0) > 0
    assert fixed_window_refuses(times, 10, 1.0) > 0
    assert token_bucket_refuses(times, 10, 1.0) > 0


def test_twenty_a_minute_are_no_more_in_the_first_minute() -> None:
    """The free tier's first minute holds no burst on top."""
    times = run_virtual(passes(steady(A_MINUTE_20), 60))
    assert 19 <= sum(time < times[0] + 60 for time in times) <= 20


@pytest.mark.parametrize("rate", [10, 20, 30, 300])
def test_the_first_second_is_softer(rate: float) -> None:
    """The first calls open connections and arrive late: the next must not catch up."""
    times = run_virtual(passes(steady(rate), int(rate) * 2))
    assert 0.85 * rate <= sum(time < times[0] + 1 for time in times) <= 0.92 * rate + 1
    assert times[1] - times[0] > 1.05 / rate


@pytest.mark.parametrize("rate", [*RATES, None])
def test_a_pause_stops_everybody(rate: float | None) -> None:
    """Nobody passes before its end, neither those who wait already nor those who come."""

    async def story() -> float:
        limiter = steady(rate)
        await limiter.acquire()
        limiter.pause(30)
        return min(await passes(limiter, 16))

    assert 30 <= run_virtual(story()) <= 30.01 + 2 / (rate or math.inf)


def test_a_shorter_pause_never_ends_a_longer_one() -> None:
    """Of several pauses the one with the latest end holds, whichever was asked for last."""

    async def story() -> float:
        limiter = steady(None)
        for seconds in (5, 20, 1):
            limiter.pause(seconds)
        return min(await passes(limiter, 4))

    assert run_virtual(story()) == pytest.approx(20, abs=0.01)


def test_a_pause_that_grows_holds_those_who_wait_already() -> None:
    """Who sleeps through a pause looks again before passing."""

    async def story() -> float:
        limiter, loop = steady(None), asyncio.get_running_loop()
        limiter.pause(2)
        loop.call_later(1, limiter.pause, 9)
        return min(await passes(limiter, 4))

    assert run_virtual(story()) == pytest.approx(10, abs=0.01)


def test_a_cancelled_waiter_never_ends_a_pause() -> None:
    """The pause belongs to the limiter, not to who waits in it."""

    async def story() -> float:
        limiter = steady(10)
        limiter.pause(20)
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                await limiter.acquire()
        return min(await passes(limiter, 4))

    assert run_virtual(story()) >= 20


@pytest.mark.parametrize("rate", [1, 10, 300])
def test_cancelled_waiters_hold_nobody_up(rate: float) -> None:
    """Those who wait behind a cancelled one still pass at the rate."""

    async def story() -> list[float]:
        limiter = steady(rate)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(limiter.acquire()) for _ in range(50)]
            await asyncio.sleep(1.5 / rate)
            for task in waiting[::2]:
                task.cancel()
        return await passes(limiter, 30)

    sixteen_at_once = 16
    soft_s = 0.2 + 0.2 / rate
    assert run_virtual(story())[-1] <= (26 + 30 + sixteen_at_once) / (0.99 * rate) + soft_s


def test_who_is_cancelled_when_let_through_hands_on_the_slot() -> None:
    """Nobody waits a step longer because another's call was cancelled at the last moment."""

    async def story() -> float:
        limiter, loop = steady(1), asyncio.get_running_loop()
        await limiter.acquire()
        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(passed_at(limiter)) for _ in range(2))
            await asyncio.sleep(0)
            # Runs in the turn of the loop that lets the first through, right after that.
            loop.call_at(loop.time() + limiter.seconds_until_free() + 1e-6, first.cancel)
        assert first.cancelled()
        return second.result()

    assert run_virtual(story(), lateness=lambda: 0.001) == pytest.approx(1.11, abs=0.01)


def test_no_slot_is_handed_on_into_a_pause() -> None:
    """Cancelled at the last moment, and a 429 came in the same turn of the loop: all wait."""

    async def story() -> float:
        limiter, loop = steady(1), asyncio.get_running_loop()
        await limiter.acquire()
        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(passed_at(limiter)) for _ in range(2))
            await asyncio.sleep(0)
            let_through_at = loop.time() + limiter.seconds_until_free() + 1e-6
            loop.call_at(let_through_at, first.cancel)
            loop.call_at(let_through_at, limiter.pause, 30)
        return second.result()

    assert run_virtual(story(), lateness=lambda: 0.001) > 30


def test_all_may_be_cancelled() -> None:
    """The limiter serves whoever comes next."""

    async def story() -> float:
        limiter = steady(1)
        await limiter.acquire()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2), asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(limiter.acquire())
        assert not limiter._line
        await asyncio.sleep(5)
        return await passed_at(limiter)

    assert run_virtual(story()) == pytest.approx(5.2, abs=0.01)


@pytest.mark.parametrize("rate", [10, None])
def test_who_finds_a_slot_free_does_not_wait(rate: float | None) -> None:
    """Not even for a turn of the loop."""

    async def story() -> None:
        with pytest.raises(StopIteration):
            steady(rate).acquire().send(None)

    run_virtual(story())


def sent_by_a_new_process(held_s: float, seconds: float) -> tuple[list[float], float]:
    """Keep to twenty a minute for some time from a hold on; return when was sent, and the hold to hand on."""

    async def story() -> tuple[list[float], float]:
        limiter, loop, times = steady(A_MINUTE_20), asyncio.get_running_loop(), list[float]()
        limiter.hold(held_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    times.append(await passed_at(limiter))
        return times, max(0.0, loop.time() + limiter.seconds_until_free() - seconds)

    return run_virtual(story())


@pytest.mark.parametrize("run_s", [1, 7, 31])
def test_restarts_remember_what_was_sent(run_s: int) -> None:
    """However often a process begins anew, no minute sees more than twenty."""
    times, held_s = list[float](), 0.0
    for start_s in range(0, 300, run_s):
        sent, held_s = sent_by_a_new_process(held_s, run_s)
        times += [start_s + time for time in sent]
    assert sliding_window_refuses(times, 20, 60.0) == 0
    assert len(times) >= 0.9 * 300 / 3


def test_a_hold_is_a_pause_that_nobody_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """It counts in `seconds_until_free`, is never shortened, and is no news; unseen calls add a step."""

    async def story() -> list[float]:
        limiter = steady(10)
        free_s = [limiter.seconds_until_free()]
        for seconds in (3, 1):
            limiter.hold(seconds)
            free_s.append(limiter.seconds_until_free())
        limiter.pause(2)
        free_s += [
            limiter.seconds_until_free(),
            limiter.seconds_until_free(unseen_s=0.1),
            limiter.seconds_until_free(unseen_s=5),
        ]
        return [*free_s, await passed_at(limiter), limiter.seconds_until_free()]

    assert run_virtual(story()) == pytest.approx([0, 3, 3, 3, 3.1, 5.1, 3, 0.1 * 1.009 * 1.1], abs=1e-3)
    assert caplog.messages == []


@pytest.mark.parametrize("rate", RATES)
def test_after_a_pause_the_rate_still_holds(rate: float) -> None:
    """Those who waited through a pause do not leave it in a burst."""
    limit, period_s = stated(rate)

    async def story() -> list[float]:
        limiter, loop = steady(rate), asyncio.get_running_loop()
        for moment_s in (0.5, 40, 41):
            loop.call_later(moment_s, limiter.pause, 7)
        return await passes(limiter, int(60 * rate))

    assert sliding_window_refuses(run_virtual(story()), limit, period_s) == 0


def test_attempts_pass_in_the_order_they_came() -> None:
    """Nobody is overtaken, not even in a pause."""

    async def story() -> list[int]:
        limiter, order = steady(10), list[int]()
        asyncio.get_running_loop().call_later(0.5, limiter.pause, 3)

        async def go(number: int) -> None:
            await limiter.acquire()
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(go(number))
        return order

    assert run_virtual(story()) == list(range(20))


def test_no_rate_never_waits() -> None:
    """None turns pacing off."""
    assert max(run_virtual(passes(steady(None), 1000))) < 0.01


def test_a_limiter_that_stood_idle_saves_nothing_up() -> None:
    """After a quiet hour the calls come apart as ever."""

    async def story() -> list[float]:
        limiter = steady(10)
        await passes(limiter, 5)
        await asyncio.sleep(3600)
        return await passes(limiter, 40)

    times = run_virtual(story())
    assert min(later - first for first, later in pairwise(times)) > 0.09


def refuse(limiter: SteadyLimiter, sent_at: float, seconds: float) -> list[int]:
    """Tell a limiter of an answer 429 that names no time, and return how many pauses in a row it makes."""
    counts: list[int] = []

    def backoff_s(in_a_row: int) -> float:
        counts.append(in_a_row)
        return seconds

    limiter.refused(sent_at, retry_after_s=None, backoff_s=backoff_s)
    return counts


def test_answers_429_of_one_pause_count_once() -> None:
    """What was under way when a pause began belongs to it; the next one after its end counts anew."""

    async def story() -> list[int]:
        limiter, counts = steady(None), list[int]()
        for _ in range(2):
            first, second = await passed_at(limiter), await passed_at(limiter)
            counts += refuse(limiter, first, 0.001)  # shorter than what is still under way
            await asyncio.sleep(0.01)
            counts += refuse(limiter, second, 0.001)
            await asyncio.sleep(0.01)
        limiter.accepted()
        return counts + refuse(limiter, await passed_at(limiter), 0.001)

    assert run_virtual(story()) == [1, 1, 2, 2, 1]


def test_what_the_answer_asks_for_comes_before_a_guess() -> None:
    """Nobody is asked for a backoff then."""

    async def story() -> float:
        limiter = steady(None)
        limiter.refused(await passed_at(limiter), retry_after_s=7, backoff_s=lambda _: 1 / 0)
        return limiter.seconds_until_free()

    assert run_virtual(story()) == pytest.approx(7)


@pytest.mark.parametrize("rate", [0, -1, math.inf, math.nan, "fast"])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    """Zero, less, infinite and not a number are told apart from no rate at all."""
    with pytest.raises(ConfigurationError, match=r"^requests_per_second"):
        limiter_for(None, rate, None)
    with pytest.raises(ConfigurationError, match=r"^max_requests_per_second"):
        limiter_for(None, "auto", rate)


@pytest.mark.parametrize(("rate", "limiter"), [(10, None), (None, None), ("auto", SteadyLimiter(10))])
def test_a_ceiling_is_for_a_rate_that_is_looked_for(rate: Any, limiter: SteadyLimiter | None) -> None:
    """A stated rate is a ceiling itself."""
    with pytest.raises(ConfigurationError, match="max_requests_per_second"):
        limiter_for(limiter, rate, 20)


@pytest.mark.parametrize(("rate", "advice"), [(10, "lower the rate"), ("auto", "then 5 a second")])
def test_a_pause_is_logged_once_in_half_a_minute(
    rate: Any, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With what to do about it, or what will be done."""

    async def story() -> None:
        limiter = steady(rate)
        for _ in range(3):
            limiter.refused(await passed_at(limiter), retry_after_s=9, backoff_s=lambda _: 0)

    run_virtual(story())
    assert len(caplog.messages) == 1
    assert advice in caplog.messages[0]


@pytest.mark.parametrize(
    ("max_rate", "time_period"), [(0, 1), (-1, 1), (math.nan, 1), ("10", 1), (10, 0), (10, math.inf)]
)
def test_a_limit_that_is_none_is_refused(max_rate: Any, time_period: Any) -> None:
    """By its own constructor too."""
    with pytest.raises(ConfigurationError, match=r"^(max_rate|time_period)"):
        SteadyLimiter(max_rate, time_period)


def test_it_is_an_async_limiter_and_used_as_one() -> None:
    """With its two attributes, its context manager, its amounts, and its query."""

    async def story() -> list[float]:
        limiter: AsyncLimiter = SteadyLimiter(10)
        assert (limiter.max_rate, limiter.time_period) == (10, 1.0)
        loop = asyncio.get_running_loop()
        assert limiter.has_capacity()
        assert not limiter.has_capacity(2)
        async with limiter:
            assert not limiter.has_capacity()
        times = [loop.time()]
        for amount in (3, 0, 0.5):
            await limiter.acquire(amount)
            times.append(loop.time())
        for amount in (-1, 10.5):
            with pytest.raises(ValueError, match="amount"):
                await limiter.acquire(amount)
        return times

    step_s = 0.1 * 1.009 * 1.1
    assert run_virtual(story()) == pytest.approx([0, 3 * step_s, 3 * step_s, 4 * step_s], abs=0.001)


def test_a_limit_by_the_minute_is_kept_to_in_a_minute() -> None:
    """Twenty a minute, as the service states its free tier."""
    times = run_virtual(passes(SteadyLimiter(20, 60), 90))
    assert sliding_window_refuses(times, 20, 60.0) == 0
    assert times[-1] <= (90 + 16) * 3 / 0.99


def test_it_serves_one_event_loop_after_the_other() -> None:
    """Who still waited in a loop that has ended is forgotten; two loops at once are a mistake."""
    limiter = SteadyLimiter(1000)

    async def leave_waiting() -> None:
        await limiter.acquire()
        asyncio.get_running_loop().create_task(limiter.acquire())
        await asyncio.sleep(0)
        assert len(limiter._line) == 1
        limiter._line._line.append(asyncio.get_running_loop().create_future())

    async def use() -> None:
        await limiter.acquire()
        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.to_thread(asyncio.run, limiter.acquire())

    asyncio.run(leave_waiting())
    asyncio.run(use())


def test_its_repr_says_how_many_wait() -> None:
    """As aiolimiter's does."""

    async def story() -> str:
        limiter = SteadyLimiter(20, 60)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(limiter.acquire()) for _ in range(3)]
            await asyncio.sleep(0)
            shown = repr(limiter)
            for task in tasks:
                task.cancel()
        return shown

    assert run_virtual(story()) == "<SteadyLimiter(max_rate=20, time_period=60), 2 waiting>"


def test_a_plain_limiter_is_paused_by_who_uses_it() -> None:
    """It knows nothing of pauses; after one its bucket still holds, and nobody else is stopped."""

    async def story() -> tuple[list[float], float]:
        plain, loop = AsyncLimiter(2, 1), asyncio.get_running_loop()
        ours, times = PausableLimiter(plain), list[float]()

        async def go() -> None:
            await ours.acquire()
            times.append(loop.time())

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(go())
            await asyncio.sleep(0.1)
            ours.refused(0.05, retry_after_s=10, backoff_s=lambda _: 0)
            await plain.acquire()
            other_s = loop.time()
        return times, other_s

    times, other_s = run_virtual(story())
    assert [time for time in times if time < 10.1] == times[:2]
    assert times[2] >= 10.1
    assert sum(time < 11 for time in times[2:]) <= 4  # its bucket, and a second's leak
    assert other_s < 10

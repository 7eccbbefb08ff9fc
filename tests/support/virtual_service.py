"""A service with a rate limit on the virtual clock, and a client of many tasks that share one limiter.

What is real about it: timers are late, calls are not equally long on their way, and those that open a
connection arrive later. The limits are the emulator's own.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from semart_vectors.emulator.rate_limit import LIMITS
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from semart_vectors.calls.limiter import SteadyLimiter
    from semart_vectors.emulator.rate_limit import LimitKind, RateLimit

LATENCY_S = 0.4
CONNECT_S = 0.08
JITTER_S = 0.0003
LATE_S = 0.0011


@dataclass
class Ledger:
    """When calls arrived, and what became of them."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    """The limiter's rate after each answer."""

    def share(self, limit: float, start_s: float, end_s: float) -> float:
        """Return how much of a limit was used in a time."""
        return sum(start_s <= time < end_s for time in self.accepted) / limit / (end_s - start_s)

    def refusals(self, start_s: float = 0.0, end_s: float = math.inf) -> int:
        """Count what was refused in a time."""
        return sum(start_s <= time < end_s for time in self.refused)


def drive(
    limiter: SteadyLimiter,
    kind: LimitKind,
    limits: dict[float, float],
    seconds: float,
    *,
    tasks: int,
    retry_after: bool = True,
    jitter_s: float = JITTER_S,
) -> Ledger:
    """Send as many calls as the limiter lets through; `limits` are calls a second, by the time they begin."""
    chance = random.Random(f"{kind} {limits}")  # noqa: S311 - chance that can be repeated, no secret
    ledger = Ledger()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        phase = chance.random()
        judges: dict[float, RateLimit] = {
            start_s: LIMITS[kind].of_rate(limit, clock=lambda: loop.time() + phase)
            for start_s, limit in limits.items()
        }
        idle_connections = 0

        def backoff_s(in_a_row: int) -> float:
            return chance.uniform(0, 2.0 ** min(in_a_row - 1, 4))

        async def work() -> None:
            nonlocal idle_connections
            while True:
                await limiter.acquire()
                passed_at = loop.time()
                way_s = chance.expovariate(1 / jitter_s)
                if idle_connections:
                    idle_connections -= 1
                else:
                    way_s += CONNECT_S * chance.uniform(0.5, 1)
                await asyncio.sleep(way_s)
                arrived_s = loop.time()
                judge = judges[max(start_s for start_s in judges if start_s <= arrived_s)]
                wait_s = judge.admit()
                (ledger.refused if wait_s else ledger.accepted).append(arrived_s)
                await asyncio.sleep(LATENCY_S)
                idle_connections += 1
                if not wait_s:
                    limiter.accepted()
                else:
                    asked_s = float(math.ceil(wait_s)) if retry_after else None
                    limiter.refused(passed_at, retry_after_s=asked_s, backoff_s=backoff_s)
                ledger.rates.append((loop.time(), limiter.max_rate / limiter.time_period))

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(work())
        except TimeoutError:
            pass

    late = random.Random(1)  # noqa: S311 - as above
    run_virtual(run(), lateness=lambda: late.uniform(0, LATE_S), max_turns=2_000_000)
    return ledger

"""How much of a rate limit is used, and how often a call is refused: known, unknown and changing limits.

    python benchmarks/pacing.py [known compared auto changing] [--limiter steady|fractional|plain]
                                [--late-ms 10] [--rates 10 30 300 1000] [--kinds sliding fixed bucket]
                                [--seconds 15] [--client embedder|sockets] [--json FILE]

The service is a process of its own, which only judges each call on its arrival by the emulator's limits,
writes it down, and answers after 0.4 s: the emulator itself would be late at a thousand calls a second. The
client is `AsyncVisionEmbedder` with images in memory, or the limiter alone in front of bare sockets. Shares
are from the service's own records: for a known limit after the first 2 s, for an unknown one, which takes
45 s, after 20 s. Both processes need the machine for themselves: a standstill of more than a hundredth of a
second between a call's passing and its arrival costs refusals where windows slide.

`known` measures one limiter: `steady` (ours) unless `--limiter` names another. `compared` measures the others
with sliding windows, and `steady` and `fractional` once more in an event loop where another task blocks each
turn for up to 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import itertools
import json
import math
import random
import subprocess
import sys
import time
import urllib.request
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiolimiter import AsyncLimiter
from PIL import Image

from semart_vectors import AsyncVisionEmbedder, SteadyLimiter
from semart_vectors.calls.limiter import PausableLimiter, limiter_for
from semart_vectors.emulator.rate_limit import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from semart_vectors.emulator.rate_limit import LimitKind, RateLimit

LATENCY_S = 0.4
KNOWN_SETTLES_S, AUTO_SETTLES_S = 2.0, 20.0
CHANGES = [(0.0, 10.0), (20.0, 30.0), (100.0, 10.0)]
"""The changing limit: from when on how many calls a second."""

KNOWN_RATES, LATE_RATES, AUTO_RATES = (10, 30, 300, 1000), (10, 30), (30, 300)
KNOWN_TAKES_S, COMPARED_TAKES_S, AUTO_TAKES_S, CHANGING_TAKES_S = 15.0, 7.0, 45.0, 130.0
LATE_MS = 10.0

ANSWER = json.dumps({"modelVersion": "2023-04-15", "vector": [number / 7 for number in range(1024)]}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
LEDGER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


# -- the service


class Call(NamedTuple):
    """A call in the service's records."""

    arrived_s: float
    """Since the first one."""
    accepted: bool


class Judge:
    """A limit that changes at given times after the first call, and the calls that came."""

    def __init__(self, kind: LimitKind, changes: list[tuple[float, float]]) -> None:
        self._limits: list[tuple[float, RateLimit]] = [
            (from_s, LIMITS[kind].of_rate(rate)) for from_s, rate in changes
        ]
        self._began_s: float | None = None
        self.calls: list[Call] = []

    def admit(self) -> float:
        """Take or refuse a call that arrives now, as the emulator's limits do."""
        now = time.monotonic()
        if self._began_s is None:
            self._began_s = now
        arrived_s = now - self._began_s
        wait_s = next(limit for from_s, limit in reversed(self._limits) if from_s <= arrived_s).admit()
        self.calls.append(Call(arrived_s, wait_s == 0))
        return wait_s


class Connection(asyncio.Protocol):
    """Just enough of HTTP for one request after the other."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._head = b""
        self._body_left = 0

    def connection_made(self, transport: Any) -> None:
        """Keep where to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Judge a request as soon as its head is there."""
        if self._body_left:
            self._body_left -= len(data)
            return
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        self._head = b""
        if head.startswith(b"GET"):
            ledger = json.dumps(self._judge.calls).encode()
            self._transport.write(LEDGER % len(ledger) + ledger)
            self._transport.close()
            return
        self._body_left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
        wait_s = self._judge.admit()
        answer = REFUSAL % math.ceil(wait_s) if wait_s else OK
        asyncio.get_running_loop().call_later(LATENCY_S, self._transport.write, answer)


async def serve(judge: Judge) -> None:
    """Print the port, and serve until the process is terminated."""
    gc.disable()  # a judge that stands still for a full collection finds calls too close together
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(judge), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def service(kind: LimitKind, changes: list[tuple[float, float]]) -> Iterator[int]:
    """Run the service in a process of its own, and yield its port."""
    command = [sys.executable, __file__, "--serve", json.dumps([kind, changes])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


# -- the client


def plain(rate: float) -> AsyncLimiter:
    """Return aiolimiter's own, with the limit as the service states it."""
    return AsyncLimiter(rate, 1) if rate >= 1 else AsyncLimiter(60 * rate, 60)


def fractional(rate: float) -> AsyncLimiter:
    """Return aiolimiter's own with a bucket of hardly more than one call, a little slower than the limit."""
    slower = 0.991 * rate
    bucket = 1 + 0.004 * slower
    return AsyncLimiter(bucket, bucket / slower)


LIMITERS: dict[str, Callable[[float], AsyncLimiter]] = {
    "steady": lambda rate: limiter_for(None, rate, None),
    "fractional": fractional,
    "plain": plain,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What to measure."""

    mode: str
    """`known`, `auto` or `changing`."""
    kind: LimitKind
    changes: list[tuple[float, float]]
    """From which second on how many calls a second are accepted."""
    seconds: float
    limiter: str = "steady"
    late_ms: float = 0.0
    """How long another task of the loop may block each of its turns."""

    @property
    def rate(self) -> float:
        """The limit in the end, in calls a second."""
        return self.changes[-1][1]

    @property
    def in_flight(self) -> int:
        """So many calls at once that they are never what holds the rate down."""
        return math.ceil(max(rate for _, rate in self.changes) * (LATENCY_S + 0.2)) + 8

    def make_limiter(self) -> AsyncLimiter:
        """Return the client's limiter."""
        return LIMITERS[self.limiter](self.rate) if self.mode == "known" else limiter_for(None, "auto", None)


def rate_of(limiter: AsyncLimiter) -> float:
    """Return the calls a second that a limiter keeps to at the moment."""
    return limiter.max_rate / limiter.time_period


def tiny_picture() -> bytes:
    """Return an image that the client accepts."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    return file.getvalue()


@asynccontextmanager
async def blocked_turns(late_ms: float) -> AsyncIterator[None]:
    """Block each turn of the event loop for a random time up to `late_ms`, as a busy service would."""

    async def block() -> None:
        while True:
            time.sleep(random.uniform(0, late_ms / 1000))  # noqa: ASYNC251, S311 - that is the point
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        blocking = group.create_task(block()) if late_ms else None
        yield
        if blocking is not None:
            blocking.cancel()


async def through_embedder(port: int, case: Case) -> list[float]:
    """Embed for some seconds, and return the rate kept to after each of them."""
    picture, rates, loop = tiny_picture(), list[float](), asyncio.get_running_loop()
    begun_s = loop.time()
    pictures = itertools.takewhile(lambda _: loop.time() < begun_s + case.seconds, itertools.repeat(picture))
    limiter = case.make_limiter()
    async with (
        AsyncVisionEmbedder(
            f"http://127.0.0.1:{port}", "any", limiter=limiter, max_in_flight=case.in_flight
        ) as embedder,
        embedder.stream_images(pictures) as outcomes,
    ):
        async for _ in outcomes:
            while len(rates) < loop.time() - begun_s:
                rates.append(rate_of(limiter))
    return rates


async def through_sockets(port: int, case: Case) -> list[float]:
    """Send bare requests behind a limiter for some seconds, and return as `through_embedder` does."""
    picture, rates, loop = tiny_picture(), list[float](), asyncio.get_running_loop()
    limiter = case.make_limiter()
    gate = limiter if isinstance(limiter, SteadyLimiter) else PausableLimiter(limiter)
    begun_s = loop.time()
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(picture), picture)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call() -> None:
        while True:
            await gate.acquire()
            sent_at = loop.time()
            if sent_at > begun_s + case.seconds:
                return
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ") for line in head.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields[b"Content-Length"]))
            idle.append((reader, writer))
            if head.startswith(b"HTTP/1.1 200"):
                gate.accepted()
            else:
                gate.refused(sent_at, retry_after_s=float(fields[b"Retry-After"]), backoff_s=float)
            while len(rates) < loop.time() - begun_s:
                rates.append(rate_of(limiter))

    async with asyncio.TaskGroup() as group:
        for _ in range(case.in_flight):
            group.create_task(call())
    for _, writer in idle:
        writer.close()
    return rates


CLIENTS = {"embedder": through_embedder, "sockets": through_sockets}


async def run_client(client: str, port: int, case: Case) -> list[float]:
    """Run a client for a case, and return the rate kept to after each second."""
    async with blocked_turns(case.late_ms):
        return await CLIENTS[client](port, case)


# -- what is measured


def share(calls: list[Call], rate: float, from_s: float, to_s: float) -> float:
    """Return the part of a limit that was used in a time."""
    accepted = [call.arrived_s for call in calls if call.accepted and from_s <= call.arrived_s < to_s]
    if len(accepted) < 2:
        return 0.0
    ended_s = max(accepted[-1], to_s - 2 / rate)  # a pause at the end counts
    return (len(accepted) - 1) / (ended_s - accepted[0]) / rate


def measure(case: Case, client: str) -> dict[str, Any]:
    """Run one case, print its line, and return its figures."""
    with service(case.kind, case.changes) as port:
        rates = asyncio.run(run_client(client, port, case))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            calls = [Call(*call) for call in json.load(answer)]
    settled_s = KNOWN_SETTLES_S if case.mode == "known" else AUTO_SETTLES_S
    steady = [call for call in calls if call.arrived_s >= settled_s]
    result: dict[str, Any] = {
        "mode": case.mode,
        "client": client,
        "limiter": case.limiter,
        "late_ms": case.late_ms,
        "kind": case.kind,
        "rate": case.rate,
        "seconds": case.seconds,
        "settled_s": settled_s,
        "share": None
        if case.mode == "changing"
        else round(share(calls, case.rate, settled_s, case.seconds), 4),
        "refused": sum(not call.accepted for call in calls),
        "refused_settled": sum(not call.accepted for call in steady),
        "calls": len(calls),
    }
    if case.mode == "changing":
        result["limits"] = case.changes
        result["series"] = series(case, calls, rates)
    print_line(case, result)
    return result


def series(case: Case, calls: list[Call], rates: list[float]) -> list[dict[str, Any]]:
    """Return the limit, the client's rate and what became of the calls, second by second."""
    return [
        {
            "second": second,
            "limit": next(limit for from_s, limit in reversed(case.changes) if from_s <= second),
            "rate": round(rates[second], 2) if second < len(rates) else None,
            "accepted": sum(call.accepted for call in calls if second <= call.arrived_s < second + 1),
            "refused": sum(not call.accepted for call in calls if second <= call.arrived_s < second + 1),
        }
        for second in range(int(case.seconds))
    ]


def print_line(case: Case, result: dict[str, Any]) -> None:
    """Print what a case showed."""
    used = "" if result["share"] is None else f"{result['share']:.2%} used,"
    limits = " then ".join(f"{limit:g}" for _, limit in case.changes)
    late = f", turns up to {case.late_ms:g} ms late" if case.late_ms else ""
    refused = (
        f"{result['refused']} of {result['calls']} refused, "
        f"{result['refused_settled']} of them after {result['settled_s']:g} s"
    )
    print(f"{case.mode:9}{limits:>16}/s {case.kind:8}{case.limiter:11}{used:>14} {refused}{late}", flush=True)
    line = "  second {second:3}: limit {limit:g}, rate {rate}, {accepted} accepted, {refused} refused"
    for each in result.get("series", ())[::5]:
        print(line.format(**each), flush=True)


def known(options: argparse.Namespace) -> Iterator[Case]:
    """Yield a limiter's cases with a stated limit."""
    for rate, kind in itertools.product(options.rates or KNOWN_RATES, options.kinds):
        yield Case(
            mode="known",
            kind=kind,
            changes=[(0.0, float(rate))],
            seconds=options.seconds or KNOWN_TAKES_S,
            limiter=options.limiter,
            late_ms=options.late_ms,
        )


def compared(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases of other limiters, and those of a loop that is late."""
    calm = itertools.product(("fractional", "plain"), options.rates or KNOWN_RATES, (0.0,))
    late = itertools.product(("steady", "fractional"), options.rates or LATE_RATES, (LATE_MS,))
    for limiter, rate, late_ms in itertools.chain(calm, late):
        yield Case(
            mode="known",
            kind="sliding",
            changes=[(0.0, float(rate))],
            # A single refusal costs a second, which is not to look like the rule.
            seconds=options.seconds or (KNOWN_TAKES_S if late_ms else COMPARED_TAKES_S),
            limiter=limiter,
            late_ms=late_ms,
        )


def auto(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases with a limit that the client has to find."""
    for rate, kind in itertools.product(options.rates or AUTO_RATES, options.kinds):
        seconds = options.seconds or AUTO_TAKES_S
        yield Case(mode="auto", kind=kind, changes=[(0.0, float(rate))], seconds=seconds)


def changing(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the case with a limit that changes, unknown to the client."""
    yield Case(mode="changing", kind=options.kinds[0], changes=CHANGES, seconds=CHANGING_TAKES_S)


MODES: dict[str, Callable[[argparse.Namespace], Iterator[Case]]] = {
    "known": known,
    "compared": compared,
    "auto": auto,
    "changing": changing,
}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modes", nargs="*", help=f"some of {', '.join(MODES)}; all if none is named")
    parser.add_argument("--limiter", choices=list(LIMITERS), default="steady", help="for `known`")
    parser.add_argument("--late-ms", type=float, default=0.0, help="block turns of the loop, for `known`")
    parser.add_argument("--rates", nargs="+", type=Fraction, help="calls a second, also as 20/60")
    parser.add_argument("--kinds", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--seconds", type=float, help="for each case")
    parser.add_argument("--client", choices=list(CLIENTS), default="embedder")
    parser.add_argument("--json", type=Path, help="where to write the results to")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Judge(*options.serve)))
    if unknown := set(options.modes) - set(MODES):
        parser.error(f"there is no measurement called {' or '.join(sorted(unknown))}")
    cases = (case for mode in options.modes or MODES for case in MODES[mode](options))
    results = [measure(case, options.client) for case in cases]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

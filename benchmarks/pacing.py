"""How much of a rate limit is used, and how often a call is refused: known, unknown and changing limits.

    python benchmarks/pacing.py [known auto changing] [--rates 10 30 300 1000] [--kinds sliding fixed bucket]
                                [--seconds 15] [--client embedder|gate] [--json FILE]

The service is a process of its own, which does nothing but judge each call on its arrival by the emulator's
limits, write it down, and answer after 0.4 s: the emulator itself would be late at a thousand a second. The
client is `AsyncVisionEmbedder` with images in memory, or the gate alone before bare sockets. Shares are from
the service's own records: for a known limit after the first 2 s, for an unknown one, which takes 45 s, after
20 s. Both processes need the machine for themselves: what stands still for more than a hundredth of a second
between a call's passing and its arrival costs refusals where windows slide.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import itertools
import json
import math
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from semart_vectors import AsyncVisionEmbedder
from semart_vectors.calls.limiter import Gate
from semart_vectors.emulator.rate_limit import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from semart_vectors.emulator.rate_limit import LimitKind, RateLimit

LATENCY_S = 0.4
KNOWN_SETTLES_S, AUTO_SETTLES_S = 2.0, 20.0
CHANGES = [(0.0, 10.0), (20.0, 30.0), (100.0, 10.0)]
"""The changing limit: from when on how many calls a second."""

ANSWER = json.dumps({"modelVersion": "2023-04-15", "vector": [number / 7 for number in range(1024)]}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
LEDGER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


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


def tiny_picture() -> bytes:
    """Return an image that the client takes for one."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    return file.getvalue()


async def through_embedder(port: int, rate: Any, seconds: float, in_flight: int) -> list[float]:
    """Embed for some seconds, and return the rate kept to after each of them."""
    picture, rates, loop = tiny_picture(), list[float](), asyncio.get_running_loop()
    begun_s = loop.time()
    pictures = itertools.takewhile(lambda _: loop.time() < begun_s + seconds, itertools.repeat(picture))
    async with (
        AsyncVisionEmbedder(
            f"http://127.0.0.1:{port}", "any", requests_per_second=rate, max_in_flight=in_flight
        ) as embedder,
        embedder.stream_images(pictures) as outcomes,
    ):
        async for _ in outcomes:
            while len(rates) < loop.time() - begun_s:
                rates.append(embedder._gate.requests_per_second or 0.0)  # noqa: SLF001 - shown in the plot
    return rates


async def through_gate(port: int, rate: Any, seconds: float, in_flight: int) -> list[float]:
    """Send bare requests through a gate for some seconds, and return as `through_embedder` does."""
    gate, rates, loop, picture = Gate(rate), list[float](), asyncio.get_running_loop(), tiny_picture()
    begun_s = loop.time()
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(picture), picture)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call() -> None:
        while True:
            passed_at = await gate.pass_through()
            if passed_at > begun_s + seconds:
                return
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ") for line in head.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields[b"Content-Length"]))
            idle.append((reader, writer))
            if head.startswith(b"HTTP/1.1 200"):
                gate.succeeded()
            else:
                gate.throttled(passed_at, float(fields[b"Retry-After"]))
                gate.pause(float(fields[b"Retry-After"]))
            while len(rates) < loop.time() - begun_s:
                rates.append(gate.requests_per_second or 0.0)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(call())
    for _, writer in idle:
        writer.close()
    return rates


CLIENTS = {"embedder": through_embedder, "gate": through_gate}


def share(calls: list[Call], rate: float, from_s: float) -> float:
    """Return the part of a limit that was used from a time on."""
    accepted = [call.arrived_s for call in calls if call.accepted and call.arrived_s >= from_s]
    return (len(accepted) - 1) / (accepted[-1] - accepted[0]) / rate


def measure(
    mode: str, kind: LimitKind, changes: list[tuple[float, float]], seconds: float, client: str
) -> dict[str, Any]:
    """Run one case, print its line, and return what it showed."""
    rate = changes[-1][1]
    most = max(rate for _, rate in changes)
    in_flight = math.ceil(most * (LATENCY_S + 0.2)) + 8
    stated = rate if mode == "known" else "auto"
    with service(kind, changes) as port:
        rates = asyncio.run(CLIENTS[client](port, stated, seconds, in_flight))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            calls = [Call(*call) for call in json.load(answer)]
    settled_s = KNOWN_SETTLES_S if mode == "known" else AUTO_SETTLES_S
    steady = [call for call in calls if call.arrived_s >= settled_s]
    result: dict[str, Any] = {
        "mode": mode,
        "client": client,
        "kind": kind,
        "rate": rate,
        "seconds": seconds,
        "settled_s": settled_s,
        "share": None if mode == "changing" else round(share(calls, rate, settled_s), 4),
        "refused": sum(not call.accepted for call in calls),
        "refused_settled": sum(not call.accepted for call in steady),
        "calls": len(calls),
    }
    if mode == "changing":
        result["limits"] = changes
        result["series"] = [
            {
                "second": second,
                "limit": next(limit for from_s, limit in reversed(changes) if from_s <= second),
                "rate": round(rates[second], 2) if second < len(rates) else None,
                "accepted": sum(call.accepted for call in calls if second <= call.arrived_s < second + 1),
                "refused": sum(not call.accepted for call in calls if second <= call.arrived_s < second + 1),
            }
            for second in range(int(seconds))
        ]
    used = "" if result["share"] is None else f"{result['share']:.2%} used,"
    limits = " then ".join(f"{limit:g}" for _, limit in changes)
    print(
        f"{mode:9}{limits:>16}/s {kind:8} {used:>14} {result['refused']} of {len(calls)} refused, "
        f"{result['refused_settled']} of them after {settled_s:g} s",
        flush=True,
    )
    line = "  second {second:3}: limit {limit:g}, rate {rate}, {accepted} accepted, {refused} refused"
    for each in result.get("series", ())[::5]:
        print(line.format(**each), flush=True)
    return result


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("modes", nargs="*", default=["known", "auto", "changing"])
    parser.add_argument("--rates", nargs="+", type=Fraction, help="calls a second, also as 20/60")
    parser.add_argument("--kinds", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--seconds", type=float, help="for each case")
    parser.add_argument("--client", choices=list(CLIENTS), default="embedder")
    parser.add_argument("--json", type=Path, help="where to write the results to")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Judge(*options.serve)))
    results = list[dict[str, Any]]()
    for mode, rates, seconds in (("known", (10, 30, 300, 1000), 15.0), ("auto", (30, 300), 45.0)):
        if mode in options.modes:
            results += [
                measure(mode, kind, [(0.0, float(rate))], options.seconds or seconds, options.client)
                for rate in options.rates or rates
                for kind in options.kinds
            ]
    if "changing" in options.modes:
        results += [measure("changing", kind, CHANGES, 130.0, options.client) for kind in options.kinds[:1]]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Ways to send the same call: clients and transports that could stand under an embedder, beside ours.

    python benchmarks/transports.py [--quick] [--json FILE]

http, 32 in flight, images in memory; each is a process of its own, and they take turns as in `throughput.py`.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

import peers
from common import options_of, tell, write_pictures
from nginx import nginx
from peers import HEADERS, QUERY, Case, Feed, in_workers
from throughput import Peer, summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def aiohttp_transport() -> httpx.AsyncBaseTransport:
    """Make the transport of httpx-aiohttp."""
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - each process loads what it measures

    return AiohttpTransport(limits=httpx.Limits(max_connections=None))


def pyreqwest_transport() -> httpx.AsyncBaseTransport:
    """Make the transport of pyreqwest."""
    from pyreqwest.compatibility.httpx import HttpxTransport  # noqa: PLC0415 - as above

    return HttpxTransport()


def by_client(transport: Callable[[], httpx.AsyncBaseTransport]) -> Callable[[Case, Feed], Any]:
    """Measure an `httpx.AsyncClient` on a transport."""

    async def measure(case: Case, feed: Feed) -> dict[str, float]:
        return await peers.through(httpx.AsyncClient(transport=transport(), timeout=60), case, feed)

    return measure


def by_hand(transport: Callable[[], httpx.AsyncBaseTransport]) -> Callable[[Case, Feed], Any]:
    """Measure httpx's requests handed straight to a transport, their address and headers made once."""

    async def measure(case: Case, feed: Feed) -> dict[str, float]:
        url, headers = httpx.URL(case.endpoint + QUERY), httpx.Headers(HEADERS)
        async with transport() as way:

            async def ask(image: bytes) -> bytes:
                request = httpx.Request("POST", url, headers=headers, content=image)
                response = await way.handle_async_request(request)
                try:
                    return await response.aread()
                finally:
                    await response.aclose()

            await in_workers(feed, case.in_flight, ask)
        return feed.measured()

    return measure


async def pyreqwest(case: Case, feed: Feed) -> dict[str, float]:
    """Measure a loop on pyreqwest itself."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - as above

    async with ClientBuilder().build() as client:

        async def ask(image: bytes) -> bytes:
            request = client.post(case.endpoint + QUERY).headers(HEADERS).body_bytes(image).build()
            return bytes(await (await request.send()).bytes())

        await in_workers(feed, case.in_flight, ask)
    return feed.measured()


WAYS: dict[str, Callable[[Case, Feed], Awaitable[dict[str, float]]]] = {
    "aiohttp": peers.aiohttp,
    "stream_images": peers.stream_images,
    "pyreqwest": pyreqwest,
    "httpx on pyreqwest": by_client(pyreqwest_transport),
    "httpx's requests to pyreqwest": by_hand(pyreqwest_transport),
    "httpx on httpx-aiohttp": by_client(aiohttp_transport),
    "httpx's requests to httpx-aiohttp": by_hand(aiohttp_transport),
}


def main() -> None:
    """Measure every way, and print its line."""
    _, options = options_of(__doc__)
    results: list[dict[str, Any]] = []
    with ExitStack() as ending:
        service = ending.enter_context(nginx())
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()), "images")
        write_pictures(folder, 500)
        ways = {name: Peer(name, service, script=Path(__file__)) for name in WAYS}
        for way in ways.values():
            ending.callback(way.end)
        case = {
            "endpoint": service.http,
            "in_flight": 32,
            "input": "bytes",
            "folder": str(folder),
            "seconds": 0.5 if options.quick else 1.5,
            "warm_up_s": 0.3,
        }
        runs = [
            {name: way.measure(**case) for name, way in ways.items()}
            for _ in range(1 if options.quick else 5)
        ]
        for name in WAYS:
            found = summary(runs, name)
            results.append({"way": name, **found})
            print(f"  {name:36}{found['images_per_s']:8,.0f} /s{found['cpu_us']:8,.0f} µs", file=sys.stderr)
    tell(results, options.json)


if __name__ == "__main__":
    if len(sys.argv) > 2 and not sys.argv[1].startswith("-"):
        peers.serve(WAYS[sys.argv[1]], sys.argv[2])
    else:
        main()

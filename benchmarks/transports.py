"""Ways to send the same call: ours, and other clients and transports that an embedder could use.

    python benchmarks/transports.py [--quick] [--old CHECKOUT] [--json FILE]

http, 32 in flight, images in memory; each has its own process, and they take turns as in `throughput.py`.
Calls of an embedder take the short way to their transport, and go through the whole client once it has an
event hook; then they have to be no slower than httpx on httpx-aiohttp. `--old` adds `stream_images` of
another checkout of this library (`git worktree add DIR COMMIT`), to compare two builds in one run.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

import peers
from common import options_parser, write_pictures, write_results
from nginx import nginx
from peers import HEADERS, QUERY, Case, Feed, in_workers
from throughput import BASES, Peer, summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def watched(case: Case, feed: Feed) -> dict[str, float]:
    """Measure `stream_images` while a hook listens to the embedder's client."""
    from semart_vectors import AsyncVisionEmbedder, Embedding  # noqa: PLC0415 - as below

    requests = 0

    async def count(_: httpx.Request) -> None:
        nonlocal requests
        requests += 1

    async with AsyncVisionEmbedder(
        case.endpoint, "any", requests_per_second=None, max_in_flight=case.in_flight
    ) as embedder:
        assert isinstance(embedder.http_client, httpx.AsyncClient)
        embedder.http_client.event_hooks["request"].append(count)
        answers = 0
        async with embedder.stream_images(feed) as outcomes:
            async for outcome in outcomes:
                assert isinstance(outcome, Embedding), outcome
                answers += 1
    assert requests == answers
    return feed.measured()


def our_transport() -> httpx.AsyncBaseTransport:
    """Make the transport under our own client."""
    from semart_vectors import AiohttpTransport  # noqa: PLC0415 - as below

    return AiohttpTransport()


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


OLD = "stream_images, old build"
RIVAL = "httpx on httpx-aiohttp"
WAYS: dict[str, Callable[[Case, Feed], Awaitable[dict[str, float]]]] = {
    "aiohttp": peers.aiohttp,
    "stream_images": peers.stream_images,
    "stream_images, watched": watched,
    "httpx on our transport": by_client(our_transport),
    RIVAL: by_client(aiohttp_transport),
    "pyreqwest": pyreqwest,
    "httpx on pyreqwest": by_client(pyreqwest_transport),
    "httpx's requests to pyreqwest": by_hand(pyreqwest_transport),
    "httpx's requests to httpx-aiohttp": by_hand(aiohttp_transport),
}


def main() -> None:
    """Measure every way, and print its line."""
    parser = options_parser(__doc__)
    parser.add_argument("--old", type=Path, metavar="CHECKOUT", help="measure this build's stream_images too")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    with ExitStack() as ending:
        service = ending.enter_context(nginx())
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()), "images")
        write_pictures(folder, 500)
        ways = {name: Peer(name, service, script=Path(__file__)) for name in WAYS}
        if options.old:
            peer = options.old / "benchmarks" / "peers.py"
            ways[OLD] = Peer("stream_images", service, script=peer, source=options.old / "src")
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
        for name in ways:
            found = summary(runs, name, (*BASES, RIVAL))
            results.append({"way": name, **found})
            print(
                f"  {name:36}{found['images_per_s']:8,.0f} /s{found['cpu_us']:8,.0f} µs"
                f"{found['images_per_s_to_stream_images']:7.2f} x stream_images"
                f"{found[f'images_per_s_to_{RIVAL}']:7.2f} x {RIVAL}",
                file=sys.stderr,
            )
    write_results(results, options.json)


if __name__ == "__main__":
    if len(sys.argv) > 2 and not sys.argv[1].startswith("-"):
        peers.serve(WAYS[sys.argv[1]], sys.argv[2])
    else:
        main()

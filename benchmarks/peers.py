"""The clients that `throughput.py` compares, each in its own process.

    python benchmarks/peers.py NAME    # reads cases from stdin and prints results, a line of JSON each

All take images until their time is over, send each to the service, and turn the numbers of its answer into
float32.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUERY = "/computervision/retrieval:vectorizeImage?api-version=2024-02-01&model-version=2023-04-15"
HEADERS = {"Ocp-Apim-Subscription-Key": "any", "Content-Type": "application/octet-stream"}

Image = bytes | str
"""Its bytes, or its path."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What to measure."""

    endpoint: str
    in_flight: int
    input: str
    """`bytes` in memory, or `paths` read from disk."""
    folder: str
    seconds: float
    warm_up_s: float


class Feed:
    """Images in turn until the time is over.

    The rate at which they are taken is the rate at which answers come. Measuring begins when the warm-up is
    over and all calls are under way; a very slow client is given another second for that.
    """

    def __init__(self, images: list[Image], case: Case) -> None:
        self._images = images
        self._case = case
        self._warm_at = time.monotonic() + case.warm_up_s
        self._begun: tuple[float, float, int] | None = None
        self._ended: tuple[float, float, int] | None = None
        self._taken = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Image:
        now = time.monotonic()
        if self._begun is None:
            warm = self._taken >= 2 * self._case.in_flight or now >= self._warm_at + 1
            if now >= self._warm_at and warm:
                self._begun = now, cpu_s(), self._taken
        elif now >= self._begun[0] + self._case.seconds:
            self._ended = self._ended or (now, cpu_s(), self._taken)
            raise StopIteration
        self._taken += 1
        return self._images[self._taken % len(self._images)]

    def measured(self) -> dict[str, float]:
        """Return images a second, and CPU an image."""
        assert self._begun is not None
        assert self._ended is not None
        took_s, cpu, count = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        return {"images_per_s": count / took_s, "cpu_us": 1e6 * cpu / count}


def cpu_s() -> float:
    """Return the CPU time of this process so far."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def content_of(image: Image) -> bytes:
    """Return the bytes of an image, which may be a path."""
    if isinstance(image, bytes):
        return image
    with open(image, "rb") as file:  # noqa: PTH123 - as a plain loop does it
        return file.read()


def decoded(answer: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the numbers of an answer."""
    return np.array(orjson.loads(answer)["vector"], dtype=np.float32)


async def in_workers(feed: Feed, in_flight: int, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
    """Send each image, `in_flight` at a time."""
    vectors = []

    async def work() -> None:
        for image in feed:
            vectors.append(decoded(await ask(content_of(image))))  # noqa: PERF401 - it awaits

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(work())


async def tutorial(case: Case, feed: Feed) -> dict[str, float]:
    """`requests.post` in four threads, however many calls the case asks for."""
    import requests

    lock = threading.Lock()
    vectors = []

    def work() -> None:
        while True:
            with lock:
                image = next(feed, None)
            if image is None:
                return
            response = requests.post(
                case.endpoint + QUERY, headers=HEADERS, data=content_of(image), timeout=60
            )
            response.raise_for_status()
            vectors.append(np.array(response.json()["vector"], dtype=np.float32))

    with ThreadPoolExecutor(4) as threads:
        for ended in [threads.submit(work) for _ in range(4)]:
            ended.result()
    return feed.measured()


async def through(client: Any, case: Case, feed: Feed) -> dict[str, float]:
    """A client of httpx or httpx2."""
    async with client:

        async def ask(image: bytes) -> bytes:
            response = await client.post(case.endpoint + QUERY, headers=HEADERS, content=image)
            content: bytes = response.raise_for_status().content
            return content

        await in_workers(feed, case.in_flight, ask)
    return feed.measured()


async def httpx(case: Case, feed: Feed) -> dict[str, float]:
    """`httpx.AsyncClient` with its defaults, but for a longer timeout."""
    import httpx

    return await through(httpx.AsyncClient(timeout=60), case, feed)


async def httpx2(case: Case, feed: Feed) -> dict[str, float]:
    """`httpx2.AsyncClient`, likewise."""
    import httpx2

    return await through(httpx2.AsyncClient(timeout=60), case, feed)


async def aiohttp(case: Case, feed: Feed) -> dict[str, float]:
    """The loop that a good engineer writes by hand."""
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=HEADERS, raise_for_status=True
    ) as session:

        async def ask(image: bytes) -> bytes:
            async with session.post(case.endpoint + QUERY, data=image) as response:
                return await response.read()

        await in_workers(feed, case.in_flight, ask)
    return feed.measured()


async def embed_images(case: Case, feed: Feed) -> dict[str, float]:
    """Ours, with all vectors in one matrix at the end."""
    from semart_vectors import AsyncVisionEmbedder

    async with AsyncVisionEmbedder(
        case.endpoint, "any", requests_per_second=None, max_in_flight=case.in_flight
    ) as embedder:
        batch = await embedder.embed_images(feed)
    batch.raise_for_failures()
    return feed.measured()


async def stream_images(case: Case, feed: Feed) -> dict[str, float]:
    """Ours, one outcome after the other."""
    from semart_vectors import AsyncVisionEmbedder, Embedding

    async with (
        AsyncVisionEmbedder(
            case.endpoint, "any", requests_per_second=None, max_in_flight=case.in_flight
        ) as embedder,
        embedder.stream_images(feed) as outcomes,
    ):
        async for outcome in outcomes:
            assert isinstance(outcome, Embedding), outcome
    return feed.measured()


async def job(case: Case, _: Feed) -> dict[str, float]:
    """Ours, with checkpoint and hashing: as many different images as it embeds in the time."""
    from semart_vectors import AsyncVisionEmbedder, EmbeddingJob

    names = sorted(path.name for path in Path(case.folder).iterdir())
    async with AsyncVisionEmbedder(
        case.endpoint, "any", requests_per_second=None, max_in_flight=case.in_flight
    ) as embedder:

        async def embed(images: list[str]) -> dict[str, float]:
            with tempfile.TemporaryDirectory() as checkpoint:
                todo = EmbeddingJob(
                    embedder, case.folder, checkpoint=checkpoint, image_files=images, progress=False
                )
                cpu_before_s = cpu_s()
                report = await todo.run()
                cpu = cpu_s() - cpu_before_s
            assert report.embedded == len(images), report
            return {"images_per_s": len(images) / report.elapsed_s, "cpu_us": 1e6 * cpu / len(images)}

        warm = await embed(names[:500])
        return await embed(names[: max(500, int(warm["images_per_s"] * case.seconds * 2))])


PEERS: dict[str, Callable[[Case, Feed], Awaitable[dict[str, float]]]] = {
    "tutorial": tutorial,
    "httpx": httpx,
    "httpx2": httpx2,
    "aiohttp": aiohttp,
    "embed_images": embed_images,
    "stream_images": stream_images,
    "job": job,
}


def trust(ca_file: str) -> None:
    """Trust the benchmark's certificates in every TLS context: not every client reads the environment."""
    make = ssl.create_default_context

    def make_trusting(*args: Any, **options: Any) -> ssl.SSLContext:
        context = make(*args, **options)
        context.load_verify_locations(ca_file)
        return context

    ssl.create_default_context = make_trusting


def serve(peer: Callable[[Case, Feed], Awaitable[dict[str, float]]], ca_file: str) -> None:
    """Measure the cases that stdin asks for, one after the other."""
    trust(ca_file)
    for line in sys.stdin:
        case = Case(**json.loads(line))
        paths = sorted(Path(case.folder).iterdir())[:500]
        images: list[Image] = [path.read_bytes() if case.input == "bytes" else str(path) for path in paths]
        feed = Feed(images, case)
        print(json.dumps(asyncio.run(peer(case, feed))), flush=True)  # type: ignore[arg-type] # coroutines, all


if __name__ == "__main__":
    serve(PEERS[sys.argv[1]], sys.argv[2])

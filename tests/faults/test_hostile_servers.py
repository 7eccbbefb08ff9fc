"""Servers that hang, drip, or send too much: no attempt outlasts its limit, and none takes much memory."""

from __future__ import annotations

import asyncio
import functools
import socket
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import httpx
import pytest

from helpers import jpeg
from semart_vectors import AsyncVisionEmbedder, RetryPolicy
from semart_vectors.errors import EndpointError, RetriesExhaustedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scorecard import Extent

Answer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BLOCK = b" " * 65_536


async def hang_in_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing after the first lines."""
    writer.write(HEAD)
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: bytes) -> None:
    """Send a little now and then, until the client leaves."""
    while not reader.at_eof():
        writer.write(what)
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.05)


async def drip_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Add one field after the other."""
    writer.write(HEAD)
    await drip(reader, writer, b"X: y\r\n")


async def drip_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte after the other."""
    writer.write(HEAD + b"Content-Length: 10000\r\n\r\n")
    await drip(reader, writer, b" ")


async def send_100_mb(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say how much it is, and send it."""
    writer.write(HEAD + b"Content-Length: 104857600\r\n\r\n")
    for _block in range(1600):
        writer.write(BLOCK)
        await writer.drain()


async def send_100_mb_in_chunks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do not say how much it will be."""
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _block in range(1600):
        writer.write(b"10000\r\n" + BLOCK + b"\r\n")
        await writer.drain()


@functools.cache
def bomb() -> bytes:
    """Return 200 MB as 194 kB of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    megabyte = b" " * 1_000_000
    return b"".join(packer.compress(megabyte) for _ in range(200)) + packer.flush()


async def send_bomb(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send what swells a thousandfold."""
    content = bomb()
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(HEAD + head.encode() + content)
    await writer.drain()


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """Accept, read a request, and do as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            await answer(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def nobody_accepts(backlog: int, waiting: int) -> AsyncIterator[str]:
    """Listen, and take no connection out of the queue; a full one does not even answer."""
    async with AsyncExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        for _ in range(waiting):
            other = opened.enter_context(socket.socket())
            other.setblocking(False)  # noqa: FBT003 - the signature is the socket's
            with suppress(BlockingIOError):
                other.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def refused() -> AsyncIterator[str]:
    """Name a port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def unknown() -> AsyncIterator[str]:
    """Name a host that there cannot be."""
    yield "https://a.invalid"


SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[str]]] = {
    "DNS failure": unknown,
    "refused": refused,
    "nobody accepts": lambda: nobody_accepts(100, 0),
    "full backlog": lambda: nobody_accepts(0, 3),
    "hung header": lambda: server(hang_in_header),
    "dripping header": lambda: server(drip_header),
    "dripping body": lambda: server(drip_body),
    "100 MB": lambda: server(send_100_mb),
    "100 MB in chunks": lambda: server(send_100_mb_in_chunks),
    "gzip bomb": lambda: server(send_bomb),
}


HANG = {"nobody accepts", "full backlog", "hung header", "dripping header", "dripping body"}
"""What only the limit of an attempt ends."""


@pytest.mark.row(16)
@pytest.mark.parametrize("way", ["aiohttp", "httpx"])
async def test_no_attempt_outlasts_its_limit_or_takes_much_memory(
    extent: Extent, score: Callable[[str], None], way: str
) -> None:
    """Whatever the server does, by either way to it.

    The quick share sees the limit that ended an attempt in its error; what nothing but the limit ends would
    hang. The full run also holds it against the clock.
    """
    times = extent.pick(quick=1, all=3)
    clock = asyncio.get_running_loop().time
    image = jpeg(1)
    await asyncio.to_thread(bomb)
    over_s, most_bytes = 0.0, 0
    for fault, opened in [each for each in SERVERS.items() for _ in range(times)]:
        limit_s = extent.pick(quick=0.2 if fault in HANG else 30.0, all=2.0)
        policy = RetryPolicy(max_attempts=1, attempt_timeout_s=limit_s)
        async with opened() as endpoint, AsyncExitStack() as opening:
            client = None
            if way == "httpx":
                client = await opening.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
            embedder = await opening.enter_async_context(
                AsyncVisionEmbedder(endpoint, "k", requests_per_second=None, retry=policy, http_client=client)
            )
            tracemalloc.start()
            began_at = clock()
            with pytest.raises((RetriesExhaustedError, EndpointError)) as caught:
                await embedder.embed_image(image)
            over_s = max(over_s, clock() - began_at - limit_s)
            most_bytes = max(most_bytes, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert over_s <= 0.5 or not extent.is_all, fault
        assert (f"{limit_s:g} s" in str(caught.value)) or fault not in HANG, fault
        assert most_bytes <= 8_000_000, fault
        assert isinstance(caught.value, EndpointError) == (fault in {"DNS failure", "refused"}), fault
    score(f"{way}: limit + {max(over_s, 0):.2f} s at most, memory + {most_bytes / 1e6:.1f} MB at most")

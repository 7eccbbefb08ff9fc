"""A fake of the service with its own ledger, written apart from the emulator and the client.

Its vectors are derived from the SHA-256 of the bytes it received, so a vector on the wrong image shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

MODEL = "2023-04-15"


def vector_for(content: bytes) -> NDArray[np.float32]:
    """Return the vector that the fake gives for some bytes: float16 values, as the service's are."""
    numbers = np.frombuffer(hashlib.shake_256(hashlib.sha256(content).digest()).digest(2048), dtype="<u2")
    return (numbers / 8192 - 4).astype(np.float16).astype(np.float32)


@dataclass(frozen=True)
class Call:
    """One request, as it arrived."""

    arrived_s: float
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer; `cut` closes the connection after so many bytes, `hang` never answers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


def error_reply(status: int, message: str = "as ordered", **headers: str) -> Reply:
    """Answer with an error in the gateway's envelope."""
    body = json.dumps({"error": {"code": str(status), "message": message}}).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def good_reply(call: Call) -> Reply:
    """Answer with the vector of what was sent."""
    numbers = [float(number) for number in vector_for(call.body)]
    return Reply(body=json.dumps({"modelVersion": MODEL, "vector": numbers}).encode())


class FakeService:
    """A server on loopback that answers as its `answer` says, and remembers every call."""

    def __init__(
        self,
        answer: Callable[[Call], Reply] = good_reply,
        *,
        latency_s: float = 0.0,
        limit_per_s: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self._tls = tls
        self.script: deque[Reply] = deque()
        """Answers that come first, whatever is asked."""
        self.calls: list[Call] = []
        self.statuses: list[int] = []
        self.answers: list[tuple[float, bytes]] = []
        """When each vector had been sent in full, and the body that it is of."""
        self.latency_s = latency_s
        self._limit_per_s = limit_per_s
        self._accepted: deque[float] = deque()
        self._connections: set[asyncio.StreamWriter] = set()
        self.most_connections = 0
        """So many were open at once."""
        self._called = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        scheme = "http" if self._tls is None else "https"
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.transport.abort()
        await self._server.wait_closed()
        while self._connections:  # noqa: ASYNC110 - each leaves in a turn or two, when its handler has noticed
            await asyncio.sleep(0)

    @property
    def paid(self) -> list[bytes]:
        """The bodies that were answered with a vector, in order."""
        return [call.body for call, status in zip(self.calls, self.statuses, strict=True) if status == 200]

    async def calls_reach(self, count: int) -> None:
        """Wait until so many calls have arrived."""
        async with asyncio.timeout(60):
            while len(self.calls) < count:
                self._called.clear()
                await self._called.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self.most_connections = max(self.most_connections, len(self._connections))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()
            self._connections.discard(writer)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        call = Call(time.monotonic(), head[0].split(" ")[1], headers, body)
        reply = self._reply(call)
        self.calls.append(call)
        self._called.set()
        self.statuses.append(0 if reply.hang or reply.cut is not None else reply.status)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if reply.hang:
            await reader.read()  # until the client gives up
            return False
        fields = {"content-length": str(len(reply.body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Said", *(f"{name}: {value}" for name, value in fields.items())]
        message = "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body
        writer.write(message[: reply.cut])
        await writer.drain()
        if reply.cut is None and reply.status == 200:
            self.answers.append((time.monotonic(), body))
        return reply.cut is None

    def _reply(self, call: Call) -> Reply:
        if self._limit_per_s is not None:
            while self._accepted and self._accepted[0] <= call.arrived_s - 1:
                self._accepted.popleft()
            if len(self._accepted) >= self._limit_per_s:
                return error_reply(429, retry_after="1")
            self._accepted.append(call.arrived_s)
        return self.script.popleft() if self.script else self.answer(call)

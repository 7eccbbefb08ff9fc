"""Faults of the connection: an answer that is reset, cut, delayed or sent byte by byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from semart_vectors.emulator.faults import Fault
    from semart_vectors.emulator.http_messages import Answer

TRANSPORT: Final = "semart_vectors.transport"
"""The extension of the ASGI scope that holds the connection's transport."""
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` of zero seconds: closing sends a RST."""


class CutError(ConnectionResetError):
    """The connection ends here; raised where the server gave no connection that could be closed."""

    def __init__(self, sent: int | None, expected: int) -> None:
        self.sent = sent
        """How many bytes of the body were sent; None when not even the headers were."""
        self.expected = expected
        """How many bytes the headers announced."""
        super().__init__(f"ended by a fault after {sent} of {expected} bytes")


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, with the transport in the scope, so that the application can close a connection."""

    def on_message_begin(self) -> None:
        """Begin a request as Uvicorn does, and add the transport to its scope."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item] # ours to define


async def deliver(
    answer: Answer,
    fault: Fault,
    connection: tuple[Scope, Receive, Send],
    wait: Callable[[float], Awaitable[None]],
) -> None:
    """Send an answer with its fault, if that is one of the connection.

    `wait` sleeps for a number of seconds, or for less when the emulator closes.

    Raises:
        CutError: the connection should be closed, and the server gave none.
    """
    send = connection[2]
    match fault.kind:
        case "reset":
            await _end(connection, None, answer)
        case "cut":
            part = answer.content[: int(len(answer.content) * fault.number)]
            await send(answer.start())
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await _end(connection, len(part), answer)
        case "slow-headers":
            await wait(fault.number)
            await answer.send(send)
        case "drip":
            await _drip(answer, fault.number, send, wait)
        case _:
            await answer.send(send)


async def _drip(answer: Answer, seconds: float, send: Send, wait: Callable[[float], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    begun, size = loop.time(), len(answer.content)
    await send(answer.start())
    for place in range(size):
        await wait(begun + seconds * place / size - loop.time())
        await send(
            {"type": "http.response.body", "body": answer.content[place : place + 1], "more_body": True}
        )
        await asyncio.sleep(0)  # so that each byte is a write of its own, and other tasks run
    await send({"type": "http.response.body", "body": b""})


async def _end(connection: tuple[Scope, Receive, Send], sent: int | None, answer: Answer) -> None:
    scope, receive, _ = connection
    transport: Any = scope.get("extensions", {}).get(TRANSPORT)
    if transport is None:
        raise CutError(sent, len(answer.content))
    if sent is None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    else:
        transport.close()  # what was written is still sent
    # Uvicorn must notice before we return, or it logs the missing rest of the body as our error.
    while (await receive())["type"] != "http.disconnect":
        pass

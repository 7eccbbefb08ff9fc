"""The way of an answer to the client, and what can happen to it there."""

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
    from semart_vectors.emulator.messages import Answer

TRANSPORT: Final = "semart_vectors.transport"
"""The extension of the ASGI scope under which a server hands over the connection."""
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` of no time: closing sends a RST."""


class CutError(ConnectionResetError):
    """The connection ends here; raised where there is none that could be ended."""

    def __init__(self, sent: int | None, expected: int) -> None:
        self.sent = sent
        """How many bytes of the body went out; None when not even the headers did."""
        self.expected = expected
        """How many the headers promised."""
        super().__init__(f"ended by a fault after {sent} of {expected} bytes")


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, which lets the application end a connection."""

    def on_message_begin(self) -> None:
        """Begin a request as Uvicorn does, and add the connection to its scope."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item] # ours to define


async def deliver(
    answer: Answer,
    fault: Fault,
    connection: tuple[Scope, Receive, Send],
    wait: Callable[[float], Awaitable[None]],
) -> None:
    """Send an answer as one of `DELIVERIES` has it; `wait` takes seconds, and may be shorter on leaving.

    Raises:
        CutError: the connection is to end, and the server handed none over.
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
        await asyncio.sleep(0)  # each byte leaves as a write of its own, and others get their turn
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
        transport.close()  # what was sent still arrives
    # The server must know before we return, or it takes the missing end for our mistake.
    while (await receive())["type"] != "http.disconnect":
        pass

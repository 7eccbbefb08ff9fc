"""The emulator on a port of this machine, inside the running event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.lifespan.off import LifespanOff

from semart_vectors.emulator.connection_faults import Protocol
from semart_vectors.emulator.emulated_service import EmulatedService, create_app
from semart_vectors.emulator.in_process_transport import InProcessTransport
from semart_vectors.emulator.settings import Settings

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    from semart_vectors.emulator.faults import Faults
    from semart_vectors.emulator.ledger import ServedCall
    from semart_vectors.emulator.settings import Options

HOST = "127.0.0.1"
KEEP_ALIVE_S = 75
"""Longer than clients in tests pause, so that no connection is closed while a request arrives on it."""
GRACE_S = 0.2
"""How long the end of the block waits for calls under way."""


class Emulator:
    """Serve the emulated resource on a loopback port for the length of an ``async with`` block.

    It runs in the caller's event loop, installs no signal handlers, and can be entered once.

    Args:
        port: the port; 0 takes a free one.
        settings: the fields of `Settings`, each with its default.
    """

    def __init__(self, *, port: int = 0, **settings: Unpack[Options]) -> None:
        self._service = EmulatedService(Settings(**settings))
        self._port = port
        self._server: uvicorn.Server | None = None

    def __repr__(self) -> str:
        return f"Emulator({self.endpoint if self._server else 'not started'})"

    @property
    def endpoint(self) -> str:
        """Where to send calls: ``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise RuntimeError("an Emulator has no endpoint before its `async with` block")
        return f"http://{HOST}:{self._port}"

    @property
    def calls(self) -> list[ServedCall]:
        """The calls so far, in the order in which they were decided; at most the last 100,000."""
        return list(self._service.ledger.calls)

    @property
    def faults(self) -> Faults:
        """The faults to come; add more at any time."""
        return self._service.faults

    def transport(self) -> InProcessTransport:
        """Return a transport for an `httpx.AsyncClient`; it needs no port and no ``async with``.

        ::

            httpx.AsyncClient(transport=emulator.transport(), base_url="https://emulator")
        """
        return InProcessTransport(self._service, create_app(self._service))

    async def __aenter__(self) -> Self:
        """Open the port and begin to answer.

        Raises:
            OSError: the port is taken, or may not be used; or a folder cannot be read or written.
            ValueError: the folder to replay holds no recordings.
        """
        if self._server is not None:
            raise RuntimeError("an Emulator can be entered only once: make a new one")
        await self._service.open()
        # asyncio turns Nagle's algorithm off only for a socket with an explicit protocol. With the algorithm
        # on, each answer, which is two writes, would wait 40 ms for a delayed acknowledgement.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, self._port))
            self._server = await _start(self._service, listener)
        except BaseException:
            # A cancellation may come after the loop began to listen.
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Accept no more calls, answer those under way without their latency, and close the port."""
        if self._server is not None:
            self._service.closing.set()
            try:
                await _stop(self._server)
            finally:
                await self._service.aclose()


async def _start(service: EmulatedService, listener: socket.socket) -> uvicorn.Server:
    """Start to serve without a task of our own.

    `uvicorn.Server.serve` adds signal handlers, which are the caller's business, and a timer for the
    ``Date`` header, which the application writes itself.
    """
    config = uvicorn.Config(
        create_app(service),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = LifespanOff(config)
    await server.startup(sockets=[listener])
    return server


async def _stop(server: uvicorn.Server) -> None:
    """Close every connection: the idle ones at once, the others when answered, or when `GRACE_S` is over."""
    state = server.server_state
    for listening in server.servers:
        listening.close()
    try:
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=GRACE_S)
    finally:
        for connection in list(state.connections):
            connection.transport.abort()
        # A transport closes its socket in the next iteration of the loop, which may be the last.
        await asyncio.sleep(0)
    # The remaining tasks have lost their connections; only an image being decoded can hold them up.
    if state.tasks:
        await asyncio.wait(set(state.tasks))

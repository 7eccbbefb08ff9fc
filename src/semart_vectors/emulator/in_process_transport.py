"""An httpx transport to the emulator without a port or socket, with the errors that a socket would give."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from semart_vectors.emulator.connection_faults import CutError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from semart_vectors.emulator.emulated_service import EmulatedService


class InProcessTransport(httpx.AsyncBaseTransport):
    """Passes requests directly to the application, with the client's read timeout as on a socket."""

    def __init__(self, service: EmulatedService, app: ASGIApp) -> None:
        self._service = service
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request.

        Raises:
            httpx.ReadError: a fault reset the connection.
            httpx.RemoteProtocolError: a fault cut the body short.
            httpx.ReadTimeout: nothing came within the read timeout.
        """
        read_timeout_s: float | None = request.extensions.get("timeout", {}).get("read")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(read_timeout_s) as timeout:

                async def app(scope: Scope, receive: Receive, send: Send) -> None:
                    async def send_and_extend(message: MutableMapping[str, Any]) -> None:
                        if read_timeout_s is not None:
                            timeout.reschedule(loop.time() + read_timeout_s)
                        await send(message)

                    await self._app(scope, receive, send_and_extend)

                return await httpx.ASGITransport(app).handle_async_request(request)
        except CutError as cut:
            if cut.sent is None:
                raise httpx.ReadError(str(cut), request=request) from cut
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body"
                f" (received {cut.sent} bytes, expected {cut.expected})",
                request=request,
            ) from cut
        except TimeoutError as error:
            raise httpx.ReadTimeout(
                "the emulator sent nothing within the read timeout", request=request
            ) from error

    async def aclose(self) -> None:
        """Close the emulator's connections to an upstream."""
        await self._service.aclose()

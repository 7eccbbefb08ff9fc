"""The emulator as a transport of httpx: no port, no socket, and the errors that a socket would give."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from semart_vectors.emulator.delivery import CutError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from semart_vectors.emulator.app import Service


class InProcessTransport(httpx.AsyncBaseTransport):
    """Hands requests straight to the application, and keeps the client's read timeout as a socket would."""

    def __init__(self, service: Service, app: ASGIApp) -> None:
        self._service = service
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request.

        Raises:
            httpx.ReadError: a fault reset the connection.
            httpx.RemoteProtocolError: a fault cut the body short.
            httpx.ReadTimeout: nothing came for longer than the client waits.
        """
        patience_s: float | None = request.extensions.get("timeout", {}).get("read")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience_s) as timeout:

                async def app(scope: Scope, receive: Receive, send: Send) -> None:
                    async def send_and_go_on(message: MutableMapping[str, Any]) -> None:
                        if patience_s is not None:
                            timeout.reschedule(loop.time() + patience_s)
                        await send(message)

                    await self._app(scope, receive, send_and_go_on)

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
            raise httpx.ReadTimeout("the emulator took its time", request=request) from error

    async def aclose(self) -> None:
        """Close what the emulator holds open towards an upstream."""
        await self._service.aclose()

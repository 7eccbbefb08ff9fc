"""Servers that keep every byte they get, of whoever speaks to them by mistake."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from certificates import context_of

if TYPE_CHECKING:
    import trustme


class PlainServer:
    """A server that says the same to everybody, speaks no TLS, and hangs up."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.connections = 0
        self.raw, self.decrypted = bytearray(), bytearray()
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        for writer in self._open:
            writer.transport.abort()
        while self._open:  # noqa: ASYNC110 - each leaves in a turn or two
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            with suppress(ssl.SSLError, ConnectionError):
                await self._talk(reader, writer)
        finally:
            writer.close()
            self._open.discard(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.raw += await reader.read(65536)
        writer.write(self._says)


class TlsServer(PlainServer):
    """A server of TLS, which hangs up when it is asked for something."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__(b"")
        self._context = context_of(certificate)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked = False
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        while not is_asked and (received := await reader.read(65536)):
            self.raw += received
            incoming.write(received)
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                while decrypted := tls.read(65536):
                    self.decrypted += decrypted
                    is_asked = True
            writer.write(outgoing.read())

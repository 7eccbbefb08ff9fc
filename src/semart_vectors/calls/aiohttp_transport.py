"""`AiohttpTransport`: a transport for httpx clients on aiohttp's connections.

httpx's own pool costs ten times as much a call, and more the more connections there are:
``docs/performance.md`` has the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import httpx
from yarl import URL

from semart_vectors.calls.proxies_and_certificates import Route, find_route
from semart_vectors.calls.unpacking import too_long, unpacked
from semart_vectors.errors import causes
from semart_vectors.service.messages import MAX_ANSWER_BYTES, ServiceAnswer

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from types import TracebackType
    from urllib.parse import SplitResult

Post: TypeAlias = Callable[[bytes], Awaitable[ServiceAnswer]]
"""Sends a body to one address with the same headers every time, and returns the whole answer."""

_MAX_ROUTES = 1024

_LARGE_BYTES = 1 << 20
"""A cancelled upload of more than this is aborted: less is in the system's hands at once."""

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
_NO_AUTOMATIC_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_NOT_PASSED_ON = frozenset({"transfer-encoding"})
"""aiohttp sets it where it is needed."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Put it under any `httpx.AsyncClient`: hooks, auth, cookies and mounts work as with httpx's own.

    ::

        async with httpx.AsyncClient(transport=AiohttpTransport()) as client: ...

    There is no bound on connections: bound the calls instead. Connect and read timeouts are the client's;
    there is none for a pool, and none for writing. HTTP/1.1 only; header values go out as UTF-8. Proxies and
    certificates come from the environment, as with httpx, except for this machine itself: a proxy would read
    an unencrypted call to it.
    """

    def __init__(self, *, verify: ssl.SSLContext | None = None, trust_env: bool = True) -> None:
        """Set a transport up; it opens with its client, or with the first request.

        Args:
            verify: Decides whom to trust, instead of ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and certifi.
            trust_env: Whether ``HTTP_PROXY`` and its siblings count.
        """
        self._verify = verify
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._looking = asyncio.Lock()
        self._routes: dict[tuple[str, str | None, int | None], Route] = {}

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
            await asyncio.sleep(0)  # its sockets are closed in the next turn of the loop

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a client, and return the response as soon as its head is there.

        Raises:
            httpx.TransportError: no answer came.
            ConfigurationError: the certificates or the proxy that the environment names cannot be used.
        """
        try:
            body: Any = _as_body(request.content)
        except httpx.RequestNotRead:
            body = request.stream
        # What the address says of a user the client has put into a header already.
        url = str(
            request.url.copy_with(username=None, password=None) if request.url.userinfo else request.url
        )
        route = await self._route(url)
        try:
            answer = await self._open().request(
                request.method,
                URL(url, encoded=True),
                data=body or None,
                headers=[each for each in request.headers.multi_items() if each[0] not in _NOT_PASSED_ON],
                timeout=_timeout(request),
                **_as_options(route),
            )
        except asyncio.CancelledError:
            _abort(body)
            raise
        except _FOREIGN as error:
            raise as_httpx_error(error, request) from system_error(error)
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=_Body(answer, request),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (answer.reason or "").encode()},
        )

    async def prepare_post(self, url: str, headers: Mapping[str, str]) -> Post:
        """Return the short way: one address, the same headers every time, no objects of httpx between.

        What it sends and receives is what `handle_async_request` would, and so is what it raises; the whole
        answer comes at once, unpacked, up to a megabyte of it. It has no timeout of its own.

        Raises:
            ConfigurationError: the certificates or the proxy that the environment names cannot be used.
        """
        session, address = self._open(), URL(url, encoded=True)
        options = _as_options(await self._route(url))
        sent = session.headers.copy()  # of the kind that aiohttp takes as it is
        sent.update(headers)

        async def post(content: bytes) -> ServiceAnswer:
            body = _as_body(content)
            try:
                answer = await session.post(address, data=body, headers=sent, timeout=_NO_TIMEOUT, **options)
                try:
                    return ServiceAnswer(answer.status, answer.headers, await _whole(answer))
                finally:
                    answer.release()
            except asyncio.CancelledError:
                _abort(body)
                raise
            except _FOREIGN as error:
                raise as_httpx_error(error) from system_error(error)

        return post

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                auto_decompress=False,  # it knows no bound
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_NO_AUTOMATIC_HEADERS,
            )
        return self._session

    async def _route(self, url: str) -> Route:
        parts = urlsplit(url)
        origin = parts.scheme, parts.hostname, parts.port
        if origin not in self._routes:
            async with self._looking:
                if origin not in self._routes:  # nobody looked meanwhile
                    self._routes[origin] = await self._look(parts)
        return self._routes[origin]

    async def _look(self, parts: SplitResult) -> Route:
        """Find out how to reach an origin; certificates are loaded once, for all of them."""
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        # Looking at certificates and environment blocks.
        route = await asyncio.to_thread(find_route, parts, verify=self._verify, trust_env=self._trust_env)
        self._verify = route.trust or self._verify
        return route


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except _FOREIGN as error:
            raise as_httpx_error(error, self._request) from system_error(error)

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        self._answer.release()


_FOREIGN = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""All that aiohttp raises for want of an answer; the last for a request that HTTP has no form for."""

_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[httpx.TransportError]], ...] = (
    ((aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError), httpx.ProxyError),
    ((aiohttp.ConnectionTimeoutError,), httpx.ConnectTimeout),
    ((aiohttp.ClientConnectorError,), httpx.ConnectError),
    ((TimeoutError,), httpx.ReadTimeout),
    ((aiohttp.NonHttpUrlClientError, aiohttp.InvalidURL), httpx.UnsupportedProtocol),
    ((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError), httpx.RemoteProtocolError),
    ((aiohttp.ServerFingerprintMismatch,), httpx.ConnectError),
    ((aiohttp.ClientResponseError,), httpx.RemoteProtocolError),
    ((OSError, aiohttp.ClientConnectionError), httpx.ReadError),
    ((aiohttp.ClientError,), httpx.RemoteProtocolError),
    ((ValueError,), httpx.LocalProtocolError),
)
"""What an error of aiohttp, or of the system, is called by httpx; the first that fits counts."""


def as_httpx_error(error: Exception, request: httpx.Request | None = None) -> httpx.TransportError:
    """Return the error of httpx that says what an error of aiohttp says."""
    kind = next(meant for kinds, meant in _MEANINGS if isinstance(error, kinds))
    return kind(_describe(error), request=request)


def system_error(error: Exception) -> OSError | None:
    """Return what the system said, to be the cause of an error; aiohttp's own shows headers in its repr."""
    return next(
        (
            each
            for each in causes(error)
            if isinstance(each, OSError) and not isinstance(each, aiohttp.ClientError)
        ),
        None,
    )


def _describe(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):  # in full it has the proxy's password
        return f"the proxy answered {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientConnectorError):  # in full it has the address of an object
        reason = getattr(error, "certificate_error", None) or error.os_error
        return f"cannot connect to {error.host}:{error.port}: {reason}"
    return str(error) or type(error).__name__


class _Upload(aiohttp.Payload):
    """A large body, given to its connection in one go.

    aiohttp hands on bytes in the same way, and delivers them whole though the call was cancelled, so that it
    is billed. A file it sends in pieces; and when one meets a connection that the service has closed, the
    answer that came before is lost (aiohttp 3.14).
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/octet-stream")
        self._size = len(content)
        self._transport: asyncio.Transport | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        self._transport = writer.transport
        await writer.write(self._value, drain=False)  # the answer is waited for, not the end of the upload

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:  # noqa: ARG002 - ours
        await self.write(writer)

    def abort(self) -> None:
        """Send no more of it."""
        if self._transport is not None:
            self._transport.abort()


def _as_body(content: bytes) -> bytes | _Upload:
    return content if len(content) <= _LARGE_BYTES else _Upload(content)


def _abort(body: object) -> None:
    if isinstance(body, _Upload):
        body.abort()


def _timeout(request: httpx.Request) -> aiohttp.ClientTimeout:
    asked: Mapping[str, float | None] = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(total=None, sock_connect=asked.get("connect"), sock_read=asked.get("read"))


def _as_options(route: Route) -> dict[str, Any]:
    return {"ssl": route.trust or True, "proxy": route.proxy, "allow_redirects": False}


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    length = answer.content_length
    if length is not None and length <= MAX_ANSWER_BYTES:
        body = await answer.read()
    else:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                answer.close()
                raise too_long()
        body = bytes(content)
    encoding = answer.headers.get("Content-Encoding")
    return body if encoding is None else unpacked(body, encoding)

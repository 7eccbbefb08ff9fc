"""Our own way to the service: aiohttp's connections, at the price of a hand-written loop.

httpx makes a call fifteen times as dear, and even its bare requests and responses, handed to a transport on
aiohttp without a client between, cost a third of the speed: docs/performance.md has the figures.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from semart_vectors.calls.clients import broken, is_this_machine, no_address, too_long, unpacked, unreachable
from semart_vectors.errors import ConfigurationError
from semart_vectors.service.azure import MAX_ANSWER_BYTES, ServiceAnswer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

    from semart_vectors.calls.clients import Post

_LARGE_BYTES = 1 << 20
"""What aiohttp wants to send bit by bit."""


class AiohttpTransport:
    """One request at a time on each of any number of connections; closed by ``async with``.

    Proxies and certificates come from the environment, but for this machine itself: a proxy would read the
    key of an unencrypted call.
    """

    def __init__(self, endpoint: str) -> None:
        """Look at the environment, which blocks: do it in a thread.

        Raises:
            ConfigurationError: the certificates or the proxy that the environment names cannot be used.
        """
        parts = urlsplit(endpoint)
        self._trust = _trusted() if parts.scheme == "https" else True
        self._proxy = None if is_this_machine(parts.hostname or "") else _proxy_for(parts.scheme, endpoint)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        # No bound on connections: the calls have one; and one limit over everything, which is set elsewhere.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trust),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,  # it knows no bound
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def to(self, url: str, headers: Mapping[str, str]) -> Post:
        """Prepare calls of one kind."""
        session, proxy = self._session, self._proxy

        async def post(body: bytes) -> ServiceAnswer:
            # Never `from error`: what a cause brings along holds the key among its variables.
            try:
                answer = await session.post(
                    url,
                    data=body if len(body) <= _LARGE_BYTES else BytesIO(body),
                    headers=headers,
                    allow_redirects=False,
                    proxy=proxy,
                )
                try:
                    return ServiceAnswer(answer.status, answer.headers, await _whole(answer))
                finally:
                    answer.release()
            except aiohttp.ClientConnectorError as error:
                raise unreachable(error) from None
            except aiohttp.ClientHttpProxyError as error:  # in full it holds the proxy's password
                raise unreachable(OSError(f"the proxy answered {error.status} ({error.message})")) from None
            except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
                raise no_address(error) from None
            except (aiohttp.ClientError, OSError) as error:
                raise broken(error) from None

        return post


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


def _trusted() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()  # as everywhere: SSL_CERT_FILE, SSL_CERT_DIR, else certifi's
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no HTTP client can be made from this environment: {error}; "
            "check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables"
        ) from None


def _proxy_for(scheme: str, endpoint: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(urlsplit(endpoint).netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"the environment names a proxy of the kind {urlsplit(proxy).scheme!r}, and only http is known "
            "here: pass an httpx.AsyncClient that knows it as http_client, or name the endpoint in NO_PROXY"
        )
    return proxy

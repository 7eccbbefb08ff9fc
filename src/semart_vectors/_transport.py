"""The httpx client we make when none is handed in, and the one place where httpx errors get their meaning."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from email.utils import formatdate
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from semart_vectors._service import MAX_ANSWER_BYTES, ServiceAnswer, TransientError
from semart_vectors.errors import ConfigurationError, EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class UnreachableError(TransientError):
    """No connection to the endpoint came about: refused, or its name is unknown."""


def make_client(endpoint: str, max_in_flight: int) -> httpx.AsyncClient:
    """Make a client whose pool is never the bottleneck.

    Proxies and certificates come from the environment, but for this machine itself: a proxy would read the
    key of an unencrypted call.

    Raises:
        ConfigurationError: the certificates that the environment names cannot be read.
    """
    # No bound on connections: the calls have one, and a place in the pool that a cancelled call leaked
    # would otherwise be missing for ever.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=max_in_flight)
    trust_env = not is_this_machine(urlsplit(endpoint).hostname or "")
    try:  # `exchange` limits each attempt as a whole, so that the client need not
        return httpx.AsyncClient(limits=limits, timeout=None, trust_env=trust_env)  # noqa: S113 - see above
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no HTTP client can be made from this environment: {error}; "
            "check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables"
        ) from None


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def exchange(
    client: httpx.AsyncClient, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
) -> ServiceAnswer:
    """Send one request and return the whole answer.

    Args:
        client: Whose settings hold, but for redirects: following one would carry the key to another host.
        url: Where to.
        headers: With the key among them.
        body: What to send.
        timeout_s: Limit over everything, in seconds; httpx's own hold for each read anew.

    Raises:
        TransientError: no whole answer came in time; trying again may help.
        EndpointError: the host cannot be trusted, or the address is no address.
    """
    content = bytearray()
    with _translated(timeout_s):
        try:
            async with (
                asyncio.timeout(timeout_s),
                client.stream("POST", url, headers=headers, content=body, follow_redirects=False) as response,
            ):
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise TransientError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        except httpx.HTTPStatusError as error:  # raised by a hook of the caller's client
            response = error.response
    answered = dict(response.headers)
    answered.setdefault("date", formatdate(usegmt=True))  # what a `Retry-After` date is measured against
    return ServiceAnswer(response.status_code, answered, bytes(content))


@contextmanager
def _translated(timeout_s: float) -> Iterator[None]:
    try:
        yield
    # Never `from error`: the stack of httpx that a cause brings along holds the key among its variables.
    except TimeoutError:
        raise TransientError(f"no whole answer within {timeout_s:g} s") from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if _in_chain(error, ssl.SSLError):
            raise EndpointError(
                f"the endpoint cannot be trusted, so the key was not sent: {error}; check VISION_ENDPOINT, "
                "and SSL_CERT_FILE where a proxy signs with its own certificate"
            ) from None
        raise UnreachableError(
            f"no connection to the endpoint: {str(error) or type(error).__name__}"
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise EndpointError(f"the endpoint is no usable address: {error}; check VISION_ENDPOINT") from None
    except (httpx.HTTPError, OSError) as error:
        raise TransientError(f"the connection failed: {str(error) or type(error).__name__}") from None


def _in_chain(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False

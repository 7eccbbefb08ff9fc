"""Ways to the service: what each of them offers, the way of a caller's client, and what failures mean."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from ipaddress import ip_address
from typing import Protocol, TypeAlias

import anyio
import httpx

from semart_vectors.errors import EndpointError, causes, is_out_of_resources
from semart_vectors.service.azure import MAX_ANSWER_BYTES, ServiceAnswer, TransientError

Post: TypeAlias = Callable[[bytes], Awaitable[ServiceAnswer]]
"""Sends a body to one address with the same headers every time, and returns the whole answer.

Raises `TransientError` when none came, `EndpointError` when none will ever come, and `ScarcityError` when
this machine has no connection to give.
"""


class Transport(Protocol):
    """A way to the service."""

    def to(self, url: str, headers: Mapping[str, str]) -> Post:
        """Prepare calls of one kind."""


class ClientTransport:
    """A caller's httpx client, whose settings hold, but for redirects: the key would travel along."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def to(self, url: str, headers: Mapping[str, str]) -> Post:
        """Prepare calls of one kind."""

        async def post(body: bytes) -> ServiceAnswer:
            # Never `from error`: what a cause brings along holds the key among its variables.
            try:
                return await _cancelled_by_anyio(partial(self._answer, url, headers, body))
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
                raise unreachable(error) from None
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise no_address(error) from None
            except httpx.HTTPError as error:
                raise broken(error) from None

        return post

    async def _answer(self, url: str, headers: Mapping[str, str], body: bytes) -> ServiceAnswer:
        content = bytearray()
        try:
            async with self._client.stream(
                "POST", url, headers=headers, content=body, follow_redirects=False
            ) as response:
                if response.is_stream_consumed:  # by a hook of the client, or it comes from a mock of tests
                    body = await response.aread()
                    if len(body) > MAX_ANSWER_BYTES:
                        raise too_long()
                    return ServiceAnswer(response.status_code, response.headers, body)
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise too_long()
        except httpx.HTTPStatusError as error:  # raised by a hook of the client
            response = error.response
        body = unpacked(bytes(content), response.headers.get("content-encoding"))
        return ServiceAnswer(response.status_code, response.headers, body)


def unpacked(body: bytes, encoding: str | None) -> bytes:
    """Undo the encoding of a body, as far as an answer's size: what swells further is not unpacked.

    Raises:
        TransientError: it is larger, cut, or encoded in a way that nobody asked for.
    """
    if not body or encoding is None or (encoding := encoding.strip().lower()) in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise TransientError(f"the answer is encoded as {encoding[:40]!r}, which nobody asked for")
    for window in _WINDOWS[encoding]:
        unpacker = zlib.decompressobj(window)
        try:
            content = unpacker.decompress(body, MAX_ANSWER_BYTES + 1)
        except zlib.error:
            continue
        if len(content) > MAX_ANSWER_BYTES:
            raise too_long()
        if unpacker.eof and not unpacker.unused_data:
            return content
    raise TransientError(f"the answer cannot be unpacked as {encoding}")


_WINDOWS = {
    "gzip": (16 + zlib.MAX_WBITS,),
    "x-gzip": (16 + zlib.MAX_WBITS,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),  # some servers leave the header of zlib out
}


async def _cancelled_by_anyio(call: Callable[[], Awaitable[ServiceAnswer]]) -> ServiceAnswer:
    """Await a call of httpx so that cancelling it leaves no connection behind.

    Its pool guards what it does then against anyio's cancellations alone. One by asyncio loses a connection
    now and then, until none is left: so the call is a task of its own, and becomes cancelled by anyio.
    """
    scope = anyio.CancelScope()

    async def answer() -> ServiceAnswer:
        with scope:
            return await call()
        raise asyncio.CancelledError

    task = asyncio.get_running_loop().create_task(answer())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        scope.cancel()
        await asyncio.wait([task])
        raise


class UnreachableError(TransientError):
    """No connection to the endpoint came about: refused, or its name is unknown."""


class ScarcityError(Exception):
    """No connection came about for lack of what this machine gives: neither service nor image is to blame."""


def unreachable(error: Exception) -> EndpointError | UnreachableError | ScarcityError:
    """Say what it means that no connection came about."""
    if is_out_of_resources(error):
        return ScarcityError(_told(error))
    if any(isinstance(each, ssl.SSLError) for each in causes(error)):
        return EndpointError(
            f"the endpoint cannot be trusted, so the key was not sent: {error}; check VISION_ENDPOINT, "
            "and SSL_CERT_FILE where a proxy signs with its own certificate"
        )
    return UnreachableError(f"no connection to the endpoint: {_told(error)}", no_images_fault=True)


def no_address(error: Exception) -> EndpointError:
    """Say what it means that an address cannot be parsed."""
    return EndpointError(f"the endpoint is no usable address: {error}; check VISION_ENDPOINT")


def broken(error: Exception) -> TransientError:
    """Say what it means that a connection broke, or that what came over it is no HTTP."""
    return TransientError(f"the connection failed: {_told(error)}")


def too_long() -> TransientError:
    """Say what it means that an answer does not end where a vector would."""
    return TransientError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

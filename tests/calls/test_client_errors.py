"""Every error of an HTTP client has a meaning for a call, whatever library it comes from."""

from __future__ import annotations

import asyncio
import errno
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import httpx_aiohttp
import pytest

from semart_vectors.calls.aiohttp_transport import as_httpx_error
from semart_vectors.calls.client_errors import HttpErrors, ShortageError, UnreachableError
from semart_vectors.errors import EndpointError
from semart_vectors.service.messages import TransientError

if TYPE_CHECKING:
    from types import ModuleType

LIBRARIES = [httpx, httpx2]


def exceptions_of(library: ModuleType) -> dict[str, type[Exception]]:
    """Return all exceptions that a library offers."""
    return {
        name: value
        for name, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
    }


def bare(kind: type[Exception]) -> Exception:
    """Make an exception of whatever class, without the arguments that it wants, but with words."""
    said = {"__str__": lambda _: "words", "host": "a.example", "port": 443, "os_error": OSError("words")}
    worded: Any = type(kind.__name__, (kind,), said)
    error: Exception = worded.__new__(worded)
    error.__dict__.update({"status": 502, "message": "words"})
    return error


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_no_exception_of_a_client_is_unmapped(library: ModuleType) -> None:
    """The tree is walked, so that a new release shows what it adds."""
    errors, found = HttpErrors(library), exceptions_of(library)
    assert len(found) > 20
    for name, kind in found.items():
        error = bare(kind)
        assert isinstance(error, errors.all), name
        assert isinstance(errors.meaning(error), TransientError | EndpointError), name


async def test_a_connection_that_was_dropped_is_no_missing_one() -> None:
    """Whatever the transport calls it; one image that makes the service hang up is no outage."""

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport()) as client:
        with pytest.raises(httpx.TransportError) as caught:
            await client.post(url, content=b"x")
    meaning = HttpErrors(httpx).meaning(caught.value)
    assert isinstance(meaning, TransientError)
    assert not isinstance(meaning, UnreachableError)


async def test_an_unencrypted_address_is_not_told_as_ssl() -> None:
    """The words of aiohttp are "ssl:default" for any address."""
    async with httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport()) as client:
        with pytest.raises(httpx.TransportError) as caught:
            await client.post("http://127.0.0.1:9", content=b"x")
    meaning = HttpErrors(httpx).meaning(caught.value)
    assert isinstance(meaning, UnreachableError)
    assert "cannot connect to 127.0.0.1:9" in str(meaning)
    assert "ssl" not in str(meaning)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_no_connection_is_not_the_images_fault(library: Any) -> None:
    """Nobody was there to look at it."""
    errors = HttpErrors(library)
    for kind in (library.ConnectError, library.ConnectTimeout, library.ProxyError):
        meaning = errors.meaning(kind("refused"))
        assert isinstance(meaning, UnreachableError)
        assert meaning.is_image_independent
    for kind in (library.ReadError, library.ReadTimeout, library.RemoteProtocolError, library.PoolTimeout):
        meaning = errors.meaning(kind("broken"))
        assert type(meaning) is TransientError
        assert not meaning.is_image_independent
    for kind in (library.InvalidURL, library.UnsupportedProtocol):
        assert isinstance(errors.meaning(kind("odd")), EndpointError)


@pytest.mark.parametrize(
    ("cause", "meaning"),
    [
        (OSError(errno.EMFILE, "Too many open files"), ShortageError),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), EndpointError),
        (OSError(errno.ECONNREFUSED, "Connection refused"), UnreachableError),
    ],
)
def test_a_connection_that_failed_is_told_by_its_cause(cause: OSError, meaning: type[Exception]) -> None:
    """However deep it lies: libraries call all of these the same."""
    error, between = httpx.ConnectError("All connection attempts failed"), RuntimeError("between")
    error.__cause__ = cause
    assert type(HttpErrors(httpx).meaning(error)) is meaning
    error.__cause__, between.__cause__ = between, cause
    assert type(HttpErrors(httpx).meaning(error)) is meaning


def derived(kind: type[Exception]) -> set[type[Exception]]:
    """Return an exception and all that are derived from it."""
    return {kind}.union(*map(derived, kind.__subclasses__()))


def test_every_error_of_aiohttp_is_one_of_httpx() -> None:
    """As the clients on our transport expect; the system's own errors too."""
    kinds = derived(aiohttp.ClientError) | {OSError, ConnectionResetError, TimeoutError, ssl.SSLError}
    assert len(kinds) > 20
    for kind in kinds:
        assert isinstance(as_httpx_error(bare(kind)), httpx.TransportError), kind


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        (aiohttp.ClientConnectorError, httpx.ConnectError),
        (aiohttp.ClientConnectorDNSError, httpx.ConnectError),
        (aiohttp.ClientConnectorCertificateError, httpx.ConnectError),
        (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
        (aiohttp.SocketTimeoutError, httpx.ReadTimeout),
        (TimeoutError, httpx.ReadTimeout),
        (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
        (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
        (aiohttp.ClientOSError, httpx.ReadError),
        (ConnectionResetError, httpx.ReadError),
        (aiohttp.ClientHttpProxyError, httpx.ProxyError),
        (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
        (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    ],
)
def test_an_error_of_aiohttp_is_called_what_httpx_calls_it(
    kind: type[Exception], meant: type[httpx.TransportError]
) -> None:
    """So that a client's own handlers fit."""
    assert type(as_httpx_error(bare(kind))) is meant

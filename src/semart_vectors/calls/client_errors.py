"""What the errors of an HTTP client mean for a call: the one place that translates them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import aiohttp

from semart_vectors.errors import EndpointError, causes, is_out_of_resources
from semart_vectors.service.messages import TransientError

if TYPE_CHECKING:
    from types import ModuleType


class UnreachableError(TransientError):
    """No connection to the endpoint came about: refused, or its name is unknown."""


class ShortageError(Exception):
    """No connection came about for lack of what this machine gives: neither service nor image is to blame."""


class HttpErrors:
    """The errors of httpx, or of a library that continues it under another name, and their meaning."""

    def __init__(self, library: ModuleType) -> None:
        """Take a module that has the exceptions of httpx."""
        self.all: tuple[type[Exception], ...] = (
            library.HTTPError,
            library.InvalidURL,
            library.CookieConflict,
            library.StreamError,
        )
        """The roots of all that a client raises for want of an answer."""
        self.with_response: type[Exception] = library.HTTPStatusError
        """Raised by a client's hook, with the answer as its `response`."""
        self._no_connection = (library.ConnectError, library.ConnectTimeout, library.ProxyError)
        self._no_address = (library.InvalidURL, library.UnsupportedProtocol)

    def meaning(self, error: Exception) -> EndpointError | TransientError | ShortageError:
        """Say what it means for a call that a client raised this, one of `all`."""
        if isinstance(error, self._no_address):
            return EndpointError(f"the endpoint is not a usable address: {error}; check VISION_ENDPOINT")
        if not isinstance(error, self._no_connection) or _was_connected(error):
            return TransientError(f"the connection failed: {_describe(error)}")
        if is_out_of_resources(error):
            return ShortageError(_describe(error))
        if any(isinstance(each, ssl.SSLError) for each in causes(error)):
            return EndpointError(
                f"the endpoint cannot be trusted, so the key was not sent: {error}; check VISION_ENDPOINT, "
                "and SSL_CERT_FILE where a proxy signs with its own certificate"
            )
        return UnreachableError(
            f"no connection to the endpoint: {_describe(error)}", is_image_independent=True
        )


def _was_connected(error: Exception) -> bool:
    """Whether there was a connection, whatever the error is called.

    httpx-aiohttp 0.2.0 calls it a `ConnectTimeout` when the service closes one without an answer.
    """
    return any(
        isinstance(each, aiohttp.ServerDisconnectedError | aiohttp.SocketTimeoutError | aiohttp.ClientOSError)
        and not isinstance(each, aiohttp.ClientConnectorError)
        for each in causes(error)
    )


def _describe(error: Exception) -> str:
    for each in causes(error):
        if isinstance(each, aiohttp.ClientConnectorError):  # in its own words it says "ssl:default" of http
            return f"cannot connect to {each.host}:{each.port}: {each.os_error}"
    return str(error) or type(error).__name__

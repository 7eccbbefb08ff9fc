"""How the calls of an embedder reach the service: through one HTTP client, or straight to its transport."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from http import HTTPStatus
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import httpx

from semart_vectors.calls import client_errors
from semart_vectors.calls.aiohttp_transport import AiohttpTransport
from semart_vectors.calls.unpacking import too_long, unpacked
from semart_vectors.errors import ConfigurationError
from semart_vectors.service.azure import request_url
from semart_vectors.service.messages import MAX_ANSWER_BYTES, ServiceAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from semart_vectors.calls.aiohttp_transport import Post
    from semart_vectors.calls.key import Key
    from semart_vectors.service.messages import ServiceRequest

_CLIENT_LIBRARIES = ("httpx", "httpx2")
"""httpx, and the continuation of it that many move to; the second is no dependency of ours."""


class HttpClient(Protocol):
    """What calls need of a client: `httpx.AsyncClient` and `httpx2.AsyncClient` have it."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        follow_redirects: bool,
    ) -> AbstractAsyncContextManager[Any]:
        """Send a request, and give the response as soon as its head is there."""


class Connection:
    """Sends requests to one endpoint, with one key, for one model.

    A caller's client is used as it is, but for redirects: the key would travel along. Our own is an
    `httpx.AsyncClient` on an `AiohttpTransport`. Where nobody listens to it, calls go straight to the
    transport, at a third of the cost; with an event hook, an auth, other headers or instrumentation they go
    through all of the client, from that moment on.
    """

    def __init__(self, endpoint: str, key: Key, model_version: str, client: HttpClient | None) -> None:
        """Set a connection up; nothing is opened yet.

        Raises:
            ConfigurationError: the client is of a library that is not known here.
        """
        self._endpoint, self._key, self._model_version = endpoint, key, model_version
        self._own: _OwnClient | None = None
        if client is None:
            self._own = _OwnClient()
            client = self._own.client
        self.client = client
        self._errors = client_errors.HttpErrors(_library_of(client))
        self._targets: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        self._short_ways: dict[tuple[str, str], Post] = {}
        self.was_answered = False
        """Whether the service ever answered anything."""

    @property
    def is_own(self) -> bool:
        """Whether the client is ours, and takes a descriptor for each call under way."""
        return self._own is not None

    async def open(self) -> None:
        """Look at certificates and proxies, if the client is ours.

        Raises:
            ConfigurationError: what the environment names of them cannot be used.
        """
        if self._own is not None:
            await self._own.transport.prepare_post(self._endpoint, {})

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self._own is not None:
            await self._own.client.aclose()
            await self._own.transport.aclose()  # under which somebody may have put another

    async def send(self, request: ServiceRequest) -> ServiceAnswer:
        """Send a request once, and return the whole answer, a refusal without the key in it.

        Raises:
            client_errors.TransientError: no answer came.
            client_errors.EndpointError: none will ever come.
            client_errors.ShortageError: this machine has no connection to give.
        """
        kind = request.operation, request.content_type
        try:
            if self._own is None:
                answer = await _cancelled_by_anyio(partial(self._through_client, kind, request.body))
            elif self._own.needs_whole_client():
                answer = await self._through_client(kind, request.body)
            else:
                post = self._short_ways.get(kind) or await self._short_way(kind)
                answer = await post(request.body)
        except self._errors.all as error:
            # Never `from error`: what a cause brings along has the key among its variables.
            raise self._errors.meaning(error) from None
        self.was_answered = True
        return answer if answer.status == HTTPStatus.OK else self._key.hide_in_answer(answer)

    def _target(self, kind: tuple[str, str]) -> tuple[str, dict[str, str]]:
        """Return the address and headers of calls of one kind."""
        if kind not in self._targets:
            operation, content_type = kind
            self._targets[kind] = (
                request_url(self._endpoint, operation, self._model_version),
                {
                    "Ocp-Apim-Subscription-Key": self._key.value,
                    "Content-Type": content_type,
                    "Accept-Encoding": "identity",  # 11 kB are not worth the time to unpack them
                },
            )
        return self._targets[kind]

    async def _short_way(self, kind: tuple[str, str]) -> Post:
        assert self._own is not None  # noqa: S101 - a caller's client has none
        url, headers = self._target(kind)
        # As the client would send it; a body, and so its length, comes with each call.
        request = self._own.client.build_request("POST", url, headers=headers)
        sent = {name: value for name, value in request.headers.items() if name not in _SET_BY_TRANSPORT}
        sent["ocp-apim-subscription-key"] = self._key.value
        return self._short_ways.setdefault(kind, await self._own.transport.prepare_post(url, sent))

    async def _through_client(self, kind: tuple[str, str], body: bytes) -> ServiceAnswer:
        url, headers = self._target(kind)
        content = bytearray()
        try:
            async with self.client.stream(
                "POST", url, content=body, headers=headers, follow_redirects=False
            ) as response:
                if response.is_stream_consumed:  # by a hook of the client, or it comes from a mock of tests
                    return await _already_read(response)
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise too_long()
        except self._errors.with_response as error:
            response = error.response  # type: ignore[attr-defined] # every HTTPStatusError has it
            if response.is_stream_consumed:  # by the hook
                return await _already_read(response)
            return ServiceAnswer(response.status_code, response.headers, b"", is_body_lost=True)
        whole = unpacked(bytes(content), response.headers.get("content-encoding"))
        return ServiceAnswer(response.status_code, response.headers, whole)


async def _already_read(response: Any) -> ServiceAnswer:
    whole = await response.aread()
    if len(whole) > MAX_ANSWER_BYTES:
        raise too_long()
    return ServiceAnswer(response.status_code, response.headers, whole)


_SET_BY_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding"})


class _OwnClient:
    """The client that an embedder makes for itself, and whether anybody has changed it or listens to it."""

    def __init__(self) -> None:
        self.transport = AiohttpTransport()
        # It is the attempts that have a limit, over everything, and the transport that knows the environment.
        self.client = httpx.AsyncClient(
            transport=self.transport,
            timeout=None,  # noqa: S113 - as said
            trust_env=False,
            headers={"User-Agent": "semart-vectors"},
        )
        for name in ("Accept", "Accept-Encoding", "Connection"):  # what goes without saying
            del self.client.headers[name]
        self._headers, self._timeout = self.client.headers.raw, self.client.timeout
        self._attributes = len(vars(self.client)), len(vars(self.transport))

    def needs_whole_client(self) -> bool:
        """Say whether a call has to go through all of the client, as somebody would miss it otherwise."""
        client, hooks = self.client, self.client.event_hooks
        return bool(
            hooks["request"]
            or hooks["response"]
            or client.auth
            or client.params
            or client.timeout is not self._timeout
            or client.headers.raw != self._headers
            or next(iter(client.cookies.jar), None)
            # Instrumentation of one client puts functions of its own there, or another transport …
            or (len(vars(client)), len(vars(self.transport))) != self._attributes
            or client._transport is not self.transport  # noqa: SLF001 - httpx has no public word for it
            or client._mounts  # noqa: SLF001 - as above
            # … and that of all clients exchanges functions of the classes.
            or _functions() != _PLAIN
        )


def _functions() -> tuple[Any, ...]:
    client = httpx.AsyncClient
    return (
        client.send,
        client.build_request,
        client._send_single_request,  # noqa: SLF001 - recorders of traffic exchange it
        AiohttpTransport.handle_async_request,
    )


def _is_plain(function: Any) -> bool:
    """Say whether a function is httpx's own: instrumentation may have come before this module was loaded."""
    files = {httpx.AsyncClient.aclose.__code__.co_filename, AiohttpTransport.aclose.__code__.co_filename}
    return type(function) is FunctionType and function.__code__.co_filename in files


_PLAIN = _functions() if all(map(_is_plain, _functions())) else None


def _library_of(client: object) -> Any:
    """Return the module whose `AsyncClient` a client is, or is derived from.

    Raises:
        ConfigurationError: there is none.
    """
    for kind in type(client).__mro__:
        library, _, _ = kind.__module__.partition(".")
        if library in _CLIENT_LIBRARIES and kind.__name__ == "AsyncClient":
            return sys.modules[library]
    raise ConfigurationError(
        f"http_client must be an httpx.AsyncClient or httpx2.AsyncClient, not {type(client).__name__}"
    )


async def _cancelled_by_anyio(call: Callable[[], Awaitable[ServiceAnswer]]) -> ServiceAnswer:
    """Await a call through httpx's own pool so that cancelling it leaves no connection behind.

    The pool guards what it does then against anyio's cancellations alone. One by asyncio loses a connection
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

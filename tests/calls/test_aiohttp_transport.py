"""`AiohttpTransport` under an httpx client of anybody's: what works with httpx's own works with it."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from fake_service import Call, FakeService, Reply
from semart_vectors.calls import aiohttp_transport as transport_module
from semart_vectors.calls.aiohttp_transport import AiohttpTransport
from semart_vectors.calls.proxies_and_certificates import find_route
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from urllib.parse import SplitResult

    from semart_vectors.calls.proxies_and_certificates import Route


@pytest.fixture(params=[AiohttpTransport, lambda **_: None], ids=["ours", "httpx's own"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Make a client on our transport, and one on httpx's own: the same is expected of both."""
    async with httpx.AsyncClient(transport=request.param(trust_env=False), trust_env=False) as opened:
        yield opened


async def test_methods_headers_and_bodies_arrive(client: httpx.AsyncClient) -> None:
    """And so does the answer, with its status, reason, headers and version."""
    reply = Reply(203, b"words", {"x-of-service": "yes", "set-cookie": "a=b"})
    async with FakeService(lambda _: reply) as service:
        response = await client.request(
            "PUT", f"{service.endpoint}/a%2Fb?c=%20d", content=b"body", headers={"x-of-client": "1"}
        )
        again = await client.get(service.endpoint)
    first, second = service.calls
    assert (first.target, first.body) == ("/a%2Fb?c=%20d", b"body")
    assert (first.headers["x-of-client"], first.headers["content-length"]) == ("1", "4")
    assert (response.status_code, response.content, response.http_version) == (203, b"words", "HTTP/1.1")
    assert response.headers["x-of-service"] == "yes"
    assert second.headers["cookie"] == "a=b"
    assert (second.body, again.status_code) == (b"", 203)


async def test_a_body_may_come_and_go_in_pieces(client: httpx.AsyncClient) -> None:
    """Of any size; none is held whole."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with (
        FakeService(lambda call: Reply(body=call.body)) as service,
        client.stream(
            "POST", service.endpoint, content=pieces(), headers={"content-length": "20000"}
        ) as response,
    ):
        got = [len(chunk) async for chunk in response.aiter_raw()]
    assert sum(got) == 20_000


async def test_what_is_packed_is_unpacked_by_the_client(client: httpx.AsyncClient) -> None:
    """The transport passes it on as it is."""
    reply = Reply(body=gzip.compress(b"words"), headers={"content-encoding": "gzip"})
    async with FakeService(lambda _: reply) as service:
        assert (await client.get(service.endpoint)).text == "words"


async def test_hooks_auth_and_redirects_are_the_clients(client: httpx.AsyncClient) -> None:
    """Each of them sees what it would see."""
    seen: list[str] = []

    async def hook(request: httpx.Request) -> None:
        seen.append(str(request.url))

    def answer(call: Call) -> Reply:
        return Reply() if call.target == "/there" else Reply(307, headers={"location": "/there"})

    client.event_hooks = {"request": [hook]}
    async with FakeService(answer) as service:
        response = await client.get(service.endpoint, follow_redirects=True, auth=("me", "secret"))
    assert response.status_code == 200
    assert seen == [service.endpoint, f"{service.endpoint}/there"]
    assert [call.headers["authorization"][:6] for call in service.calls] == ["Basic "] * 2


async def test_timeouts_are_the_clients(client: httpx.AsyncClient) -> None:
    """A read that lasts too long is its `ReadTimeout`."""
    async with FakeService(lambda _: Reply(hang=True)) as service:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(service.endpoint, timeout=httpx.Timeout(30, read=0.05))


async def test_failures_are_those_of_httpx(client: httpx.AsyncClient) -> None:
    """Nobody there, an early end, and a body that is cut, with the request that failed."""
    replies = iter([Reply(cut=0), Reply(body=b"x" * 500, cut=300)])
    async with FakeService(lambda _: next(replies)) as service:
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
                await client.get(service.endpoint)
            assert caught.value.request.url == service.endpoint
    with pytest.raises(httpx.ConnectError):
        await client.get(service.endpoint)
    with pytest.raises(httpx.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")


async def test_an_answer_that_is_not_read_leaves_no_connection() -> None:
    """Leaving it early closes what would still be on its way."""
    reply = Reply(body=b"x" * 3_000_000)
    async with FakeService(lambda _: reply) as service:
        async with httpx.AsyncClient(transport=AiohttpTransport()) as client:
            async with client.stream("GET", service.endpoint) as response:
                await anext(response.aiter_raw())
            assert (await client.get(service.endpoint)).status_code == 200
        await asyncio.wait_for(_none_left(service), 10)


async def _none_left(service: FakeService) -> None:
    while service._connections:  # noqa: ASYNC110 - it does not tell
        await asyncio.sleep(0.005)


async def test_it_opens_with_the_first_request_and_closes_with_its_client() -> None:
    """No `async with` is needed, as with httpx's own; whoever opens it again begins anew."""
    transport = AiohttpTransport()
    client = httpx.AsyncClient(transport=transport)
    async with FakeService() as service:
        assert (await client.get(service.endpoint)).status_code == 200
        await client.aclose()
    assert transport._session is None


async def test_an_environment_that_cannot_be_used_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is first needed, in a sentence that names the variable."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    async with httpx.AsyncClient(transport=AiohttpTransport()) as client:
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            await client.get("https://a.example")


async def test_it_may_be_told_whom_to_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the environment is not looked at."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    authority = trustme.CA()
    served, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)
    transport = AiohttpTransport(verify=trusted, trust_env=False)
    async with FakeService(tls=served) as service, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(service.endpoint)).status_code == 200


async def test_an_address_may_name_a_user(client: httpx.AsyncClient) -> None:
    """It goes out as the client's header, once."""
    async with FakeService() as service:
        url = service.endpoint.replace("http://", "http://me:secret@")
        assert (await client.get(url)).status_code == 200
    [call] = service.calls
    assert call.headers["authorization"].startswith("Basic ")


async def test_a_header_that_http_has_no_form_for_is_an_error_of_httpx(client: httpx.AsyncClient) -> None:
    """Raised before anything is sent."""
    async with FakeService() as service:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(service.endpoint, headers={"x-lines": "one\ntwo"})
    assert not service.calls


async def test_nobody_there_is_told_without_the_address_of_an_object() -> None:
    """The sentence is the same in every run, so that equal failures can be counted."""
    async with httpx.AsyncClient(transport=AiohttpTransport(trust_env=False)) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("http://127.0.0.1:1/")
    assert "127.0.0.1:1" in str(caught.value)
    assert " at 0x" not in str(caught.value)


async def test_certificates_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every host: it takes tens of milliseconds."""
    loaded: list[ssl.SSLContext] = []
    load = httpx.create_ssl_context

    def counted(*args: Any, **options: Any) -> ssl.SSLContext:
        loaded.append(load(*args, **options))
        return loaded[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    transport = AiohttpTransport(trust_env=False)
    for host in ("127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"):
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", f"https://{host}/"))
    await transport.aclose()
    assert len(loaded) == 1


async def test_a_proxy_that_is_no_address_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong with it is said, and not what it is."""
    monkeypatch.setenv("HTTP_PROXY", "http://me:s3cr3t@proxy.example:port")
    async with httpx.AsyncClient(transport=AiohttpTransport()) as client:
        with pytest.raises(ConfigurationError, match="proxy") as caught:
            await client.get("http://a.example")
    assert "s3cr3t" not in str(caught.value)


async def test_who_asks_meanwhile_waits_for_the_same_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is looked at once for an origin, however many first requests there are."""
    looked: list[str] = []

    def counted(address: SplitResult, **options: Any) -> Route:
        looked.append(address.netloc)
        return find_route(address, **options)

    monkeypatch.setattr(transport_module, "find_route", counted)
    async with (
        FakeService() as service,
        httpx.AsyncClient(transport=AiohttpTransport()) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):
            group.create_task(client.get(service.endpoint))
    assert len(looked) == 1


LARGE = b"x" * 8_000_000


@asynccontextmanager
async def raw_service(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve connections by hand, behind small buffers; give the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # what is sent stays with the sender
    server = await asyncio.start_server(handle, sock=listener)
    async with server:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("way", ["short", "whole"])
async def test_an_answer_that_comes_before_the_end_of_an_upload_is_seen(way: str) -> None:
    """Though the service does not read on, and resets the connection."""
    calls = 20

    def refuse_all() -> None:
        for _ in range(calls):
            connection, _ = listener.accept()
            with connection:  # what was not read of the upload makes its close a reset
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 429 Slow down\r\nContent-Length: 5\r\n\r\nwords")

    transport = AiohttpTransport(trust_env=False)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    service = threading.Thread(target=refuse_all)
    service.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    statuses = []
    with listener:
        async with httpx.AsyncClient(transport=transport) as client:
            post = await transport.prepare_post(url, {})
            for _ in range(calls):
                with suppress(httpx.TransportError):
                    if way == "short":
                        statuses.append((await post(LARGE)).status)
                    else:
                        statuses.append((await client.post(url, content=LARGE)).status_code)
        await asyncio.to_thread(service.join)
    assert statuses == [429] * calls


@pytest.mark.parametrize("way", ["short", "whole"])
async def test_a_cancelled_upload_does_not_arrive(way: str) -> None:
    """The service would take it for a call, and bill it."""
    received, began, ended = 0, asyncio.Event(), asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        began.set()
        await cancelled.wait()
        with suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                received += len(piece)
        writer.close()
        ended.set()

    cancelled = asyncio.Event()
    transport = AiohttpTransport(trust_env=False)
    async with raw_service(read_late) as url, httpx.AsyncClient(transport=transport) as client:
        post = await transport.prepare_post(url, {})
        async with asyncio.TaskGroup() as group:
            upload: Any = post(LARGE) if way == "short" else client.post(url, content=LARGE)
            call = group.create_task(upload)
            await began.wait()
            call.cancel()
        assert call.cancelled()
        cancelled.set()
        async with asyncio.timeout(30):
            await ended.wait()
    assert received < len(LARGE)

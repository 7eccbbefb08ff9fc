"""How calls reach the service: what each client sends, to whom, and what odd answers become."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

import httpx
import httpx2
import numpy as np
import pytest
import respx
import trustme

from certificates import context_of
from fake_service import Call, FakeService, Reply, error_reply, good_reply, vector_for
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.calls import connection as connection_module
from semart_vectors.calls.aiohttp_transport import AiohttpTransport
from semart_vectors.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointError,
    QuotaExceededError,
    RetriesExhaustedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from semart_vectors.calls.connection import HttpClient

KEY = "a-key"


CLIENTS: dict[str, Callable[[], Any]] = {
    "a caller's httpx": lambda: httpx.AsyncClient(trust_env=False),
    "a caller's httpx2": lambda: httpx2.AsyncClient(trust_env=False),
    "a caller's on our transport": lambda: httpx.AsyncClient(transport=AiohttpTransport(trust_env=False)),
}


@pytest.fixture(params=["ours", *CLIENTS])
async def http_client(request: pytest.FixtureRequest) -> AsyncIterator[HttpClient | None]:
    """Name the client: None for our own."""
    if request.param == "ours":
        yield None
        return
    async with CLIENTS[request.param]() as client:
        yield client


def open_embedder(endpoint: str, http_client: HttpClient | None = None) -> AsyncVisionEmbedder:
    """Make an embedder that is quick to try again."""
    return AsyncVisionEmbedder(endpoint, KEY, requests_per_second=None, retry=QUICK, http_client=http_client)


async def test_a_server_that_nobody_vouches_for_never_sees_the_key(
    http_client: HttpClient | None,
) -> None:
    """The run stops at once and says where to look."""
    tls = context_of(trustme.CA().issue_cert("127.0.0.1"))
    async with FakeService(tls=tls) as service, open_embedder(service.endpoint, http_client) as embedder:
        with pytest.raises(EndpointError, match="cannot be trusted"):
            await embedder.embed_image(jpeg(1))
    assert not service.calls


@pytest.mark.parametrize(("name", "is_trusted"), [("127.0.0.1", True), ("elsewhere.example", False)])
async def test_whom_the_environment_vouches_for_is_trusted_under_its_own_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, is_trusted: bool
) -> None:
    """`SSL_CERT_FILE` adds an authority, as it does for any other client."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = context_of(authority.issue_cert(name))
    async with FakeService(tls=tls) as service, open_embedder(service.endpoint) as embedder:
        if is_trusted:
            np.testing.assert_array_equal((await embedder.embed_image(jpeg(1))).vector, vector_for(jpeg(1)))
        else:
            with pytest.raises(EndpointError, match="cannot be trusted"):
                await embedder.embed_image(jpeg(1))
    assert bool(service.calls) == is_trusted


async def test_a_large_image_arrives_whole(http_client: HttpClient | None) -> None:
    """What is sent bit by bit is sent to its end."""
    image = jpeg(1)[:-2] + b"\0" * 5_000_000 + b"\xff\xd9"
    async with FakeService() as service, open_embedder(service.endpoint, http_client) as embedder:
        np.testing.assert_array_equal((await embedder.embed_image(image)).vector, vector_for(image))
    assert service.calls[0].headers["content-length"] == str(len(image))


async def test_an_answer_that_swells_when_unpacked_is_cut_off(http_client: HttpClient | None) -> None:
    """50 MB of blanks are 50 kB on the wire; nobody keeps them."""
    swelling = Reply(body=gzip.compress(b" " * 50_000_000), headers={"content-encoding": "gzip"})
    async with (
        FakeService(lambda _: swelling) as service,
        open_embedder(service.endpoint, http_client) as embedder,
    ):
        with pytest.raises(RetriesExhaustedError, match="longer than"):
            await embedder.embed_image(jpeg(1))


def _packed(content: bytes, window: int) -> bytes:
    packer = zlib.compressobj(wbits=window)
    return packer.compress(content) + packer.flush()


ENCODINGS: list[tuple[str, int]] = [
    ("gzip", 16 + zlib.MAX_WBITS), ("x-gzip", 16 + zlib.MAX_WBITS), (" GZip ", 16 + zlib.MAX_WBITS),
    ("deflate", zlib.MAX_WBITS), ("deflate", -zlib.MAX_WBITS),
]  # fmt: skip  # a row stays in sight


@pytest.mark.parametrize(("encoding", "window"), ENCODINGS)
async def test_an_answer_that_is_packed_although_nobody_asked_is_unpacked(
    http_client: HttpClient | None, encoding: str, window: int
) -> None:
    """As a proxy may do it."""

    def answer(call: Call) -> Reply:
        return Reply(body=_packed(good_reply(call).body, window), headers={"content-encoding": encoding})

    async with FakeService(answer) as service, open_embedder(service.endpoint, http_client) as embedder:
        np.testing.assert_array_equal((await embedder.embed_image(jpeg(1))).vector, vector_for(jpeg(1)))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"whatever"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
        ("gzip", b"no gzip"),
        ("deflate", b"no deflate"),
        ("gzip", gzip.compress(b"{}" * 500)[:-9]),
        ("gzip", gzip.compress(b"{}") + b"more"),
    ],
    ids=["unknown", "twice", "none", "none", "cut", "more"],
)
async def test_an_answer_that_cannot_be_unpacked_is_tried_again(
    http_client: HttpClient | None, encoding: str, body: bytes
) -> None:
    """It is no answer."""
    async with FakeService() as service, open_embedder(service.endpoint, http_client) as embedder:
        service.script.append(Reply(body=body, headers={"content-encoding": encoding}))
        assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_an_answer_that_a_hook_has_read_is_taken_as_it_is() -> None:
    """A caller's client may look at answers first; they are bounded all the same."""

    async def look(response: httpx.Response) -> None:
        await response.aread()

    async with (
        FakeService() as service,
        httpx.AsyncClient(trust_env=False, event_hooks={"response": [look]}) as client,
        open_embedder(service.endpoint, client) as embedder,
    ):
        service.script.append(Reply(body=b" " * 2_000_000))
        assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_cancelled_calls_leave_no_connection_behind() -> None:
    """Whenever they are cancelled, and those after them have their answers. The pool of httpx does leak."""
    async with (
        FakeService(latency_s=0.01) as service,
        open_embedder(service.endpoint) as embedder,
    ):
        for number in range(30):
            with suppress(TimeoutError):
                async with asyncio.timeout(number / 1500):
                    await embedder.embed_images(jpeg(each) for each in range(8))
        batch = await embedder.embed_images(jpeg(each) for each in range(40))
        assert len(batch.sources) == 40
        async with asyncio.timeout(10):  # until the service, too, has noticed which were closed
            while len(service._connections) > embedder.max_in_flight:  # noqa: ASYNC110 - as said
                await asyncio.sleep(0.01)


class Proxy:
    """An HTTP proxy that notes what it is asked for, and refuses all of it."""

    async def __aenter__(self) -> Self:
        self.asked: list[str] = []
        self._server = await asyncio.start_server(self._refuse, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize("form", ["http://{}", "{}", "http://user:password@{}"])
async def test_a_proxy_of_the_environment_is_asked_for_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """It learns the host, never the key; that it refuses is said in one sentence, without its password."""
    async with AsyncExitStack() as opened:
        proxy = await opened.enter_async_context(Proxy())
        monkeypatch.setenv("HTTPS_PROXY", form.format(proxy.address))
        embedder = await opened.enter_async_context(open_embedder("https://a.example"))
        with pytest.raises(EndpointError, match="no connection") as caught:
            await embedder.embed_image(jpeg(1))
    assert proxy.asked[0].startswith("CONNECT a.example:443 HTTP/1.1\r\n")
    assert KEY not in "".join(proxy.asked)
    assert ("Proxy-Authorization: Basic" in proxy.asked[0]) == ("password" in form)
    assert "password" not in str(caught.value)


async def test_an_endpoint_may_be_excepted_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """By NO_PROXY, as everywhere."""
    async with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
        async with open_embedder("https://a.nowhere.invalid") as embedder:
            with pytest.raises(EndpointError, match="no connection"):
                await embedder.embed_image(jpeg(1))
    assert not proxy.asked


async def test_a_kind_of_proxy_that_is_not_known_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any call, and with a way out."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="http_client"):
        await open_embedder("https://a.example").__aenter__()


async def test_credentials_that_belong_to_others_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A netrc file names passwords for hosts; the service has a key."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        await embedder.embed_image(jpeg(1))
    assert "authorization" not in service.calls[0].headers


async def test_a_callers_client_is_used_and_left_open() -> None:
    """A mock of respx sees the calls, and the client works on after the embedder is closed."""
    client = httpx.AsyncClient()
    with respx.mock(assert_all_called=False) as mock:
        route = mock.post(url__startswith="https://a.example/computervision/").mock(
            return_value=httpx.Response(200, content=good_reply(Call(0.0, "/", {}, jpeg(1))).body)
        )
        async with AsyncVisionEmbedder("https://a.example/", "k", http_client=client) as embedder:
            await embedder.embed_image(jpeg(1))
        assert route.call_count == 1
    assert not client.is_closed
    await client.aclose()


async def test_a_proxy_never_sees_a_call_to_this_machine(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain http call through a proxy of the environment would show it the key."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with open_embedder(service.endpoint) as embedder:
        await embedder.embed_image(jpeg(1))
    assert len(service.calls) == 1


async def test_certificates_that_cannot_be_read_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variables to look at."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        await AsyncVisionEmbedder("https://a.example", "k").__aenter__()


async def test_a_clients_hook_that_raises_for_statuses_changes_nothing(service: FakeService) -> None:
    """A refused key still ends the run at once."""

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    service.answer = lambda _: error_reply(401)
    client = httpx.AsyncClient(event_hooks={"response": [raise_for_status]})
    async with client, AsyncVisionEmbedder(service.endpoint, "k", http_client=client) as embedder:
        with pytest.raises(AuthenticationError):
            await embedder.embed_image(jpeg(1))
    assert len(service.calls) == 1


async def test_a_hook_that_raises_before_the_reason_is_read_is_told_so(service: FakeService) -> None:
    """No picture is blamed for what cannot be known, and the sentence says how to learn it."""

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    service.answer = lambda _: error_reply(400, "This operation is not enabled in this region.")
    client = httpx.AsyncClient(event_hooks={"response": [raise_for_status]})
    async with client, AsyncVisionEmbedder(service.endpoint, "k", http_client=client) as embedder:
        with pytest.raises(EndpointError, match=r"refuses every image.*hook of http_client.*aread"):
            await embedder.embed_images(jpeg(number) for number in range(16))


@pytest.fixture
def through_client(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Watch which calls go through all of a client."""
    seen: list[bytes] = []
    whole_way = connection_module.Connection._through_client

    async def watched(connection: Any, kind: tuple[str, str], body: bytes) -> Any:
        seen.append(body)
        return await whole_way(connection, kind, body)

    monkeypatch.setattr(connection_module.Connection, "_through_client", watched)
    return seen


def our_client(embedder: AsyncVisionEmbedder) -> httpx.AsyncClient:
    """Return an embedder's own client."""
    client = embedder.http_client
    assert isinstance(client, httpx.AsyncClient)
    return client


def add_hook(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Listen to the requests of a client, as its users do."""

    async def hook(_: httpx.Request) -> None:
        noted()

    client.event_hooks["request"].append(hook)


def set_hooks(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Listen to the responses of a client, in the other way that its users have."""

    async def hook(_: httpx.Response) -> None:
        noted()

    client.event_hooks = {"response": [hook]}


def instrument(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Put a function of one's own before the client's, as tracing libraries do for one client."""
    plain = client.send

    async def send(*args: Any, **options: Any) -> httpx.Response:
        noted()
        return await plain(*args, **options)

    client.send = send  # type: ignore[method-assign] # the point


def instrument_transport(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Put it before the client's transport, as others do."""
    transport: Any = client._transport
    plain = transport.handle_async_request

    async def handle(request: httpx.Request) -> httpx.Response:
        noted()
        response: httpx.Response = await plain(request)
        return response

    transport.handle_async_request = handle


def authenticate(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Sign what goes out."""

    def sign(request: httpx.Request) -> httpx.Request:
        noted()
        return request

    client.auth = sign


def exchange_transport(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Put another transport under the client, as recorders of traffic do."""
    plain: Any = client._transport

    class Noted(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            noted()
            response: httpx.Response = await plain.handle_async_request(request)
            return response

    client._transport = Noted()


def exchange_inner_function(client: httpx.AsyncClient, noted: Callable[[], None]) -> None:
    """Exchange the function of the client that sends one request."""
    plain: Any = client._send_single_request

    async def send(request: httpx.Request) -> httpx.Response:
        noted()
        response: httpx.Response = await plain(request)
        return response

    client._send_single_request = send  # type: ignore[method-assign] # the point


LISTENERS = [
    add_hook,
    set_hooks,
    instrument,
    instrument_transport,
    authenticate,
    exchange_transport,
    exchange_inner_function,
]


@pytest.mark.parametrize("listen", LISTENERS, ids=lambda each: each.__name__)
async def test_calls_go_through_all_of_our_client_from_the_moment_that_somebody_listens(
    through_client: list[bytes], listen: Callable[[httpx.AsyncClient, Callable[[], None]], None]
) -> None:
    """Before that they go straight to its transport."""
    heard: list[int] = []
    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        await embedder.embed_image(jpeg(1))
        assert (through_client, heard) == ([], [])
        listen(our_client(embedder), lambda: heard.append(1))
        for number in (2, 3):
            vector = (await embedder.embed_image(jpeg(number))).vector
            np.testing.assert_array_equal(vector, vector_for(jpeg(number)))
    assert through_client == [jpeg(2), jpeg(3)]
    assert len(heard) == 2


@pytest.mark.parametrize("owner", [httpx.AsyncClient, AiohttpTransport])
async def test_a_library_that_instruments_all_clients_hears_ours(
    monkeypatch: pytest.MonkeyPatch, owner: type[Any]
) -> None:
    """It exchanges the function of the class."""
    name = "send" if owner is httpx.AsyncClient else "handle_async_request"
    plain, heard = getattr(owner, name), list[int]()

    async def instrumented(*args: Any, **options: Any) -> Any:
        heard.append(1)
        return await plain(*args, **options)

    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        monkeypatch.setattr(owner, name, instrumented)
        await embedder.embed_image(jpeg(1))
        monkeypatch.undo()
    assert heard == [1]


async def test_headers_that_are_added_to_our_client_go_out() -> None:
    """Before the first call and after it."""
    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        for number in (1, 2):
            our_client(embedder).headers[f"x-number-{number}"] = "yes"
            await embedder.embed_image(jpeg(number))
    assert [[name for name in call.headers if name.startswith("x-")] for call in service.calls] == [
        ["x-number-1"],
        ["x-number-1", "x-number-2"],
    ]


async def test_cookies_and_parameters_of_our_client_go_out() -> None:
    """As they would from any client."""
    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        await embedder.embed_image(jpeg(1))
        our_client(embedder).cookies.set("a", "b")
        await embedder.embed_image(jpeg(2))
        our_client(embedder).params = httpx.QueryParams({"x": "y"})
        await embedder.embed_image(jpeg(3))
    plain, with_cookie, with_both = service.calls
    assert "cookie" not in plain.headers
    assert with_cookie.headers["cookie"] == with_both.headers["cookie"] == "a=b"
    assert with_both.target.endswith("x=y")


async def test_a_timeout_of_our_client_counts() -> None:
    """It makes an attempt fail, which is tried again."""
    replies = iter([Reply(hang=True)])
    async with (
        FakeService(lambda call: next(replies, None) or good_reply(call)) as service,
        open_embedder(service.endpoint) as embedder,
    ):
        our_client(embedder).timeout = httpx.Timeout(0.05)
        assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_what_a_hook_read_before_it_raised_is_not_lost() -> None:
    """A 403 whose words tell of a quota is a used-up quota, hook or not."""

    async def strict(response: httpx.Response) -> None:
        await response.aread()
        response.raise_for_status()

    refusal = error_reply(403, "Out of call volume quota. Quota will be replenished in 2 days.")
    async with FakeService(lambda _: refusal) as service, open_embedder(service.endpoint) as embedder:
        our_client(embedder).event_hooks["response"].append(strict)
        with pytest.raises(QuotaExceededError):
            await embedder.embed_image(jpeg(1))


async def test_both_doors_of_our_client_send_the_same() -> None:
    """To the header."""
    async with FakeService() as service, open_embedder(service.endpoint) as embedder:
        await embedder.embed_image(jpeg(1))
        add_hook(our_client(embedder), lambda: None)
        await embedder.embed_image(jpeg(1))
    short, whole = service.calls
    assert (short.target, short.body) == (whole.target, whole.body)
    assert dict(short.headers) == dict(whole.headers)


@pytest.mark.parametrize("reply", [Reply(cut=0), Reply(body=b"x" * 500, cut=100)], ids=["reset", "cut"])
async def test_a_broken_connection_is_tried_again_through_any_client(
    http_client: HttpClient | None, reply: Reply
) -> None:
    """No error of an HTTP library comes out."""
    async with FakeService() as service, open_embedder(service.endpoint, http_client) as embedder:
        service.script.append(reply)
        assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_nobody_there_is_a_wrong_endpoint_through_any_client(http_client: HttpClient | None) -> None:
    """In a sentence of ours."""
    async with FakeService() as gone:
        endpoint = gone.endpoint
    async with open_embedder(endpoint, http_client) as embedder:
        with pytest.raises(EndpointError, match="no connection to the endpoint"):
            await embedder.embed_image(jpeg(1))


def test_a_client_of_another_library_is_refused() -> None:
    """With the names of those that work."""
    client: Any = httpx.Client()
    with pytest.raises(ConfigurationError, match=r"httpx\.AsyncClient or httpx2\.AsyncClient, not Client"):
        AsyncVisionEmbedder("https://a.example", KEY, http_client=client)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
def test_a_client_may_be_a_subclass(library: Any) -> None:
    """Of either library."""
    client: Any = type("Ours", (library.AsyncClient,), {})()
    assert AsyncVisionEmbedder("https://a.example", KEY, http_client=client).http_client is client


async def test_our_client_is_closed_with_the_embedder() -> None:
    """And a caller's is not."""
    async with FakeService() as service:
        async with open_embedder(service.endpoint) as embedder:
            await embedder.embed_image(jpeg(1))
        assert our_client(embedder).is_closed

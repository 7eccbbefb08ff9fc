"""The ways to the service: what ours and a caller's client send, to whom, and what odd answers become."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

import httpx
import numpy as np
import pytest
import trustme

from certificates import context_of
from fake_service import Call, FakeService, Reply, good_reply, vector_for
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.errors import ConfigurationError, EndpointError, RetriesExhaustedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "a-key"


@pytest.fixture(params=["ours", "a caller's"])
async def http_client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient | None]:
    """Name the way: None for our own."""
    if request.param == "ours":
        yield None
    else:
        async with httpx.AsyncClient(trust_env=False) as client:
            yield client


def open_embedder(endpoint: str, http_client: httpx.AsyncClient | None = None) -> AsyncVisionEmbedder:
    """Make an embedder that is quick to try again."""
    return AsyncVisionEmbedder(endpoint, KEY, requests_per_second=None, retry=QUICK, http_client=http_client)


async def test_a_server_that_nobody_vouches_for_never_sees_the_key(
    http_client: httpx.AsyncClient | None,
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


async def test_a_large_image_arrives_whole(http_client: httpx.AsyncClient | None) -> None:
    """What is sent bit by bit is sent to its end."""
    image = jpeg(1)[:-2] + b"\0" * 5_000_000 + b"\xff\xd9"
    async with FakeService() as service, open_embedder(service.endpoint, http_client) as embedder:
        np.testing.assert_array_equal((await embedder.embed_image(image)).vector, vector_for(image))
    assert service.calls[0].headers["content-length"] == str(len(image))


async def test_an_answer_that_swells_when_unpacked_is_cut_off(http_client: httpx.AsyncClient | None) -> None:
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
    http_client: httpx.AsyncClient | None, encoding: str, window: int
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
    http_client: httpx.AsyncClient | None, encoding: str, body: bytes
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

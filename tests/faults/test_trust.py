"""Rows 15 and 18: the key goes to whom it is meant for, encrypted, and to nobody else."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
from contextlib import AsyncExitStack
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
import yarl

from fake_service import FakeService, Reply
from helpers import QUICK, jpeg
from recorders import PlainServer, TlsServer
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.errors import ConfigurationError, EndpointError, RetriesExhaustedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "k-3f9a71c2e85d"


def open_embedder(endpoint: str, http_client: httpx.AsyncClient | None) -> AsyncVisionEmbedder:
    """Make an embedder that is quick to try again."""
    return AsyncVisionEmbedder(endpoint, KEY, requests_per_second=None, retry=QUICK, http_client=http_client)


async def clients(opened: AsyncExitStack, **options: Any) -> list[httpx.AsyncClient | None]:
    """Open a caller's client; None stands for our own connections."""
    return [None, await opened.enter_async_context(httpx.AsyncClient(**options))]


@pytest.mark.row(15)
async def test_nobody_who_cannot_be_trusted_gets_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: Callable[[str], None]
) -> None:
    """One connection for one image and no second attempt; one that is trusted shows what would be seen."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    certificate = partial(authority.issue_cert, "127.0.0.1")
    servers: dict[str, PlainServer] = {
        "nobody vouches for it": TlsServer(stranger.issue_cert("127.0.0.1")),
        "of another name": TlsServer(authority.issue_cert("elsewhere.example")),
        "of another address": TlsServer(authority.issue_cert("127.0.0.2")),
        "has expired": TlsServer(
            authority.issue_cert("127.0.0.1", not_before=now - 2 * day, not_after=now - day)
        ),
        "is not good yet": TlsServer(
            authority.issue_cert("127.0.0.1", not_before=now + day, not_after=now + 2 * day)
        ),
        "speaks no TLS": PlainServer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    }
    connections = 0
    async with AsyncExitStack() as opened:
        for (what, server), client in product(servers.items(), await clients(opened)):
            async with server, open_embedder(f"https://127.0.0.1:{server.port}", client) as embedder:
                before = server.connections
                with pytest.raises(EndpointError, match="cannot be trusted"):
                    await embedder.embed_image(jpeg(1))
                assert server.connections == before + 1, what
                with pytest.raises(EndpointError, match="cannot be trusted"):
                    await embedder.embed_images(jpeg(number) for number in range(50))
                assert server.connections <= before + 1 + embedder.max_in_flight
            assert KEY.encode() not in server.raw + server.decrypted
            assert not server.decrypted
            connections += server.connections - before
        trusted = TlsServer(certificate())
        for client in await clients(opened):
            async with trusted, open_embedder(f"https://127.0.0.1:{trusted.port}", client) as embedder:
                with pytest.raises(RetriesExhaustedError):  # it hangs up on every request
                    await embedder.embed_image(jpeg(1))
        assert trusted.decrypted.count(KEY.encode()) == 2 * QUICK.max_attempts
        assert KEY.encode() not in trusted.raw
    score(f"key sent 0 times in {connections} connections to {len(servers)} kinds of servers")


@pytest.mark.row(15)
async def test_a_handshake_that_breaks_off_does_not_show_the_key(score: Callable[[str], None]) -> None:
    """Whoever hangs up may be tried again; it gets no more than a handshake."""
    async with AsyncExitStack() as opened, PlainServer(b"") as server:
        for client in await clients(opened):
            async with open_embedder(f"https://127.0.0.1:{server.port}", client) as embedder:
                with pytest.raises((EndpointError, RetriesExhaustedError)):
                    await embedder.embed_image(jpeg(1))
    assert server.connections
    assert KEY.encode() not in server.raw
    score(f"nor in {server.connections} that broke off")


LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "LOCALHOST", "127.8.9.10")
NOT_LOOPBACK = (
    "a.example", "0.0.0.0", "[::]", "192.168.1.1", "10.0.0.1", "169.254.1.1",  # noqa: S104 - to be refused
    "localhost.evil.example", "127.0.0.1.evil.example", "2130706433.example", "[::ffff:8.8.8.8]",
    "evil.example#localhost", "evil.example?localhost", "evil.example/@localhost", "evil.example%23localhost",
    "localhost@evil.example", "127.0.0.1:80@evil.example", "127.0.0.1\\@evil.example", "local\thost.example",
    "evil.example\\@127.0.0.1", "localhost\N{IDEOGRAPHIC FULL STOP}evil.example", "127.0.0.1%2eevil.example",
    "127.0.0.1%00.evil.example",
)  # fmt: skip  # more of them to a line


@pytest.mark.row(15)
def test_plain_http_goes_to_this_machine_only(score: Callable[[str], None]) -> None:
    """Refused before anything is opened; what is accepted leads both kinds of connections to loopback."""
    refused = accepted = 0
    for host, scheme, port in product(LOOPBACK + NOT_LOOPBACK, ("http://", "HTTP://"), ("", ":8080", "/a")):
        endpoint = f"{scheme}{host}{port}"
        try:
            embedder = AsyncVisionEmbedder(endpoint, KEY)
        except ConfigurationError as error:
            refused += host not in LOOPBACK and KEY not in str(error)
        else:
            accepted += 1
            address = embedder._endpoint
            for read in (urlsplit(address).hostname, yarl.URL(address).host, httpx.URL(address).host):
                assert re.fullmatch(r"127\.\d+\.\d+\.\d+|localhost|::1", read or "")
    assert (accepted, refused) == (6 * len(LOOPBACK), 6 * len(NOT_LOOPBACK))
    score(f"{refused} addresses of plain http refused before any call")


TARGETS = {
    "other port": "http://127.0.0.1:{other}/computervision/retrieval:vectorizeImage",
    "other host": "http://elsewhere.example:{other}/computervision/retrieval:vectorizeImage",
    "subdomain": "http://sub.localhost:{other}/",
    "http instead of https": "http://localhost:{other}/",
    "protocol-relative": "//localhost:{other}/",
    "user@host": "http://localhost:{own}@127.0.0.1:{other}/",
    "same origin": "/another/path",
}


@pytest.mark.row(18)
async def test_a_redirect_is_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: Callable[[str], None]
) -> None:
    """Not by our own connections, nor by a caller's client that is told to; alone it would: we would see."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    look_up = socket.getaddrinfo
    monkeypatch.setattr(  # every name there is leads here
        socket, "getaddrinfo", lambda _host, *others, **more: look_up("127.0.0.1", *others, **more)
    )
    runs = leaks = 0
    async with AsyncExitStack() as opened:
        plain, encrypted = [
            await opened.enter_async_context(service) for service in (FakeService(), FakeService(tls=tls))
        ]
        other, other_encrypted = [
            await opened.enter_async_context(service) for service in (FakeService(), FakeService(tls=tls))
        ]
        following = await opened.enter_async_context(httpx.AsyncClient(follow_redirects=True))
        ways = (*await clients(opened), following)
        for (what, target), status in product(TARGETS.items(), (301, 302, 303, 307, 308)):
            service = encrypted if what in {"http instead of https", "protocol-relative"} else plain
            elsewhere = other_encrypted if what == "protocol-relative" else other
            own_port, port = urlsplit(service.endpoint).port, urlsplit(elsewhere.endpoint).port
            endpoint = f"{urlsplit(service.endpoint).scheme}://localhost:{own_port}"
            redirect = Reply(status, headers={"location": target.format(own=own_port, other=port)})
            for way in ways:
                service.answer = lambda _, redirect=redirect: redirect  # type: ignore[misc] # bound for this round
                before = len(service.calls)
                async with open_embedder(endpoint, way) as embedder:
                    with pytest.raises(EndpointError, match="redirect"):
                        await embedder.embed_image(jpeg(1))
                assert len(service.calls) == before + 1
                runs += 1
            assert not elsewhere.calls
            if what != "same origin":
                leaks += await follow(following, endpoint, elsewhere)
    assert leaks == 5 * (len(TARGETS) - 1)
    score(f"0 of {runs} redirects followed, key leaked 0; a client that follows leaks it {leaks} of {leaks}")


async def follow(client: httpx.AsyncClient, endpoint: str, elsewhere: FakeService) -> bool:
    """Return whether a client that follows takes the key along: whether this test would notice."""
    await client.post(endpoint, headers={"Ocp-Apim-Subscription-Key": KEY}, content=b"x")
    calls, elsewhere.calls = elsewhere.calls, []
    elsewhere.statuses.clear()
    return [call.headers.get("ocp-apim-subscription-key") for call in calls] == [KEY]

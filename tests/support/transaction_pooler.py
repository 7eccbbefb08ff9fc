"""A pooler in transaction mode, as PgBouncer is: whoever connects gets another session for each transaction.

It speaks as much of PostgreSQL's protocol as that takes. A client is let in without a password, and
sessions go round: no two transactions that follow each other run in the same one, so that whatever a client
leaves behind in a session (a setting, a prepared statement, a temporary table) is missing or met by others.
"""

from __future__ import annotations

import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Queue
from select import select
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALLOWED = {b"user", b"database", b"client_encoding", b"application_name"}
"""PgBouncer refuses a client that asks for any other setting, `options` too."""


@contextmanager
def transaction_pooler(url: str, *, sessions: int = 2) -> Iterator[str]:
    """Run a pooler before a database, and give its address."""
    free: Queue[psycopg.Connection] = Queue()
    for _ in range(sessions):
        free.put(psycopg.connect(url, autocommit=True))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as clients:
        accepting = clients.submit(_accept, listening, free, clients)
        try:
            yield f"postgresql://postgres@127.0.0.1:{listening.getsockname()[1]}/paintings"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.result()
    while not free.empty():
        free.get().close()


def _accept(listening: socket.socket, free: Queue[psycopg.Connection], clients: ThreadPoolExecutor) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        clients.submit(_serve, client, free)


def _serve(client: socket.socket, free: Queue[psycopg.Connection]) -> None:
    with client, suppress(ConnectionError):
        if not _let_in(client):
            return
        while select([client], [], []):  # until it wants something, it has no session
            session = free.get()
            try:
                with socket.socket(fileno=os.dup(session.fileno())) as server:
                    if not _pass_on(client, server):
                        return
            finally:
                free.put(session)


def _let_in(client: socket.socket) -> bool:
    """Greet a client; say no to one that wants settings for its whole session."""
    length, code = struct.unpack("!II", _exactly(client, 8))
    while code != 196608:  # it asks for encryption first
        client.sendall(b"N")
        length, code = struct.unpack("!II", _exactly(client, 8))
    words = _exactly(client, length - 8).split(b"\0")
    if others := set(words[:-2:2]) - _ALLOWED:
        text = b"SFATAL\0C08P01\0Munsupported startup parameter: " + b", ".join(others) + b"\0\0"
        client.sendall(_message(b"E", text))
        return False
    client.sendall(_message(b"R", bytes(4)))
    for name, value in ((b"server_version", b"16.0"), (b"client_encoding", b"UTF8"), (b"DateStyle", b"ISO")):
        client.sendall(_message(b"S", name + b"\0" + value + b"\0"))
    client.sendall(_message(b"Z", b"I"))
    return True


def _pass_on(client: socket.socket, server: socket.socket) -> bool:
    """Pass messages on both ways until the end of a transaction; False when the client has gone."""
    server.settimeout(None)
    for peer in (client, server):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        ready, _, _ = select([client, server], [], [])
        if client in ready:
            kind, body = _receive(client)
            if kind == b"X":
                return False
            server.sendall(_message(kind, body))
        if server in ready:
            kind, body = _receive(server)
            client.sendall(_message(kind, body))
            if (kind, body) == (b"Z", b"I"):
                return True


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _receive(peer: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", _exactly(peer, 5))
    return kind, _exactly(peer, length - 4)


def _exactly(peer: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        more = peer.recv(size - len(received))
        if not more:
            raise ConnectionError
        received += more
    return bytes(received)

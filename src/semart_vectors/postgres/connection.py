"""A connection to PostgreSQL: opening it without revealing the password, names, settings and errors."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg import errors as pg, pq, sql
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import TextLoader

from semart_vectors.errors import ConfigurationError, DatabaseError, VectorFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import AdaptContext, Buffer

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_NAME_BYTES = 63
"""PostgreSQL truncates a longer name silently."""

_TIMEOUTS = {
    "connect_timeout": 10,
    # A server that disappeared silently is noticed within a minute and a half.
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 90_000,
}
"""Set unless the URL says otherwise; the last is in milliseconds, the others in seconds."""

_WIDER_THAN_PYTHON = ("date", "time", "timetz", "timestamp", "timestamptz", "json", "jsonb")
"""Types with values that Python cannot hold: dates BC, 24:00, infinity, numbers of 5,000 digits."""


class _LoadedOrText(Loader):
    """Loads a value as psycopg does, or gives PostgreSQL's own text of it if Python cannot hold it."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        usual = psycopg.adapters.get_loader(oid, pq.Format.TEXT)
        assert usual is not None  # noqa: S101 - psycopg has one for each of the types above
        self._usual = usual(oid, context)

    def load(self, data: Buffer) -> Any:
        try:
            return self._usual.load(data)
        except (psycopg.Error, ValueError, ArithmeticError, NotImplementedError):
            return bytes(data).decode()


def connect(url: str) -> Connection:
    """Open a connection that commits each statement, except within a transaction.

    The server's session may be shared: a pooler such as PgBouncer gives each transaction another one. So
    nothing is prepared there, and settings are for one transaction (`transaction`).

    Raises:
        ConfigurationError: the URL is not valid.
        DatabaseError: the database cannot be reached, or refused the connection.
    """
    parameters = _parameters(url)
    try:
        connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
    except (psycopg.Error, UnicodeError) as error:
        reason = " ".join(str(error).split())
    else:
        for name in _WIDER_THAN_PYTHON:
            connection.adapters.register_loader(name, _LoadedOrText)
        # Python's has no months and years, and psycopg loads one that is too long as another.
        connection.adapters.register_loader("interval", TextLoader)
        return connection
    for secret in ("password", "sslpassword"):
        if parameters.get(secret):
            reason = reason.replace(str(parameters[secret]), "…")
    # Raised outside of the handler: the context of an error would hold frames with the password.
    raise DatabaseError(f"cannot connect to the database: {reason}; correct the URL or start the server")


def abort(connection: Connection) -> None:
    """End a connection from another thread, even if its server does not respond."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


@contextmanager
def database_errors() -> Iterator[None]:
    """Translate psycopg's errors into `DatabaseError`."""
    try:
        yield
    except psycopg.Error as error:
        raise _translated(error) from error


def is_lost(error: psycopg.Error) -> bool:
    """Say whether the connection is gone, so that another one may do."""
    # 08: connection exceptions, a pooler's too; 57P: shut down, starting, dropped, idle for too long.
    return isinstance(error, psycopg.OperationalError) and (
        not error.sqlstate or error.sqlstate.startswith(("08", "57P"))
    )


def begin(connection: Connection, settings: dict[str, str]) -> None:
    """Change settings until the end of the transaction, and have pgvector found in whatever schema it is."""
    for name, value in settings.items():
        # PostgreSQL 13 lacks some; a savepoint, since an error would end the transaction.
        with suppress(pg.UndefinedObject, pg.InvalidParameterValue), connection.transaction():
            connection.execute("SELECT set_config(%s, %s, true)", [name, value])
    connection.execute(
        "SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''),"
        " quote_ident(nspname)), true) FROM pg_catalog.pg_extension"
        " JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
    )


def template(name: sql.Identifier) -> sql.SQL:
    """Return a name for a statement with parameters, where a percent sign is written twice."""
    return sql.SQL(name.as_string().replace("%", "%%"))


def identifier(table: str) -> sql.Identifier:
    """Return the name of a table, quoted for SQL.

    Raises:
        ConfigurationError: it is not a valid name.
    """
    names = table.split(".")
    if len(names) > 2 or not all(names):  # noqa: PLR2004 - a schema and a table
        raise ConfigurationError(f"{table!r} is not the name of a table: give NAME or SCHEMA.NAME")
    for name in names:
        check_name(name, ConfigurationError)
    return sql.Identifier(*names)


def check_name(name: str, kind: type[ConfigurationError | VectorFileError]) -> None:
    """Raise an error of this kind if PostgreSQL would truncate a name, or cannot store it."""
    try:
        fits = "\0" not in name and 0 < len(name.encode()) <= _NAME_BYTES
    except UnicodeError:  # a byte that is not UTF-8
        fits = False
    if not fits:
        raise kind(
            f"{name!r} cannot be a name in PostgreSQL: it takes 1 to {_NAME_BYTES} bytes of UTF-8 without NUL"
        )


def columns_of(connection: Connection, target: sql.Identifier) -> dict[str, str]:
    """Return the columns of a table with their types; an empty dict if there is no such table."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [target.as_string(connection)],
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def set_local(connection: Connection, name: str, value: object) -> None:
    """Change a setting until the end of the transaction.

    Raises:
        ConfigurationError: the setting does not take that value.
    """
    try:
        connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])
    except pg.InvalidParameterValue as error:
        raise ConfigurationError(f"{name} cannot be {value}: {primary(error)}") from error


def primary(error: psycopg.Error) -> str:
    """Return the database's main message: one sentence."""
    return error.diag.message_primary or str(error).partition("\n")[0]


def _translated(error: psycopg.Error) -> DatabaseError:
    if isinstance(error, pg.InsufficientPrivilege):
        advice = "; ask its owner to grant that, or connect as another user"
    elif isinstance(error, pg.ReadOnlySqlTransaction):
        advice = "; a search may only read, and a load needs the primary server, not a replica"
    elif isinstance(error, pg.QueryCanceled):
        advice = "; narrow the search, load with an index, or allow more time"
    elif isinstance(error, pg.LockNotAvailable):
        advice = (
            "; another load, or somebody's transaction, has locked the table: try again when it has ended"
        )
    elif is_lost(error):
        return DatabaseError(
            "the connection to the database was lost, or it did not answer in time: run the command again; "
            "an interrupted load leaves the table as it was"
        )
    else:
        advice = f"; {error.diag.message_hint}" if error.diag.message_hint else ""
    return DatabaseError(f"the database refused: {primary(error)}{advice}")


def _parameters(url: str) -> dict[str, Any]:
    """Parse a URL, without revealing any of it in an error."""
    try:
        parameters = dict(conninfo_to_dict(url))
    except (psycopg.Error, UnicodeError):
        parameters, url = {}, ""
    # The part of a password after an unescaped @, / or ? is parsed as host, port or database.
    whole = url.startswith(("postgresql://", "postgres://")) or parameters
    ports = str(parameters.get("port", "")).replace(",", "")
    broken = "@" in f"{parameters.get('host', '')}{parameters.get('dbname', '')}"
    if not whole or broken or (ports and not ports.isdecimal()):
        raise ConfigurationError(
            "this is not the URL of a database: give one like postgresql://user:password@host:5432/database, "
            "with %40 for @, %2F for / and %3F for ? in the password, or libpq's host=… dbname=… or service=…"
        )
    return {**_TIMEOUTS, **parameters, "client_encoding": "UTF8"}

"""A connection, and what all who use it share: names, errors, and no word of the password."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

import psycopg
from psycopg import errors as pg, sql
from psycopg.conninfo import conninfo_to_dict

from semart_vectors.errors import ConfigurationError, DatabaseError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_NAME_BYTES = 63
"""PostgreSQL cuts a longer name without a word."""

_NEVER_SILENT = {
    "connect_timeout": 10,
    # A server that is gone without a word is noticed within a minute and a half.
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 90_000,
}
"""What is set unless the address says otherwise; the last is in milliseconds, the others in seconds."""


def connect(url: str) -> Connection:
    """Open a connection that commits each statement, unless it stands in a transaction.

    Raises:
        ConfigurationError: the address cannot be understood.
        DatabaseError: the database cannot be reached, or refused.
    """
    parameters = _parameters(url)
    try:
        return psycopg.connect(**parameters, autocommit=True)
    except (psycopg.Error, UnicodeError) as error:
        reason = " ".join(str(error).split())
    for secret in ("password", "sslpassword"):
        if parameters.get(secret):
            reason = reason.replace(str(parameters[secret]), "…")
    # Raised here, so that no error hangs on it whose frames know the password.
    raise DatabaseError(f"cannot connect to the database: {reason}; mend the address or start the server")


def hang_up(connection: Connection) -> None:
    """End a connection from another thread, though its server says nothing."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what the database says into errors of ours."""
    try:
        yield
    except psycopg.Error as error:
        raise _translated(error) from error


def identifier(table: str) -> sql.Identifier:
    """Return the name of a table, which may be quoted into SQL.

    Raises:
        ConfigurationError: it can be no name.
    """
    names = table.split(".")
    if len(names) > 2 or not all(names):  # noqa: PLR2004 - a schema and a table
        raise ConfigurationError(f"{table!r} is no name of a table: NAME or SCHEMA.NAME is one")
    for name in names:
        check_name(name, ConfigurationError)
    return sql.Identifier(*names)


def check_name(name: str, kind: type[ConfigurationError | MetadataError]) -> None:
    """Raise an error of this kind if PostgreSQL would cut a name, or cannot have it."""
    try:
        fits = "\0" not in name and 0 < len(name.encode()) <= _NAME_BYTES
    except UnicodeError:  # a byte that is not UTF-8
        fits = False
    if not fits:
        raise kind(f"{name!r} cannot be a name in PostgreSQL: 1 to {_NAME_BYTES} bytes and no NUL are")


def columns_of(connection: Connection, target: sql.Identifier) -> dict[str, str]:
    """Return the columns of a table with their types; none where there is no such table."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [target.as_string(connection)],
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def set_local(connection: Connection, name: LiteralString, value: object) -> None:
    """Change a setting until the transaction's end.

    Raises:
        ConfigurationError: the setting cannot have that value.
    """
    try:
        connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])
    except pg.InvalidParameterValue as error:
        raise ConfigurationError(f"{name} cannot be {value}: {primary(error)}") from error


def primary(error: psycopg.Error) -> str:
    """Return the one sentence that says what was wrong."""
    return error.diag.message_primary or str(error).partition("\n")[0]


def _translated(error: psycopg.Error) -> DatabaseError:
    if isinstance(error, pg.InsufficientPrivilege):
        advice = "; let its owner grant that, or use a user who may"
    elif isinstance(error, pg.QueryCanceled):
        advice = "; narrow the search, load with an index, or allow more time"
    elif isinstance(error, pg.LockNotAvailable):
        advice = "; another load, or somebody's transaction, holds the table: try again when it is done"
    elif isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return DatabaseError(
            "the connection to the database was lost, or it did not answer in time: run it again; a load is "
            "all there, or not at all"
        )
    else:
        advice = f"; {error.diag.message_hint}" if error.diag.message_hint else ""
    return DatabaseError(f"the database refused: {primary(error)}{advice}")


def _parameters(url: str) -> dict[str, Any]:
    """Take an address apart, without a word of what is in it."""
    try:
        parameters = dict(conninfo_to_dict(url))
    except (psycopg.Error, UnicodeError):
        parameters = {}
    # An unescaped @, / or ? in a password ends up in the host, the port or the database.
    whole = url.startswith(("postgresql://", "postgres://")) and parameters
    ports = str(parameters.get("port", "")).replace(",", "")
    broken = "@" in f"{parameters.get('host', '')}{parameters.get('dbname', '')}"
    if not whole or broken or (ports and not ports.isdecimal()):
        raise ConfigurationError(
            "this is no address of a database: postgresql://user:password@host:5432/database is one, with "
            "%40 for @, %2F for / and %3F for ? in the password"
        )
    return {**_NEVER_SILENT, **parameters, "client_encoding": "UTF8"}

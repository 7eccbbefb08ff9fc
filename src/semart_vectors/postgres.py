"""Paintings in PostgreSQL: a merged file loaded into a table of pgvector's, and searched there.

Needs the extra ``[pgvector]``. Everything here blocks: on an event loop, call it by `asyncio.to_thread`. An
address holds a password, so it is in no message, and no error of libpq's about an address is passed on.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, LiteralString

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import errors as pg, sql
from psycopg.conninfo import conninfo_to_dict

from semart_vectors._paintings import open_paintings
from semart_vectors.errors import ConfigurationError, DatabaseError, MetadataError, ModelMismatchError
from semart_vectors.gallery import Match
from semart_vectors.records import DIMENSION, Embedding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

    from semart_vectors._paintings import Paintings

    _Connection = psycopg.Connection[tuple[Any, ...]]

INDEXES = ("hnsw", "ivfflat")

_LOADING = sql.Identifier("pg_temp", "semart_vectors_loading")
_LOCK = 0x53_56_4C_31
"""An advisory lock that loads hold one after the other: two may create the same table."""

_NAME_BYTES = 63
"""PostgreSQL cuts a longer name without a word."""

_CONNECT_TIMEOUT_S = 10
_MANY_ROWS = 1_000_000
_ITERATIVE = (0, 8)
"""The version of pgvector that goes on through an index until enough rows meet a condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a load did; `inserted + updated + unchanged == rows`."""

    rows: int
    """Rows of the merged file."""
    inserted: int
    """Those that the table did not have."""
    updated: int
    """Those that it had otherwise."""
    unchanged: int
    """Those that it had just so."""


def load_vectors(
    paintings: str | PathLike[str],
    url: str,
    *,
    table: str = "paintings",
    index: Literal["hnsw", "ivfflat"] | None = None,
    half: bool = False,
    replace: bool = False,
) -> LoadReport:
    """Load a merged file into a table, all of it or, when anything goes wrong, nothing.

    Rows are known by `image_file`: loading again updates those that differ, and leaves alone those that are
    in the table only. The file is read in blocks of 1,024 rows.

    Args:
        paintings: The Parquet file that `merge_vectors` wrote.
        url: The database, such as ``postgresql://user:password@host:5432/database``.
        table: Its name, or ``schema.name``. It is created with the columns of the file.
        index: What finds neighbours without looking at all rows, but not always all of them; built after the
            rows are in.
        half: Keep 16 bits of each number (``halfvec``), half the room; the service's numbers lose nothing.
        replace: Drop the table first, with what it holds, in the same transaction.

    Raises:
        ConfigurationError: the address or an option cannot be understood.
        MetadataError: the file cannot be used, or holds what PostgreSQL cannot.
        ModelMismatchError: the table holds vectors of another model.
        DatabaseError: the database cannot be reached, refused, or has another table of that name.
    """
    target = _identifier(table)
    if index is not None and index not in INDEXES:
        raise ConfigurationError(f"index must be hnsw or ivfflat, not {index!r}")
    vector_type = "halfvec" if half else "vector"
    with open_paintings(paintings) as source:
        columns = _columns(source)
        with _connected(url) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            _create_extension(connection)
            model_version = _copy(connection, source, columns, vector_type)
            if replace:
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
            if _columns_of(connection, target):
                _check_table(connection, table, columns, vector_type, model_version)
            else:
                _create_table(connection, target, columns, vector_type)
            report = _upsert(connection, target, columns, source.rows)
            if index is not None:
                _create_index(connection, target, index, vector_type)
            connection.execute(sql.SQL("ANALYZE {}").format(target))
    return report


def search_postgres(
    url: str,
    table: str,
    query: Embedding,
    *,
    k: int = 12,
    where: str | None = None,
    leave_out: str | None = None,
    exact: bool = False,
    ef_search: int | None = None,
    probes: int | None = None,
    timeout_s: float = 30,
) -> list[Match]:
    """Find the paintings of a table whose vectors are nearest to the query's, as `Gallery.search` does.

    Args:
        url: The database, as for `load_vectors`.
        table: What `load_vectors` filled.
        query: What `embed_image`, `embed_text` or `Gallery.embedding` returned.
        k: How many to find; fewer where there are not so many.
        where: A condition on the table's columns, in SQL. It is run as it is, by a transaction that may only
            read: take it from whoever may read the database, and from nobody else.
        leave_out: The name of a painting that is not wanted, such as the query itself.
        exact: Look at all rows, whatever indexes there are.
        ef_search: How far an hnsw index is searched, 1 to 1000; the server's own setting, 40, unless given.
        probes: How many lists of an ivfflat index are searched; the server's own setting, 1, unless given.
        timeout_s: Seconds after which the database gives up.

    Returns:
        The nearest, best first; of two equally near the one whose name comes first.

    Raises:
        ConfigurationError: the address or the condition cannot be understood, or an option is out of range.
        ModelMismatchError: the query's vector is of another model.
        DatabaseError: the database cannot be reached, has no such table, or refused.
    """
    if k < 1 or timeout_s <= 0:
        raise ConfigurationError(f"k must be at least 1, not {k}, and timeout_s above 0, not {timeout_s}")
    settings = {"hnsw.ef_search": ef_search, "ivfflat.probes": probes}
    with _connected(url) as connection:
        connection.read_only = True
        with connection.transaction():
            _set(connection, "statement_timeout", math.ceil(timeout_s * 1000))
            return search_with(
                connection,
                table,
                query,
                k=k,
                where=where,
                leave_out=leave_out,
                exact=exact,
                settings=settings,
            )


def find_embedding(url: str, table: str, image_file: str) -> Embedding:
    """Return the vector of a painting in a table, to search with.

    Raises:
        KeyError: there is none of that name.
        ConfigurationError: the address cannot be understood.
        DatabaseError: the database cannot be reached, has no such table, or refused.
    """
    target = _identifier(table)
    with _connected(url) as connection:
        _check_paintings(_columns_of(connection, target), table)
        statement = sql.SQL("SELECT vector::text, model_version FROM {} WHERE image_file = %s").format(target)
        row = None if "\0" in image_file else connection.execute(statement, [image_file]).fetchone()
    if row is None:
        raise KeyError(image_file)
    vector = np.array([float(number) for number in row[0][1:-1].split(",")], np.float32)
    vector.setflags(write=False)
    return Embedding(image_file, vector, row[1])


def search_with(
    connection: _Connection,
    table: str,
    query: Embedding,
    *,
    k: int,
    where: str | None = None,
    leave_out: str | None = None,
    exact: bool = False,
    settings: dict[str, int | None] | None = None,
) -> list[Match]:
    """Search within a transaction of the caller's, for those who keep a connection; `settings` hold for it.

    Raises:
        ConfigurationError: as `search_postgres`.
        ModelMismatchError: as above.
        DatabaseError: there is no such table.
    """
    target = _identifier(table)
    types = _columns_of(connection, target)
    _check_paintings(types, table)
    first = connection.execute(sql.SQL("SELECT model_version FROM {} LIMIT 1").format(target)).fetchone()
    if first is None:
        return []
    if first[0] != query.model_version:
        raise ModelMismatchError(
            f"the query's vector is of model {query.model_version}, those of {table} are of {first[0]}: "
            "vectors of two models do not compare"
        )
    connection.execute("SELECT '[1]'::vector")  # brings pgvector in, which then knows its settings
    for name, value in (settings or {}).items():
        if value is not None:
            _set(connection, name, value)
    if not exact and _pgvector_version(connection) >= _ITERATIVE:
        _set(connection, "hnsw.iterative_scan", "strict_order")
        _set(connection, "ivfflat.iterative_scan", "relaxed_order")
    others = [name for name in types if name not in {"image_file", "vector", "model_version"}]
    rows = _ask(
        connection,
        _nearest(target, others, types["vector"].partition("(")[0], where, exact=exact),
        {"query": str(query.vector.tolist()), "leave_out": leave_out, "k": k},
        None if where is None else f"the condition {where!r} cannot be used; columns are {', '.join(types)}",
    )
    return [
        Match(name, float(score), dict(zip(others, values, strict=True))) for name, score, *values in rows
    ]


def _check_paintings(types: dict[str, str], table: str) -> None:
    if not {"image_file", "vector", "model_version"} <= types.keys():
        raise DatabaseError(f"there is no table {table} of paintings: fill it by `semart-vectors load`")


def _nearest(
    target: sql.Identifier, others: list[str], vector_type: str, where: str | None, *, exact: bool
) -> sql.Composed:
    distance = sql.SQL("vector <=> %(query)s::{}").format(sql.Identifier(vector_type))
    condition = sql.SQL("TRUE")
    if where is not None:
        # Users write conditions, not templates; the newline ends a comment in one.
        condition = sql.SQL(where.replace("%", "%%") + "\n")
    return sql.SQL(
        "SELECT image_file, 1 - distance{others} FROM ("
        " SELECT *, {distance} AS distance FROM {target}"
        " WHERE ({condition}) AND image_file IS DISTINCT FROM %(leave_out)s::text"
        " ORDER BY {order} LIMIT %(k)s"
        ") AS nearest ORDER BY distance, image_file"
    ).format(
        others=sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in others),
        distance=distance,
        target=target,
        condition=condition,
        # No index is in the order of a sum, and those of the condition's columns stay of use.
        order=sql.SQL("({}) + 0, image_file").format(distance) if exact else distance,
    )


def _ask(
    connection: _Connection, query: sql.Composed, values: dict[str, Any], complaint: str | None
) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(query, values).fetchall()
    except (pg.ProgrammingError, pg.DataError) as error:
        if complaint is None:
            raise
        raise ConfigurationError(f"{complaint}: {_primary(error)}") from error


@contextmanager
def _connected(url: str) -> Iterator[_Connection]:
    """Yield a connection of our own; what comes up is translated, and never shows the address."""
    parameters = _parameters(url)
    connection: _Connection | None = None
    reason = ""
    try:
        connection = psycopg.connect(**parameters, autocommit=True)
    except (psycopg.Error, UnicodeError) as error:
        reason = str(error).strip().replace("\n", "; ")
        for secret in ("password", "sslpassword"):
            if parameters.get(secret):
                reason = reason.replace(str(parameters[secret]), "…")
    if connection is None:  # raised here, so that no error hangs on it whose frames know the password
        raise DatabaseError(f"cannot connect to the database: {reason}; mend the address or start the server")
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise _translated(error) from error


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
    return {"connect_timeout": _CONNECT_TIMEOUT_S, **parameters, "client_encoding": "UTF8"}


def _translated(error: psycopg.Error) -> DatabaseError:
    if isinstance(error, pg.InsufficientPrivilege):
        advice = "; let its owner grant that, or use a user who may"
    elif isinstance(error, pg.QueryCanceled):
        advice = "; narrow the search, load with an index, or allow more time"
    elif isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return DatabaseError("the connection to the database was lost; nothing was changed: run it again")
    else:
        advice = f"; {error.diag.message_hint}" if error.diag.message_hint else ""
    return DatabaseError(f"the database refused: {_primary(error)}{advice}")


def _primary(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).partition("\n")[0]


def _identifier(table: str) -> sql.Identifier:
    names = table.split(".")
    if len(names) > 2 or not all(names):  # noqa: PLR2004 - a schema and a table
        raise ConfigurationError(f"{table!r} is no name of a table: NAME or SCHEMA.NAME is one")
    for name in names:
        _check_name(name, ConfigurationError)
    return sql.Identifier(*names)


def _check_name(name: str, kind: type[ConfigurationError | MetadataError]) -> None:
    if "\0" in name or not 0 < len(name.encode()) <= _NAME_BYTES:
        raise kind(f"{name!r} cannot be a name in PostgreSQL: 1 to {_NAME_BYTES} bytes and no NUL are")


def _columns(source: Paintings) -> dict[str, str]:
    """Return the type that each column of the file has in PostgreSQL."""
    columns = {}
    for field in source.fields:
        _check_name(field.name, MetadataError)
        columns[field.name] = _type_for(field)
    if columns["image_file"] != "text":
        raise MetadataError("image_file holds no texts")
    return columns


def _type_for(field: Any) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return "text"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "int8"
    if pa.types.is_floating(kind):
        return "float8"
    if pa.types.is_boolean(kind):
        return "bool"
    raise MetadataError(
        f"the column {field.name} is {field.type}: PostgreSQL gets texts, whole numbers, floats and "
        "booleans; turn it into one of them, or drop it, and merge again"
    )


def _create_extension(connection: _Connection) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (pg.FeatureNotSupported, pg.UndefinedFile) as error:
        raise DatabaseError(
            "the database server does not have pgvector: install it there (its package is called "
            "postgresql-…-pgvector), or choose a server that has it"
        ) from error
    except pg.InsufficientPrivilege as error:
        raise DatabaseError(
            "this user may not create the extension: let the database's owner run "
            "CREATE EXTENSION vector once, then load again"
        ) from error


def _pgvector_version(connection: _Connection) -> tuple[int, ...]:
    found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return tuple(int(part) for part in found[0].split(".")[:2]) if found else ()


def _definitions(columns: dict[str, str], vector_type: str) -> sql.Composed:
    lines = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.Identifier("pg_catalog", kind))
        for name, kind in columns.items()
    ]
    vector = sql.SQL("vector {}({}) NOT NULL").format(sql.Identifier(vector_type), sql.Literal(DIMENSION))
    lines += [vector, sql.Composed([sql.SQL("model_version text NOT NULL, PRIMARY KEY (image_file)")])]
    return sql.SQL(", ").join(lines)


def _copy(connection: _Connection, source: Paintings, columns: dict[str, str], vector_type: str) -> str:
    """Bring the file to a table of this transaction's own, and return its model."""
    try:
        connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(
                _LOADING, _definitions(columns, vector_type)
            )
        )
    except pg.UndefinedObject as error:
        raise DatabaseError(
            f"the database knows no type {vector_type}: --half needs pgvector 0.7 "
            "(ALTER EXTENSION vector UPDATE), and its schema must be in the search_path"
        ) from error
    model_version = ""
    start = 0
    try:
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_LOADING)) as copy:
            # In binary form a vector is bytes like others.
            copy.set_types([*columns.values(), "bytea", "text"])
            for batch, vectors, model_version in source.blocks():
                values = [_values(batch.column(name), name, start) for name in columns]
                for row in zip(*values, _binary(vectors, vector_type, start), strict=True):
                    copy.write_row((*row, model_version))
                start += len(vectors)
    except (pg.UniqueViolation, pg.ProgramLimitExceeded) as error:
        raise MetadataError(f"the file cannot be loaded: {error.diag.message_detail or error}") from error
    return model_version


def _values(column: Any, name: str, start: int) -> list[Any]:
    values: list[Any] = column.to_pylist()
    for row, value in enumerate(values, start):
        if isinstance(value, str) and "\0" in value:
            raise MetadataError(
                f"row {row} (the first is 0): {name} is {value[:80]!r}, with a NUL character, which "
                "PostgreSQL cannot store; take it out and merge again"
            )
    return values


def _binary(vectors: NDArray[np.float32], vector_type: str, start: int) -> Iterator[bytes]:
    """Yield vectors in pgvector's binary form: the dimension, two bytes unused, big-endian numbers."""
    with np.errstate(over="ignore"):
        numbers = vectors.astype(">f2" if vector_type == "halfvec" else ">f4")
    unusable = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(unusable):
        raise MetadataError(
            f"row {start + unusable[0]} (the first is 0): its vector is too long for 16 bits: load it in full"
        )
    head = DIMENSION.to_bytes(2, "big") + b"\0\0"
    return (head + vector.tobytes() for vector in numbers)


def _columns_of(connection: _Connection, target: sql.Identifier) -> dict[str, str]:
    """Return the columns of a table with their types; none where there is no such table."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [target.as_string(connection)],
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def _check_table(
    connection: _Connection, table: str, columns: dict[str, str], vector_type: str, model_version: str
) -> None:
    target = _identifier(table)
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(target))
    found = _columns_of(connection, target)
    missing = [name for name in (*columns, "vector", "model_version") if name not in found]
    if missing:
        raise DatabaseError(
            f"the table {table} is there and has no column {', '.join(missing)}: choose another --table, "
            "add them, or let --replace drop it with what it holds"
        )
    if found["vector"].rpartition(".")[2] != f"{vector_type}({DIMENSION})":
        raise DatabaseError(
            f"the table {table} holds vectors as {found['vector']}, not {vector_type}({DIMENSION}): load "
            "with or without --half as before, choose another --table, or let --replace make it anew"
        )
    query = sql.SQL("SELECT model_version FROM {} WHERE model_version <> %s LIMIT 1").format(target)
    other = connection.execute(query, [model_version]).fetchone()
    if other:
        raise ModelMismatchError(
            f"the table {table} holds vectors of model {other[0]}, the file those of {model_version}: "
            "vectors of two models do not compare; choose another --table, or let --replace make it anew"
        )


def _create_table(
    connection: _Connection, target: sql.Identifier, columns: dict[str, str], vector_type: str
) -> None:
    create = sql.SQL("CREATE TABLE {} ({})")
    connection.execute(create.format(target, _definitions(columns, vector_type)))


def _upsert(
    connection: _Connection, target: sql.Identifier, columns: dict[str, str], rows: int
) -> LoadReport:
    names = [sql.Identifier(name) for name in (*columns, "vector", "model_version")]
    here = sql.SQL(", ").join(sql.SQL("here.{}").format(name) for name in names)
    new = sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in names)
    listed = sql.SQL(", ").join(names)
    known = sql.SQL("SELECT count(*) FROM {} JOIN {} USING (image_file)").format(_LOADING, target)
    [there_before] = connection.execute(known).fetchone() or (0,)
    # Rows that stay as they are cost no new version of them, nor a place in an index.
    written = connection.execute(
        sql.SQL(
            "INSERT INTO {target} AS here ({listed}) SELECT {listed} FROM {loading}"
            " ON CONFLICT (image_file) DO UPDATE SET ({listed}) = ROW ({new})"
            " WHERE ({here}) IS DISTINCT FROM ({new})"
        ).format(target=target, listed=listed, loading=_LOADING, new=new, here=here)
    ).rowcount
    inserted = rows - there_before
    return LoadReport(rows=rows, inserted=inserted, updated=written - inserted, unchanged=rows - written)


def _create_index(connection: _Connection, target: sql.Identifier, index: str, vector_type: str) -> None:
    there = connection.execute(
        "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " JOIN pg_am ON pg_am.oid = relam"
        " WHERE indrelid = to_regclass(%s) AND amname = %s",
        [target.as_string(connection), index],
    ).fetchone()
    if there:
        return
    [rows] = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(target)).fetchone() or (0,)
    options: sql.Composable = sql.SQL("")
    if index == "ivfflat":
        options = sql.SQL(" WITH (lists = {})").format(sql.Literal(lists_for(rows)))
    connection.execute(
        sql.SQL("CREATE INDEX ON {} USING {} (vector {}){}").format(
            target, sql.Identifier(index), sql.Identifier(f"{vector_type}_cosine_ops"), options
        )
    )


def lists_for(rows: int) -> int:
    """Return how many lists an ivfflat index of so many rows has: pgvector's own advice."""
    return max(1, rows // 1000 if rows <= _MANY_ROWS else math.isqrt(rows))


def _set(connection: _Connection, name: LiteralString, value: object) -> None:
    try:
        connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])
    except pg.InvalidParameterValue as error:
        raise ConfigurationError(f"{name} cannot be {value}: {_primary(error)}") from error

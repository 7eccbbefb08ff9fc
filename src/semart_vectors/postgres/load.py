"""Load a merged file into a table: all of it or nothing, bit for bit, and again to update the table."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from psycopg import errors as pg, sql

from semart_vectors.errors import ConfigurationError, DatabaseError, ModelMismatchError, VectorFileError
from semart_vectors.metadata.vector_file import VectorFile
from semart_vectors.postgres.connection import (
    begin,
    check_name,
    columns_of,
    connect,
    database_errors,
    identifier,
    template,
)
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

    from semart_vectors.postgres.connection import Connection

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)

_SQL_NAMES = {"int8": "bigint", "float8": "double precision", "bool": "boolean"}
"""The names that PostgreSQL reports for some types."""

INDEXES = ("hnsw", "ivfflat")

_LOADING = sql.Identifier("pg_temp", "semart_vectors_loading")
_LOCK = 0x53_56_4C_31
"""Two loads may create the same extension, or the same table: with advisory locks one waits for the other."""

_LOAD_SETTINGS = {"lock_timeout": "60s", "client_connection_check_interval": "5s"}
"""How long a load waits for another, and how soon the server notices that a client has disappeared."""

_MANY_ROWS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a load did; `inserted + updated + unchanged == rows`."""

    rows: int
    """Rows in the merged file."""
    inserted: int
    """Rows whose image_file was not in the table."""
    updated: int
    """Rows that were in the table with other values."""
    unchanged: int
    """Rows that were in the table with the same values."""


def load_vectors(
    path: str | PathLike[str],
    url: str,
    *,
    table: str = "paintings",
    index: Literal["hnsw", "ivfflat"] | None = None,
    half: bool = False,
    replace: bool = False,
) -> LoadReport:
    """Load a merged file into a table: all of it or, if anything fails, nothing.

    Rows are identified by `image_file`: loading again updates rows that differ, and leaves alone rows that
    are only in the table. The file is read in blocks of 1,024 rows.

    Args:
        path: The Parquet file that `merge_vectors` wrote.
        url: The database, such as ``postgresql://user:password@host:5432/database``.
        table: Name of the table, or ``schema.name``. It is created with the columns of the file.
        index: Type of the index on the vectors, built after the rows are loaded: it finds neighbours without
            comparing all rows, but may miss some of them.
        half: Keep 16 bits of each number (``halfvec``): half the size, and exact for the service's vectors.
        replace: Drop the table first, with all its rows, in the same transaction; searches wait meanwhile.

    Returns:
        How many rows were inserted, updated, and left as they were.

    Raises:
        ConfigurationError: the URL or an option is not valid.
        VectorFileError: the file cannot be used, or holds something that PostgreSQL cannot store.
        ModelMismatchError: the table holds vectors of another model.
        DatabaseError: the database cannot be reached, refused, or has another kind of table of that name.
    """
    target = identifier(table)
    if index is not None and index not in INDEXES:
        raise ConfigurationError(f"index must be hnsw or ivfflat, not {index!r}")
    vector_type = "halfvec" if half else "vector"
    with VectorFile.open(path) as source:
        if not source.rows:
            raise VectorFileError(f"{path} has no rows to load")
        columns = _columns(source)
        with database_errors(), _loading(url) as connection:
            name = table.rpartition(".")[2]
            connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, name])
            model_version = _copy(connection, source, columns, vector_type)
            if replace:
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
            if columns_of(connection, target):
                _check_table(connection, table, columns, vector_type, model_version)
            else:
                _create_table(connection, target, columns, vector_type)
            report = _upsert(connection, target, columns, source.rows)
            if index is not None:
                _create_index(connection, target, index, vector_type)
            connection.execute(sql.SQL("ANALYZE {}").format(target))
    return report


def _columns(source: VectorFile) -> dict[str, str]:
    """Return the type that each column of the file has in PostgreSQL."""
    columns = {}
    for field in source.fields:
        check_name(field.name, VectorFileError)
        columns[field.name] = _type_for(field)
    return columns


def _type_for(field: Any) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if any(is_so(kind) for is_so in _TEXTS):
        return "text"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "int8"
    if pa.types.is_floating(kind):
        return "float8"
    if pa.types.is_boolean(kind):
        return "bool"
    raise VectorFileError(
        f"the column {field.name} is {field.type}: only text, integers, floats and booleans can be loaded; "
        "convert it to one of them, or drop it, and merge again"
    )


@contextmanager
def _loading(url: str) -> Iterator[Connection]:
    """Open a transaction to load in, in a database that has pgvector."""
    with connect(url) as connection:
        with connection.transaction():
            begin(connection, _LOAD_SETTINGS)
            connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCK])
            _create_extension(connection)
        with connection.transaction():
            begin(connection, _LOAD_SETTINGS)
            yield connection


def _create_extension(connection: Connection) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (pg.FeatureNotSupported, pg.UndefinedFile) as error:
        raise DatabaseError(
            "the database server does not have pgvector: install it there (the package is called "
            "postgresql-…-pgvector), or choose a server that has it"
        ) from error
    except pg.InsufficientPrivilege as error:
        raise DatabaseError(
            "this user may not create the extension: ask the database's owner to run "
            "CREATE EXTENSION vector once, then load again"
        ) from error


def _definitions(columns: dict[str, str], vector_type: str) -> sql.Composed:
    lines = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.Identifier("pg_catalog", kind))
        for name, kind in columns.items()
    ]
    vector = sql.SQL("vector {}({}) NOT NULL").format(sql.Identifier(vector_type), sql.Literal(DIMENSION))
    lines += [vector, sql.Composed([sql.SQL("model_version text NOT NULL, PRIMARY KEY (image_file)")])]
    return sql.SQL(", ").join(lines)


def _copy(connection: Connection, source: VectorFile, columns: dict[str, str], vector_type: str) -> str:
    """Copy the file into a temporary table of this transaction, and return its model."""
    try:
        connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(
                _LOADING, _definitions(columns, vector_type)
            )
        )
    except pg.UndefinedObject as error:
        raise DatabaseError(
            f"the database does not know the type {vector_type}: --half needs pgvector 0.7 "
            "(ALTER EXTENSION vector UPDATE), and this user the right to use the extension's schema"
        ) from error
    model_version = ""
    start = 0
    try:
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_LOADING)) as copy:
            # A vector is sent as it is in pgvector's binary form.
            copy.set_types([*columns.values(), "bytea", "text"])
            for batch, vectors, model_version in source.blocks():
                values = [_values(batch.column(name), name, start) for name in columns]
                for row in zip(*values, _binary(vectors, vector_type, start), strict=True):
                    copy.write_row((*row, model_version))
                start += len(vectors)
    except (pg.UniqueViolation, pg.ProgramLimitExceeded) as error:
        raise VectorFileError(f"the file cannot be loaded: {error.diag.message_detail or error}") from error
    return model_version


def _values(column: Any, name: str, start: int) -> list[Any]:
    values: list[Any] = column.to_pylist()
    for row, value in enumerate(values, start):
        if isinstance(value, str) and "\0" in value:
            raise VectorFileError(
                f"row {row} (counted from 0): {name} is {value[:80]!r}, with a NUL character, which "
                "PostgreSQL cannot store; remove it and merge again"
            )
    return values


def _binary(vectors: NDArray[np.float32], vector_type: str, start: int) -> Iterator[bytes]:
    """Yield vectors in pgvector's binary form: the dimension, two unused bytes, big-endian numbers."""
    with np.errstate(over="ignore"):
        numbers = vectors.astype(">f2" if vector_type == "halfvec" else ">f4")
    unusable = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(unusable):
        raise VectorFileError(
            f"row {start + unusable[0]} (counted from 0): a number of its vector is too large for 16 bits; "
            "load without --half"
        )
    head = DIMENSION.to_bytes(2, "big") + b"\0\0"
    return (head + vector.tobytes() for vector in numbers)


def _check_table(
    connection: Connection, table: str, columns: dict[str, str], vector_type: str, model_version: str
) -> None:
    target = identifier(table)
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(target))
    found = columns_of(connection, target)
    missing = [name for name in (*columns, "vector", "model_version") if name not in found]
    if missing:
        raise DatabaseError(
            f"the table {table} exists and has no column {', '.join(missing)}: choose another --table, "
            "add the columns, or use --replace, which drops the table with all its rows"
        )
    if found["vector"].rpartition(".")[2] != f"{vector_type}({DIMENSION})":
        raise DatabaseError(
            f"the table {table} holds vectors as {found['vector']}, not {vector_type}({DIMENSION}): load "
            "with or without --half as before, choose another --table, or use --replace"
        )
    others = [name for name, kind in columns.items() if found[name] != _SQL_NAMES.get(kind, kind)]
    if others:
        raise DatabaseError(
            f"the table {table} has other types: {', '.join(f'{name} is {found[name]}' for name in others)}; "
            "choose another --table, or use --replace"
        )
    query = sql.SQL("SELECT model_version FROM {} WHERE model_version <> %s LIMIT 1").format(template(target))
    other = connection.execute(query, [model_version]).fetchone()
    if other:
        raise ModelMismatchError(
            f"the table {table} holds vectors of model {other[0]}, the file those of {model_version}: "
            "vectors of different models cannot be compared; choose another --table, or use --replace"
        )


def _create_table(
    connection: Connection, target: sql.Identifier, columns: dict[str, str], vector_type: str
) -> None:
    create = sql.SQL("CREATE TABLE {} ({})")
    connection.execute(create.format(target, _definitions(columns, vector_type)))


def _upsert(connection: Connection, target: sql.Identifier, columns: dict[str, str], rows: int) -> LoadReport:
    names = [sql.Identifier(name) for name in (*columns, "vector", "model_version")]
    here = sql.SQL(", ").join(sql.SQL("here.{}").format(name) for name in names)
    new = sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in names)
    listed = sql.SQL(", ").join(names)
    known = sql.SQL("SELECT count(*) FROM {} JOIN {} USING (image_file)").format(_LOADING, target)
    [there_before] = connection.execute(known).fetchone() or (0,)
    # The condition keeps PostgreSQL from writing new versions of rows, and index entries, that do not change.
    written = connection.execute(
        sql.SQL(
            "INSERT INTO {target} AS here ({listed}) SELECT {listed} FROM {loading}"
            " ON CONFLICT (image_file) DO UPDATE SET ({listed}) = ROW ({new})"
            " WHERE ({here}) IS DISTINCT FROM ({new})"
        ).format(target=target, listed=listed, loading=_LOADING, new=new, here=here)
    ).rowcount
    inserted = rows - there_before
    return LoadReport(rows=rows, inserted=inserted, updated=written - inserted, unchanged=rows - written)


def _create_index(connection: Connection, target: sql.Identifier, index: str, vector_type: str) -> None:
    there = connection.execute(
        "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " JOIN pg_am ON pg_am.oid = relam JOIN pg_opclass ON pg_opclass.oid = indclass[0]"
        " WHERE indrelid = to_regclass(%s) AND amname = %s AND opcname = %s"
        " AND indisvalid AND indpred IS NULL",
        [target.as_string(connection), index, f"{vector_type}_cosine_ops"],
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
    """Return the number of lists for an ivfflat index on so many rows, as pgvector recommends it."""
    return max(1, rows // 1000 if rows <= _MANY_ROWS else math.isqrt(rows))

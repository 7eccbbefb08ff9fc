"""`PostgresGallery`: a table of images with their vectors, searched as `Gallery` searches a file."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psycopg
from psycopg import errors as pg, sql

from semart_vectors.errors import ConfigurationError, DatabaseError, ModelMismatchError
from semart_vectors.gallery import Match
from semart_vectors.images.names import to_text
from semart_vectors.postgres.connection import (
    abort,
    begin,
    columns_of,
    connect,
    database_errors,
    identifier,
    is_lost,
    primary,
    set_local,
    template,
)
from semart_vectors.records import Embedding
from semart_vectors.streams.threads import ResultT, time_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from semart_vectors.postgres.connection import Connection

_OURS = {"image_file", "vector", "model_version"}

_ITERATIVE = (0, 8)
"""The version of pgvector that scans an index further while too few rows meet a condition."""

_MAX_TIMEOUT_S = 86_400.0
_GRACE_S = 5.0
"""How long after the timeout the database may take to report it, before the connection is ended."""

_DISTANCE = sql.Identifier("semart_vectors.distance")
"""A name that no column of the table has."""


class PostgresGallery:
    """A table that `load_vectors` filled, opened for searching.

    ::

        with PostgresGallery.open("postgresql://me@localhost/art", table="paintings") as gallery:
            for match in gallery.search(await embedder.embed_text("a ship in a storm"), k=12): ...

    It holds one connection, and writes nothing. Threads may share it; their searches take turns. If the
    connection was lost, since the database was restarted or a firewall forgot it, another one is opened once.
    """

    def __init__(self, url: str, table: str, *, timeout_s: float) -> None:
        """Connect: use `PostgresGallery.open`."""
        self._url = url
        self._table = table
        self._target = identifier(table)
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._closed = False
        self._out_of_time = False
        self._connection = connect(url)
        try:
            self._types, first, version = self._read(self._look_at_table)
        except BaseException:
            self.close()
            raise
        self._others = [name for name in self._types if name not in _OURS]
        self.model_version: str = first
        """The model of all its vectors."""
        self._iterative = version >= _ITERATIVE

    @classmethod
    def open(cls, url: str, *, table: str = "paintings", timeout_s: float = 30) -> Self:
        """Connect to a database and open one of its tables.

        Args:
            url: The database, such as ``postgresql://user:password@host:5432/database``.
            table: Name of the table, or ``schema.name``.
            timeout_s: Seconds after which opening, or a search, fails; at most a day.

        Raises:
            ConfigurationError: the URL or an option is not valid.
            DatabaseError: the database cannot be reached, or has no such table, or the table has no rows.
        """
        identifier(table)
        if not 0 < timeout_s <= _MAX_TIMEOUT_S:
            raise ConfigurationError(
                f"timeout_s must be above 0 and at most {_MAX_TIMEOUT_S:g}, not {timeout_s}"
            )
        return cls(url, table, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    def count(self, where: str | None = None) -> int:
        """Return how many images there are, or how many meet a condition as described in `search`.

        Raises:
            ConfigurationError: the condition is not valid.
            DatabaseError: the database refused, or the connection was lost.
        """
        # With a parameter PostgreSQL accepts one statement only.
        statement = "SELECT count(*) FROM {table} WHERE %(all)s AND ({condition})"
        rows = self._read(lambda: self._ask(statement, {"all": True}, where))
        return int(rows[0][0])

    def embedding(self, image_file: str) -> Embedding:
        """Return the vector of an image in the table, to search with.

        Raises:
            KeyError: no image has this name.
            DatabaseError: the database refused, or the connection was lost.
        """
        numbers, model_version = self._row(image_file, "vector::text, model_version")
        vector = np.array([float(number) for number in numbers[1:-1].split(",")], np.float32)
        vector.setflags(write=False)
        return Embedding(image_file, vector, model_version, attempts=0)

    def metadata(self, image_file: str) -> dict[str, Any]:
        """Return the columns of an image, except for its name and its vector, as `search` does.

        Raises:
            KeyError: no image has this name.
            DatabaseError: the database refused, or the connection was lost.
        """
        _, *values = self._row(image_file, "image_file{others}")
        return dict(zip(self._others, values, strict=True))

    def search(
        self,
        query: Embedding,
        *,
        k: int = 12,
        where: str | None = None,
        exclude: str | None = None,
        exact: bool = False,
        ef_search: int | None = None,
        probes: int | None = None,
    ) -> list[Match]:
        """Find the images whose vectors are nearest to the query's.

        Args:
            query: What `embed_image`, `embed_text` or `embedding` returned.
            k: How many to return; fewer if there are not so many.
            where: A condition on the table's columns, in SQL. It is run as it is, in a read-only transaction:
                accept conditions only from people who may read the whole database.
            exclude: The name of an image to exclude, such as the query itself.
            exact: Compare all rows, whatever indexes there are.
            ef_search: How many candidates an hnsw index keeps, 1 to 1000; unless given, the server's setting
                (pgvector's default is 40).
            probes: How many lists of an ivfflat index are searched; unless given, the server's setting
                (pgvector's default is 1).

        Returns:
            The nearest, best first; of two with the same score, the one whose name comes first. Which of them
            gets the last place is certain only with `exact`. A vector of length 0 has the score 0 and comes
            last.

        Raises:
            ModelMismatchError: the query's vector is of another model.
            ConfigurationError: the condition is not valid, or an option is out of range.
            DatabaseError: the database refused, took longer than the timeout, or the connection was lost.
        """
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, not {k}")
        settings: dict[str, object] = {"hnsw.ef_search": ef_search, "ivfflat.probes": probes}
        if not exact and self._iterative:
            settings |= {"hnsw.iterative_scan": "strict_order", "ivfflat.iterative_scan": "relaxed_order"}
        values = {
            "query": str(query.vector.tolist()),
            "exclude": None if exclude is None else to_text(exclude),
            "k": k,
        }

        def nearest() -> list[tuple[Any, ...]]:
            self._connection.execute("SELECT '[1]'::vector")  # loads pgvector, and with it its settings
            for name, value in settings.items():
                if value is not None:
                    set_local(self._connection, name, value)
            rows = self._nearest(values, where, exact=exact)
            if len(rows) < k and not exact:  # the scan of an index ends after a while
                rows = self._nearest(values, where, exact=True)
            return rows

        rows = self._read(nearest)
        # Check the rows that were found too: the table may have been replaced since it was opened.
        models = {self.model_version} | {row[1] for row in rows}
        for model in models - {query.model_version}:
            raise ModelMismatchError(
                f"the query's vector is of model {query.model_version}, those of {self._table} are of "
                f"{model}: vectors of different models cannot be compared"
            )
        return [
            Match(name, 0.0 if math.isnan(score) else score, dict(zip(self._others, values, strict=True)))
            for name, _, score, *values in rows
        ]

    def _nearest(self, values: dict[str, Any], where: str | None, *, exact: bool) -> list[tuple[Any, ...]]:
        vector_type = self._types["vector"].partition("(")[0]
        distance = sql.SQL("vector <=> %(query)s::{}").format(sql.Identifier(*vector_type.split(".")))
        return self._ask(
            "SELECT image_file, model_version, 1 - {alias}{others} FROM ("
            " SELECT *, {distance} AS {alias} FROM {table} WHERE ({condition})"
            " AND vector IS NOT NULL AND image_file IS DISTINCT FROM %(exclude)s::text"
            " ORDER BY {order} LIMIT %(k)s"
            ") AS nearest ORDER BY {alias}, image_file",
            values,
            where,
            alias=_DISTANCE,
            distance=distance,
            # Adding 0 rules out an index on the vectors, and keeps those on the columns of the condition.
            order=sql.SQL("({}) + 0, image_file").format(distance) if exact else distance,
        )

    def _row(self, image_file: str, columns: str) -> tuple[Any, ...]:
        """Return some columns of an image, or raise `KeyError`."""
        name = to_text(image_file)
        if "\0" in name:
            raise KeyError(image_file)
        statement = f"SELECT {columns} FROM {{table}} WHERE image_file = %(name)s AND vector IS NOT NULL"  # noqa: S608 - ours
        rows = self._read(lambda: self._ask(statement, {"name": name}))
        if not rows:
            raise KeyError(image_file)
        return rows[0]

    def _look_at_table(self) -> tuple[dict[str, str], str, tuple[int, ...]]:
        """Return its columns with their types, its model, and the version of pgvector."""
        types = columns_of(self._connection, self._target)
        if not types.keys() >= _OURS:
            raise DatabaseError(
                f"there is no table {self._table} with vectors in the database: fill it with "
                "`semart-vectors load`"
            )
        statement = sql.SQL("SELECT model_version FROM {} LIMIT 1").format(self._target)
        first = self._connection.execute(statement).fetchone()
        if first is None:
            raise DatabaseError(f"the table {self._table} is empty: fill it with `semart-vectors load`")
        return types, first[0], _pgvector_version(self._connection)

    def _read(self, work: Callable[[], ResultT]) -> ResultT:
        """Do some work in a transaction that may only read, on another connection if this one was lost."""
        with self._lock, database_errors():
            if self._closed:
                raise DatabaseError("this gallery was closed: open it again")
            try:
                return self._read_once(work)
            except psycopg.OperationalError as error:
                if not is_lost(error) or self._out_of_time:
                    raise
            self._connection.close()
            self._connection = connect(self._url)
            return self._read_once(work)

    def _read_once(self, work: Callable[[], ResultT]) -> ResultT:
        self._out_of_time = False
        connection = self._connection
        connection.read_only = True
        with ExitStack() as stack:
            stack.enter_context(time_limit(self._timeout_s + _GRACE_S, self._end_work))
            # What takes no time tells whether anybody is there: a firewall forgets a connection silently.
            with time_limit(_GRACE_S, partial(abort, connection)):
                stack.enter_context(connection.transaction())
                begin(connection, {"statement_timeout": _ms(self._timeout_s)})
            return work()

    def _end_work(self) -> None:
        self._out_of_time = True
        abort(self._connection)

    def _sql(self, statement: Any, **parts: sql.Composable) -> sql.Composed:
        others = sql.SQL("").join(
            sql.SQL(", {}").format(template(sql.Identifier(name))) for name in self._others
        )
        return sql.SQL(statement).format(table=template(self._target), others=others, **parts)

    def _ask(
        self, statement: str, values: dict[str, Any], where: str | None = None, **parts: sql.Composable
    ) -> list[tuple[Any, ...]]:
        # A condition is no template, so % is escaped; the newline ends a comment in it.
        condition = sql.SQL("TRUE" if where is None else where.replace("%", "%%") + "\n")
        composed = self._sql(statement, condition=condition, **parts)
        try:
            return self._connection.execute(composed, values).fetchall()
        except (pg.ProgrammingError, pg.DataError, UnicodeError) as error:
            if where is None:
                raise
            reason = primary(error) if isinstance(error, psycopg.Error) else "it is not UTF-8"
            columns = ", ".join(self._types)
            raise ConfigurationError(
                f"the condition {where!r} cannot be used; columns are {columns}: {reason}"
            ) from error


def _ms(seconds: float) -> str:
    return str(math.ceil(seconds * 1000))


def _pgvector_version(connection: Connection) -> tuple[int, ...]:
    found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return tuple(int(part) for part in found[0].split(".")[:2]) if found else ()

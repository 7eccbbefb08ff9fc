"""Looking into the tables of a test database."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

BY_INDEX = "?options=-c%20enable_seqscan%3Doff"
"""Of few rows PostgreSQL looks at all, unless it is told not to."""


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Look into the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def stored(url: str, kind: str = ">f4") -> dict[str, bytes]:
    """Return the numbers that the database itself sends for each name, as float32."""
    send = "vector_send" if kind == ">f4" else "halfvec_send"
    rows = ask(url, f"SELECT image_file, {send}(vector) FROM paintings")  # noqa: S608 - ours
    return {name: np.frombuffer(sent[4:], kind).astype(np.float32).tobytes() for name, sent in rows}

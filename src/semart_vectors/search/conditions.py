"""Conditions in SQL on the columns of a table, evaluated by DuckDB without access to files or the network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from semart_vectors.errors import ConfigurationError
from semart_vectors.streams.threads import time_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROW = "semart_vectors.row"
"""The column that numbers the rows."""

_TIME_LIMIT_S = 30.0

# No access to files, the network or the program's variables. It does not stop somebody who wants to use up
# the machine: DuckDB notices an interrupt only between its steps, and one step may take long and much memory.
_SANDBOX: dict[str, str | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "memory_limit": "1GB",
}


def matching_rows(condition: str, table: Any) -> NDArray[np.int64]:
    """Return the numbers of the rows of an Arrow table that meet a condition, in ascending order.

    Raises:
        ConfigurationError: the condition is not valid, takes longer than 30 s, or DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra, and slow to import: only for those who use it
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a condition needs DuckDB, which is not installed: pip install 'semart-vectors[search]'"
        ) from error
    for name, count in Counter(map(str.lower, table.column_names)).items():
        if count > 1:
            raise ConfigurationError(
                f"a condition cannot tell apart columns whose names differ in case only: {name}"
            )
    with duckdb.connect(config=_SANDBOX) as database:
        usable = _usable_columns(database, table, duckdb.Error)
        left_out = sorted(set(table.column_names) - set(usable.column_names))
        numbered = usable.append_column(_ROW, pa.array(np.arange(len(table))))
        try:
            with time_limit(_TIME_LIMIT_S, database.interrupt):
                chosen = database.from_arrow(numbered).filter(condition).project(f'"{_ROW}"')
                rows: NDArray[np.int64] = chosen.fetchnumpy()[_ROW]
        except duckdb.InterruptException as error:
            raise ConfigurationError(
                f"the condition {condition!r} takes longer than {_TIME_LIMIT_S:g} s: simplify it"
            ) from error
        except (duckdb.Error, UnicodeError) as error:
            reason = str(error).partition("\n")[0]
            columns = ", ".join(usable.column_names)
            if left_out:
                columns += f" (DuckDB has no type for {', '.join(left_out)})"
            raise ConfigurationError(
                f"the condition {condition!r} cannot be used: {reason}; the columns are {columns}"
            ) from error
        except RuntimeError as error:
            if "interrupted" in str(error):  # DuckDB's word for Ctrl-C
                raise KeyboardInterrupt from error
            raise
    return np.sort(rows)


def _usable_columns(database: Any, table: Any, refusal: type[Exception]) -> Any:
    """Give each column a type that DuckDB takes, and leave out those for which there is none."""
    fields = []
    for field in table.schema:
        types = (field.type, *((pa.float64(),) if _is_number(field.type) else ()))
        taken = next((kind for kind in types if _is_taken(database, field.with_type(kind), refusal)), None)
        if taken is not None:
            fields.append(field.with_type(taken))
    return table.select([field.name for field in fields]).cast(pa.schema(fields))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_taken(database: Any, field: Any, refusal: type[Exception]) -> bool:
    try:
        database.from_arrow(pa.schema([field]).empty_table())
    except refusal:
        return False
    return True

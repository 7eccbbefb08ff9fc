"""A condition in SQL on the columns of a table: answered by DuckDB, which reaches no file and no network."""

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
"""The column that tells a condition's rows."""

_TIME_LIMIT_S = 30.0

# No file, no network and no variable of the program's. It is no fence against one who means to use up the
# machine: DuckDB notices that time is up between its steps, and one step may take long and much memory.
_CLOSED: dict[str, str | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "memory_limit": "1GB",
}


def rows_that_meet(condition: str, table: Any) -> NDArray[np.int64]:
    """Return the rows of an Arrow table that meet a condition, in their order.

    Raises:
        ConfigurationError: it cannot be understood, takes longer than some 30 s, or DuckDB is missing.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra, and not cheap: for those who ask for it
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a condition needs DuckDB, which is not installed: pip install 'semart-vectors[search]'"
        ) from error
    for name, count in Counter(map(str.lower, table.column_names)).items():
        if count > 1:
            raise ConfigurationError(
                f"a condition cannot tell columns apart that differ in case only: {name}"
            )
    numbered = table.append_column(_ROW, pa.array(np.arange(len(table))))
    with duckdb.connect(config=_CLOSED) as database:
        try:
            with time_limit(_TIME_LIMIT_S, database.interrupt):
                chosen = database.from_arrow(numbered).filter(condition).project(f'"{_ROW}"')
                rows: NDArray[np.int64] = chosen.fetchnumpy()[_ROW]
        except duckdb.InterruptException as error:
            raise ConfigurationError(
                f"the condition {condition!r} takes longer than {_TIME_LIMIT_S:g} s: ask for less"
            ) from error
        except (duckdb.Error, UnicodeError) as error:
            reason = str(error).partition("\n")[0]
            columns = ", ".join(table.column_names)
            raise ConfigurationError(
                f"the condition {condition!r} cannot be used: {reason}; the columns are {columns}"
            ) from error
        except RuntimeError as error:
            if "interrupted" in str(error):  # DuckDB's word for Ctrl-C
                raise KeyboardInterrupt from error
            raise
    return np.sort(rows)

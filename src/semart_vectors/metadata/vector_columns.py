"""The one rule for what counts as a name, a vector and a model in a table, whoever wrote the table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

OURS = ("image_file", "vector", "model_version")
"""The columns that every table of vectors has."""


def column_problem(schema: Any, *, empty: bool) -> str | None:
    """Say in half a sentence why a table with these columns is no table of vectors; None if it is one.

    Text may be large, a view, or the categories of pandas. A vector may be a list of any kind, of numbers
    with 16, 32 or 64 bits. Columns without rows may have any type: pandas loses them.
    """
    missing = [name for name in OURS if name not in schema.names]
    if missing:
        return f"has no column {' and '.join(missing)}"
    for name, count in Counter(schema.names).items():
        if count > 1:
            return f"has {count} columns called {name}"
    return None if empty else _type_problem(schema)


def _type_problem(schema: Any) -> str | None:
    for name in ("image_file", "model_version"):
        if not is_text(schema.field(name).type):
            return f"is of no use: {name} is {schema.field(name).type}, not text"
    vector = plain_type(schema.field("vector").type)
    if pa.types.is_fixed_size_list(vector) and vector.list_size != DIMENSION:
        return f"is of no use: vector is {vector}, not {DIMENSION} floating-point numbers"
    if not (_is_list(vector) and pa.types.is_floating(vector.value_type)):
        return f"is of no use: vector is {vector}, not {DIMENSION} floating-point numbers"
    return None


def as_text(column: Any) -> Any:
    """Return a column of any kind of text as Arrow strings, all UTF-8; raise `pa.ArrowInvalid` otherwise."""
    plain = column.cast(pa.string())
    plain.validate(full=True)
    return plain


def as_vectors(lists: Any) -> NDArray[np.float32]:
    """Return a column of lists without nulls as float32 of shape (rows, 1024); a missing number becomes NaN.

    Raises:
        ValueError: a list has another length.
    """
    if not pc.all(pc.equal(pc.list_value_length(lists), DIMENSION)).as_py():
        raise ValueError(f"a vector in it does not have {DIMENSION} numbers")
    with np.errstate(over="ignore"):  # a float64 that is too large becomes infinite
        numbers = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    vectors: NDArray[np.float32] = numbers.reshape(-1, DIMENSION)
    return vectors


def plain_type(kind: Any) -> Any:
    """Return the type of a column in memory: views and categories, with which Arrow computes little, go."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_list_view(kind):
        return pa.list_(kind.value_field)
    if types.is_large_list_view(kind):
        return pa.large_list(kind.value_field)
    return kind


def is_text(kind: Any) -> bool:
    """Whether a column is text, including the categories of pandas and the string views of Polars."""
    kind = plain_type(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    types = pa.types
    kind = plain_type(kind)
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))

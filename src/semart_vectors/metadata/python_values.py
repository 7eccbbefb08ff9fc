"""Values of Arrow as Python's, and as text where Python has no type for them, such as a date BC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def to_python(column: Any) -> list[Any]:
    """Return the values of an Arrow column as Python's own; one that no Python type holds as its text.

    A date or moment before the year 1, or after 9999, is written as PostgreSQL writes it: ``0480-01-31 BC``.
    """
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _by_hand(scalar)


def _by_hand(scalar: Any) -> Any:
    kind, types = scalar.type, pa.types
    if types.is_struct(kind):
        return {field.name: _value(scalar[number]) for number, field in enumerate(kind)}
    if types.is_map(kind):
        return [(_value(pair[0]), _value(pair[1])) for pair in scalar.values]
    if types.is_nested(kind):
        return [_value(each) for each in scalar.values]
    if types.is_date(kind):
        stored = np.datetime64(scalar.value, "D" if types.is_date32(kind) else "ms")
        return _moment(stored.astype("datetime64[D]"))
    if types.is_timestamp(kind):
        zone = "" if kind.tz is None else "+00"  # it is stored in UTC
        return _moment(np.datetime64(scalar.value, kind.unit), zone)
    return f"{scalar.value} {kind}"


def _moment(moment: np.datetime64, zone: str = "") -> str:
    text = str(moment)
    year = int(text[: text.index("-", 1)])
    rest = text[text.index("-", 1) :].replace("T", " ") + zone
    return f"{year:04}{rest}" if year > 0 else f"{1 - year:04}{rest} BC"

"""The numbers of an answer as float32: 1024 finite ones, or it is no answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import orjson
import simdjson

from semart_vectors.records import DIMENSION
from semart_vectors.service.messages import TransientError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semart_vectors.records import Vector

_MEMBERS = 2
"""An answer has ``modelVersion`` and ``vector``."""

_SURELY_FINITE = float(np.finfo(np.float32).max) ** 2
"""One product tells in a microsecond that all numbers of a vector are finite as float32: where one is not,
the sum of their squares is not below this. It is 10^72 times what a vector of the service has."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""JSON has none."""

_parser = simdjson.Parser()
"""One for all: it keeps its memory, which costs more to get anew than an answer costs to parse."""


def parse_vector(body: bytes) -> tuple[Vector, str]:
    """Return the vector of an answer, float32 of shape (1024,), read-only, and the model it names.

    Raises:
        TransientError: it holds anything else.
    """
    numbers, model_version = _parse_fast(body) or _parse_strictly(body)
    # Unlike `dot`, `vdot` gives no warning where the sum is too large even for float64.
    if not np.vdot(numbers, numbers) < _SURELY_FINITE and not _is_finite(numbers):
        raise TransientError("the answer's vector has numbers that are not finite as float32")
    vector = numbers.astype(np.float32)
    vector.setflags(write=False)
    return vector, model_version


def _is_finite(numbers: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        return bool(np.isfinite(numbers.astype(np.float32)).all())


def _parse_fast(body: bytes) -> tuple[NDArray[np.float64], str] | None:
    """Read an answer that is just as documented, in a third of the time; None leaves it to `_parse_strictly`.

    No number becomes a Python object here. What is accepted is sure: two members, so none twice, and one
    array, which holds 1024 numbers and nothing else.
    """
    # simdjson would take the numbers of arrays within for its own, and read on after a byte order mark.
    if body.find(b"[") != body.rfind(b"[") or body.startswith(_BYTE_ORDER_MARK):
        return None
    try:
        content = _parser.parse(body)
        if not isinstance(content, simdjson.Object) or len(content) != _MEMBERS:
            return None
        numbers, model_version = content.get("vector"), content.get("modelVersion")
        if not isinstance(numbers, simdjson.Array) or len(numbers) != DIMENSION:
            return None
        if not isinstance(model_version, str):
            return None
        return np.frombuffer(numbers.as_buffer(of_type="d"), dtype=np.float64), model_version
    # It is not JSON; not all are numbers; one is too long, or another thread uses the parser at this moment.
    except (ValueError, TypeError, RuntimeError):
        return None


def _parse_strictly(body: bytes) -> tuple[NDArray[np.float64], str]:
    """Read any answer that can be read, and say what is wrong with any other."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise TransientError("the answer is not JSON") from None
    if not isinstance(content, dict):
        raise TransientError("the answer is not a JSON object")
    numbers = content.get("vector")
    if not isinstance(numbers, list) or len(numbers) != DIMENSION:
        raise TransientError(f"the answer has no vector of {DIMENSION} numbers")
    if not set(map(type, numbers)) <= {float, int}:  # numpy would take "1", true and null for numbers
        raise TransientError("the answer's vector has something other than numbers")
    model_version = content.get("modelVersion")
    if not isinstance(model_version, str):
        raise TransientError("the answer does not name its model")
    if _repeats_a_name(body):
        raise TransientError("the answer has the same member twice")
    return np.array(numbers, dtype=np.float64), model_version


def _repeats_a_name(body: bytes) -> bool:
    """Whether an object names a member twice; a parser silently keeps the last."""
    repeats = False

    def look(members: list[tuple[str, object]]) -> None:
        nonlocal repeats
        repeats = repeats or len(dict(members)) < len(members)

    try:
        json.loads(body, object_pairs_hook=look)
    except RecursionError:
        return True
    return repeats

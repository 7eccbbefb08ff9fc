"""Numbers by 64-bit keys in sorted arrays: a million keys take megabytes where a dictionary takes hundreds.

Names and contents have keys of 64 bits. Among a million, two share a key in one of 37 million cases
(n² / 2⁶⁵), and then the index knows only the newer of the two: callers must allow for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Keys = NDArray[np.int64]
Numbers = NDArray[np.signedinteger[Any]]

_GROWTH = 8
"""A level is so many times as long as the one before it, or left alone: a handful hold a million."""

_LEFT_ALONE = 1 << 18
"""A level of so many keys, and of an eighth of all, is not merged into a longer one: that takes memory."""


class _Level(NamedTuple):
    """Keys, each once and in order, and a number of each in every column."""

    keys: Keys
    columns: tuple[Numbers, ...]


class Index:
    """Numbers by key; of a key that was added more than once, the newest numbers count.

    One thread may add while others look up: a level never changes once it is among the levels, and these are
    replaced as one tuple. So a look-up sees an addition as a whole or not at all.
    """

    def __init__(self, *columns: type[np.int64 | np.int32]) -> None:
        """Name the type of each number that a key has."""
        self._types = columns
        self._levels: tuple[_Level, ...] = ()

    def add(self, keys: Keys, *columns: Numbers) -> None:
        """Add keys with their numbers; of a key that comes twice, the last counts."""
        if not len(keys):
            return
        new = _in_order([_Level(keys, columns)])
        levels = self._levels
        long = max(_LEFT_ALONE, sum(len(level.keys) for level in levels) // 8)
        while levels and len(levels[0].keys) < min(_GROWTH * len(new.keys), long):
            new = _in_order([levels[0], new])
            levels = levels[1:]
        self._levels = (new, *levels)

    def count(self) -> int:
        """Count the keys."""
        return len(_in_order(self._levels[::-1]).keys) if self._levels else 0

    def get(self, key: int) -> tuple[int, ...] | None:
        """Return the numbers of a key."""
        wanted = np.int64(key)
        for level in self._levels:
            row = level.keys.searchsorted(wanted)
            if row < len(level.keys) and level.keys[row] == wanted:
                return tuple(int(column[row]) for column in level.columns)
        return None

    def find(self, keys: Keys) -> tuple[NDArray[np.bool_], tuple[Numbers, ...]]:
        """Say which of `keys` are known, and return their numbers; those of unknown keys mean nothing."""
        found = np.zeros(len(keys), np.bool_)
        columns: tuple[Numbers, ...] = tuple(np.zeros(len(keys), column) for column in self._types)
        places = np.argsort(keys)  # sorted keys are found twice as fast: each is near the one before
        for level in self._levels:
            asked = keys[places]
            rows = np.minimum(level.keys.searchsorted(asked), len(level.keys) - 1)
            hits = level.keys[rows] == asked
            found[places[hits]] = True
            for column, values in zip(columns, level.columns, strict=True):
                column[places[hits]] = values[rows[hits]]
            places = places[~hits]
        return found, columns


def _in_order(levels: Sequence[_Level]) -> _Level:
    """Merge levels, the oldest first, into one."""
    keys = np.concatenate([level.keys for level in levels])
    order = np.argsort(keys)  # not stably: that takes three times as long
    keys = keys[order]
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    if len(firsts) < len(keys):
        keys, order = keys[firsts], np.maximum.reduceat(order, firsts)
    columns = zip(*(level.columns for level in levels), strict=True)
    return _Level(keys, tuple(np.concatenate(column)[order] for column in columns))


name_key = hash
"""The key of a name: quick to compute, and different in every process."""


def name_keys(names: Sequence[str]) -> Keys:
    """Return the key of each name."""
    return np.fromiter(map(name_key, names), np.int64, len(names))


def content_keys(digests: bytes) -> Keys:
    """Return the key of each of the SHA-256 digests, 32 bytes each, which follow one another."""
    return np.frombuffer(digests, "<i8").reshape(-1, 4)[:, 0].astype(np.int64)


def content_key(sha256: bytes) -> int:
    """Return the key of one content."""
    return int.from_bytes(sha256[:8], "little", signed=True)


def repeated(keys: Keys) -> NDArray[np.int64]:
    """Return the positions, in order, of the keys that occur more than once."""
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return np.flatnonzero(np.isin(keys, twice)) if len(twice) else twice

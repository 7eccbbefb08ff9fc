"""`Index`: a dictionary of numbers in little room, which one thread fills while others ask."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
from hypothesis import given, strategies as st

from semart_vectors.checkpoint.key_index import (
    Index,
    content_key,
    content_keys,
    name_key,
    name_keys,
    repeated,
)

KEYS = st.integers(-3, 12) | st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.integers(-(2**31), 2**31 - 1)


def int64(values: list[int]) -> np.ndarray:
    """Return an array as keys and numbers are."""
    return np.array(values, np.int64)


@given(st.lists(st.lists(st.tuples(KEYS, NUMBERS), max_size=40), max_size=12), st.lists(KEYS))
def test_an_index_answers_as_a_dictionary_does(
    additions: list[list[tuple[int, int]]], others: list[int]
) -> None:
    """Whatever is added in whatever pieces: of each key the newest numbers."""
    index, expected = Index(np.int64, np.int32), dict[int, int]()
    for addition in additions:
        numbers = int64([number for _, number in addition])
        index.add(int64([key for key, _ in addition]), -numbers, numbers.astype(np.int32))
        expected.update(addition)
    asked = [*expected, *others]
    found, (negatives, numbers) = index.find(int64(asked))
    assert found.tolist() == [key in expected for key in asked]
    for key, is_there, negative, number in zip(asked, found, negatives, numbers, strict=True):
        assert index.get(key) == ((-expected[key], expected[key]) if key in expected else None)
        assert not is_there or (negative, number) == (-expected[key], expected[key])
    assert index.count() == len(expected)


def test_a_look_up_sees_all_of_an_addition_or_nothing_and_never_less_than_before() -> None:
    """Also in the midst of many additions by another thread."""
    index, keys = Index(np.int64), np.arange(1000)

    def add() -> None:
        for number in range(300):
            index.add(keys, np.full(1000, number))

    writer = threading.Thread(target=add)
    writer.start()
    newest = -1
    while writer.is_alive() or newest < 299:
        found, (numbers,) = index.find(keys)
        assert found.all() or (newest == -1 and not found.any())
        assert len(set(numbers.tolist())) == 1
        assert not found.any() or numbers[0] >= newest
        newest = int(numbers[0]) if found.any() else newest
    writer.join()


def test_few_levels_hold_many_additions() -> None:
    """So a look-up asks a handful of arrays, however many parts there are."""
    index = Index(np.int32)
    for first in range(0, 4000, 10):
        index.add(np.arange(first, first + 10), np.zeros(10, np.int32))
    assert len(index._levels) <= 4
    assert index.count() == 4000


def test_keys_one_by_one_are_those_of_many() -> None:
    """The same of a name or a digest, however it is asked for."""
    names = ["a.jpg", "b/é.jpg", "\udcff"]
    digests = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names]
    assert name_keys(names).tolist() == [name_key(name) for name in names]
    assert content_keys(b"".join(digests)).tolist() == [content_key(digest) for digest in digests]
    assert name_keys([]).tolist() == content_keys(b"").tolist() == []


def test_repeated_keys_are_found() -> None:
    """All their places, in order."""
    assert repeated(int64([5, -1, 5, 7, -1, 5])).tolist() == [0, 1, 2, 4, 5]
    assert repeated(int64([1, 2, 3])).tolist() == repeated(int64([])).tolist() == []

"""What comes back: batches in input order, and their failures as one error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from semart_vectors.errors import (
    BatchError,
    InvalidInputError,
    ItemError,
    RetriesExhaustedError,
    SemartVectorsError,
    UnreadableImageError,
)
from semart_vectors.records import DIMENSION, Embedding, EmbeddingBatch, EmbeddingFailure, Outcome

BAD = (UnreadableImageError("gone"), InvalidInputError("cut"), RetriesExhaustedError("down"))


def embedding(number: int) -> Embedding:
    """Return an embedding whose source and vector tell its number."""
    return Embedding(number, np.full(DIMENSION, number, np.float32), "2023-04-15")


def batch_of(*errors: ItemError) -> EmbeddingBatch:
    """Return a batch of one embedding and some failures."""
    return EmbeddingBatch.from_outcomes(
        [embedding(0), *(EmbeddingFailure(str(error), error) for error in errors)]
    )


@given(st.lists(st.booleans(), max_size=30))
def test_a_batch_keeps_input_order(succeeded: list[bool]) -> None:
    """Row `n` of the vectors belongs to source `n`, and failures stand in the order of their input."""
    outcomes: list[Outcome] = [
        embedding(number) if good else EmbeddingFailure(number, InvalidInputError("cut"))
        for number, good in enumerate(succeeded)
    ]
    batch = EmbeddingBatch.from_outcomes(outcomes)
    assert batch.vectors.shape == (sum(succeeded), DIMENSION)
    assert batch.vectors.dtype == np.float32
    assert tuple(batch.vectors[:, -1]) == batch.sources
    assert [failure.source for failure in batch.failures] == [
        number for number, good in enumerate(succeeded) if not good
    ]


def test_the_vectors_of_a_batch_are_read_only() -> None:
    """They are shared by whoever gets them."""
    with pytest.raises(ValueError, match="read-only"):
        batch_of().vectors[0, 0] = 1


def test_a_batch_without_failures_raises_nothing() -> None:
    """An empty one included."""
    batch_of().raise_for_failures()
    EmbeddingBatch.from_outcomes([]).raise_for_failures()


def test_the_failures_of_a_batch_are_one_error_of_the_tree() -> None:
    """`except SemartVectorsError` catches it, and it holds each of them, in order."""
    with pytest.raises(SemartVectorsError, match="3 of 4 images failed") as caught:
        batch_of(*BAD).raise_for_failures()
    assert isinstance(caught.value, BatchError)
    assert caught.value.exceptions == BAD


def test_the_failures_of_a_batch_can_be_told_apart() -> None:
    """`except*` takes what it names, and lets the rest go on as an error of the tree."""
    taken: list[BaseException] = []
    with pytest.raises(SemartVectorsError) as caught:  # noqa: PT012 - `except*` is a statement
        try:
            batch_of(*BAD).raise_for_failures()
        except* InvalidInputError as group:
            taken.extend(group.exceptions)
    assert taken == [BAD[1]]
    assert isinstance(caught.value, BatchError)
    assert caught.value.exceptions == (BAD[0], BAD[2])

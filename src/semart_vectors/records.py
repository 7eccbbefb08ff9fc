"""What comes back: embeddings, failures, batches and reports, as plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semart_vectors.errors import BatchError, name_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from semart_vectors.errors import ItemError

DIMENSION = 1024
"""Numbers in a vector: both models of the service give 1024."""

ImageSource: TypeAlias = str | PathLike[str] | bytes
"""A path, the image's own bytes, or an ``https://`` URL that the service fetches itself."""

Vector: TypeAlias = NDArray[np.float32]
"""float32, shape (1024,), read-only. Its length is not 1 for every model: compare by cosine."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One image or text with its vector."""

    source: object
    """What was embedded, as it was handed in: a path, bytes, a URL, or the text."""
    vector: Vector
    """float32, shape (1024,), finite, read-only; not normalised: compare by cosine."""
    model_version: str
    """The model that made it, as the service named it; vectors of different models cannot be compared."""
    attempts: int = 1
    """How many calls it took, those answered 429 included."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingFailure:
    """One image or text that got no vector, and why."""

    source: object
    """What was to be embedded, as it was handed in."""
    error: ItemError
    """Why not; `error.attempts` says how many calls were made for it."""


Outcome: TypeAlias = Embedding | EmbeddingFailure
"""What becomes of every image: exactly one of the two."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingBatch:
    """The outcomes of many images, in input order."""

    vectors: NDArray[np.float32]
    """float32, shape (n_succeeded, 1024), read-only."""
    sources: tuple[object, ...]
    """The source of each row of `vectors`, in the same order."""
    failures: tuple[EmbeddingFailure, ...]
    """The images without a vector, in input order."""

    @classmethod
    def from_outcomes(cls, outcomes: list[Outcome]) -> EmbeddingBatch:
        """Sort outcomes, already in input order, into vectors and failures."""
        embeddings = [outcome for outcome in outcomes if isinstance(outcome, Embedding)]
        vectors = np.empty((len(embeddings), DIMENSION), dtype=np.float32)
        for row, embedding in enumerate(embeddings):
            vectors[row] = embedding.vector
        vectors.setflags(write=False)
        return cls(
            vectors=vectors,
            sources=tuple(embedding.source for embedding in embeddings),
            failures=tuple(outcome for outcome in outcomes if isinstance(outcome, EmbeddingFailure)),
        )

    def raise_for_failures(self) -> None:
        """Raise all failures together, if there are any.

        Raises:
            BatchError: an exception group with the `ItemError` of each failure.
        """
        if self.failures:
            for failure in self.failures:
                name_image(failure.error, failure.source)
            message = f"{len(self.failures)} of {len(self.failures) + len(self.sources)} images failed"
            raise BatchError(message, [failure.error for failure in self.failures])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a run of a job found and did; `embedded + already_done + failed == total`."""

    total: int
    """Images asked for."""
    embedded: int
    """Images that got their vector in this run."""
    already_done: int
    """Images whose vector an earlier run had recorded."""
    failed: int
    """Images without a vector, those of earlier runs that were not tried again included."""
    calls: int
    """Calls made to the service in this run."""
    retries: int
    """Those of the calls that were not the first for their image."""
    elapsed_s: float
    """Wall-clock seconds."""
    replaced: int = 0
    """Those of `embedded` that had the vector of another content, which is no longer the image's."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Files and folders that were passed over, by kind, such as ``.heic`` or ``hidden folder``; of a hundred
    kinds at most, the most common first."""
    unreadable_folders: tuple[str, ...] = ()
    """Folders below the folder of images that could not be listed; the first thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeReport:
    """What a merge wrote, and which names were on one side only."""

    rows: int
    """Rows written, each with its vector."""
    without_vector: tuple[str, ...]
    """`image_file` of metadata rows that have no vector, in the metadata's order; not written."""
    without_metadata: tuple[str, ...]
    """`image_file` of vectors that no metadata row names, sorted; not written."""

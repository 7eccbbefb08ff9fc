"""`Gallery`: paintings with their vectors, to be searched by picture, by words, or by one another."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semart_vectors.errors import ConfigurationError, MetadataError, ModelMismatchError
from semart_vectors.files import disk_errors
from semart_vectors.images.names import to_text
from semart_vectors.metadata.merged_file import open_paintings
from semart_vectors.records import DIMENSION, Embedding
from semart_vectors.search.conditions import rows_that_meet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_BLOCK_ROWS = 8192
"""Vectors that are looked at together: 32 MB."""

_ROWS_IN_MEMORY = 1 << 16
"""256 MB of vectors; those of a larger gallery are mapped from a file that the system may page out."""

_ROUNDING = np.float32(1e-4)
"""No cosine of two vectors of 1024 numbers is further off in float32."""

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Match:
    """A painting that was found."""

    image_file: str
    """Its name, as `semart_vectors.images.names` has it."""
    score: float
    """The cosine of the angle between its vector and the query's, from -1 to 1; 0 for one of length 0."""
    metadata: dict[str, Any]
    """Its other columns."""


class Gallery:
    """A merged file, opened to be searched: exact cosine over all of its vectors.

    ::

        gallery = Gallery.open("paintings.parquet")
        for match in gallery.search(await embedder.embed_text("a ship in a storm"), k=12): ...

    Memory holds the other columns and, up to 65,536 paintings, the vectors; those of more are unpacked to a
    nameless temporary file, 4 kB each, that is gone with the gallery. Any number of threads may use it at a
    time. It blocks: on an event loop, ask it by `asyncio.to_thread`.
    """

    def __init__(self, table: Any, vectors: NDArray[np.float32], model_version: str) -> None:
        """Take what `open` read."""
        self.model_version = model_version
        """The model of all its vectors; empty where it has none."""
        self.vectors = vectors
        """float32, shape (n, 1024), read-only, in the order of the file."""
        self._table = table
        self._lengths = _lengths(vectors)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a Parquet file that `merge_vectors` wrote.

        Raises:
            MetadataError: it is no such file, cannot be read, or holds vectors of two models or a name twice.
            DiskError: there is no room for the temporary file.
        """
        batches, start, model_version = [], 0, ""
        with open_paintings(path) as source:
            vectors = _room_for(source.rows)
            for columns, block, model_version in source.blocks():  # noqa: B007 - of all blocks the same
                vectors[start : start + len(block)] = block
                batches.append(columns)
                start += len(block)
            table = pa.Table.from_batches(batches, pa.schema(source.fields)).combine_chunks()
        if pc.count_distinct(table["image_file"]).as_py() < len(table):
            raise MetadataError(f"{path}: an image_file occurs twice in it; those of `merge` occur once")
        vectors.setflags(write=False)
        return cls(table, vectors, model_version)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def image_files(self) -> list[str]:
        """The names of its paintings, in the order of the file."""
        names: list[str] = self._table["image_file"].to_pylist()
        return names

    def columns(self, rows: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """Return what is known of all paintings, or of some rows, but their vectors, by column."""
        chosen = self._table if rows is None else self._table.take(pa.array(rows, pa.int64()))
        with _as_python():
            found: dict[str, list[Any]] = chosen.to_pydict()
        return found

    def count(self, where: str | None = None) -> int:
        """Return how many paintings there are, or how many of them meet a condition, as `search` has it.

        Raises:
            ConfigurationError: the condition cannot be understood.
        """
        return len(self) if where is None else len(rows_that_meet(where, self._table))

    def embedding(self, image_file: str) -> Embedding:
        """Return the vector of a painting in the gallery, to search with.

        Raises:
            KeyError: there is none of that name.
        """
        return Embedding(image_file, self.vectors[self._known(image_file)], self.model_version, attempts=0)

    def metadata(self, image_file: str) -> dict[str, Any]:
        """Return what `search` would tell of a painting: its columns, but for its name and its vector.

        Raises:
            KeyError: there is none of that name.
        """
        return self._match(self._known(image_file), 1).metadata

    def search(
        self, query: Embedding, *, k: int = 12, where: str | None = None, leave_out: str | None = None
    ) -> list[Match]:
        """Find the paintings whose vectors are nearest to the query's.

        Args:
            query: What `embed_image`, `embed_text` or `embedding` returned.
            k: How many to find; fewer where there are not so many.
            where: A condition on the other columns, in SQL as DuckDB has it, such as
                ``type = 'portrait' AND timeframe IN ('1601-1650', '1651-1700')``; it needs the extra
                ``[search]``. It reaches no file, no network and no variable of the program's, and is
                ended after some 30 s; take it from those who may use the machine, all the same.
            leave_out: The name of a painting that is not wanted, such as the query itself.

        Returns:
            The nearest, best first; of two equally near the one that stands first in the file.

        Raises:
            ModelMismatchError: the query's vector is of another model.
            ConfigurationError: the condition cannot be understood, or `k` is below 1.
        """
        if query.model_version != self.model_version and len(self):
            raise ModelMismatchError(
                f"the query's vector is of model {query.model_version}, the gallery's are of "
                f"{self.model_version}: vectors of two models do not compare"
            )
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, not {k}")
        direction = query.vector.astype(np.float64)
        direction /= max(np.linalg.norm(direction), _TINY)
        rows = None if where is None else rows_that_meet(where, self._table)
        # One more, for that which is left out.
        places = _nearly_best(self._rough_scores(direction, rows), k + 1)
        near = places if rows is None else rows[places]
        if leave_out is not None:
            near = near[near != self._row_of(leave_out)]
        scores = self._exact_scores(direction, near)
        best = np.argsort(-scores, kind="stable")[:k]
        return [self._match(row, score) for row, score in zip(near[best].tolist(), scores[best], strict=True)]

    def _match(self, row: int, score: float) -> Match:
        # The slice comes first: `take` copies whole columns to pick from them.
        with _as_python():
            (metadata,) = self._table.slice(row, 1).to_pylist()
        return Match(metadata.pop("image_file"), float(score), metadata)

    def _known(self, image_file: str) -> int:
        row = self._row_of(image_file)
        if row < 0:
            raise KeyError(image_file)
        return row

    def _row_of(self, image_file: str) -> int:
        """Return the row of a painting, or -1."""
        row: int = pc.index(self._table["image_file"], to_text(image_file)).as_py()
        return row

    def _rough_scores(
        self, direction: NDArray[np.float64], rows: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Return the cosine of each of the rows, or of all, as quickly as float32 can be multiplied."""
        unit = direction.astype(np.float32)
        lengths = self._lengths if rows is None else self._lengths[rows]
        scores = np.empty(len(lengths), np.float32)
        for start in range(0, len(scores), _BLOCK_ROWS):
            these = slice(start, start + _BLOCK_ROWS)
            np.matmul(self.vectors[these if rows is None else rows[these]], unit, out=scores[these])
        scores /= lengths
        return scores

    def _exact_scores(self, direction: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each of the rows in float64: the same for equal vectors, wherever they are."""
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = self.vectors[rows[start : start + _BLOCK_ROWS]].astype(np.float64)
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            scores[start : start + len(block)] = np.einsum("ij,j->i", block, direction) / np.maximum(
                lengths, _TINY
            )
        return np.clip(scores, -1, 1)


@contextmanager
def _as_python() -> Iterator[None]:
    """Translate that a value is none in Python, such as a date after the year 9999."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise MetadataError(
            f"a value of the file cannot be read: {error}; mend it and merge again"
        ) from error


def _nearly_best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return, in their order, the places of all scores that may be among the k highest."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= least - 2 * _ROUNDING)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of each vector, and next to nothing for one of length 0: its cosine becomes 0."""
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        # In float64: the squares of small numbers are 0 in float32, those of large ones infinite.
        lengths[start : start + len(block)] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    return np.maximum(lengths, _TINY)


def _room_for(rows: int) -> NDArray[np.float32]:
    if rows <= _ROWS_IN_MEMORY:
        return np.empty((rows, DIMENSION), np.float32)
    folder = Path(tempfile.gettempdir())
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        # A full disk is an error here, and the end of the process where a mapped page is written.
        size = rows * DIMENSION * 4
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.asarray(np.memmap(file, np.float32, "r+", shape=(rows, DIMENSION)))

"""`Gallery`: images with their vectors, searched by an image, by text, or by an image of its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semart_vectors.errors import ConfigurationError, ModelMismatchError, VectorFileError
from semart_vectors.files import disk_errors
from semart_vectors.images.names import to_text
from semart_vectors.metadata.python_values import to_python
from semart_vectors.metadata.vector_file import VectorFile
from semart_vectors.records import DIMENSION, Embedding
from semart_vectors.search.conditions import matching_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BLOCK_ROWS = 8192
"""Vectors that are compared in one step: 32 MB."""

_ROWS_IN_MEMORY = 1 << 16
"""256 MB of vectors; a larger gallery maps them from a file, which the system may page out."""

_ROUNDING = np.float32(1e-4)
"""The cosine of two vectors of 1024 numbers, computed in float32, is never further off."""

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Match:
    """An image that a search found."""

    image_file: str
    """Its name, written as `semart_vectors.images.names` describes."""
    score: float
    """Cosine similarity to the query, from -1 to 1; 0 if either vector has length 0."""
    metadata: dict[str, Any]
    """Its other columns, by name; a value that Python has no type for, such as a date BC, is text."""


class Gallery:
    """A merged file or a checkpoint, opened for searching by exact cosine similarity over all of its vectors.

    ::

        gallery = Gallery.open("paintings.parquet")
        for match in gallery.search(await embedder.embed_text("a ship in a storm"), k=12): ...

    The metadata are held in memory, and so are the vectors of up to 65,536 images; those of a larger gallery
    are unpacked to an unnamed temporary file, 4 kB each, which goes when the gallery does. Any number of
    threads may use it at the same time. It blocks: on an event loop, call it through `asyncio.to_thread`.
    """

    def __init__(self, table: Any, vectors: NDArray[np.float32], model_version: str) -> None:
        """Take an Arrow table with a column image_file, and a vector for each row: use `Gallery.open`."""
        self.model_version = model_version
        """The model of all its vectors."""
        self.vectors = vectors
        """float32, shape (n, 1024), read-only, in the order of the file."""
        self._table = table
        self._lengths = _lengths(vectors)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a Parquet file that `merge_vectors` wrote, or a checkpoint.

        Raises:
            VectorFileError: it cannot be read, lacks a column, holds no image, two models, or a name twice.
            CheckpointError: the checkpoint is damaged, or its parts changed meanwhile.
            DiskError: the disk failed, or there is no room for the temporary file.
        """
        batches, start, model_version = [], 0, ""
        with VectorFile.open(path) as source:
            vectors = _allocate(source.rows)
            for columns, block, model_version in source.blocks():  # noqa: B007 - the same for all blocks
                vectors[start : start + len(block)] = block
                batches.append(columns)
                start += len(block)
            table = pa.Table.from_batches(batches, pa.schema(source.fields)).combine_chunks()
        if pc.count_distinct(table["image_file"]).as_py() < len(table):
            raise VectorFileError(f"{path}: an image_file occurs twice in it; each must occur once")
        vectors.setflags(write=False)
        return cls(table, vectors, model_version)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def image_files(self) -> list[str]:
        """The names of its images, in the order of the file."""
        names: list[str] = self._table["image_file"].to_pylist()
        return names

    def columns(self, rows: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """Return the metadata of all images, or of some rows, by column; image_file is one of them.

        A value that Python has no type for, such as a date BC, is given as text.
        """
        chosen = self._table if rows is None else self._table.take(pa.array(rows, pa.int64()))
        return {name: to_python(chosen[name]) for name in chosen.column_names}

    def count(self, where: str | None = None) -> int:
        """Return how many images there are, or how many meet a condition as described in `search`.

        Raises:
            ConfigurationError: the condition is not valid.
        """
        return len(self) if where is None else len(matching_rows(where, self._table))

    def embedding(self, image_file: str) -> Embedding:
        """Return the vector of an image in the gallery, to search with.

        Raises:
            KeyError: no image has this name.
        """
        return Embedding(
            image_file, self.vectors[self._existing_row(image_file)], self.model_version, attempts=0
        )

    def metadata(self, image_file: str) -> dict[str, Any]:
        """Return the columns of an image, except for its name and its vector, as `search` does.

        Raises:
            KeyError: no image has this name.
        """
        return self._match(self._existing_row(image_file), 1).metadata

    def search(
        self, query: Embedding, *, k: int = 12, where: str | None = None, exclude: str | None = None
    ) -> list[Match]:
        """Find the images whose vectors are nearest to the query's.

        Args:
            query: What `embed_image`, `embed_text` or `embedding` returned.
            k: How many to return; fewer if there are not so many.
            where: A condition on the other columns, in DuckDB's SQL, such as
                ``type = 'portrait' AND timeframe IN ('1601-1650', '1651-1700')``; it needs the extra
                ``[search]``. It cannot reach files, the network or the program's variables, and is stopped
                after about 30 s; still, accept conditions only from people who may use this machine.
            exclude: The name of an image to exclude, such as the query itself.

        Returns:
            The nearest, best first; of two with the same score, the one that comes first in the file.

        Raises:
            ModelMismatchError: the query's vector is of another model.
            ConfigurationError: the condition is not valid, or `k` is below 1.
        """
        if query.model_version != self.model_version and len(self):
            raise ModelMismatchError(
                f"the query's vector is of model {query.model_version}, the gallery's are of "
                f"{self.model_version}: vectors of different models cannot be compared"
            )
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, not {k}")
        direction = query.vector.astype(np.float64)
        direction /= max(np.linalg.norm(direction), _TINY)
        rows = None if where is None else matching_rows(where, self._table)
        # Find candidates in float32, then rank them in float64. One candidate more, for the excluded one.
        places = _candidates(self._approximate_scores(direction, rows), k + 1)
        candidates = places if rows is None else rows[places]
        if exclude is not None:
            candidates = candidates[candidates != self._row_of(exclude)]
        scores = self._exact_scores(direction, candidates)
        best = np.argsort(-scores, kind="stable")[:k]
        return [
            self._match(row, score)
            for row, score in zip(candidates[best].tolist(), scores[best], strict=True)
        ]

    def _match(self, row: int, score: float) -> Match:
        # Slice first: `take` copies whole columns to pick from them.
        found = self._table.slice(row, 1)
        metadata = {name: to_python(found[name])[0] for name in found.column_names}
        return Match(metadata.pop("image_file"), float(score), metadata)

    def _existing_row(self, image_file: str) -> int:
        row = self._row_of(image_file)
        if row < 0:
            raise KeyError(image_file)
        return row

    def _row_of(self, image_file: str) -> int:
        """Return the row of an image, or -1."""
        row: int = pc.index(self._table["image_file"], to_text(image_file)).as_py()
        return row

    def _approximate_scores(
        self, direction: NDArray[np.float64], rows: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Return the cosine of each of the rows, or of all, in float32: fast, and within `_ROUNDING`."""
        unit = direction.astype(np.float32)
        lengths = self._lengths if rows is None else self._lengths[rows]
        scores = np.empty(len(lengths), np.float32)
        for start in range(0, len(scores), _BLOCK_ROWS):
            these = slice(start, start + _BLOCK_ROWS)
            np.matmul(self.vectors[these if rows is None else rows[these]], unit, out=scores[these])
        scores /= lengths
        return scores

    def _exact_scores(self, direction: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine of each of the rows in float64: equal vectors have equal scores in any row."""
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = self.vectors[rows[start : start + _BLOCK_ROWS]].astype(np.float64)
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            scores[start : start + len(block)] = np.einsum("ij,j->i", block, direction) / np.maximum(
                lengths, _TINY
            )
        return np.clip(scores, -1, 1)


def _candidates(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return, in ascending order, the places of all scores that may be among the k highest."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= least - 2 * _ROUNDING)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of each vector; a tiny number instead of 0, so that its cosine becomes 0."""
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        # In float64: in float32 the squares of small numbers are 0, those of large ones infinite.
        lengths[start : start + len(block)] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    return np.maximum(lengths, _TINY)


def _allocate(rows: int) -> NDArray[np.float32]:
    if rows <= _ROWS_IN_MEMORY:
        return np.empty((rows, DIMENSION), np.float32)
    folder = Path(tempfile.gettempdir())
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        # Allocate it now: a full disk is an error here, but kills the process when a mapped page is written.
        size = rows * DIMENSION * 4
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.asarray(np.memmap(file, np.float32, "r+", shape=(rows, DIMENSION)))

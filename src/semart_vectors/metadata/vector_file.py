"""Vectors with their metadata, from a merged file or a checkpoint: read block by block, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.errors import SemartVectorsError, VectorFileError
from semart_vectors.metadata.checkpoint_rows import CheckpointRows
from semart_vectors.metadata.tables import read_errors
from semart_vectors.metadata.vector_columns import OURS, as_text, as_vectors, column_problem, plain_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows that are in memory together: 4 MB of vectors."""


class _Source(Protocol):
    """Where the rows come from: a file, or a checkpoint."""

    rows: int
    schema: Any
    error: type[SemartVectorsError]

    def batches(self, batch_rows: int) -> Iterator[tuple[str, Any]]:
        """Yield record batches, each with what an error calls the file that it comes from."""

    def close(self) -> None:
        """Close what is open."""


class VectorFile:
    """Images with their vectors and metadata, open to be read once from the first row to the last."""

    def __init__(self, path: Path, source: _Source) -> None:
        """Take a source whose columns are known to be there: use `VectorFile.open`."""
        self.rows: int = source.rows
        """How many images it holds; at least one."""
        self.fields: list[Any] = [
            field.with_type(pa.string() if field.name == "image_file" else plain_type(field.type))
            for field in source.schema
            if field.name not in OURS[1:]
        ]
        """The Arrow fields of `image_file` and of the metadata; of a checkpoint, `folder` and `format`."""
        self._path = path
        self._source = source

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Open what `merge_vectors` wrote as Parquet, what another program rewrote of it, or a checkpoint.

        Args:
            path: A Parquet file with the columns image_file, vector and model_version, or the folder in which
                a job keeps its vectors: of that each name once with its newest vector, while a job runs too.

        Raises:
            VectorFileError: it cannot be read, lacks a column that it must have, or holds no vectors.
            CheckpointError: the checkpoint is damaged, or its parts changed meanwhile.
            DiskError: the disk failed.
        """
        path = Path(path)
        with read_errors(path, VectorFileError):
            source: _Source = CheckpointRows(path) if path.is_dir() else _FileRows(path)
        return cls(path, source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def blocks(self) -> Iterator[tuple[Any, NDArray[np.float32], str]]:
        """Yield the rows in blocks.

        Yields:
            A record batch with the columns of `fields`; their vectors, float32 of shape (rows, 1024); and the
            model of all vectors in the file.

        Raises:
            VectorFileError: damage, a missing value, a number that is not finite, or a second model.
            CheckpointError: the same in a checkpoint, or its parts changed meanwhile.
        """
        models: set[str] = set()
        start = 0
        with read_errors(self._path, VectorFileError):
            for where, batch in self._source.batches(BLOCK_ROWS):
                for name in OURS:
                    column = batch.column(name)
                    missing = np.flatnonzero((column if name == "vector" else as_text(column)).is_null())
                    if len(missing):
                        raise self._row_error(where, start + missing[0], f"{name} is missing")
                models.update(as_text(batch.column("model_version")).unique().to_pylist())
                if len(models) > 1:
                    found = " and ".join(sorted(models))
                    raise self._source.error(f"{where} must hold vectors of one model, not of {found}")
                (model,) = models
                vectors = self._vectors(where, batch.column("vector"), start)
                columns = batch.select([field.name for field in self.fields])
                columns.validate(full=True)  # a text may not be UTF-8
                yield columns.cast(pa.schema(self.fields)), vectors, model
                start += len(batch)

    def _vectors(self, where: str, lists: Any, start: int) -> NDArray[np.float32]:
        try:
            vectors = as_vectors(lists)
        except ValueError as error:
            raise self._source.error(f"{where}: {error}") from error
        unusable = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(unusable):
            raise self._row_error(
                where, start + unusable[0], "its vector holds a number that is missing or not finite"
            )
        return vectors

    def _row_error(self, where: str, row: int, problem: str) -> SemartVectorsError:
        return self._source.error(f"{where}, row {row} (counted from 0): {problem}")


class _FileRows:
    """A Parquet file, kept open."""

    error: type[SemartVectorsError] = VectorFileError

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():  # opening a pipe would wait
            raise VectorFileError(f"cannot read {path}: it is neither a file nor a folder")
        # `pre_buffer` would hold the whole file in memory by its end.
        self._file = pq.ParquetFile(
            path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20
        )
        self._path = path
        self.rows: int = self._file.metadata.num_rows
        self.schema = self._file.schema_arrow
        problem = column_problem(self.schema, empty=not self.rows)
        if problem is not None:
            self.close()
            advice = ": give the .parquet file that `semart-vectors merge` wrote, or a checkpoint"
            raise VectorFileError(f"{path} {problem}{advice if 'no column' in problem else ''}")
        if not self.rows:
            self.close()
            raise VectorFileError(
                f"{path} holds no images: give the .parquet file that `semart-vectors merge` wrote, or a "
                "checkpoint that holds some"
            )

    def close(self) -> None:
        self._file.close()

    def batches(self, batch_rows: int) -> Iterator[tuple[str, Any]]:
        return ((str(self._path), batch) for batch in self._file.iter_batches(batch_rows))

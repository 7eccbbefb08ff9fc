"""Files of vectors, such as a merged one: read block by block, and checked on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semart_vectors.errors import VectorFileError
from semart_vectors.metadata.tables import read_errors
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows that are in memory together: 4 MB of vectors."""

_OURS = ("image_file", "vector", "model_version")


class VectorFile:
    """A Parquet file of images with their vectors, open to be read once from its first row to its last."""

    def __init__(self, path: Path, file: Any) -> None:
        """Take an open file whose columns are known to be there: use `VectorFile.open`."""
        self.rows: int = file.metadata.num_rows
        """How many images it holds."""
        self.fields: list[Any] = [
            field.with_type(pa.string()) if field.name == "image_file" else field
            for field in file.schema_arrow
            if field.name not in _OURS[1:]
        ]
        """The Arrow fields of `image_file` and of the metadata."""
        self._path = path
        self._file = file

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Open what `merge_vectors` wrote as Parquet, or what another program has rewritten of it.

        Raises:
            VectorFileError: it cannot be read, or lacks a column that it must have.
        """
        path = Path(path)
        with read_errors(path, VectorFileError):
            if path.exists() and not path.is_file():  # opening a pipe would wait
                raise VectorFileError(f"cannot read {path}: it is not a file")
            # `pre_buffer` would hold the whole file in memory by its end.
            file = pq.ParquetFile(
                path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20
            )
        try:
            _check_columns(path, file.schema_arrow, empty=not file.metadata.num_rows)
        except VectorFileError:
            file.close()
            raise
        return cls(path, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[tuple[Any, NDArray[np.float32], str]]:
        """Yield the rows in blocks.

        Yields:
            A record batch with the columns of `fields`; their vectors, float32 of shape (rows, 1024); and the
            model of all vectors in the file.

        Raises:
            VectorFileError: damage, a missing value, a number that is not finite, or a second model.
        """
        models: set[str] = set()
        start = 0
        with read_errors(self._path, VectorFileError):
            for batch in self._file.iter_batches(BLOCK_ROWS):
                for name in _OURS:
                    missing = np.flatnonzero(batch.column(name).is_null())
                    if len(missing):
                        raise self._row_error(start + missing[0], f"{name} is missing")
                vectors = self._vectors(batch.column("vector"), start)
                models.update(batch.column("model_version").unique().to_pylist())
                if len(models) > 1:
                    found = " and ".join(sorted(models))
                    raise VectorFileError(f"{self._path} must hold vectors of one model, not of {found}")
                (model,) = models
                columns = batch.select([field.name for field in self.fields])
                columns.validate(full=True)  # a text may not be UTF-8
                yield columns.cast(pa.schema(self.fields)), vectors, model
                start += len(batch)

    def _vectors(self, lists: Any, start: int) -> NDArray[np.float32]:
        if not pc.all(pc.equal(pc.list_value_length(lists), DIMENSION)).as_py():
            raise VectorFileError(f"{self._path}: a vector in it does not have {DIMENSION} numbers")
        # A null becomes NaN,
        with np.errstate(over="ignore"):  # and a float64 that is too large becomes infinite.
            numbers = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        vectors: NDArray[np.float32] = numbers.reshape(-1, DIMENSION)
        unusable = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(unusable):
            raise self._row_error(
                start + unusable[0], "its vector holds a number that is missing or not finite"
            )
        return vectors

    def _row_error(self, row: int, problem: str) -> VectorFileError:
        return VectorFileError(f"{self._path}, row {row} (counted from 0): {problem}")


def _check_columns(path: Path, schema: Any, *, empty: bool) -> None:
    missing = [name for name in _OURS if name not in schema.names]
    if missing:
        raise VectorFileError(
            f"{path} has no column {' and '.join(missing)}: give the .parquet file that "
            "`semart-vectors merge` wrote"
        )
    for name, count in Counter(schema.names).items():
        if count > 1:
            raise VectorFileError(f"{path} has {count} columns called {name}")
    if empty:  # pandas loses the types of columns without rows
        return
    for name in ("image_file", "model_version"):
        if not _is_text(schema.field(name).type):
            raise VectorFileError(f"{path}: {name} is {schema.field(name).type}, not text")
    types, vector = pa.types, schema.field("vector").type
    lists = types.is_list(vector) or types.is_large_list(vector) or types.is_fixed_size_list(vector)
    if not (lists and types.is_floating(vector.value_type)):
        raise VectorFileError(f"{path}: vector is {vector}, not {DIMENSION} floating-point numbers")


def _is_text(kind: Any) -> bool:
    """Whether a column is text, including the categories of pandas and the string views of Polars."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))

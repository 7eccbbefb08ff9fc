"""A merged file, read block by block for those who search or carry it, and checked on the way."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semart_vectors.errors import MetadataError
from semart_vectors.metadata.tables import reading
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows that are in memory together: 4 MB of vectors."""

_OURS = ("image_file", "vector", "model_version")


class Paintings:
    """A Parquet file of paintings, open to be read once from its first row to its last."""

    def __init__(self, path: Path, file: Any) -> None:
        """Take an open file whose columns are known to be there."""
        self.rows: int = file.metadata.num_rows
        self.fields: list[Any] = [
            field.with_type(pa.string()) if field.name == "image_file" else field
            for field in file.schema_arrow
            if field.name not in _OURS[1:]
        ]
        """The Arrow fields of `image_file` and of the metadata."""
        self._path = path
        self._file = file

    def blocks(self) -> Iterator[tuple[Any, NDArray[np.float32], str]]:
        """Yield blocks of rows: the columns of `fields`, their vectors, and the model of all of them.

        Raises:
            MetadataError: damage, a missing value, a number that is not finite, or a second model.
        """
        models: set[str] = set()
        start = 0
        with reading(self._path):
            for batch in self._file.iter_batches(BLOCK_ROWS):
                for name in _OURS:
                    missing = np.flatnonzero(batch.column(name).is_null())
                    if len(missing):
                        raise MetadataError(self._told(start + missing[0], f"{name} is missing"))
                vectors = self._vectors(batch.column("vector"), start)
                models.update(batch.column("model_version").unique().to_pylist())
                if len(models) > 1:
                    found = " and ".join(sorted(models))
                    raise MetadataError(f"{self._path} must hold vectors of one model, not of {found}")
                (model,) = models
                columns = batch.select([field.name for field in self.fields])
                columns.validate(full=True)  # a text may be no UTF-8
                yield columns.cast(pa.schema(self.fields)), vectors, model
                start += len(batch)

    def _vectors(self, lists: Any, start: int) -> NDArray[np.float32]:
        if not pc.all(pc.equal(pc.list_value_length(lists), DIMENSION)).as_py():
            raise MetadataError(f"{self._path}: a vector in it is not of {DIMENSION} numbers")
        # A number that is missing becomes one that is not finite.
        with np.errstate(over="ignore"):  # so does one that is too large
            numbers = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        vectors: NDArray[np.float32] = numbers.reshape(-1, DIMENSION)
        unusable = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(unusable):
            what = "its vector holds what is no finite number"
            raise MetadataError(self._told(start + unusable[0], what))
        return vectors

    def _told(self, row: int, what: str) -> str:
        return f"{self._path}, row {row} (the first is 0): {what}"


@contextmanager
def open_paintings(path: str | PathLike[str]) -> Iterator[Paintings]:
    """Open what `merge_vectors` wrote as Parquet, or what another program has rewritten of it.

    Raises:
        MetadataError: it cannot be read, or lacks what it must have.
    """
    path = Path(path)
    with reading(path):
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise MetadataError(f"cannot read {path}: it is not a file")
        # `pre_buffer` would hold all of the file in memory by its end.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20)
    with file:
        _check_columns(path, file.schema_arrow, empty=not file.metadata.num_rows)
        yield Paintings(path, file)


def _check_columns(path: Path, schema: Any, *, empty: bool) -> None:
    missing = [name for name in _OURS if name not in schema.names]
    if missing:
        raise MetadataError(
            f"{path} has no column {' and '.join(missing)}: give the .parquet file that "
            "`semart-vectors merge` wrote"
        )
    for name, count in Counter(schema.names).items():
        if count > 1:
            raise MetadataError(f"{path} has {count} columns called {name}")
    if empty:  # pandas then forgets the types
        return
    for name in ("image_file", "model_version"):
        if not _is_text(schema.field(name).type):
            raise MetadataError(f"{path}: {name} is {schema.field(name).type}, not text")
    types, vector = pa.types, schema.field("vector").type
    lists = types.is_list(vector) or types.is_large_list(vector) or types.is_fixed_size_list(vector)
    if not (lists and types.is_floating(vector.value_type)):
        raise MetadataError(f"{path}: vector is {vector}, not {DIMENSION} numbers")


def _is_text(kind: Any) -> bool:
    """Tell whether a column is text, also as pandas has categories and Polars views."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))

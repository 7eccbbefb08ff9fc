"""A merged file, read block by block for whoever carries it elsewhere, and checked on the way."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from semart_vectors._parts import VECTOR_TYPE
from semart_vectors.errors import MetadataError
from semart_vectors.metadata import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows that are in memory together: 4 MB of vectors."""

_OURS = ("image_file", "vector", "model_version")


class Paintings:
    """A Parquet file that `merge_vectors` wrote, open to be read once from its first row to its last."""

    def __init__(self, path: Path, file: Any) -> None:
        """Take an open file whose columns are known to be there."""
        self.rows: int = file.metadata.num_rows
        self.fields: list[Any] = [field for field in file.schema_arrow if field.name not in _OURS[1:]]
        """The Arrow fields of `image_file` and of the metadata."""
        self._path = path
        self._file = file

    def blocks(self) -> Iterator[tuple[Any, NDArray[np.float32], str]]:
        """Yield blocks of rows: the columns of `fields`, their vectors, and the model of all of them.

        Raises:
            MetadataError: damage, a missing value, a number that is not finite, or a second model.
        """
        model: str | None = None
        start = 0
        with reading(self._path):
            for batch in self._file.iter_batches(BLOCK_ROWS):
                names, lists, versions = (batch.column(name) for name in _OURS)
                numbers = lists.flatten()
                if names.null_count or lists.null_count or versions.null_count or numbers.null_count:
                    raise MetadataError(
                        f"{self._path}: {', '.join(_OURS)}: one of them is missing in a row "
                        f"from {start} to {start + len(batch) - 1} (the first is 0)"
                    )
                vectors = numbers.to_numpy().reshape(-1, VECTOR_TYPE.list_size)
                unusable = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
                if len(unusable):
                    raise MetadataError(
                        f"{self._path}, row {start + unusable[0]} (the first is 0): its vector holds what is "
                        "no finite number"
                    )
                models = versions.unique().to_pylist()
                model = model or models[0]
                if models != [model]:
                    raise MetadataError(
                        f"{self._path} holds vectors of more than one model: {model}, {models}"
                    )
                yield batch.select([field.name for field in self.fields]), vectors, model
                start += len(batch)


@contextmanager
def open_paintings(path: str | PathLike[str]) -> Iterator[Paintings]:
    """Open a merged file.

    Raises:
        MetadataError: it cannot be read, has no rows, or is not what `merge_vectors` writes as Parquet.
    """
    path = Path(path)
    with reading(path):
        # `pre_buffer` would hold all of the file in memory by its end.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20)
    with file:
        schema = file.schema_arrow
        missing = [name for name in _OURS if name not in schema.names]
        if missing:
            raise MetadataError(
                f"{path} has no column {' and '.join(missing)}: give the .parquet file that "
                "`semart-vectors merge` wrote"
            )
        if schema.field("vector").type != VECTOR_TYPE:
            raise MetadataError(f"{path}: vector is {schema.field('vector').type}, not {VECTOR_TYPE}")
        if not file.metadata.num_rows:
            raise MetadataError(f"{path} has no rows")
        yield Paintings(path, file)

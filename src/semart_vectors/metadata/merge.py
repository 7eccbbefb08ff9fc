"""Join vectors and metadata by image_file, and report what is missing on either side.

Both sides may be in any order, so the vectors are first sorted roughly into an unnamed scratch file beside
the output: memory never holds all of them, but each takes 4 KiB of disk while the merge runs.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.journal import read_journals
from semart_vectors.checkpoint.json_files import read_note
from semart_vectors.checkpoint.parquet import verify_bytes
from semart_vectors.checkpoint.schema import VECTOR_TYPE
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointMismatchError,
    ConfigurationError,
    MetadataError,
)
from semart_vectors.files import disk_errors, write_aside
from semart_vectors.metadata.checkpoint_rows import part_errors, read_part, read_part_names
from semart_vectors.metadata.pictures import table_of_pictures
from semart_vectors.metadata.python_values import to_python
from semart_vectors.metadata.tables import (
    IMAGE_FILE,
    check_output,
    checked_names,
    read_table,
    tab_line,
    to_arrow,
    with_names,
)
from semart_vectors.metadata.vector_columns import as_text, as_vectors
from semart_vectors.records import DIMENSION, MergeReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    import pandas as pd
    from numpy.typing import NDArray

    class ArrowTable(Protocol):
        """A table of Polars, pyarrow, DuckDB and others."""

        def __arrow_c_stream__(self, requested_schema: object = None, /) -> object:
            """Give its rows as Arrow's C stream."""

    Table: TypeAlias = pd.DataFrame | ArrowTable
    _Block: TypeAlias = tuple[Any, NDArray[np.float32]]  # rows of a table, and as many vectors

_logger = logging.getLogger("semart_vectors")

_BLOCK_ROWS = 4096
_SHELF_ROWS = 4 * _BLOCK_ROWS  # 64 MB of vectors, in memory one shelf at a time
_VECTOR_BYTES = DIMENSION * 4


def merge_vectors(
    metadata: Table | str | PathLike[str] | None,
    checkpoint: str | PathLike[str],
    output: str | PathLike[str],
    *,
    name_column: str = IMAGE_FILE,
    images_dir: str | PathLike[str] | None = None,
) -> MergeReport:
    r"""Write the rows of a metadata table that have a vector, each with its vector, in the table's order.

    Args:
        metadata: A table of pandas, Polars, pyarrow or whatever has ``__arrow_c_stream__``, or a file that
            `read_metadata` could read. None without metadata: then the rows are those of the checkpoint by
            name, with the columns image_file, folder (empty for the topmost) and format.
        checkpoint: The folder in which a job keeps its vectors. Names must match to the character.
        output: A ``.parquet`` file: all columns of the table, ``vector`` (1024 float32) and
            ``model_version``. Or ``.csv``/``.tsv`` in the tutorial's TAB form, which PostgreSQL's
            ``COPY … (FORMAT csv, DELIMITER E'\t', HEADER)`` takes: all columns of the table and ``vector``
            as ``[0.1, -0.2, …]``, each number in the shortest text that reads back as the same float32.
        name_column: The column of the metadata that holds the names; the output calls it image_file.
        images_dir: Without metadata, the folder of the images: the columns size_bytes, width_px, height_px
            and taken (the camera's date, from EXIF) are read from the files in it.

    Returns:
        How many rows were written, and which names are on one side only.

    Raises:
        MetadataError: the table cannot be used, or no name in it has a vector.
        ConfigurationError: the output cannot be written there, or the checkpoint holds no vectors yet.
        CheckpointError: the checkpoint is damaged, holds vectors of different models, or changed meanwhile.
        DiskError: the disk failed or is full; an earlier output stays as it was.
    """
    output, folder = Path(output), CheckpointFolder(checkpoint)
    tab = check_output(output)
    given = None if metadata is None else _read_metadata(metadata, name_column)
    if isinstance(metadata, (str, os.PathLike)) and output.resolve() == Path(metadata).resolve():
        raise ConfigurationError(f"{output} is the metadata itself: it would lose its rows without a vector")
    if output.parent.resolve() == folder.vectors.resolve():
        raise ConfigurationError(f"{output} would become a part of the checkpoint: choose another folder")
    parts = folder.vector_files()
    if not parts:
        raise _no_vectors(folder.vectors)
    if read_note(folder.identity) is not None:  # otherwise another program made the parts, without checksums
        for part in parts:
            verify_bytes(part)
    table, names = _pictures(parts, images_dir) if given is None else given
    if read_journals(folder):
        _logger.warning(
            "a job is writing to %s, or was killed: run `embed` and merge again to get its newest vectors",
            checkpoint,
        )

    with disk_errors(output), tempfile.TemporaryFile(dir=output.parent) as scratch:
        slots, unmatched, model_version = _scatter(parts, names, scratch.fileno())
        rows = int(np.count_nonzero(slots >= 0))
        if not rows:
            raise MetadataError(
                f"no name in the metadata has a vector: the metadata has {names[0]!r}, the checkpoint has "
                f"{unmatched[0]!r}; are the names relative to the same folder?"
            )
        write = _write_tab if tab else _write_parquet
        with write_aside(output) as aside:
            write(aside, table.schema, _gather(table, slots, scratch), model_version)
    return MergeReport(
        rows=rows,
        without_vector=tuple(names[row] for row in np.flatnonzero(slots < 0)),
        without_metadata=tuple(unmatched),
    )


def _pictures(parts: list[Path], images_dir: str | PathLike[str] | None) -> tuple[Any, list[str]]:
    """Return what is known of the pictures in a checkpoint without metadata, and their names, in order."""
    names = sorted({name for part in parts for name in read_part_names(part)})
    if not names:
        raise _no_vectors(parts[0].parent)
    return table_of_pictures(names, None if images_dir is None else Path(images_dir)), names


def _read_metadata(metadata: Table | str | PathLike[str], name_column: str) -> tuple[Any, list[str]]:
    """Return the table and the name of each of its rows, after checking that it can be merged."""
    if isinstance(metadata, (str, os.PathLike)):
        table, where = read_table(Path(metadata), name_column), str(metadata)
    else:
        table, where = with_names(to_arrow(metadata), "the table", name_column), "the table"
    names = checked_names(table, where)
    taken = [name for name in ("vector", "model_version") if name in table.column_names]
    if taken:
        raise MetadataError(f"{where} has a column {' and '.join(taken)} already: drop it before merging")
    if not names:
        raise MetadataError(f"{where}: no rows to merge")
    return table, names


def _no_vectors(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} holds no vectors yet: run `semart-vectors embed` with this checkpoint, and let it end"
    )


def _scatter(parts: list[Path], names: list[str], scratch: int) -> tuple[NDArray[np.int64], list[str], str]:
    """Write each vector to `scratch`, into the shelf that the row of its name belongs to.

    A shelf has room for the vectors of `_SHELF_ROWS` successive rows, and is filled in the order in which
    they come: a block of vectors needs one write for each shelf, not one for each vector.

    Returns:
        The slot in `scratch` of each name's vector, or -1; the sorted names of vectors that are not among
        `names`; the model version.
    """
    slots = np.full(len(names), -1, dtype=np.int64)
    free = np.arange(0, len(names), _SHELF_ROWS)  # the next free slot of each shelf
    places = {name: place for place, name in enumerate(names)}
    owners = [-1] * len(names)  # the number of the part that holds each place's vector
    models: dict[str, Path] = {}
    for number, part in enumerate(parts):
        for image_files, vectors, versions in _read_part(part):
            rows = np.empty(len(image_files), dtype=np.int64)
            for index, name in enumerate(image_files):
                # A name that the metadata lacks gets a place after all others, so a duplicate is noticed too.
                place = rows[index] = places.setdefault(name, len(places))
                if place == len(owners):
                    owners.append(number)
                elif owners[place] == -1:
                    owners[place] = number
                else:
                    raise CheckpointDamagedError(
                        f"{name!r} has two vectors, in {parts[owners[place]]} and {part}: "
                        "wait until a running job ends, or run `semart-vectors embed` again"
                    )
            for version in versions:
                models.setdefault(version, part)
            if len(models) > 1:
                found = ", ".join(f"{version!r} in {origin}" for version, origin in models.items())
                raise CheckpointMismatchError(f"vectors of different models cannot be compared: {found}")
            order = np.argsort(rows)
            order = order[rows[order] < len(names)]
            shelves = rows[order] // _SHELF_ROWS
            for shelf in np.unique(shelves):
                chosen = order[shelves == shelf]
                first = int(free[shelf])
                free[shelf] += len(chosen)
                slots[rows[chosen]] = np.arange(first, free[shelf])
                _write_at(scratch, vectors[chosen], first * _VECTOR_BYTES)
    if not models:
        raise _no_vectors(parts[0].parent)
    unmatched = sorted(name for name, place in places.items() if place >= len(names))
    return slots, unmatched, next(iter(models))


def _read_part(part: Path) -> Iterator[tuple[list[str], NDArray[np.float32], list[str]]]:
    """Yield names, vectors and the model versions that occur, block by block, checked on the way."""
    for batch in read_part(part, _BLOCK_ROWS):
        with part_errors(part):
            names, versions = as_text(batch.column("image_file")), as_text(batch.column("model_version"))
            lists = batch.column("vector")
            if names.null_count or lists.null_count or versions.null_count or lists.flatten().null_count:
                raise CheckpointDamagedError(f"{part}: a value is missing")
            try:
                vectors = as_vectors(lists)
            except ValueError as error:
                raise CheckpointMismatchError(f"{part}: {error}") from error
            if not np.isfinite(vectors).all():
                raise CheckpointDamagedError(f"{part}: a vector in it holds a number that is not finite")
        yield names.to_pylist(), vectors, versions.unique().to_pylist()


def _gather(table: Any, slots: NDArray[np.int64], scratch: IO[bytes]) -> Iterator[_Block]:
    """Yield the rows that have a vector with their vectors, shelf by shelf and block by block."""
    for start in range(0, len(slots), _SHELF_ROWS):
        filled = slots[start : start + _SHELF_ROWS] - start
        rows = np.flatnonzero(filled >= 0)
        shelf = np.empty((len(rows), DIMENSION), dtype=np.float32)
        scratch.seek(start * _VECTOR_BYTES)
        scratch.readinto(shelf)  # type: ignore[attr-defined]  # buffered files have it, `IO` does not
        for block in (rows[at : at + _BLOCK_ROWS] for at in range(0, len(rows), _BLOCK_ROWS)):
            # Slice first: `take` copies whole columns to pick from them.
            texts = table.slice(start, _SHELF_ROWS).take(pa.array(block))
            yield texts, shelf[filled[block]]


def _write_at(descriptor: int, vectors: NDArray[np.float32], offset: int) -> None:
    data = vectors.data.cast("B")
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _write_parquet(path: Path, schema: Any, blocks: Iterator[_Block], model_version: str) -> None:
    texts = [field.name for field in schema]
    schema = pa.schema(
        [*schema, ("vector", VECTOR_TYPE), ("model_version", pa.string())],
        metadata={
            "semart_vectors.model_version": model_version,
            "semart_vectors.dimension": str(DIMENSION),
        },
    )
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[*texts, "model_version"],
        use_byte_stream_split=["vector.list.element"],
        write_statistics=[*texts, "model_version"],
        write_page_checksum=True,
    ) as writer:
        for block, vectors in blocks:
            columns = [
                *block.columns,
                pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=VECTOR_TYPE),
                pa.repeat(pa.scalar(model_version), len(vectors)),
            ]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=_BLOCK_ROWS)


def _write_tab(
    path: Path,
    schema: Any,
    blocks: Iterator[_Block],
    model_version: str,  # noqa: ARG001  # the tutorial's form has no column for it
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(tab_line([*schema.names, "vector"]) + "\n")
        for block, vectors in blocks:
            rows = zip(*(to_python(column) for column in block.columns), strict=True)
            for values, vector in zip(rows, vectors, strict=True):
                numbers = orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace(",", ", ")
                file.write(f"{tab_line(values)}\t{numbers}\n")

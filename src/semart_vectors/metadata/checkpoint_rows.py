"""The rows of a checkpoint, read like those of a file of vectors: each name once, also while a job runs."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.image_records import Done, from_record
from semart_vectors.checkpoint.journal import read_journals
from semart_vectors.checkpoint.json_files import read_note
from semart_vectors.checkpoint.key_index import name_keys
from semart_vectors.checkpoint.parquet import damage_errors, verify_bytes
from semart_vectors.checkpoint.schema import vector_table
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointInUseError,
    CheckpointMismatchError,
    SemartVectorsError,
    VectorFileError,
)
from semart_vectors.metadata.vector_columns import OURS, as_text, column_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FIELDS = (
    pa.field("image_file", pa.string()),
    pa.field("folder", pa.string()),
    pa.field("format", pa.string()),
)
"""What a checkpoint alone knows of each picture."""


class CheckpointRows:
    """A checkpoint whose bytes were verified: its parts, and the journals of a job that did not end."""

    error: type[SemartVectorsError] = CheckpointDamagedError
    """What damage in a row is."""

    def __init__(self, path: Path) -> None:
        """Verify the checkpoint, and learn which rows count.

        Raises:
            VectorFileError: the folder is no checkpoint, or holds no vectors.
            CheckpointDamagedError: it is damaged.
            CheckpointInUseError: its parts changed meanwhile.
            DiskError: it cannot be read.
        """
        folder = CheckpointFolder(path)
        identity = read_note(folder.identity)
        # The journals first: what moves from one to a part meanwhile is then seen twice, not never.
        newest = {} if identity is None else _newest(folder)
        parts = folder.vector_files()
        if identity is None and not parts:
            raise VectorFileError(
                f"{path} is a folder, and no checkpoint: give one that `semart-vectors embed` made, or the "
                ".parquet file that `semart-vectors merge` wrote"
            )
        if identity is not None:  # otherwise another program made the parts, without checksums
            for part in parts:
                with part_errors(part):
                    verify_bytes(part)
        self._parts = parts
        self._newest = vector_table(newest, identity["model_version"]) if newest and identity else None
        self._kept = _rows_that_count(parts, [entry.image_file for entry in newest])
        self.rows = int(sum(np.count_nonzero(kept) for kept in self._kept)) + len(newest)
        self.schema = pa.schema([*FIELDS, *((name, pa.null()) for name in OURS[1:])])
        if not self.rows:
            raise VectorFileError(
                f"{path} holds no vectors yet: run `semart-vectors embed` with this checkpoint, and look at "
                "its failures.parquet if there is one"
            )

    def close(self) -> None:
        """Do nothing: its files are opened one at a time."""

    def batches(self, batch_rows: int) -> Iterator[tuple[str, Any]]:
        """Yield record batches with all columns, and what an error calls the place that each begins at."""
        for part, kept in zip(self._parts, self._kept, strict=True):
            start = 0
            for batch in read_part(part, batch_rows):
                chosen = kept[start : start + len(batch)]
                if len(chosen) < len(batch):
                    raise _in_use(part)
                if chosen.any():
                    yield str(part), _with_fields(batch if chosen.all() else batch.filter(pa.array(chosen)))
                start += len(batch)
            if start != len(kept):
                raise _in_use(part)
        if self._newest is not None:
            for batch in self._newest.to_batches(batch_rows):
                yield "a journal", _with_fields(batch.select(OURS))


def read_part(part: Path, batch_rows: int, columns: tuple[str, ...] = OURS) -> Iterator[Any]:
    """Yield the columns of a part in record batches, whoever wrote it.

    Raises:
        CheckpointDamagedError: it is damaged, or its columns are not those of a part.
        CheckpointInUseError: it is gone.
        DiskError: it cannot be read.
    """
    # `pre_buffer` would hold the whole file in memory by its end.
    with (
        part_errors(part),
        pq.ParquetFile(part, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20) as file,
    ):
        problem = column_problem(file.schema_arrow, empty=not file.metadata.num_rows)
        if problem is not None:
            kind = CheckpointDamagedError if "no column" in problem else CheckpointMismatchError
            raise kind(f"{part} {problem}")
        if file.metadata.num_rows:
            yield from file.iter_batches(batch_rows, columns=list(columns))


def read_part_names(part: Path) -> Iterator[str]:
    """Yield the names in a part, whoever wrote it; raises as `read_part` does."""
    return chain.from_iterable(_name_blocks(part))


@contextmanager
def part_errors(part: Path) -> Iterator[None]:
    """Translate what is raised while a part is read: damage, as the checkpoint does, or that it is gone."""
    try:
        with damage_errors(part):
            try:
                yield
            except FileNotFoundError as error:
                raise _in_use(part) from error
    except OSError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _in_use(part) from error
        raise


def folder_and_format(image_file: str) -> tuple[str, str]:
    """Return what a name tells: the folder, empty for the topmost, and the format, such as ``jpeg``."""
    path = PurePosixPath(image_file)
    folder = "" if path.parent == PurePosixPath() else str(path.parent)
    suffix = path.suffix.lower().removeprefix(".")
    return folder, {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff"}.get(suffix, suffix)


def _newest(folder: CheckpointFolder) -> list[Done]:
    entries = (from_record(record) for record in read_journals(folder))
    return list({entry.image_file: entry for entry in entries if isinstance(entry, Done)}.values())


def _rows_that_count(parts: list[Path], replaced: list[str]) -> list[NDArray[np.bool_]]:
    """Say which rows of each part count: of a name that comes again the last, of one in `replaced` none."""
    keys = [_keys(part) for part in parts]
    everything = np.concatenate([*keys, name_keys(replaced)])[::-1]
    last = np.zeros(len(everything), dtype=np.bool_)
    last[np.unique(everything, return_index=True)[1]] = True
    ends = np.cumsum([len(each) for each in keys])
    return np.split(last[::-1][: ends[-1]], ends[:-1]) if parts else []


def _keys(part: Path) -> NDArray[np.int64]:
    keys = [np.empty(0, np.int64)]
    keys += map(name_keys, _name_blocks(part))
    return np.concatenate(keys)


def _name_blocks(part: Path) -> Iterator[list[str]]:
    for batch in read_part(part, 4096, ("image_file",)):
        with part_errors(part):
            names = as_text(batch.column(0))
            if names.null_count:
                raise CheckpointDamagedError(f"{part}: a value is missing in image_file")
        yield names.to_pylist()


def _with_fields(batch: Any) -> Any:
    names, vectors, models = (batch.column(name) for name in OURS)
    names = as_text(names)
    known = [folder_and_format(name or "") for name in names.to_pylist()]
    columns = [names, pa.array([each[0] for each in known]), pa.array([each[1] for each in known])]
    return pa.record_batch([*columns, vectors, models], names=[*(field.name for field in FIELDS), *OURS[1:]])


def _in_use(part: Path) -> CheckpointInUseError:
    return CheckpointInUseError(
        f"{part} was removed while it was read: another process writes to the checkpoint; try again after it "
        "has ended"
    )

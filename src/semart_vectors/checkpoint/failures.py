"""The table of failures: which images have no vector, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.image_records import Failed
from semart_vectors.checkpoint.parquet import opened_verified, write_parquet
from semart_vectors.checkpoint.schema import SMALL_FILE_OPTIONS
from semart_vectors.files import write_aside

if TYPE_CHECKING:
    import os


def read_failures(checkpoint: str | os.PathLike[str]) -> list[Failed]:
    """Read which images of a checkpoint failed, and why; none if there is no table yet.

    Raises:
        CheckpointDamagedError: the table is damaged.
        DiskError: it cannot be read.
    """
    path = CheckpointFolder(checkpoint).failures
    if not path.exists():
        return []
    with opened_verified(path) as table:
        return [Failed(**row) for row in table.read(use_threads=False).to_pylist()]


def write_failures(folder: CheckpointFolder, table: Any) -> None:
    """Write the table of failures anew, in one step.

    Raises:
        DiskError: the disk refused; the earlier table is unchanged.
    """
    with write_aside(folder.failures) as aside:
        write_parquet(aside, table, SMALL_FILE_OPTIONS)

"""Damaged files are copied into quarantine, never deleted, and their intact rows are kept."""

from __future__ import annotations

import shutil
from itertools import count
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.failures import write_failures
from semart_vectors.checkpoint.parquet import salvage
from semart_vectors.checkpoint.parts import write_part
from semart_vectors.checkpoint.schema import no_failures, no_vectors
from semart_vectors.files import disk_errors, sync, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.checkpoint.folder import CheckpointFolder


def quarantine(folder: CheckpointFolder, path: Path) -> Path:
    """Copy a damaged file into ``_damaged/``, under a name that is free there, and return the copy's path.

    Raises:
        DiskError: the disk refused.
    """
    with disk_errors(folder.damaged):
        folder.damaged.mkdir(exist_ok=True)
        names = (f"{path.name}.{number}" if number else path.name for number in count())
        copy = next(place for name in names if not (place := folder.damaged / name).exists())
        shutil.copyfile(path, copy)
        sync(copy)
        sync_folder(folder.damaged)
    return copy


def quarantine_part(folder: CheckpointFolder, path: Path) -> str:
    """Copy a damaged part into quarantine, keep its intact rows in place, and return a sentence about both.

    Raises:
        DiskError: the disk refused.
    """
    copy, kept = quarantine(folder, path), salvage(path)
    table = no_vectors() if kept is None else kept
    write_part(folder, path, table)
    return f"kept {table.num_rows} of its vectors; the damaged file is now {copy}"


def quarantine_failures(folder: CheckpointFolder) -> str:
    """Do the same with the table of failures.

    Raises:
        DiskError: the disk refused.
    """
    copy, kept = quarantine(folder, folder.failures), salvage(folder.failures)
    table = no_failures() if kept is None else kept
    write_failures(folder, table)
    return f"kept {table.num_rows} of its rows; the damaged file is now {copy}"

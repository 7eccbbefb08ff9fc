"""What is damaged is set aside, never deleted, and what is whole of it is kept."""

from __future__ import annotations

import shutil
from itertools import count
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.parts import no_failures, no_vectors, salvage, write_failure_table, write_part
from semart_vectors.files import disk_errors, sync

if TYPE_CHECKING:
    from pathlib import Path

SET_ASIDE = "_damaged"
"""The folder, in the checkpoint's, of what was damaged; for whoever wants to look, and never read."""


def set_aside(path: Path, directory: Path) -> Path:
    """Copy a damaged file into the folder of such, under a name that is free there, and return where it is.

    Raises:
        DiskError: the disk refused.
    """
    folder = directory / SET_ASIDE
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        names = (f"{path.name}.{number}" if number else path.name for number in count())
        copy = next(place for name in names if not (place := folder / name).exists())
        shutil.copyfile(path, copy)
        sync(copy)
        sync(folder)
    return copy


def mend_part(path: Path, directory: Path) -> str:
    """Leave in a damaged part the rows that are what was written, and say what became of the others.

    Raises:
        DiskError: the disk refused.
    """
    copy = set_aside(path, directory)
    kept = salvage(path)
    write_part(path, directory, no_vectors() if kept is None else kept)
    return f"{0 if kept is None else kept.num_rows} of its vectors are kept; as it was it lies in {copy}"


def mend_failures(path: Path, directory: Path) -> str:
    """Do the same for the table of failures."""
    copy = set_aside(path, directory)
    kept = salvage(path)
    write_failure_table(directory, no_failures() if kept is None else kept)
    return f"{0 if kept is None else kept.num_rows} of its rows are kept; as it was it lies in {copy}"

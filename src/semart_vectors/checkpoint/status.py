"""How far a checkpoint is, also while a job writes to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.image_records import Done, Touched, from_record
from semart_vectors.checkpoint.journal import read_journals
from semart_vectors.checkpoint.json_files import read_note, read_value
from semart_vectors.checkpoint.key_index import Index, name_keys
from semart_vectors.checkpoint.lock import is_locked
from semart_vectors.checkpoint.parts import read_index_rows
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatus:
    """How far a checkpoint is."""

    model_version: str
    done: int
    """Images with their vector."""
    failed: int
    """Images that failed, and were not embedded since."""
    asked_for: int | None
    """Images that the last job was asked for; None if no job got so far as to count them."""
    in_use: bool
    """Whether a process is writing to it at this moment."""


def read_status(checkpoint: str | os.PathLike[str]) -> CheckpointStatus:
    """Say how far a checkpoint is, also while a job writes to it.

    Args:
        checkpoint: Its folder.

    Raises:
        ConfigurationError: the folder is no checkpoint.
        CheckpointDamagedError: a file of it is damaged.
        DiskError: a file of it cannot be read.
    """
    folder = CheckpointFolder(checkpoint)
    identity = read_note(folder.identity)
    if identity is None:
        raise ConfigurationError(f"{folder.path} is no checkpoint; `semart-vectors embed` makes one")
    # The journals first: what moves from one to a part meanwhile is then seen twice, not never.
    records = read_journals(folder)
    asked_for = read_value(folder.job_note, "asked_for")
    in_parts = Index()
    for part in folder.parts().values():
        in_parts.add(read_index_rows(part).names)
    failed = {failure.image_file for failure in read_failures(folder.path)}
    in_journals: dict[str, bool] = {}
    for record in records:
        entry = from_record(record)
        if not isinstance(entry, Touched):
            in_journals[entry.image_file] = isinstance(entry, Done)
    in_both, _ = in_parts.find(name_keys(list(in_journals)))
    for name, is_done in in_journals.items():
        (failed.discard if is_done else failed.add)(name)
    return CheckpointStatus(
        model_version=identity["model_version"],
        done=in_parts.count() + sum(in_journals.values()) - int(np.count_nonzero(in_both)),
        failed=len(failed),
        asked_for=asked_for if isinstance(asked_for, int) else None,
        in_use=is_locked(folder),
    )

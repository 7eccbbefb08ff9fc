"""The check of a checkpoint: every stored byte is compared with its checksum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semart_vectors.checkpoint.folder import CheckpointFolder, foreign_file_error
from semart_vectors.checkpoint.journal import read_journal, read_journals
from semart_vectors.checkpoint.json_files import read_note
from semart_vectors.checkpoint.key_index import repeated
from semart_vectors.checkpoint.lock import locked
from semart_vectors.checkpoint.parquet import verify_bytes
from semart_vectors.checkpoint.parts import model_versions, read_index_rows
from semart_vectors.checkpoint.quarantine import quarantine
from semart_vectors.checkpoint.recovery import refuse_other_format
from semart_vectors.checkpoint.store import Checkpoint
from semart_vectors.errors import CheckpointDamagedError, ConfigurationError
from semart_vectors.files import disk_errors
from semart_vectors.service.azure import MODEL_VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from semart_vectors.checkpoint.key_index import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found."""

    files: int
    """Files that were read."""
    bytes: int
    """All their bytes, each of which was compared with a checksum."""
    vectors: int
    """Vectors in parts that are intact."""
    damaged: tuple[str, ...]
    """A sentence for each thing that is damaged; empty if nothing is."""


def check_checkpoint(checkpoint: str | os.PathLike[str], *, repair: bool = False) -> CheckReport:
    """Compare every stored byte of a checkpoint with its checksum.

    Args:
        checkpoint: Its folder.
        repair: Copy what is damaged to ``_damaged/``, and keep what is intact: the next run of the job embeds
            the images again whose vectors are lost, and no others. No call is made here.

    Returns:
        What was found, before the repair.

    Raises:
        ConfigurationError: the folder is no checkpoint.
        CheckpointInUseError: a job is writing to it.
        CheckpointMismatchError: it is of another format; for a repair: the parts are of two models.
        DiskError: the disk refused.
    """
    folder = CheckpointFolder(checkpoint)
    with disk_errors(folder.path, doing="write" if repair else "read"):
        if not folder.identity.exists() and not folder.vector_files():
            raise ConfigurationError(f"{folder.path} is no checkpoint; `semart-vectors embed` makes one")
        with locked(folder, to_write=repair):
            if folder.identity.exists():
                refuse_other_format(folder)
            report = _check(folder)
            for path in folder.vector_files() if repair else ():
                if not folder.is_part(path):
                    quarantine(folder, path)
                    path.unlink()
    if repair and report.damaged:
        _repair(folder)
    return report


def _check(folder: CheckpointFolder) -> CheckReport:
    files = [(path, verify) for path, verify in _files(folder) if path.exists()]
    damaged = {path: damage for path, verify in files if (damage := _damage(path, verify))}
    keys = [read_index_rows(path).names for path in folder.vector_files() if path not in damaged]
    return CheckReport(
        files=len(files),
        bytes=sum(path.stat().st_size for path, _ in files),
        vectors=sum(map(len, keys)),
        damaged=(*damaged.values(), *_describe_duplicates(keys)),
    )


def _files(folder: CheckpointFolder) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    """List the files of a checkpoint, each with a function that raises if it is damaged."""
    for path in (folder.identity, folder.job_note, folder.pace_note):
        yield path, read_note
    for path in folder.vector_files():
        yield path, verify_bytes if folder.is_part(path) else _refuse_foreign_file
    side_files = (*folder.replaced_files().values(), *folder.touched_files().values())
    for path in (*side_files, folder.failures):
        yield path, verify_bytes
    for path in folder.journals().values():
        yield path, _verify_journal


def _refuse_foreign_file(path: Path) -> None:
    raise foreign_file_error(path)


def _verify_journal(path: Path) -> None:
    content = read_journal(path)
    if not content.is_whole:
        raise CheckpointDamagedError(
            f"{path} is damaged, or the job was killed while it wrote to it ({content.describe_damage()}); "
            "the next run of the job keeps what is intact, and embeds the other images again"
        )


def _damage(path: Path, verify: Callable[[Path], object]) -> str:
    """Describe what is damaged in a file; empty if nothing is."""
    try:
        verify(path)
    except CheckpointDamagedError as error:
        return str(error)
    return ""


def _describe_duplicates(keys: list[Keys]) -> list[str]:
    count = len(repeated(np.concatenate([np.empty(0, np.int64), *keys])))
    if not count:
        return []
    what = f"{count:,} rows are of images that have more than one row"
    return [f"{what}: the next run of the job, or `check --repair`, keeps the newest row of each"]


def _repair(folder: CheckpointFolder) -> None:
    """Open the checkpoint as a job does, which moves what is damaged into quarantine."""
    model_version = _model_version(folder)
    with Checkpoint.open(folder.path, model_version=model_version or MODEL_VERSION):
        if model_version is None:  # nothing says which model it is of: the next job decides
            folder.identity.unlink()


def _model_version(folder: CheckpointFolder) -> str | None:
    """Return the model of a checkpoint, even if its ``_checkpoint.json`` is lost; None if nothing says it."""
    try:
        identity = read_note(folder.identity)
    except CheckpointDamagedError:
        identity = None
    if identity is not None:
        return str(identity["model_version"])
    for part in folder.vector_files():
        for model in model_versions(part):
            return model
    of_records = (record.fields.get("model_version") for record in read_journals(folder))
    return next((model for model in of_records if model is not None), None)

"""Every stored byte of a checkpoint, compared with its checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semart_vectors.checkpoint.index import repeated
from semart_vectors.checkpoint.journal import FIRST_JOURNAL, list_journals, read_journal, read_journals
from semart_vectors.checkpoint.notes import FIRST_FORMAT, read_identity, read_note
from semart_vectors.checkpoint.parts import (
    count_rows,
    model_versions,
    part_files,
    part_number,
    read_index_rows,
    verify_bytes,
    verify_pages,
)
from semart_vectors.checkpoint.publishing import list_replaced
from semart_vectors.checkpoint.quarantine import set_aside
from semart_vectors.checkpoint.store import Checkpoint, locked
from semart_vectors.errors import CheckpointDamagedError, ConfigurationError
from semart_vectors.files import disk_errors
from semart_vectors.service.azure import MODEL_VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found."""

    files: int
    """Files that were read."""
    bytes: int
    """All their bytes, each of which was compared with a checksum."""
    vectors: int
    """Vectors in parts that are whole."""
    damaged: tuple[str, ...]
    """What is not what was written, a sentence each; empty is good."""


def check_checkpoint(directory: str | os.PathLike[str], *, repair: bool = False) -> CheckReport:
    """Compare every stored byte of a checkpoint with its checksum.

    Args:
        directory: The checkpoint's.
        repair: Set aside what is damaged, in ``_damaged/``, and keep what is whole of it: the next run of the
            job embeds again those images whose vectors are lost, and no others. No call is made here.

    Returns:
        What was found, before the repair.

    Raises:
        ConfigurationError: the directory is no checkpoint.
        CheckpointInUseError: a job is writing to it.
        CheckpointMismatchError: for a repair: the parts are of two models.
        DiskError: the disk refused.
    """
    directory = Path(directory)
    with disk_errors(directory, doing="read"):
        if not (directory / "_checkpoint.json").exists() and not part_files(directory):
            raise ConfigurationError(f"{directory} is no checkpoint; `semart-vectors embed` makes one")
        with locked(directory, to_write=repair):
            files = [(path, look) for path, look in _looks(directory) if path.exists()]
            damaged = [(path, told) for path, look in files if (told := _told(path, look))]
            whole = {path for path, _ in files} - {path for path, _ in damaged}
            parts = [path for path in part_files(directory) if path in whole]
            report = CheckReport(
                files=len(files),
                bytes=sum(path.stat().st_size for path, _ in files),
                vectors=sum(map(count_rows, parts)),
                damaged=(*(told for _, told in damaged), *_told_of_repeated(parts)),
            )
            for path, _ in damaged if repair else ():
                if not _is_ours(path):
                    set_aside(path, directory)
                    path.unlink()
    if repair and report.damaged:
        model_version = _model_version(directory)
        with Checkpoint(directory, model_version=model_version or MODEL_VERSION):
            # Opening sets aside whatever is damaged.
            if model_version is None:  # it may become one of any model
                (directory / "_checkpoint.json").unlink()
    return report


def _looks(directory: Path) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Name the files of a checkpoint, each with what raises if it is damaged."""
    try:
        identity = read_identity(directory)
    except CheckpointDamagedError:
        identity = None
    is_first = identity is not None and identity["format_version"] == FIRST_FORMAT
    verify = verify_pages if is_first else verify_bytes
    yield directory / "_checkpoint.json", _verify_identity
    for name in () if is_first else ("_job.json", "_pace.json"):
        yield directory / name, _verify_note
    for path in (*part_files(directory), *list_replaced(directory)):
        yield path, verify
    yield directory / "failures.parquet", verify
    for path in list_journals(directory):
        yield path, _verify_journal


def _verify_identity(path: Path) -> None:
    read_identity(path.parent)


def _verify_note(path: Path) -> None:
    read_note(path)


def _verify_journal(path: Path) -> None:
    content = read_journal(path, ends_in_zeros=path.name != FIRST_JOURNAL)
    if not content.is_whole:
        raise CheckpointDamagedError(
            f"{path} is not whole ({content.what_is_missing}): it was being written when the job was killed, "
            "or was damaged; the next run of the job takes up what is whole of it"
        )


def _told(path: Path, look: Callable[[Path], None]) -> str:
    try:
        if path.parent.name == "vectors":
            part_number(path)
        look(path)
    except CheckpointDamagedError as error:
        return str(error)
    return ""


def _told_of_repeated(parts: list[Path]) -> list[str]:
    keys = np.concatenate([np.empty(0, np.int64), *(read_index_rows(path).names for path in parts)])
    count = len(repeated(keys))
    return (
        [f"{count:,} rows share their images with others: the next run keeps the newest of each"]
        if count
        else []
    )


def _is_ours(path: Path) -> bool:
    try:
        return path.parent.name != "vectors" or part_number(path) >= 0
    except CheckpointDamagedError:
        return False


def _model_version(directory: Path) -> str | None:
    """Return the model of a checkpoint, also where its description is lost; None if nothing tells."""
    try:
        identity = read_identity(directory)
    except CheckpointDamagedError:
        identity = None
    if identity is not None:
        return str(identity["model_version"])
    for part in part_files(directory):
        for model in model_versions(part):
            return model
    of_records = (record.fields.get("model_version") for record in read_journals(directory))
    return next((model for model in of_records if model is not None), None)

"""Opening a checkpoint: is it one of this model, what does it hold, and is that what was written?"""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from semart_vectors.checkpoint.catalogue import Catalogue
from semart_vectors.checkpoint.failures import read_failures, write_failures
from semart_vectors.checkpoint.image_records import from_record
from semart_vectors.checkpoint.journal import read_journal
from semart_vectors.checkpoint.json_files import read_note, unverified_value, write_note
from semart_vectors.checkpoint.parquet import has_empty_group
from semart_vectors.checkpoint.parts import (
    read_index_rows,
    read_names,
    verify_part,
    verify_touched,
    write_part,
)
from semart_vectors.checkpoint.quarantine import quarantine, quarantine_failures, quarantine_part
from semart_vectors.checkpoint.schema import no_failures, no_vectors
from semart_vectors.errors import CheckpointDamagedError, CheckpointMismatchError
from semart_vectors.files import sync_folder
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from semart_vectors.checkpoint.folder import CheckpointFolder
    from semart_vectors.checkpoint.image_records import Failed
    from semart_vectors.checkpoint.parts import IndexRows

_logger = logging.getLogger("semart_vectors")

FORMAT_VERSION = 2

_VERIFIERS = 2
"""Threads that compare checksums: more would wait for the interpreter."""


def compare_identity(folder: CheckpointFolder, model_version: str) -> bool:
    """Make sure that a checkpoint is of this model, or that one may be created here.

    Returns:
        Whether its ``_checkpoint.json`` says so. If that is damaged or lost, the parts and journals say which
        model they are of.

    Raises:
        CheckpointMismatchError: it is of another model, dimension or format, or no checkpoint.
        CheckpointDamagedError: a file in it was not put there by a job.
    """
    try:
        found = read_note(folder.identity)
    except CheckpointDamagedError:
        refuse_other_format(folder)
        return False
    if found is None:
        if not folder.parts():
            folder.check_is_free()
        return False
    wanted = _identity(model_version)
    if found != wanted:
        differences = ", ".join(
            f"{name} {found.get(name)!r} instead of {value!r}"
            for name, value in wanted.items()
            if found.get(name) != value
        )
        raise CheckpointMismatchError(
            f"the checkpoint {folder.path} has {differences}; choose another checkpoint folder: vectors of "
            "different models cannot be compared, and another format needs another version of semart-vectors"
        )
    return True


def refuse_other_format(folder: CheckpointFolder) -> None:
    """Leave a checkpoint alone whose description has no checksum: it is of another format, not damaged.

    Raises:
        CheckpointMismatchError: it is.
    """
    format_version = unverified_value(folder.identity, "format_version")
    if format_version not in (None, FORMAT_VERSION):
        raise CheckpointMismatchError(
            f"the checkpoint {folder.path} has format {format_version!r} instead of {FORMAT_VERSION}, and "
            "needs another version of semart-vectors; choose another checkpoint folder"
        )


def quarantine_notes(folder: CheckpointFolder) -> None:
    """Copy damaged notes into quarantine and remove them: they are written anew."""
    for path in (folder.identity, folder.job_note, folder.pace_note):
        try:
            read_note(path)
        except CheckpointDamagedError as error:
            _logger.warning("%s; the damaged file is now %s", error, quarantine(folder, path))
            path.unlink()


def read_catalogue(folder: CheckpointFolder) -> Catalogue:
    """Learn what the parts and the table of failures hold, without changing anything.

    Raises:
        CheckpointDamagedError: what is read of one of them is damaged.
        DiskError: one cannot be read.
    """
    return _catalogue(folder, read_index_rows, read_index_rows, lambda: read_failures(folder.path))


def verify_and_read_catalogue(folder: CheckpointFolder, model_version: str) -> Catalogue:
    """Learn what the parts and the table of failures hold, once every byte of them is verified.

    What is damaged goes into quarantine, and a warning into the log.

    Raises:
        CheckpointMismatchError: a part is of another model.
        DiskError: the disk refused.
    """

    def verified_rows(path: Path) -> IndexRows:
        try:
            return verify_part(path, model_version)
        except CheckpointDamagedError as error:
            _logger.warning("%s; %s", error, quarantine_part(folder, path))
        return verify_part(path, model_version)

    def verified_touched(path: Path) -> IndexRows | None:
        try:
            return verify_touched(path)
        except CheckpointDamagedError as error:  # what it said is found out again by reading the images
            _logger.warning("%s; the damaged file is now %s", error, quarantine(folder, path))
            path.unlink()
            return None

    def verified_failures() -> list[Failed]:
        try:
            return read_failures(folder.path)
        except CheckpointDamagedError as error:
            _logger.warning("%s; %s", error, quarantine_failures(folder))
        return read_failures(folder.path)

    return _catalogue(folder, verified_rows, verified_touched, verified_failures)


def _catalogue(
    folder: CheckpointFolder,
    read_rows: Callable[[Path], IndexRows],
    read_touched: Callable[[Path], IndexRows | None],
    failures: Callable[[], list[Failed]],
) -> Catalogue:
    catalogue = Catalogue(folder)
    replaced, parts = folder.replaced_files(), folder.parts()
    with ThreadPoolExecutor(_VERIFIERS, thread_name_prefix="semart-vectors-verify") as pool:
        rows = pool.map(read_rows, (*replaced.values(), *parts.values()))
        for number, of_file in zip(replaced, rows, strict=False):
            catalogue.add_replaced(number, of_file.contents)
        catalogue.add_parts(dict(zip(parts, rows, strict=True)), read_names)
    for number, path in folder.touched_files().items():
        if (touched := read_touched(path)) is not None:
            catalogue.add_touched(number, touched)
    catalogue.add_failures(failures())
    return catalogue


def recover_journals(folder: CheckpointFolder, model_version: str, catalogue: Catalogue) -> dict[int, Path]:
    """Let the catalogue learn what is in the journals of a killed process, and return the journals.

    Raises:
        CheckpointMismatchError: one holds vectors of another model.
        DiskError: the disk refused.
    """
    journals = folder.journals()
    for path in journals.values():
        content = read_journal(path)
        for record in content.records:
            if record.fields.get("model_version", model_version) != model_version:
                raise CheckpointMismatchError(f"{path} holds vectors of another model than {model_version}")
            catalogue.learn(from_record(record))
        if not content.is_whole:
            _logger.warning(
                "%s is damaged, or the job was killed while it wrote to it (%s): a copy is in %s; "
                "images whose vectors are missing will be embedded again",
                path,
                content.describe_damage(),
                quarantine(folder, path),
            )
    return journals


def create_missing_files(folder: CheckpointFolder, model_version: str, *, has_identity: bool) -> None:
    """Create what a new checkpoint needs, and what a killed process had no time to create.

    Raises:
        DiskError: the disk refused.
    """
    for path in folder.temporary_files():
        path.unlink()
    if not has_identity:
        write_note(folder.identity, _identity(model_version))
    if not folder.parts():
        _create_first_part(folder)
    if not folder.failures.exists() or has_empty_group(folder.failures):
        write_failures(folder, no_failures())
    for path in folder.parts().values():
        if has_empty_group(path):  # as earlier versions wrote a part without rows
            write_part(folder, path, no_vectors())


def _create_first_part(folder: CheckpointFolder) -> None:
    """Write a part without rows, so that readers find the right columns as soon as ``vectors/`` exists."""
    shutil.rmtree(folder.vectors_being_made, ignore_errors=True)
    part = folder.part(0)
    if folder.vectors.exists():
        write_part(folder, part, no_vectors())
        return
    folder.vectors_being_made.mkdir()
    write_part(folder, folder.vectors_being_made / part.name, no_vectors())
    folder.vectors_being_made.rename(folder.vectors)
    sync_folder(folder.path)


def _identity(model_version: str) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "model_version": model_version, "dimension": DIMENSION}

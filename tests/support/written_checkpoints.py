"""Checkpoints written directly, as a job leaves them at its end or in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from merged import MODEL, vectors_of
from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.image_records import Done, Failed, to_record
from semart_vectors.checkpoint.journal import Journal
from semart_vectors.checkpoint.json_files import write_note
from semart_vectors.checkpoint.parts import write_part
from semart_vectors.checkpoint.schema import no_vectors, vector_table

if TYPE_CHECKING:
    from pathlib import Path


def entries(*names: str, seed: int = 0) -> list[Done]:
    """Images with vectors of this seed."""
    rows = zip(names, vectors_of(len(names), seed=seed), strict=True)
    return [Done(name, vector, bytes(32), 1) for name, vector in rows]


def checkpoint(path: Path, *parts: list[Done], journal: list[Done | Failed] | None = None) -> Path:
    """Write a checkpoint as a job does; with a journal, as one that runs."""
    folder = CheckpointFolder(path)
    folder.vectors.mkdir(parents=True)
    write_note(folder.identity, {"format": 1, "model_version": MODEL, "dimension": 1024})
    write_part(folder, folder.part(0), no_vectors())
    for number, part in enumerate(parts, 1):
        write_part(folder, folder.part(number), vector_table(part, MODEL))
    if journal is not None:
        with Journal(folder.journal(9)) as file:
            file.append(to_record(entry, MODEL) for entry in journal)
    return path

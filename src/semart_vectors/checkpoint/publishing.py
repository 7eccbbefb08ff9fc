"""From a journal's records to a part that any reader opens: all the file work, for a thread of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.parts import (
    Done,
    Failed,
    integers,
    part_name,
    read_index_rows,
    read_part,
    vector_table,
    write_failures,
    write_part,
)
from semart_vectors.files import disk_errors

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.checkpoint.index import Keys

_REPLACED_NAME = re.compile(r"_replaced-\d+\.parquet")


@dataclass(slots=True)
class Unpublished:
    """Entries that no part holds yet."""

    by_name: dict[str, Done] = field(default_factory=dict)
    by_content: dict[bytes, Done] = field(default_factory=dict)

    def add(self, entry: Done) -> None:
        """Add an entry, in place of an earlier one of its image."""
        self.by_name[entry.image_file] = self.by_content[entry.content_sha256] = entry


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be published together; nothing of it changes any more."""

    number: int
    """Of the part to be."""
    entries: Unpublished
    stale: dict[int, set[str]]
    """By the number of their part, the images whose rows are to leave it."""
    failures: list[Failed] | None
    """The table of failures, if it is to be written anew."""
    first_replaced: int
    """The number of the first file of replaced rows that may be written."""


def publish(directory: Path, model_version: str, publication: Publication) -> list[Keys]:
    """Write what there is to be published, in an order that survives a kill anywhere.

    Rows that were replaced leave their parts first, while a journal still holds what replaced them: so no
    reader ever sees an image twice. They are kept aside until a later run ends, since their contents are paid
    for, and may come up again under another name: files are renumbered.

    Returns:
        The contents of each file of replaced rows that was written, numbered from `first_replaced` on.

    Raises:
        CheckpointDamagedError: a part is not what was written.
        DiskError: the disk refused. All of it may be done again.
    """
    with disk_errors(directory):
        return _publish(directory, model_version, publication)


def _publish(directory: Path, model_version: str, publication: Publication) -> list[Keys]:
    replaced: list[Keys] = []
    for part, stale in publication.stale.items():
        path = directory / "vectors" / part_name(part)
        table = read_part(path)
        names = table["image_file"].to_pylist()
        leaving = [row for row, name in enumerate(names) if name in stale]
        if not leaving:  # a name had the key of another
            continue
        aside = directory / replaced_name(publication.first_replaced + len(replaced))
        write_part(aside, directory, table.take(integers(leaving)))
        replaced.append(read_index_rows(aside).contents)
        kept = [row for row, name in enumerate(names) if name not in stale]
        write_part(path, directory, table.take(integers(kept)))
    if publication.entries.by_name:
        table = vector_table(list(publication.entries.by_name.values()), model_version)
        write_part(directory / "vectors" / part_name(publication.number), directory, table)
    if publication.failures is not None:
        write_failures(directory, publication.failures)
    return replaced


def list_replaced(directory: Path) -> list[Path]:
    """List the files of replaced rows, the oldest first."""
    files = (path for path in directory.glob("_replaced-*") if _REPLACED_NAME.fullmatch(path.name))
    return sorted(files, key=replaced_number)


def replaced_number(path: Path) -> int:
    """Return the number of a file of replaced rows."""
    return int(path.stem.removeprefix("_replaced-"))


def replaced_name(number: int) -> str:
    """Return the name of a file of replaced rows."""
    return f"_replaced-{number:06}.parquet"

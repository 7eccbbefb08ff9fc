"""The layout of a checkpoint: the one place that knows how its files are named.

::

    DIR/
    ├── vectors/part-000001.parquet …   what is done; each file is replaced as a whole, never changed in place
    ├── failures.parquet                what failed, and why
    ├── _journal-000002 …               what arrived since the last part; none when no job runs
    ├── _replaced-000000.parquet …      rows that the last job replaced, kept until a later job completes
    ├── _touched-000003.parquet …       fingerprints of files that were copied or touched since their part
    ├── _checkpoint.json                format, model and dimension, compared at every opening
    ├── _job.json                       how many images the last job was asked for, and in which folder
    ├── _pace.json                      when the rate allows the next job its first call
    ├── _damaged/                       copies of damaged files, for whoever wants to look; never read
    ├── _lock                           held by the one process that writes
    └── _….tmp                          temporary files
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from semart_vectors.errors import CheckpointDamagedError, CheckpointMismatchError
from semart_vectors.files import TEMPORARY_FILES, disk_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_PART = re.compile(r"part-(\d+)\.parquet")
_JOURNAL = re.compile(r"_journal-(\d+)")
_REPLACED = re.compile(r"_replaced-(\d+)\.parquet")

_TOUCHED = re.compile(r"_touched-(\d+)\.parquet")

_FIRST_FILES = ("_lock", "_checkpoint.json", "__checkpoint.json")
"""How the names begin of what a process leaves, temporary files too, if it is killed while it creates one."""


class CheckpointFolder:
    """Where each file of a checkpoint is, and which of the numbered files there are.

    Numbered files are listed by number, in ascending order: a file that was begun later has a higher number.
    Each method that lists files raises `DiskError` if the disk refuses.
    """

    def __init__(self, checkpoint: str | os.PathLike[str]) -> None:
        self.path = Path(checkpoint)
        self.vectors = self.path / "vectors"
        self.vectors_being_made = self.path / "_vectors.tmp"
        """`vectors`, until its first part is in it."""
        self.failures = self.path / "failures.parquet"
        self.identity = self.path / "_checkpoint.json"
        self.job_note = self.path / "_job.json"
        self.pace_note = self.path / "_pace.json"
        self.damaged = self.path / "_damaged"
        self.lock = self.path / "_lock"

    def part(self, number: int) -> Path:
        """Return where the part with this number is."""
        return self.vectors / f"part-{number:06}.parquet"

    def journal(self, number: int) -> Path:
        """Return where the journal with this number is."""
        return self.path / f"_journal-{number:06}"

    def replaced_file(self, number: int) -> Path:
        """Return where the file of replaced rows with this number is."""
        return self.path / f"_replaced-{number:06}.parquet"

    def touched_file(self, number: int) -> Path:
        """Return where the file of new fingerprints with this number is."""
        return self.path / f"_touched-{number:06}.parquet"

    def parts(self) -> dict[int, Path]:
        """List the parts.

        Raises:
            CheckpointDamagedError: among them is a file that no job put there.
        """
        parts: dict[int, Path] = {}
        for path in self.vector_files():
            if not self.is_part(path):
                raise foreign_file_error(path)
            parts[int(path.stem.removeprefix("part-"))] = path
        return dict(sorted(parts.items()))

    def vector_files(self) -> list[Path]:
        """List every file that a Parquet reader takes for a part, by name; readers skip ``_…`` and ``.…``."""
        return [
            path
            for path in _entries(self.vectors)
            if path.suffix == ".parquet" and not path.name.startswith((".", "_"))
        ]

    def is_part(self, path: Path) -> bool:
        """Whether a file in ``vectors/`` has a name that a job gives to a part."""
        match = _PART.fullmatch(path.name)
        return match is not None and path == self.part(int(match[1]))

    def journals(self) -> dict[int, Path]:
        """List the journals."""
        return self._numbered(_JOURNAL)

    def replaced_files(self) -> dict[int, Path]:
        """List the files of replaced rows."""
        return self._numbered(_REPLACED)

    def touched_files(self) -> dict[int, Path]:
        """List the files of new fingerprints; each is about the parts of lower numbers."""
        return self._numbered(_TOUCHED)

    def temporary_files(self) -> Iterator[Path]:
        """List what a killed process may have left half written."""
        return (path for path in _entries(self.path) if path.match(TEMPORARY_FILES) and path.is_file())

    def check_is_free(self) -> None:
        """Make sure that a new checkpoint may be created here.

        Raises:
            CheckpointMismatchError: the folder holds files of somebody else, a folder of images say.
        """
        if any(not path.name.startswith(_FIRST_FILES) for path in _entries(self.path)):
            raise CheckpointMismatchError(
                f"{self.path} holds other files and is no checkpoint; choose a new or empty folder"
            )

    def _numbered(self, name: re.Pattern[str]) -> dict[int, Path]:
        matches = ((name.fullmatch(path.name), path) for path in _entries(self.path))
        return dict(sorted((int(match[1]), path) for match, path in matches if match is not None))


def foreign_file_error(path: Path) -> CheckpointDamagedError:
    """Return the error for a file in ``vectors/`` that a reader would take for a part, though it is none."""
    return CheckpointDamagedError(f"{path} was not put there by a job: move it away")


def _entries(folder: Path) -> list[Path]:
    """List a folder by name; one that is missing is empty."""
    with disk_errors(folder, doing="read"):
        try:
            return sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

"""The journals of an open checkpoint: one takes records, the others wait until a part holds theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semart_vectors.checkpoint.journal import Journal
from semart_vectors.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from semart_vectors.checkpoint.folder import CheckpointFolder
    from semart_vectors.checkpoint.journal import Record

_RECORD_BYTES = 4096 + 500
"""A vector with what belongs to it, as a journal holds it; few names are so long that it takes more."""


class JournalWriter:
    """Appends to the newest journal, begins new ones, and removes those whose records are published."""

    def __init__(self, folder: CheckpointFolder, *, left_over: Sequence[Path], first_number: int) -> None:
        """Take charge of the journals.

        Args:
            folder: The checkpoint's.
            left_over: Journals of a killed process, whose records are to be published with the next part.
            first_number: The number of the next journal.
        """
        self.records = 0
        """How many records were appended since the last publication began."""
        self._folder = folder
        self._journal: Journal | None = None
        self._next_number = first_number
        self._room_bytes = 0
        self._finished = list(left_over)
        self._being_published: list[Path] = []

    @property
    def shortage(self) -> OSError | None:
        """Why the disk has no room for more than what is under way; None if it has."""
        return None if self._journal is None else self._journal.shortage

    def begin(self) -> None:
        """Begin a new journal; the one before is finished.

        Raises:
            DiskError: the disk refused, or has no room; the one before still takes records.
        """
        journal = Journal(self._folder.journal(self._next_number), room_bytes=self._room_bytes)
        self._next_number += 1
        self.finish()
        self._journal = journal

    def finish(self) -> None:
        """Append no more to the journal; it is removed when its records are published."""
        if self._journal is not None:
            self._journal.close()
            self._finished.append(self._journal.path)
            self._journal = None

    def append(self, records: list[Record]) -> None:
        """Make records durable.

        Raises:
            DiskError: the disk refused; none of them counts.
        """
        if self._journal is None:
            self.begin()
        assert self._journal is not None  # noqa: S101 - `begin` made it
        with disk_errors(self._folder.path):
            try:
                self._journal.append(records)
            except OSError:
                self.finish()  # its records are intact, but where it ends is not known any more
                raise
        self.records += len(records)

    def keep_room_for(self, records: int) -> None:
        """Reserve room on the disk for so many more records."""
        self._room_bytes = records * _RECORD_BYTES
        if self._journal is not None:
            self._journal.keep_room(self._room_bytes)

    def trim(self) -> None:
        """Give back the room that was reserved.

        Raises:
            DiskError: the disk refused.
        """
        if self._journal is not None:
            with disk_errors(self._folder.path):
                self._journal.trim()

    def begin_publication(self) -> None:
        """Note that the records of all finished journals are about to be published."""
        self._being_published += self._finished  # some are left if the disk refused to remove them before
        self._finished = []
        self.records = 0

    def commit(self) -> None:
        """Remove the journals whose records are published.

        Raises:
            DiskError: the disk refused.
        """
        with disk_errors(self._folder.path):
            # The oldest first: if the process is killed, no journal is left that is older than a part.
            while self._being_published:
                self._being_published[0].unlink()
                self._being_published.pop(0)

    def take_back(self) -> None:
        """Keep the journals whose records could not be published for the next attempt."""
        self._finished = self._being_published + self._finished
        self._being_published = []

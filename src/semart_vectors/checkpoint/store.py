"""`Checkpoint`: what a job has done, durably, and what it need not do again.

A record is durable when `Checkpoint.record` returns: it is in a journal. Every few thousand vectors a new
journal begins, and a thread makes a part of the one before: written aside, synced, counted, renamed; only
then is the journal removed. A process killed between the two leaves the same record twice, which the next
opening notices. Every byte has a checksum, and every opening for writing compares all of them.

Who does what: `folder.py` knows the files, `recovery.py` verifies and recovers them, `catalogue.py` answers
what is known, `journal_writer.py` makes records durable, `publishing.py` makes parts of them.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from semart_vectors.checkpoint import parts
from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.image_records import Done, Failed, Known, Touched, from_record, to_record
from semart_vectors.checkpoint.journal import read_journals
from semart_vectors.checkpoint.journal_writer import JournalWriter
from semart_vectors.checkpoint.json_files import read_value, write_note
from semart_vectors.checkpoint.lock import locked
from semart_vectors.checkpoint.publishing import Publisher
from semart_vectors.checkpoint.recovery import (
    compare_identity,
    create_missing_files,
    quarantine_notes,
    read_catalogue,
    recover_journals,
    verify_and_read_catalogue,
)
from semart_vectors.checkpoint.vector_reader import VectorReader
from semart_vectors.errors import CheckpointError, DiskError
from semart_vectors.files import disk_error, disk_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from semart_vectors.checkpoint.catalogue import Catalogue
    from semart_vectors.checkpoint.image_records import Entry
    from semart_vectors.records import Vector

__all__ = ["Checkpoint", "Done", "Failed", "Known", "Touched"]

_MAX_PARTS_WAITING = 3
"""So many parts' rows may wait while one is published: on a slow disk `record` waits, memory stays small."""


class Checkpoint:
    """The one writer of a checkpoint; not for use by two threads at a time.

    The look-ups `done`, `done_before`, `failure` and `know_contents` are the exception: any thread may call
    them at any time, also while another thread records. What is done is found at every moment, and once a
    look-up has seen the newer of two records of an image, none sees the older (`Catalogue` says why).

    It has more methods than other classes, because a job speaks to nobody else about what is done. Each of
    them hands over to the part that does the work.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        model_version: str,
        catalogue: Catalogue,
        journals_left: Mapping[int, Path],
    ) -> None:
        """Put together what `open` or `peek` has read; call one of these instead."""
        self.model_version = model_version
        self.on_trouble: Callable[[], None] = lambda: None
        """Called, by some thread, as soon as nothing more should be begun."""
        self.trouble: CheckpointError | DiskError | None = None
        """Why nothing more should be begun, though what was recorded is durable: the disk is full, say."""
        self.replaced = 0
        """Images recorded since the opening that had the vector of another content."""
        self.images_dir_before = ""
        """The folder of images of the job before; empty if its note does not say."""
        self._folder = folder
        self._catalogue = catalogue
        self._journals = JournalWriter(
            folder,
            left_over=list(journals_left.values()),
            first_number=max((catalogue.next_part, *(number + 1 for number in journals_left))),
        )
        self._vectors = VectorReader()
        self._publisher = Publisher(folder, model_version, catalogue, self._journals, self._vectors)
        self._replaced_before: list[Path] = []
        self._is_open = self._is_complete = False
        self._closing = ExitStack()
        """What `close` has to let go of; nothing unless this was opened for writing."""

    @classmethod
    def open(cls, checkpoint: str | os.PathLike[str], *, model_version: str) -> Self:
        """Lock a checkpoint, create it if it is missing, and learn what is done.

        What is damaged goes into quarantine, and a warning into the log: its images are no longer done.

        Args:
            checkpoint: Its folder.
            model_version: The model whose vectors it holds.

        Returns:
            The open checkpoint: a context manager that closes it.

        Raises:
            CheckpointInUseError: another process writes to it.
            CheckpointMismatchError: it is of another model, dimension or format, or no checkpoint at all.
            CheckpointDamagedError: a file in it was not put there by a job.
            DiskError: the disk refused.
        """
        folder = CheckpointFolder(checkpoint)
        with ExitStack() as closing, disk_errors(folder.path):
            compare_identity(folder, model_version)  # before the lock leaves a file in somebody's folder
            folder.path.mkdir(parents=True, exist_ok=True)
            closing.enter_context(locked(folder))
            has_identity = compare_identity(folder, model_version)
            quarantine_notes(folder)
            catalogue = verify_and_read_catalogue(folder, model_version)
            journals_left = recover_journals(folder, model_version, catalogue)
            create_missing_files(folder, model_version, has_identity=has_identity)
            opened = cls(folder, model_version, catalogue, journals_left)
            opened._begin(closing, publish=bool(journals_left))
        return opened

    @classmethod
    def peek(cls, checkpoint: str | os.PathLike[str], *, model_version: str) -> Self:
        """Learn what is done without locking or changing anything, also while a job writes to it.

        What the job adds meanwhile may be missed. If there is no checkpoint, nothing is done.

        Args:
            checkpoint: Its folder.
            model_version: The model whose vectors it holds.

        Returns:
            A checkpoint to look things up in, which need not be closed.

        Raises:
            CheckpointMismatchError: as for `open`.
            CheckpointDamagedError: a file of it is damaged.
            DiskError: it cannot be read.
        """
        folder = CheckpointFolder(checkpoint)
        compare_identity(folder, model_version)
        # The journals first: what moves from one to a part meanwhile is then seen twice, not never.
        records = read_journals(folder)
        catalogue = read_catalogue(folder)
        for record in records:
            catalogue.learn(from_record(record))
        return cls(folder, model_version, catalogue, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Publish what the journals hold, drop what was replaced, and let others write.

        Raises:
            CheckpointDamagedError: a part is damaged.
            DiskError: the disk refused; the journals still hold everything.
        """
        if not self._is_open:
            return
        self._is_open = False
        with self._closing:
            self._journals.trim()  # on a full disk the part needs the room that was reserved
            self._journals.finish()
            self._publish_now()
            if self._is_complete:
                with disk_errors(self._folder.path):
                    for path in self._replaced_before:
                        path.unlink()
                    self._publisher.fold_touched()

    def mark_complete(self) -> None:
        """Note that nothing is left to do, so that `close` removes the rows that earlier runs replaced.

        Until then their contents may come up again: a run that was stopped may have met renumbered files
        under their new names only, or a file that was just being copied.
        """
        self._is_complete = True

    def done(self, image_file: str) -> Known | None:
        """Return what is known of an image that has its vector; None if it has none."""
        return self._catalogue.done(image_file)

    def done_before(self, image_files: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Say which images were done when this was opened, and return the fingerprints of their files.

        Returns:
            Two arrays as long as `image_files`; the fingerprints of images that were not done mean nothing.
            A name that shares its key with another's may be taken for it: compare the fingerprint too.
        """
        return self._catalogue.done_before(image_files)

    def count_done(self) -> int:
        """Count the images that have their vector in a part."""
        return self._catalogue.count_done()

    def failure(self, image_file: str) -> Failed | None:
        """Return why an image failed, unless it was embedded since."""
        return self._catalogue.failure(image_file)

    def know_contents(self, contents_sha256: list[bytes]) -> list[bool]:
        """Say of each content whether there is a vector of it.

        It counts under any name that an image has or had in this run. This goes by 64 bits of the digest;
        `vector_with_content` makes sure.
        """
        return self._catalogue.know_contents(contents_sha256)

    def vector_with_content(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Find the vector of this very content, under whatever name it was embedded, and its repairs.

        Called between `record`s only, so that what is found is still there when it is read.

        Raises:
            CheckpointDamagedError: its part is damaged.
            DiskError: its part cannot be read.
        """
        found = self._find_vector(content_sha256)
        if found is None and self._publisher.is_running:  # it may just have left its part
            self._settle(wait=True)
            found = self._find_vector(content_sha256)
        return found

    def keep_room_for(self, records: int) -> None:
        """Reserve room on the disk for so many more records, whatever else fills it."""
        self._journals.keep_room_for(records)

    def record(self, entries: Iterable[Entry]) -> None:
        """Make outcomes durable; each replaces what was recorded of its image before.

        Without entries, this only looks after the publication that is under way.

        Raises:
            DiskError: the disk refused; none of them counts.
        """
        entries = list(entries)
        self._settle()
        if entries:
            self._journals.append([to_record(entry, self.model_version) for entry in entries])
            for entry in entries:
                self.replaced += self._catalogue.learn(entry)
        if self._journals.records >= parts.ROWS_A_PART:
            self._start_publication()
        if self._journals.shortage is not None and self.trouble is None:
            self.trouble = disk_error(self._folder.path, self._journals.shortage)
        if self.trouble is not None:
            self.on_trouble()

    def forget(self, image_files: Iterable[str]) -> None:
        """Let images leave the checkpoint when it closes; their vectors are kept as replaced ones are."""
        for name in image_files:
            self._catalogue.forget(name)

    def note_images_asked_for(self, total: int, images_dir: str = "") -> None:
        """Note for `read_status` how many images there are to do, and for the next job in which folder.

        Raises:
            DiskError: the disk refused.
        """
        note: dict[str, int | str] = {"asked_for": total}
        write_note(self._folder.job_note, note | ({"images_dir": images_dir} if images_dir else {}))

    def note_calls_free_at(self, unix_s: float) -> None:
        """Note for the next job when the rate lets its first call be sent, in seconds since the epoch.

        A power cut may lose the note: it takes longer than the note matters.

        Raises:
            DiskError: the disk refused.
        """
        write_note(self._folder.pace_note, {"calls_free_at": unix_s}, durably=False)

    def calls_free_at(self) -> float:
        """Return what the last job noted, in seconds since the epoch; 0.0 if there is no usable note.

        Raises:
            DiskError: the note cannot be read.
        """
        noted = read_value(self._folder.pace_note, "calls_free_at")
        return float(noted) if isinstance(noted, int | float) and math.isfinite(noted) else 0.0

    def _begin(self, closing: ExitStack, *, publish: bool) -> None:
        """Get ready to record; `closing` holds the lock."""
        closing.callback(self._publisher.close)
        closing.callback(self._journals.finish)
        self.images_dir_before = str(read_value(self._folder.job_note, "images_dir") or "")
        self._replaced_before = list(self._folder.replaced_files().values())  # by runs before this one
        if publish:
            self._publisher.publish_now()
        self._journals.begin()
        self._catalogue.begin_run()
        self._closing = closing.pop_all()
        self._is_open = True

    def _find_vector(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        found = self._catalogue.find_content(content_sha256)
        if found is None:
            return None
        if isinstance(found, Done):
            return found.vector, found.repairs
        return self._vectors.read(found, content_sha256)

    def _start_publication(self) -> None:
        """Have a part made of what the journal holds, in another thread, unless one is being made."""
        if self._publisher.is_running:
            if self._journals.records < parts.ROWS_A_PART * _MAX_PARTS_WAITING:
                return
            self._settle(wait=True)
        try:
            self._journals.begin()
        except DiskError as error:  # the journal before has room for what is under way
            self.trouble = error
            return
        try:
            self._publisher.start(on_failure=lambda: self.on_trouble())  # noqa: PLW0108 - it may be set meanwhile
        except RuntimeError as error:
            self.trouble = CheckpointError(
                f"cannot write a part: {error}; raise this machine's limits, and run again"
            )

    def _publish_now(self) -> None:
        self._settle(wait=True)
        self._publisher.publish_now()

    def _settle(self, *, wait: bool = False) -> None:
        """Take over the result of the publication under way, and keep its error as `trouble`."""
        self.trouble = self._publisher.settle(wait=wait) or self.trouble

"""What is done, durably: vectors in Parquet parts that any reader opens, and a journal for the newest.

::

    DIR/
    ├── vectors/part-000001.parquet …   what is done; replaced as a whole, never changed in place
    ├── failures.parquet                what failed, and why
    ├── _journal-000002 …               what arrived since the last part; none when no job runs
    ├── _replaced-000000.parquet …      what the last job has replaced, until one after it ends
    ├── _checkpoint.json                format, model and dimension, compared on every opening
    ├── _job.json                       how many images the last job was asked for
    ├── _pace.json                      when the rate lets the next job's first call be sent
    ├── _damaged/                       what was not what was written, set aside
    └── _lock                           held by the one process that writes

A record is durable when `Checkpoint.record` returns. Every few thousand vectors a new journal begins, and a
thread of its own makes a part of the one before: written aside, synced, counted, renamed; only then does the
journal go. Whoever is killed between the two leaves the same record twice, which the next opening notices.

Every byte has a checksum (`checksums.py`, `journal.py`, `notes.py`), and every opening for writing compares
all of them: a million images take less than a second. What is damaged is set aside (`quarantine.py`).

Of what rests in parts, memory holds forty bytes an image: keys of its name and content (`index.py`), its
file's fingerprint, and the number of its part. Names and digests in full are in the parts.
"""

from __future__ import annotations

import logging
import math
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import filelock
import numpy as np

from semart_vectors.checkpoint.index import (
    Index,
    Keys,
    content_key,
    content_keys,
    name_key,
    name_keys,
    repeated,
)
from semart_vectors.checkpoint.journal import (
    FIRST_JOURNAL,
    Journal,
    Record,
    journal_name,
    journal_number,
    list_journals,
    read_journal,
    read_journals,
)
from semart_vectors.checkpoint.notes import FIRST_FORMAT, read_identity, read_note, write_note
from semart_vectors.checkpoint.parts import (
    Done,
    Failed,
    IndexRows,
    PartAtHand,
    list_parts,
    no_vectors,
    part_name,
    part_number,
    read_failures,
    read_index_rows,
    read_names,
    seal_file,
    verify_part,
    write_failures,
    write_part,
)
from semart_vectors.checkpoint.publishing import (
    Publication,
    Unpublished,
    list_replaced,
    publish,
    replaced_name,
    replaced_number,
)
from semart_vectors.checkpoint.quarantine import mend_failures, mend_part, set_aside
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointInUseError,
    CheckpointMismatchError,
    ConfigurationError,
    DiskError,
)
from semart_vectors.files import disk_error, disk_errors, sync
from semart_vectors.records import DIMENSION, Vector

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = [
    "Checkpoint",
    "CheckpointStatus",
    "Done",
    "Failed",
    "Known",
    "read_failures",
    "read_status",
]

_logger = logging.getLogger("semart_vectors")

FORMAT_VERSION = 2

_LOST = 0
"""Instead of the format of a checkpoint whose description is damaged or gone."""

_FIRST_FILES = ("_lock", "_checkpoint.json", "__checkpoint.json")
"""What there is of a checkpoint whose making was interrupted, a temporary file among it."""

ROWS_A_PART = 4096
"""About 8 MB on disk and 17 MB in memory."""

_MOST_PARTS_WAITING = 3
"""So many parts' rows may wait while one is published: a slow disk holds up what is recorded, not memory."""

_RECORD_BYTES = 4096 + 500
"""A vector with what belongs to it, as the journal has it; few names are so long that it takes more."""

_VERIFIERS = 2
"""Threads that compare checksums on opening: more would wait for the interpreter."""

_NEVER = np.iinfo(np.int32).max
"""The number of a part that there will not be."""


class Known(NamedTuple):
    """What is remembered of a done image while its vector rests on the disk."""

    content_key: int
    file_fingerprint: int

    def holds(self, content_sha256: bytes) -> bool:
        """Whether the image held this very content: chance errs once in 2⁶⁴ contents that differ."""
        return self.content_key == content_key(content_sha256)

    def is_of(self, entry: Done) -> bool:
        """Whether this is what is known of that very entry."""
        return self.holds(entry.content_sha256) and self.file_fingerprint == entry.file_fingerprint


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


class Checkpoint:
    """The one writer of a checkpoint directory; not for use by two threads at a time.

    The look-ups (`done`, `done_before`, `failure`, `know_contents`) may be called by any thread at any time.
    Each asks what is newest first, then what is being published, then the indexes, whose additions are one
    exchange; the writer fills the next of the three before it empties one. So what is done is seen in one of
    them at every moment, and of two records of an image no look-up sees the older once it saw the newer.
    """

    def __init__(self, directory: str | os.PathLike[str], *, model_version: str) -> None:
        """Name a checkpoint; `open` reads or makes it."""
        self.directory = Path(directory)
        self.on_trouble: Callable[[], None] = lambda: None
        """Called, by some thread, as soon as nothing more should be begun."""
        self.trouble: CheckpointError | DiskError | None = None
        """Why nothing more should be begun, though what was recorded is durable: the disk is full, say."""
        self.model_version = model_version
        self._names = Index(np.int64, np.int64, np.int32)  # to content key, fingerprint, number of the part
        self._contents = Index(np.int32)  # to the number of a part or, below 0, of a file of replaced rows
        self._sharing: dict[str, tuple[int, ...]] = {}  # as in `_names`, of names whose keys others have too
        self._failed: dict[str, Failed] = {}
        self._newest = Unpublished()
        self._leaving = Unpublished()
        self._stale: dict[int, set[str]] = {}
        self._in_journal = 0
        self._next_part = self._next_journal = 0
        self._own_parts_from = _NEVER
        self._next_replaced = 0
        self._failures_changed = False
        self._is_open = self._came_to_its_end = False
        self._replaced_before: list[Path] = []
        self._room_bytes = 0
        self._part_at_hand: PartAtHand | None = None
        self._closing = ExitStack()
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="semart-vectors-publish")
        self._publication: Publication | None = None
        self._publishing: Future[list[Keys]] | None = None
        self._journal: Journal | None = None
        self._old_journals: list[Path] = []
        self._leaving_journals: list[Path] = []

    @property
    def _vectors(self) -> Path:
        return self.directory / "vectors"

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Lock the directory, compare it with the model, and learn what is done.

        What is damaged is set aside, with a warning in the log: its images are no longer done.

        Raises:
            CheckpointInUseError: another process writes to it.
            CheckpointMismatchError: it is of another model, dimension or format, or no checkpoint at all.
            CheckpointDamagedError: a file in it was not put there by a job.
            DiskError: the disk refused.
        """
        with ExitStack() as closing, disk_errors(self.directory):
            self._compare_identity()  # before the lock leaves a file in somebody's folder
            self.directory.mkdir(parents=True, exist_ok=True)
            closing.enter_context(locked(self.directory))
            format_version = self._compare_identity()
            if format_version == FIRST_FORMAT:
                self._seal_files()
            self._set_notes_aside()
            self._learn_parts()
            closing.callback(self._publisher.shutdown)
            closing.callback(self._drop_journal)
            self._recover_journals()
            self._make_what_is_missing(has_identity=format_version == FORMAT_VERSION)
            if self._old_journals:
                self._publish_all()
            self._journal = self._new_journal()
            self._own_parts_from = self._next_part
            self._closing = closing.pop_all()
            self._is_open = True
        return self

    def look(self) -> Self:
        """Learn what is done without holding or changing anything; what a job adds meanwhile may be missed.

        Raises:
            CheckpointMismatchError: as for `open`.
            CheckpointDamagedError: a file of it is not what was written.
            DiskError: as for `open`.
        """
        if self._compare_identity() is not None:
            records = read_journals(self.directory)  # first, as in `read_status`
            self._learn_parts(verify=False)
            for record in records:
                self._learn(_from_record(record))
        return self

    def close(self) -> None:
        """Publish what the journals hold, drop what was replaced, and let others write.

        Raises:
            DiskError: the disk refused; the journals still hold everything.
        """
        if not self._is_open:
            return
        self._is_open = False
        with self._closing:
            if self._journal is not None:
                with disk_errors(self.directory):
                    self._journal.trim()  # on a full disk the part needs the room that was kept
                self._drop_journal()
            self._publish_all()
            if self._came_to_its_end:
                with disk_errors(self.directory):
                    for path in self._replaced_before:
                        path.unlink()

    def mark_complete(self) -> None:
        """Say that nothing is left to do: what runs before this one have replaced may go when this is closed.

        Until then its contents may come up again: a run was stopped while it met renumbered files under their
        new names, or it met a file that was just being copied.
        """
        self._came_to_its_end = True

    def done(self, image_file: str) -> Known | None:
        """Return what is known of an image that has its vector."""
        entry = self._newest.by_name.get(image_file)
        if entry is None:
            if image_file in self._failed:
                return None
            entry = self._leaving.by_name.get(image_file)
        if entry is not None:
            return Known(content_key(entry.content_sha256), entry.file_fingerprint)
        found = self._published(image_file)
        return None if found is None else Known(*found[:2])

    def done_before(self, image_files: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Say which images had their vectors when this was opened, and the fingerprints of their files.

        A name that shares its key with another's may be taken for it: compare the fingerprint too.
        """
        newest, leaving, failed = self._newest.by_name, self._leaving.by_name, self._failed
        found, (_, fingerprints, parts) = self._names.find(name_keys(image_files))
        found &= parts < self._own_parts_from
        for row, name in enumerate(image_files) if newest or leaving or failed else ():
            if (entry := newest.get(name)) is not None:  # another's, or recorded anew by ourselves
                found[row], fingerprints[row] = not self._is_open, entry.file_fingerprint
            elif name in failed or name in leaving:
                found[row] = False
        return found, fingerprints.astype(np.int64, copy=False)

    def failure(self, image_file: str) -> Failed | None:
        """Return why an image failed, if that is the last that was heard of it."""
        return self._failed.get(image_file)

    def know_contents(self, contents_sha256: list[bytes]) -> list[bool]:
        """Say of each content whether it has its vector, under any name that an image has or had in this run.

        It is `vector_with_content` that makes sure.
        """
        newest, leaving = self._newest.by_content, self._leaving.by_content
        found, _ = self._contents.find(content_keys(b"".join(contents_sha256)))
        return [
            known or content in newest or content in leaving
            for known, content in zip(found.tolist(), contents_sha256, strict=True)
        ]

    def vector_with_content(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Find the vector of this very content, under whatever name it was embedded, and its repairs.

        Called between `record`s only, so that what is found is still there when it is read.

        Raises:
            CheckpointDamagedError: its part is no longer what was written.
            DiskError: the disk refused to read it.
        """
        found = self._find_content(content_sha256)
        if found is None and self._publishing is not None:  # it may just have left its part
            self._settle_publication(wait=True)
            found = self._find_content(content_sha256)
        return found

    def _find_content(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        for unpublished in (self._newest, self._leaving):
            if (entry := unpublished.by_content.get(content_sha256)) is not None:
                return entry.vector, entry.repairs
        found = self._contents.get(content_key(content_sha256))
        if found is None:
            return None
        path = self._part(found[0]) if found[0] >= 0 else self.directory / replaced_name(~found[0])
        if self._part_at_hand is None or self._part_at_hand.path != path:
            self._part_at_hand = PartAtHand(path)
        return self._part_at_hand.vector(content_sha256)

    def keep_room_for(self, records: int) -> None:
        """Have room on the disk for so many records more than there are, whatever else fills it."""
        self._room_bytes = records * _RECORD_BYTES
        if self._journal is not None:
            self._journal.keep_room(self._room_bytes)

    def record(self, entries: Iterable[Done | Failed]) -> None:
        """Make outcomes durable, if there are any; each replaces what was recorded of its image before.

        Raises:
            DiskError: the disk refused; none of them counts.
        """
        entries = list(entries)
        self._settle_publication()
        if entries:
            self._append(entries)
        if self._in_journal >= ROWS_A_PART:
            self._publish_meanwhile()
        if self._journal is not None and self._journal.shortage is not None and self.trouble is None:
            self.trouble = disk_error(self.directory, self._journal.shortage)
        if self.trouble is not None:
            self.on_trouble()

    def _append(self, entries: list[Done | Failed]) -> None:
        if self._journal is None:
            self._journal = self._new_journal()
        with disk_errors(self.directory):
            try:
                self._journal.append([self._to_record(entry) for entry in entries])
            except OSError:
                self._drop_journal()  # what it holds is good, but its end is not known any more
                raise
        self._in_journal += len(entries)
        for entry in entries:
            self._learn(entry)

    def note_images_asked_for(self, total: int) -> None:
        """Leave a note for `read_status` of how many images there are to do in all.

        Raises:
            DiskError: the disk refused.
        """
        write_note(self.directory / "_job.json", {"asked_for": total})

    def note_calls_free_at(self, unix_s: float) -> None:
        """Leave a note for the next job of when the rate lets the next call be sent, by the wall clock.

        A power cut may take it: that lasts longer than the note is good for.

        Raises:
            DiskError: the disk refused.
        """
        write_note(self.directory / "_pace.json", {"calls_free_at": unix_s}, durably=False)

    def calls_free_at(self) -> float:
        """Return what the last job noted, in seconds since the epoch; 0.0 if nothing can be read."""
        noted = _noted(self.directory / "_pace.json", "calls_free_at")
        return float(noted) if isinstance(noted, int | float) and math.isfinite(noted) else 0.0

    def _compare_identity(self) -> int | None:
        """Return the format of an existing checkpoint, once it is as wanted, or None where one may be made.

        Where the description is lost, the parts and journals tell their model too.
        """
        try:
            found = read_identity(self.directory)
        except CheckpointDamagedError:
            return _LOST
        if found is None:
            # A folder of images, given by mistake, stays as it is.
            if list_parts(self.directory):
                return _LOST
            if self.directory.is_dir() and not all(
                entry.name.startswith(_FIRST_FILES) for entry in self.directory.iterdir()
            ):
                raise CheckpointMismatchError(
                    f"{self.directory} holds other files and is no checkpoint; choose a new or empty folder"
                )
            return None
        wanted = self._identity()
        if found.get("format_version") == FIRST_FORMAT:
            wanted["format_version"] = FIRST_FORMAT
        if found != wanted:
            differences = ", ".join(
                f"{name} {found.get(name)!r} instead of {value!r}"
                for name, value in wanted.items()
                if found.get(name) != value
            )
            raise CheckpointMismatchError(
                f"the checkpoint {self.directory} has {differences}; choose another checkpoint folder: "
                "vectors of two models do not compare, and another format is of another semart-vectors"
            )
        return int(found["format_version"])

    def _identity(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, "model_version": self.model_version, "dimension": DIMENSION}

    def _make_what_is_missing(self, *, has_identity: bool) -> None:
        """Make what a new checkpoint lacks, also one whose making was interrupted."""
        for left_over in self.directory.glob("_*.tmp"):
            if left_over.is_file():
                left_over.unlink()
        if not has_identity:
            write_note(self.directory / "_checkpoint.json", self._identity())
        if not list_parts(self.directory):
            self._make_first_part()
        if not (self.directory / "failures.parquet").exists():
            write_failures(self.directory, [])

    def _make_first_part(self) -> None:
        """Let a reader find the right columns, though no rows yet, from the moment that there is a folder."""
        folder = self._vectors if self._vectors.exists() else self.directory / "_vectors.tmp"
        shutil.rmtree(self.directory / "_vectors.tmp", ignore_errors=True)
        folder.mkdir(exist_ok=True)
        write_part(folder / part_name(0), self.directory, no_vectors())
        if folder != self._vectors:
            folder.rename(self._vectors)
            sync(self.directory)
        self._next_part = 1

    def _seal_files(self) -> None:
        """Bring what a checkpoint of format 1 holds into the present one."""
        for path in (*list_parts(self.directory), *self._replaced_files()):
            try:
                seal_file(path, self.directory)
            except CheckpointDamagedError as error:
                _logger.warning("%s; %s", error, mend_part(path, self.directory))
        try:
            seal_file(self.directory / "failures.parquet", self.directory)
        except CheckpointDamagedError as error:
            _logger.warning(
                "%s; %s", error, mend_failures(self.directory / "failures.parquet", self.directory)
            )

    def _set_notes_aside(self) -> None:
        """Let go of notes that are not what was written: they are made anew."""
        for name in ("_checkpoint.json", "_job.json", "_pace.json"):
            path = self.directory / name
            try:
                read_identity(self.directory) if name == "_checkpoint.json" else read_note(path)
            except CheckpointDamagedError as error:
                _logger.warning("%s; as it was it lies in %s", error, set_aside(path, self.directory))
                path.unlink()

    def _learn_parts(self, *, verify: bool = True) -> None:
        """Learn what the parts hold; with `verify`, every byte is compared, and mended where needed."""
        replaced, parts = self._replaced_files(), list_parts(self.directory)
        self._replaced_before = replaced
        read = self._verified_rows if verify else read_index_rows
        with ThreadPoolExecutor(_VERIFIERS, thread_name_prefix="semart-vectors-verify") as pool:
            rows = list(pool.map(read, (*replaced, *parts)))
        for path, of_file in zip(replaced, rows, strict=False):  # a killed run's
            self._learn_contents(of_file.contents, ~replaced_number(path))
            self._next_replaced = replaced_number(path) + 1
        del rows[: len(replaced)]
        if parts:
            numbers = [part_number(path) for path in parts]
            names, contents, fingerprints = (np.concatenate(column) for column in zip(*rows, strict=True))
            of_part = np.repeat(np.array(numbers, np.int32), [len(part.names) for part in rows])
            self._compare_in_full(rows, numbers)
            self._names.add(names, contents, fingerprints, of_part)
            self._contents.add(contents, of_part)
            self._next_part = numbers[-1] + 1
        self._failed = {failed.image_file: failed for failed in self._failures(mend=verify)}

    def _verified_rows(self, path: Path) -> IndexRows:
        try:
            return verify_part(path, self.model_version)
        except CheckpointDamagedError as error:
            _logger.warning("%s: %s", error, mend_part(path, self.directory))
        return verify_part(path, self.model_version)

    def _failures(self, *, mend: bool) -> list[Failed]:
        try:
            return read_failures(self.directory)
        except CheckpointDamagedError as error:
            if not mend:
                raise
            _logger.warning(
                "%s: %s", error, mend_failures(self.directory / "failures.parquet", self.directory)
            )
        return read_failures(self.directory)

    def _compare_in_full(self, rows: list[IndexRows], numbers: list[int]) -> None:
        """Look at the names whose keys come more than once.

        As a rule they are equal: a killed process had no time to drop the older row. Else two names share a
        key, of which the index would know the newer alone.
        """
        places = repeated(np.concatenate([part.names for part in rows]))
        starts = np.cumsum([0, *(len(part.names) for part in rows)])
        for number, part, first in zip(numbers, rows, starts, strict=False):
            here = places[(places >= first) & (places < first + len(part.names))] - first
            names = read_names(self._part(number)) if len(here) else []
            for row in here:
                older = self._sharing.get(names[row])
                if older is not None and older[2] != number:
                    self._stale.setdefault(older[2], set()).add(names[row])
                self._sharing[names[row]] = (int(part.contents[row]), int(part.fingerprints[row]), number)

    def _learn_contents(self, contents: Keys, number: int) -> None:
        self._contents.add(contents, np.full(len(contents), number, np.int32))

    def _recover_journals(self) -> None:
        """Take up what a killed process left behind."""
        for path in list_journals(self.directory):
            content = read_journal(path, ends_in_zeros=path.name != FIRST_JOURNAL)
            for record in content.records:
                if record.fields.get("model_version", self.model_version) != self.model_version:
                    raise CheckpointMismatchError(f"{path} holds vectors of another model")
                self._learn(_from_record(record))
            if not content.is_whole:
                _logger.warning(
                    "%s is not whole (%s): it was being written, or was damaged, and lies in %s; "
                    "the images whose vectors are missing in it will be embedded again",
                    path,
                    content.what_is_missing,
                    set_aside(path, self.directory),
                )
            self._old_journals.append(path)
        self._next_journal = max(
            [self._next_part, *(journal_number(path) + 1 for path in self._old_journals)]
        )

    def _new_journal(self) -> Journal:
        journal = Journal(self.directory / journal_name(self._next_journal), room_bytes=self._room_bytes)
        self._next_journal += 1
        return journal

    def _drop_journal(self) -> None:
        """Append no more to the journal; it goes when what it holds is published."""
        if self._journal is not None:
            self._journal.close()
            self._old_journals.append(self._journal.path)
            self._journal = None

    def _learn(self, entry: Done | Failed) -> None:
        """Let an entry take the place of what was known of its image."""
        name = entry.image_file
        if isinstance(entry, Failed):
            self._replace(name)
            self._failed[name] = entry
            self._newest.by_name.pop(name, None)
            self._failures_changed = True
            return
        known = self.done(name)
        if known is None or not known.is_of(entry):
            self._replace(name)
            self._newest.add(entry)
        # else its part was published, and the process died before the journal went
        if self._failed.pop(name, None) is not None:
            self._failures_changed = True

    def _replace(self, image_file: str) -> None:
        """Let an image's row leave its part; its old content's vector stays known: files are renamed."""
        if image_file in self._newest.by_name:  # its row leaves already
            return
        if image_file in self._leaving.by_name and self._publication is not None:
            self._stale.setdefault(self._publication.number, set()).add(image_file)
        elif (found := self._published(image_file)) is not None:
            self._stale.setdefault(found[2], set()).add(image_file)
        self._sharing.pop(image_file, None)

    def _published(self, image_file: str) -> tuple[int, ...] | None:
        """Return what is remembered of an image's row in a part."""
        return self._sharing.get(image_file) or self._names.get(name_key(image_file))

    def _publish_meanwhile(self) -> None:
        """Have a part made of what the journal holds, in another thread, unless one is being made."""
        if self._publishing is not None:
            if self._in_journal < ROWS_A_PART * _MOST_PARTS_WAITING:
                return
            self._settle_publication(wait=True)
        try:
            journal = self._new_journal()
        except DiskError as error:  # the old one has room for what is under way
            self.trouble = error
            return
        self._drop_journal()
        self._journal = journal
        publication = self._begin_publication()
        self._publishing = self._publisher.submit(publish, self.directory, self.model_version, publication)
        self._publishing.add_done_callback(lambda done: self.on_trouble() if done.exception() else None)

    def _publish_all(self) -> None:
        """Turn all that is recorded into parts and the table of failures, now."""
        self._settle_publication(wait=True)
        publication = self._begin_publication()
        try:
            replaced = publish(self.directory, self.model_version, publication)
        except BaseException:
            self._take_back(publication)
            raise
        self._commit(publication, replaced)

    def _begin_publication(self) -> Publication:
        publication = Publication(
            number=self._next_part,
            entries=self._newest,
            stale=self._stale,
            failures=list(self._failed.values()) if self._failures_changed else None,
            first_replaced=self._next_replaced,
        )
        self._next_part += 1
        self._leaving = self._newest
        self._newest, self._stale, self._failures_changed, self._in_journal = Unpublished(), {}, False, 0
        self._leaving_journals, self._old_journals = self._old_journals, []
        self._publication = publication
        return publication

    def _settle_publication(self, *, wait: bool = False) -> None:
        """Learn what became of the publication under way, if that is known or to be waited for."""
        publishing, publication = self._publishing, self._publication
        if publishing is None or publication is None or not (wait or publishing.done()):
            return
        self._publishing = None
        try:
            replaced = publishing.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, what is under way is answered first
            self._take_back(publication)
            self.trouble = (
                error
                if isinstance(error, CheckpointError | DiskError)
                else CheckpointError(f"no part can be written: {type(error).__name__}: {error}; run again")
            )
        else:
            self._commit(publication, replaced)

    def _commit(self, publication: Publication, replaced: list[Keys]) -> None:
        """Let the indexes know what was published, and the journals go that held it."""
        for number, contents in enumerate(replaced, publication.first_replaced):
            self._learn_contents(contents, ~number)
        self._next_replaced += len(replaced)
        if publication.stale:
            self._part_at_hand = None
        entries = list(publication.entries.by_name.values())
        if entries:
            contents = content_keys(b"".join(entry.content_sha256 for entry in entries))
            self._learn_contents(contents, publication.number)
            self._names.add(
                name_keys([entry.image_file for entry in entries]),
                contents,
                np.array([entry.file_fingerprint for entry in entries], np.int64),
                np.full(len(entries), publication.number, np.int32),
            )
        self._leaving, self._publication = Unpublished(), None
        with disk_errors(self.directory):
            # The oldest first: a killed process leaves none that is behind a part.
            while self._leaving_journals:
                self._leaving_journals[0].unlink()
                self._leaving_journals.pop(0)

    def _take_back(self, publication: Publication) -> None:
        """Let what could not be published wait for another attempt, which takes the same number.

        For the part may be there all the same: the disk failed to make sure of it.
        """
        gone = self._stale.pop(publication.number, set())
        self._newest = Unpublished(
            {name: entry for name, entry in publication.entries.by_name.items() if name not in gone}
            | self._newest.by_name,
            publication.entries.by_content | self._newest.by_content,
        )
        for part, stale in publication.stale.items():
            self._stale.setdefault(part, set()).update(stale)
        self._failures_changed = self._failures_changed or publication.failures is not None
        self._next_part = publication.number
        for path in self._replaced_files():  # what it had written stays, and is known
            if replaced_number(path) >= publication.first_replaced:
                self._learn_contents(read_index_rows(path).contents, ~replaced_number(path))
                self._next_replaced = replaced_number(path) + 1
        self._leaving, self._publication = Unpublished(), None
        self._old_journals = self._leaving_journals + self._old_journals
        self._leaving_journals = []

    def _part(self, number: int) -> Path:
        return self._vectors / part_name(number)

    def _replaced_files(self) -> list[Path]:
        return list_replaced(self.directory)

    def _to_record(self, entry: Done | Failed) -> Record:
        match entry:
            case Done():
                fields = {
                    "done": entry.image_file,
                    "model_version": self.model_version,
                    "content_sha256": entry.content_sha256.hex(),
                    "file_fingerprint": entry.file_fingerprint,
                    "repairs": entry.repairs,
                }
                return Record(fields, entry.vector.astype("<f4", copy=False).tobytes())
            case Failed():
                return Record(
                    {
                        "failed": entry.image_file,
                        "error": entry.error,
                        "message": entry.message,
                        "attempts": entry.attempts,
                        "file_fingerprint": entry.file_fingerprint,
                    }
                )


def read_status(directory: str | os.PathLike[str]) -> CheckpointStatus:
    """Tell how far a checkpoint is, also while a job writes to it.

    Raises:
        ConfigurationError: the directory is no checkpoint.
        CheckpointDamagedError: a file of it cannot be read.
        DiskError: the disk refused.
    """
    directory = Path(directory)
    identity = read_identity(directory)
    if identity is None:
        raise ConfigurationError(f"{directory} is no checkpoint; `semart-vectors embed` makes one")
    # The journals first: what moves from one to a part meanwhile is then seen twice, not never.
    records = read_journals(directory)
    asked_for = _noted(directory / "_job.json", "asked_for")
    parts = Index()
    for part in list_parts(directory):
        parts.add(read_index_rows(part).names)
    failed = {failure.image_file for failure in read_failures(directory)}
    is_done: dict[str, bool] = {}
    for record in records:
        entry = _from_record(record)
        is_done[entry.image_file] = isinstance(entry, Done)
    was_done, _ = parts.find(name_keys(list(is_done)))
    for name, is_done_now in is_done.items():
        (failed.discard if is_done_now else failed.add)(name)
    return CheckpointStatus(
        model_version=identity["model_version"],
        done=parts.count() + sum(is_done.values()) - int(np.count_nonzero(was_done)),
        failed=len(failed),
        asked_for=asked_for if isinstance(asked_for, int) else None,
        in_use=_is_in_use(directory),
    )


def _is_in_use(directory: Path) -> bool:
    if not (directory / "_lock").exists():
        return False
    try:
        with locked(directory, wait_s=0):
            return False
    except CheckpointInUseError:
        return True
    except OSError:  # a folder that only others may write to
        return False


@contextmanager
def locked(directory: Path, *, wait_s: float = 0.5, to_write: bool = True) -> Iterator[None]:
    """Hold a checkpoint alone; one that cannot be written to is read without, unless it is `to_write`."""
    # Half a second rides over the moment in which `read_status` holds the lock to see whether it is free.
    lock = filelock.FileLock(directory / "_lock", timeout=wait_s, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CheckpointInUseError(
            f"another process is using the checkpoint {directory}; wait for it, or stop it"
        ) from None
    except OSError:
        if to_write:
            raise
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _noted(path: Path, name: str) -> Any:
    """Return what a note says of `name`, if anything; a note that cannot be read is no harm."""
    try:
        note = read_note(path)
    except CheckpointDamagedError:
        return None
    return None if note is None else note.get(name)


def _from_record(record: Record) -> Done | Failed:
    fields = record.fields
    if "done" in fields:
        return Done(
            image_file=fields["done"],
            vector=np.frombuffer(record.blob, dtype="<f4"),
            content_sha256=bytes.fromhex(fields["content_sha256"]),
            file_fingerprint=fields["file_fingerprint"],
            repairs=fields.get("repairs", ""),
        )
    return Failed(
        image_file=fields["failed"],
        error=fields["error"],
        message=fields["message"],
        attempts=fields["attempts"],
        file_fingerprint=fields["file_fingerprint"],
    )

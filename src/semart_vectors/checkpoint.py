"""What is done, durably: vectors in Parquet parts that any reader opens, and a journal for the newest.

::

    DIR/
    ├── vectors/part-000001.parquet …   what is done; replaced as a whole, never changed in place
    ├── failures.parquet                what failed, and why
    ├── _journal                        what arrived since the last part; empty when no job runs
    ├── _replaced-000000.parquet …      what a running job has replaced, until it ends
    ├── _checkpoint.json                format, model and dimension, compared on every opening
    ├── _job.json                       how many images the last job was asked for
    ├── _pace.json                      when the rate lets the next job's first call be sent
    └── _lock                           held by the one process that writes

A record is durable when `Checkpoint.record` returns. Every few thousand vectors the journal's become a part:
written aside, synced, counted, renamed; only then is the journal emptied. Whoever is killed between the two
leaves the same record twice, which the next opening notices.

Of what rests in parts, memory holds forty bytes an image: keys of its name and content (`_index.py`), its
file's fingerprint, and the number of its part. Names and digests in full are in the parts.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import filelock
import numpy as np
import orjson

from semart_vectors._index import Index, content_key, content_keys, name_key, name_keys, repeated
from semart_vectors._journal import Journal, Record, read_journal
from semart_vectors._parts import (
    Done,
    Failed,
    IndexRows,
    PartAtHand,
    integers,
    list_parts,
    no_vectors,
    part_name,
    part_number,
    read_failures,
    read_index_rows,
    read_names,
    read_part,
    vector_table,
    write_failures,
    write_part,
)
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointInUseError,
    CheckpointMismatchError,
    ConfigurationError,
)
from semart_vectors.files import disk_errors, sync, write_aside
from semart_vectors.records import DIMENSION, Vector

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

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

FORMAT_VERSION = 1

_FIRST_FILES = ("_lock", "_checkpoint.json", "__checkpoint.json")
"""What there is of a checkpoint whose making was interrupted, a temporary file among it."""

ROWS_A_PART = 4096
"""About 8 MB on disk and 17 MB in memory."""


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
    Each asks the dictionaries first and the indexes, whose additions are one exchange, then; the writer fills
    an index before it puts an empty dictionary in a full one's place. So what is done is seen in one of the
    two at every moment, and of two records of an image no look-up sees the older once it saw the newer.
    """

    def __init__(self, directory: str | os.PathLike[str], *, model_version: str) -> None:
        """Name a checkpoint; `open` reads or makes it."""
        self.directory = Path(directory)
        self.model_version = model_version
        self._names = Index(np.int64, np.int64, np.int32)  # to content key, fingerprint, number of the part
        self._contents = Index(np.int32)  # to the number of a part or, below 0, of a file of replaced rows
        self._sharing: dict[str, tuple[int, ...]] = {}  # as in `_names`, of names whose keys others have too
        self._failed: dict[str, Failed] = {}
        self._unpublished: dict[str, Done] = {}
        self._unpublished_by_content: dict[bytes, Done] = {}
        self._stale: dict[int, set[str]] = {}
        self._in_journal = 0
        self._next_part = 0
        self._own_parts_from = _NEVER
        self._next_replaced = 0
        self._failures_changed = False
        self._is_open = False
        self._part_at_hand: PartAtHand | None = None
        self._closing = ExitStack()
        self._journal: Journal

    @property
    def _vectors(self) -> Path:
        return self.directory / "vectors"

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Lock the directory, compare it with the model, and learn what is done.

        Raises:
            CheckpointInUseError: another process writes to it.
            CheckpointMismatchError: it is of another model, dimension or format, or no checkpoint at all.
            CheckpointDamagedError: a part cannot be read.
            CheckpointDiskError: the disk refused.
        """
        with ExitStack() as closing, disk_errors(self.directory):
            self._identity()  # before the lock leaves a file in somebody's folder
            self.directory.mkdir(parents=True, exist_ok=True)
            closing.enter_context(_locked(self.directory))
            self._prepare(is_new=self._identity() is None)
            self._learn_parts()
            self._recover_journal(closing)
            self._own_parts_from = self._next_part
            self._closing = closing.pop_all()
            self._is_open = True
        return self

    def look(self) -> Self:
        """Learn what is done without holding or changing anything; what a job adds meanwhile may be missed.

        Raises:
            CheckpointMismatchError: as for `open`, like the others.
            CheckpointDamagedError: see there.
            CheckpointDiskError: see there.
        """
        if self._identity() is not None:
            with disk_errors(self.directory, doing="read"):
                records = read_journal(self.directory / "_journal").records  # first, as in `read_status`
            self._learn_parts()
            for record in records:
                self._learn(_from_record(record))
        return self

    def close(self) -> None:
        """Publish what the journal holds, drop what was replaced, and let others write.

        Raises:
            CheckpointDiskError: the disk refused; the journal still holds everything.
        """
        if not self._is_open:
            return
        self._is_open = False
        with self._closing:
            self._publish()
            with disk_errors(self.directory):
                for path in self._replaced_files():
                    path.unlink()

    def done(self, image_file: str) -> Known | None:
        """Return what is known of an image that has its vector."""
        unpublished = self._unpublished.get(image_file)
        if unpublished is not None:
            return Known(content_key(unpublished.content_sha256), unpublished.file_fingerprint)
        if image_file in self._failed:
            return None
        found = self._published(image_file)
        return None if found is None else Known(*found[:2])

    def done_before(self, image_files: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Say which images had their vectors when this was opened, and the fingerprints of their files.

        A name that shares its key with another's may be taken for it: compare the fingerprint too.
        """
        unpublished, failed = self._unpublished, self._failed
        found, (_, fingerprints, parts) = self._names.find(name_keys(image_files))
        found &= parts < self._own_parts_from
        for row, name in enumerate(image_files) if unpublished or failed else ():
            if (entry := unpublished.get(name)) is not None:  # another's, or recorded anew by ourselves
                found[row], fingerprints[row] = not self._is_open, entry.file_fingerprint
            elif name in failed:
                found[row] = False
        return found, fingerprints.astype(np.int64, copy=False)

    def failure(self, image_file: str) -> Failed | None:
        """Return why an image failed, if that is the last that was heard of it."""
        return self._failed.get(image_file)

    def know_contents(self, contents_sha256: list[bytes]) -> list[bool]:
        """Say of each content whether it has its vector, under any name that an image has or had in this run.

        It is `vector_with_content` that makes sure.
        """
        unpublished = self._unpublished_by_content
        found, _ = self._contents.find(content_keys(b"".join(contents_sha256)))
        return [
            known or content in unpublished
            for known, content in zip(found.tolist(), contents_sha256, strict=True)
        ]

    def vector_with_content(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Find the vector of this very content, under whatever name it was embedded, and its repairs.

        Called between `record`s only, so that what is found is still there when it is read.

        Raises:
            CheckpointDamagedError: its part is no longer what was written.
            CheckpointDiskError: the disk refused to read it.
        """
        unpublished = self._unpublished_by_content.get(content_sha256)
        if unpublished is not None:
            return unpublished.vector, unpublished.repairs
        found = self._contents.get(content_key(content_sha256))
        if found is None:
            return None
        path = self._part(found[0]) if found[0] >= 0 else self._replaced_file(~found[0])
        if self._part_at_hand is None or self._part_at_hand.path != path:
            self._part_at_hand = PartAtHand.read(path)
        return self._part_at_hand.vector(content_sha256)

    def record(self, entries: Iterable[Done | Failed]) -> None:
        """Make outcomes durable; each replaces what was recorded of its image before.

        Raises:
            CheckpointDiskError: the disk refused; none of them counts.
        """
        entries = list(entries)
        with disk_errors(self.directory):
            self._journal.append([_to_record(entry) for entry in entries])
        self._in_journal += len(entries)
        for entry in entries:
            self._learn(entry)
        if self._in_journal >= ROWS_A_PART:
            self._publish()

    def note_images_asked_for(self, total: int) -> None:
        """Leave a note for `read_status` of how many images there are to do in all.

        Raises:
            CheckpointDiskError: the disk refused.
        """
        with write_aside(self.directory / "_job.json") as aside:
            aside.write_bytes(orjson.dumps({"asked_for": total}))

    def note_calls_free_at(self, unix_s: float) -> None:
        """Leave a note for the next job of when the rate lets the next call be sent, by the wall clock.

        A power cut may take it: that lasts longer than the note is good for.

        Raises:
            CheckpointDiskError: the disk refused.
        """
        path = self.directory / "_pace.json"
        with disk_errors(path):
            aside = path.with_name("__pace.json.tmp")
            aside.write_bytes(orjson.dumps({"calls_free_at": unix_s}))
            aside.replace(path)

    def calls_free_at(self) -> float:
        """Return what the last job noted, in seconds since the epoch; 0.0 if nothing can be read."""
        note = _read_note(self.directory / "_pace.json", "calls_free_at")
        return float(note) if isinstance(note, int | float) and math.isfinite(note) else 0.0

    def _identity(self) -> dict[str, Any] | None:
        """Compare an existing checkpoint with what is wanted; None if there is none, and may be one."""
        found, wanted = _read_identity(self.directory), self._wanted_identity()
        if found is None:
            # A folder of images, given by mistake, stays as it is.
            if self.directory.is_dir() and not all(
                entry.name.startswith(_FIRST_FILES) for entry in self.directory.iterdir()
            ):
                raise CheckpointMismatchError(
                    f"{self.directory} holds other files and is no checkpoint; choose a new or empty folder"
                )
        elif found != wanted:
            differences = ", ".join(
                f"{name} {found.get(name)!r} instead of {value!r}"
                for name, value in wanted.items()
                if found.get(name) != value
            )
            raise CheckpointMismatchError(
                f"the checkpoint {self.directory} has {differences}; "
                "their vectors do not compare, so choose another checkpoint folder"
            )
        return found

    def _wanted_identity(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, "model_version": self.model_version, "dimension": DIMENSION}

    def _prepare(self, *, is_new: bool) -> None:
        """Make what a new checkpoint lacks, also one whose making was interrupted."""
        if is_new:
            with write_aside(self.directory / "_checkpoint.json") as aside:
                aside.write_bytes(orjson.dumps(self._wanted_identity(), option=orjson.OPT_INDENT_2))
        for left_over in self.directory.glob("_*.tmp"):
            left_over.unlink()
        # From the first moment on a reader finds the right columns, though no rows yet.
        self._vectors.mkdir(exist_ok=True)
        if not list_parts(self.directory):
            write_part(self._part(0), self.directory, no_vectors())
        if not (self.directory / "failures.parquet").exists():
            write_failures(self.directory, {})

    def _learn_parts(self) -> None:
        for path in self._replaced_files():  # a killed run's
            number = int(path.stem.removeprefix("_replaced-"))
            self._learn_contents(read_index_rows(path).contents, ~number)
            self._next_replaced = number + 1
        parts = list_parts(self.directory)
        if parts:
            rows = [read_index_rows(path, self.model_version) for path in parts]
            numbers = [part_number(path) for path in parts]
            names, contents, fingerprints = (np.concatenate(column) for column in zip(*rows, strict=True))
            of_part = np.repeat(np.array(numbers, np.int32), [len(part.names) for part in rows])
            self._compare_in_full(rows, numbers)
            self._names.add(names, contents, fingerprints, of_part)
            self._contents.add(contents, of_part)
            self._next_part = numbers[-1] + 1
        self._failed = {failed.image_file: failed for failed in read_failures(self.directory)}

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

    def _learn_contents(self, contents: NDArray[np.int64], number: int) -> None:
        self._contents.add(contents, np.full(len(contents), number, np.int32))

    def _recover_journal(self, closing: ExitStack) -> None:
        """Take up what a killed process left behind."""
        path = self.directory / "_journal"
        content = read_journal(path)
        self._journal = closing.enter_context(Journal(path, end=content.end))
        sync(self.directory)
        for record in content.records:
            self._learn(_from_record(record))
        if content.damaged_bytes:
            _logger.warning(
                "%d bytes of %s were damaged; the images they stood for will be embedded again",
                content.damaged_bytes,
                path,
            )
        if content.records or content.damaged_bytes:
            self._publish()

    def _learn(self, entry: Done | Failed) -> None:
        """Let an entry take the place of what was known of its image."""
        name = entry.image_file
        if isinstance(entry, Failed):
            self._replace(name)
            self._failed[name] = entry
            self._unpublished.pop(name, None)
            self._failures_changed = True
            return
        known = self.done(name)
        if known is None or not known.is_of(entry):
            self._replace(name)
            self._unpublished[name] = self._unpublished_by_content[entry.content_sha256] = entry
        # else its part was published, and the process died before it emptied the journal
        if self._failed.pop(name, None) is not None:
            self._failures_changed = True

    def _replace(self, image_file: str) -> None:
        """Let an image's row leave its part; its old content's vector stays known: files are renamed."""
        found = self._published(image_file)
        if found is not None and image_file not in self._unpublished:  # else its row leaves already
            self._stale.setdefault(found[2], set()).add(image_file)
        self._sharing.pop(image_file, None)

    def _published(self, image_file: str) -> tuple[int, ...] | None:
        """Return what is remembered of an image's row in a part."""
        return self._sharing.get(image_file) or self._names.get(name_key(image_file))

    def _publish(self) -> None:
        """Turn the journal into a part and the table of failures, in an order that survives a kill anywhere.

        Rows that were replaced leave their parts first, while the journal still holds what replaced them: so
        no reader ever sees an image twice.
        """
        self._drop_stale()
        if self._unpublished:
            entries = list(self._unpublished.values())
            write_part(self._part(self._next_part), self.directory, vector_table(entries, self.model_version))
            contents = content_keys(b"".join(entry.content_sha256 for entry in entries))
            self._learn_contents(contents, self._next_part)
            self._names.add(
                name_keys([entry.image_file for entry in entries]),
                contents,
                np.array([entry.file_fingerprint for entry in entries], np.int64),
                np.full(len(entries), self._next_part, np.int32),
            )
            self._unpublished, self._unpublished_by_content = {}, {}
            self._next_part += 1
        if self._failures_changed:
            write_failures(self.directory, self._failed)
            self._failures_changed = False
        with disk_errors(self.directory):
            self._journal.clear()
        self._in_journal = 0

    def _drop_stale(self) -> None:
        """Write parts anew without the rows that were replaced, which are kept aside until the run ends.

        Their contents are paid for, and may come up again under another name: files are renumbered.
        """
        for part, stale in list(self._stale.items()):
            path = self._part(part)
            table = read_part(path, model_version=self.model_version)
            names = table["image_file"].to_pylist()
            kept = [row for row, name in enumerate(names) if name not in stale]
            if len(kept) < len(names):  # else a name had the key of another
                replaced = table.take(integers([row for row, name in enumerate(names) if name in stale]))
                aside = self._replaced_file(self._next_replaced)
                write_part(aside, self.directory, replaced)
                self._learn_contents(read_index_rows(aside).contents, ~self._next_replaced)
                self._next_replaced += 1
                write_part(path, self.directory, table.take(integers(kept)))
                self._part_at_hand = None
            del self._stale[part]

    def _part(self, number: int) -> Path:
        return self._vectors / part_name(number)

    def _replaced_file(self, number: int) -> Path:
        return self.directory / f"_replaced-{number:06}.parquet"

    def _replaced_files(self) -> list[Path]:
        return sorted(self.directory.glob("_replaced-*.parquet"))


def read_status(directory: str | os.PathLike[str]) -> CheckpointStatus:
    """Tell how far a checkpoint is, also while a job writes to it.

    Raises:
        ConfigurationError: the directory is no checkpoint.
        CheckpointDamagedError: a file of it cannot be read.
        CheckpointDiskError: the disk refused.
    """
    directory = Path(directory)
    identity = _read_identity(directory)
    if identity is None:
        raise ConfigurationError(f"{directory} is no checkpoint; `semart-vectors embed` makes one")
    with disk_errors(directory, doing="read"):
        # The journal first: what moves from it to a part meanwhile is then seen twice, not never.
        records = read_journal(directory / "_journal").records
        asked_for = _read_note(directory / "_job.json", "asked_for")
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
        with _locked(directory, wait_s=0):
            return False
    except CheckpointInUseError:
        return True
    except OSError:  # a folder that only others may write to
        return False


@contextmanager
def _locked(directory: Path, *, wait_s: float = 0.5) -> Iterator[None]:
    # Half a second rides over the moment in which `read_status` holds the lock to see whether it is free.
    lock = filelock.FileLock(directory / "_lock", timeout=wait_s, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CheckpointInUseError(
            f"another process is writing to the checkpoint {directory}; wait for it, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _read_identity(directory: Path) -> dict[str, Any] | None:
    path = directory / "_checkpoint.json"
    with disk_errors(path, doing="read"):
        if not path.exists():
            return None
        content = path.read_bytes()
    identity = _parsed(content)
    if not isinstance(identity, dict) or not isinstance(identity.get("model_version"), str):
        raise CheckpointDamagedError(f"{path} is damaged: it does not say what the checkpoint holds")
    return identity


def _read_note(path: Path, name: str) -> Any:
    """Return what a note says of `name`, if anything; a note that cannot be read is no harm."""
    note = _parsed(path.read_bytes()) if path.exists() else None
    return note.get(name) if isinstance(note, dict) else None


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _to_record(entry: Done | Failed) -> Record:
    match entry:
        case Done():
            fields = {
                "done": entry.image_file,
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

"""What is known of every image of a checkpoint, in memory: is it done, has it failed, who has this content?

Of what is in parts, memory holds forty bytes an image: the keys of its name and content (`key_index.py`), its
file's fingerprint, and the number of its part. Names and digests in full are in the parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from semart_vectors.checkpoint.image_records import Done, Failed, Known, Touched
from semart_vectors.checkpoint.key_index import (
    Index,
    Keys,
    content_key,
    content_keys,
    name_key,
    name_keys,
    repeated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from semart_vectors.checkpoint.folder import CheckpointFolder
    from semart_vectors.checkpoint.image_records import Entry
    from semart_vectors.checkpoint.parts import IndexRows

_NEVER = np.iinfo(np.int32).max
"""A number that no part will have."""


@dataclass(slots=True)
class Changes:
    """What was recorded since the last publication began: no part holds it yet."""

    by_name: dict[str, Done] = field(default_factory=dict)
    by_content: dict[bytes, Done] = field(default_factory=dict)
    outdated: dict[int, set[str]] = field(default_factory=dict)
    """By the number of their part, the images whose rows must leave it."""
    touched: dict[str, Touched] = field(default_factory=dict)
    """By name; the indexes know the new fingerprints already."""
    failures_changed: bool = False

    def add(self, entry: Done) -> None:
        """Add an entry, in place of an earlier one of its image."""
        self.by_name[entry.image_file] = self.by_content[entry.content_sha256] = entry


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published together."""

    part: int = _NEVER
    """The number of the new part."""
    changes: Changes = field(default_factory=Changes)
    failures: list[Failed] | None = None
    """All failures, if their table is to be written anew."""
    first_replaced: int = 0
    """The number of the first new file of replaced rows; there are as many as parts that rows must leave."""
    replaced: dict[int, Keys] = field(default_factory=dict)
    """The contents of each file of replaced rows, by its number; filled in as they are written."""


class Catalogue:
    """What is known of every image; one thread changes it, and any thread may look up at any time.

    Each look-up asks what was recorded last, then what is being published, then the indexes. An addition to
    an index is seen as a whole or not at all, and the writer fills the next of the three before it empties
    one. So what is done is found in one of them at every moment, and once a look-up has seen the newer of two
    records of an image, none sees the older.

    It has more methods than other classes: whoever looks up and whoever records must agree on that order.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self.next_part = 1
        """The number of the next part."""
        self._folder = folder
        self._names = Index(np.int64, np.int64, np.int32)  # to content key, fingerprint, number of the part
        self._contents = Index(np.int32)  # to the number of a part, or ~number of a file of replaced rows
        self._shared: dict[str, tuple[int, ...]] = {}  # as in `_names`, of names whose keys others have too
        self._failed: dict[str, Failed] = {}
        self._recorded = Changes()
        self._publication = Publication()
        self._next_replaced = 0
        self._first_own_part = _NEVER

    # Look-ups, for any thread

    def done(self, image_file: str) -> Known | None:
        """Return what is known of an image that has its vector."""
        entry = self._recorded.by_name.get(image_file)
        if entry is None:
            if image_file in self._failed:
                return None
            entry = self._publication.changes.by_name.get(image_file)
        if entry is not None:
            return Known(content_key(entry.content_sha256), entry.file_fingerprint)
        row = self._row_in_part(image_file)
        return None if row is None else Known(*row[:2])

    def done_before(self, image_files: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Say which images were done before this run, and return the fingerprints of their files."""
        recorded, failed = self._recorded.by_name, self._failed
        being_published = self._publication.changes.by_name
        found, (_, fingerprints, parts) = self._names.find(name_keys(image_files))
        found &= parts < self._first_own_part
        for row, name in enumerate(image_files) if recorded or being_published or failed else ():
            if (entry := recorded.get(name)) is not None:
                # Without a run of our own, it was recorded by another process.
                found[row] = self._first_own_part == _NEVER
                fingerprints[row] = entry.file_fingerprint
            elif name in failed or name in being_published:
                found[row] = False
        return found, fingerprints.astype(np.int64, copy=False)

    def count_done(self) -> int:
        """Count the images that have their vector in a part."""
        return self._names.count()

    def failure(self, image_file: str) -> Failed | None:
        """Return why an image failed, unless it was embedded since."""
        return self._failed.get(image_file)

    def know_contents(self, contents_sha256: list[bytes]) -> list[bool]:
        """Say of each content whether there is a vector of it, as far as 64 bits tell."""
        recorded, being_published = self._recorded.by_content, self._publication.changes.by_content
        found, _ = self._contents.find(content_keys(b"".join(contents_sha256)))
        return [
            known or content in recorded or content in being_published
            for known, content in zip(found.tolist(), contents_sha256, strict=True)
        ]

    # For the one writer

    def find_content(self, content_sha256: bytes) -> Done | Path | None:
        """Return an entry with this very content, or the file that may hold one; None if nothing does."""
        for changes in (self._recorded, self._publication.changes):
            if (entry := changes.by_content.get(content_sha256)) is not None:
                return entry
        found = self._contents.get(content_key(content_sha256))
        if found is None:
            return None
        (number,) = found
        return self._folder.part(number) if number >= 0 else self._folder.replaced_file(~number)

    def learn(self, entry: Entry) -> bool:
        """Let an entry replace what was known of its image.

        Returns:
            Whether the image had the vector of another content, which this replaces.
        """
        name = entry.image_file
        if isinstance(entry, Touched):
            self._touch(entry)
            return False
        if isinstance(entry, Failed):
            self._outdate(name)
            self._failed[name] = entry
            self._recorded.by_name.pop(name, None)
            self._recorded.failures_changed = True
            return False
        known = self.done(name)
        if known is None or not known.is_of(entry):
            self._outdate(name)
            self._recorded.add(entry)
        # Otherwise its part was published, and the process was killed before it removed the journal.
        if self._failed.pop(name, None) is not None:
            self._recorded.failures_changed = True
        return known is not None and not known.holds(entry.content_sha256)

    def forget(self, image_file: str) -> None:
        """Let an image's row leave its part with the next publication, and its failure the table."""
        self._outdate(image_file)
        if self._failed.pop(image_file, None) is not None:
            self._recorded.failures_changed = True

    def add_touched(self, number: int, rows: IndexRows) -> None:
        """Learn a file of new fingerprints, once the parts are known."""
        self.next_part = max(self.next_part, number + 1)
        found, (contents, _, parts) = self._names.find(rows.names)
        found &= (contents == rows.contents) & (parts < number)
        self._names.add(rows.names[found], rows.contents[found], rows.fingerprints[found], parts[found])

    def fingerprints(self, image_files: list[str], part: int) -> NDArray[np.int64] | None:
        """Return the fingerprints of the images of a part; None if a name shares its key with another's."""
        found, (_, fingerprints, parts) = self._names.find(name_keys(image_files))
        return fingerprints.astype(np.int64) if np.all(found & (parts == part)) else None

    def add_parts(self, parts: dict[int, IndexRows], read_names: Callable[[Path], list[str]]) -> None:
        """Learn the rows of all parts, by their numbers in ascending order."""
        if not parts:
            return
        names, contents, fingerprints = (
            np.concatenate(column) for column in zip(*parts.values(), strict=True)
        )
        numbers = np.repeat(np.array(list(parts), np.int32), [len(rows.names) for rows in parts.values()])
        self._compare_shared_keys(parts, names, read_names)
        self._names.add(names, contents, fingerprints, numbers)
        self._contents.add(contents, numbers)
        self.next_part = max(parts) + 1

    def add_replaced(self, number: int, contents: Keys) -> None:
        """Learn the contents of a file of replaced rows."""
        self._add_contents(contents, ~number)
        self._next_replaced = max(self._next_replaced, number + 1)

    def add_failures(self, failures: Iterable[Failed]) -> None:
        """Learn the table of failures."""
        self._failed = {failure.image_file: failure for failure in failures}

    def begin_run(self) -> None:
        """Take what is recorded from now on for the work of this run."""
        self._first_own_part = self.next_part

    def begin_publication(self) -> Publication:
        """Return what is to be published; what is recorded from now on waits for the next."""
        changes = self._recorded
        publication = Publication(
            part=self.next_part,
            changes=changes,
            failures=list(self._failed.values()) if changes.failures_changed else None,
            first_replaced=self._next_replaced,
        )
        self.next_part += 1
        self._next_replaced += len(changes.outdated)
        self._publication = publication
        self._recorded = Changes()
        return publication

    def commit(self, publication: Publication) -> None:
        """Learn where the entries of a publication are now."""
        for number, contents in publication.replaced.items():
            self.add_replaced(number, contents)
        entries = list(publication.changes.by_name.values())
        if entries:
            contents = content_keys(b"".join(entry.content_sha256 for entry in entries))
            self._add_contents(contents, publication.part)
            self._names.add(
                name_keys([entry.image_file for entry in entries]),
                contents,
                np.array([entry.file_fingerprint for entry in entries], np.int64),
                np.full(len(entries), publication.part, np.int32),
            )
        self._publication = Publication()

    def take_back(self, publication: Publication) -> None:
        """Let what could not be published wait for another attempt, under the same part number.

        The part may exist all the same, if the disk failed only to confirm it. Files of replaced rows that
        were written stay, and the next attempt writes under new numbers.
        """
        for number, contents in publication.replaced.items():
            self.add_replaced(number, contents)
        before, since = publication.changes, self._recorded
        replaced_since = since.outdated.pop(publication.part, set())
        for part, names in before.outdated.items():
            since.outdated.setdefault(part, set()).update(names)
        self._recorded = Changes(
            {name: entry for name, entry in before.by_name.items() if name not in replaced_since}
            | since.by_name,
            before.by_content | since.by_content,
            since.outdated,
            before.touched | since.touched,
            before.failures_changed or since.failures_changed,
        )
        self.next_part = publication.part
        self._publication = Publication()

    def _touch(self, entry: Touched) -> None:
        """Let an image that holds what it held have another fingerprint."""
        name = entry.image_file
        recorded = self._recorded.by_name.get(name)
        if recorded is not None:  # both are in the journals of a killed process
            if recorded.content_sha256 == entry.content_sha256:
                self._recorded.add(replace(recorded, file_fingerprint=entry.file_fingerprint))
            return
        row = self._row_in_part(name)
        content = content_key(entry.content_sha256)
        if name in self._failed or row is None or row[0] != content or row[1] == entry.file_fingerprint:
            return
        if name in self._shared:
            self._shared[name] = (content, entry.file_fingerprint, row[2])
        else:
            self._names.add(
                name_keys([name]),
                np.array([content], np.int64),
                np.array([entry.file_fingerprint], np.int64),
                np.array([row[2]], np.int32),
            )
        self._recorded.touched[name] = entry

    def _outdate(self, image_file: str) -> None:
        """Let an image's row leave its part; its old content stays known, since files are renamed."""
        if image_file in self._recorded.by_name:  # its row leaves already
            return
        if image_file in self._publication.changes.by_name:
            self._recorded.outdated.setdefault(self._publication.part, set()).add(image_file)
        elif (row := self._row_in_part(image_file)) is not None:
            self._recorded.outdated.setdefault(row[2], set()).add(image_file)
        self._shared.pop(image_file, None)

    def _row_in_part(self, image_file: str) -> tuple[int, ...] | None:
        """Return the content key, fingerprint and part of an image's row in a part."""
        return self._shared.get(image_file) or self._names.get(name_key(image_file))

    def _compare_shared_keys(
        self, parts: dict[int, IndexRows], keys: Keys, read_names: Callable[[Path], list[str]]
    ) -> None:
        """Compare the names in full whose keys occur more than once.

        As a rule they are equal: a killed process had no time to remove the older row. Otherwise two names
        share a key, and the index would know the newer alone.
        """
        places = repeated(keys)
        first = 0
        for number, rows in parts.items():
            end = first + len(rows.names)
            here = places[(places >= first) & (places < end)] - first
            names = read_names(self._folder.part(number)) if len(here) else []
            for row in here:
                older = self._shared.get(names[row])
                if older is not None and older[2] != number:
                    self._recorded.outdated.setdefault(older[2], set()).add(names[row])
                self._shared[names[row]] = (int(rows.contents[row]), int(rows.fingerprints[row]), number)
            first = end

    def _add_contents(self, contents: Keys, number: int) -> None:
        self._contents.add(contents, np.full(len(contents), number, np.int32))

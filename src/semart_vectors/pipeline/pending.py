"""What a job has to do: looked for in two passes, so that the first call need not wait for a million looks.

The first pass asks the checkpoint about names alone and finds those that are new; the second, when these are
on their way, looks at the files of the others and finds those that changed. Both block on the disk and are
advanced in a thread, a thousand names at a time.
"""

from __future__ import annotations

import os
from itertools import compress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from semart_vectors.images.load import fingerprint_of
from semart_vectors.images.names import to_path, to_texts
from semart_vectors.images.walk import NAMES_AT_A_TIME, walk_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from semart_vectors.checkpoint.store import Checkpoint

NO_FILE = 0
"""The fingerprint of a file that is not there."""


_MOMENT_S = 0.02
"""How long a pass goes on where nothing is found: a visit to a thread for each piece would take as much."""


class Found(NamedTuple):
    """What a moment of searching adds to what is known of the job."""

    names: list[str]
    """Images to embed."""
    already_done: int
    """Images whose vector is recorded; below 0 for those that are to be embedded again."""
    failed: int
    """Images that failed before and are not tried again."""

    @property
    def total(self) -> int:
        """By how many images the job has become larger."""
        return len(self.names) + self.already_done + self.failed


class Search:
    """Looks for the images of one run: `new` first and to its end, then `changed`."""

    def __init__(
        self,
        images_dir: Path,
        image_files: tuple[str, ...] | None,
        checkpoint: Checkpoint,
        *,
        retry_failed: bool,
    ) -> None:
        self._images_dir = images_dir
        self._image_files = image_files
        self._checkpoint = checkpoint
        self._retry_failed = retry_failed
        self._done_before = 0
        self._counting = True

    def begin(self) -> int | None:
        """Make sure that there is something to look through, and say how many images, if that is known.

        Raises:
            ConfigurationError: the folder cannot be listed.
        """
        if self._image_files is None:
            next(walk_images(self._images_dir), None)
            return None
        # Piece by piece: in one go it would stop all other threads for a tenth of a second.
        each_once: dict[str, None] = {}
        for names in _in_pieces(self._image_files):
            each_once.update(dict.fromkeys(names))
        if len(each_once) < len(self._image_files):
            self._image_files = tuple(each_once)
        return len(self._image_files)

    def count(self) -> int | None:
        """Count the images of the folder; None if `stop_counting` came first."""
        total = 0

        def count_and_drop(names: list[str]) -> list[str]:
            nonlocal total
            total += len(names)
            return []

        walk = walk_images(self._images_dir, only=count_and_drop)
        return total if all(self._counting for _ in walk) else None

    def stop_counting(self) -> None:
        """Let `count` end now."""
        self._counting = False

    def new(self) -> Iterator[Found]:
        """Find the images that were neither done nor given up when the checkpoint was opened."""
        for found in self._found(self._pick_new):
            self._done_before += found.already_done
            yield found

    def changed(self) -> Iterator[Found]:
        """Find those of the images done before whose files have changed since."""
        if not self._done_before:
            return
        seen = 0
        for found in self._found(self._pick_changed):
            seen += found.already_done
            yield found._replace(already_done=-len(found.names))
        yield Found([], seen - self._done_before, 0)  # files may have come or gone meanwhile

    def fingerprint(self, name: str) -> int:
        """Return the fingerprint of an image's file."""
        try:
            return fingerprint_of(os.stat(self.path(name)))  # noqa: PTH116 - a million times
        except (OSError, ValueError):
            return NO_FILE

    def path(self, name: str) -> str:
        """Return where an image is.

        Raises:
            UnreadableImageError: the name leads out of the folder, or is no image's.
        """
        return os.path.join(self._images_dir, to_path(name))  # noqa: PTH118 - a million times

    def _found(self, pick: Callable[[list[str]], Found]) -> Iterator[Found]:
        already_done = failed = 0

        def only(names: list[str]) -> list[str]:
            nonlocal already_done, failed
            found = pick(names)
            already_done += found.already_done
            failed += found.failed
            return found.names

        walk = (
            walk_images(self._images_dir, only=only)
            if self._image_files is None
            else map(only, _in_pieces(self._image_files))
        )
        told_at = monotonic()
        for names in walk:
            if names or monotonic() - told_at >= _MOMENT_S:
                yield Found(names, already_done, failed)
                already_done = failed = 0
                told_at = monotonic()
        yield Found([], already_done, failed)

    def _pick_new(self, names: list[str]) -> Found:
        is_done, _ = self._checkpoint.done_before(names)
        new: list[str] = []
        failed = 0
        for name in compress(names, (~is_done).tolist()):
            failure = self._checkpoint.failure(name)
            if failure is None or self._retry_failed or self.fingerprint(name) != failure.file_fingerprint:
                new.append(name)
            else:
                failed += 1
        return Found(new, int(is_done.sum()), failed)

    def _pick_changed(self, names: list[str]) -> Found:
        is_done, fingerprints = self._checkpoint.done_before(names)
        done = compress(names, is_done.tolist())
        changed = [
            name
            for name, recorded in zip(done, fingerprints[is_done].tolist(), strict=True)
            if self.fingerprint(name) not in (recorded, NO_FILE)
        ]
        return Found(changed, int(is_done.sum()), 0)


def _in_pieces(names: tuple[str, ...]) -> Iterator[list[str]]:
    return (to_texts(list(names[at : at + NAMES_AT_A_TIME])) for at in range(0, len(names), NAMES_AT_A_TIME))

"""Where a job's images come from: all images of a folder, or those of its images that are named."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from semart_vectors.images.names import to_path, to_text, to_texts
from semart_vectors.images.read_image import fingerprint_of
from semart_vectors.images.selection import ImageSelection, Skipped
from semart_vectors.images.walk import NAMES_AT_A_TIME, walk_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_logger = logging.getLogger("semart_vectors")

NO_FILE = 0
"""The fingerprint of a file that is not there."""


class JobImages:
    """The images of one job. Everything here blocks on the disk: call it from threads."""

    def __init__(
        self,
        images_dir: Path,
        image_files: tuple[str, ...] | None,
        selection: ImageSelection = ImageSelection(),  # noqa: B008 - it is frozen
        skipped: Skipped | None = None,
    ) -> None:
        """Describe the source; `prepare` looks at it.

        Args:
            images_dir: The folder.
            image_files: Names of images, relative to the folder; None for all images below it.
            selection: Which files are images, where none are named.
            skipped: Learns what the first `select` passes over, and which folders cannot be listed.
        """
        self._images_dir = images_dir
        self._image_files = image_files
        self._selection = selection
        self._skipped = Skipped() if skipped is None else skipped
        self._was_selected = False
        self._is_counting = True
        self.images_dir = ""
        """The folder as an absolute path, in text; known once `prepare` looked."""

    def prepare(self) -> int | None:
        """Make sure that the images can be listed, and return their number where it is known at once.

        Raises:
            ConfigurationError: the folder cannot be listed.
        """
        self.images_dir = to_text(str(self._images_dir.absolute()))
        if self._image_files is None:
            next(walk_images(self._images_dir), None)
            return None
        # Piece by piece: in one go it would stop all other threads for a tenth of a second.
        unique: dict[str, None] = {}
        for names in _in_pieces(self._image_files):
            unique.update(dict.fromkeys(names))
        if len(unique) < len(self._image_files):
            self._image_files = tuple(unique)
        return len(self._image_files)

    def select(self, only: Callable[[list[str]], list[str]]) -> Iterator[list[str]]:
        """Yield the names that `only` returns of those it is shown, about a thousand at a time.

        A list may be empty: a caller can stop there, and learns that the walk goes on.

        Raises:
            ConfigurationError: the folder cannot be listed; one below it is noted and passed over.
        """
        if self._image_files is None:
            first, self._was_selected = not self._was_selected, True
            return walk_images(
                self._images_dir,
                only=only,
                selection=self._selection,
                skip=self._skipped.add if first else lambda _: None,
                cannot_list=self._note_unreadable,
            )
        return map(only, _in_pieces(self._image_files))

    def count(self) -> int | None:
        """Count the images of the folder; None if `stop_counting` was called first."""
        total = 0

        def count_and_drop(names: list[str]) -> list[str]:
            nonlocal total
            total += len(names)
            return []

        walk = walk_images(self._images_dir, only=count_and_drop, selection=self._selection)
        return total if all(self._is_counting for _ in walk) else None

    def missing(self, names: list[str]) -> int:
        """Return how many of the names have no file; 0 where the folder was asked which there are."""
        return 0 if self._image_files is None else sum(self.fingerprint(name) == NO_FILE for name in names)

    def log_missing(self) -> None:
        """Say how many of the images named have no file, unless `stop_counting` is called first."""
        missing = total = 0
        for names in _in_pieces(self._image_files or ()):
            if not self._is_counting:
                return
            missing += self.missing(names)
            total += len(names)
        if missing:
            counts = f"{missing:,} of the {total:,} images named"
            _logger.warning("%s are not in %s", counts, self._images_dir)

    def stop_counting(self) -> None:
        """Let `count` and `log_missing` end now."""
        self._is_counting = False

    def fingerprint(self, name: str) -> int:
        """Return the fingerprint of an image's file, `NO_FILE` where there is none."""
        try:
            return fingerprint_of(os.stat(self.path(name)))  # noqa: PTH116 - a million times
        except (OSError, ValueError):
            return NO_FILE

    def path(self, name: str) -> str:
        """Return the path of an image's file.

        Raises:
            UnreadableImageError: the name leads out of the folder, or stands for no path.
        """
        return os.path.join(self._images_dir, to_path(name))  # noqa: PTH118 - a million times

    def _note_unreadable(self, folder: str, error: OSError) -> None:
        if self._skipped.add_unreadable(folder):
            _logger.warning("the folder %s cannot be read: %s", folder, error.strerror or error)


def _in_pieces(names: tuple[str, ...]) -> Iterator[list[str]]:
    return (to_texts(list(names[at : at + NAMES_AT_A_TIME])) for at in range(0, len(names), NAMES_AT_A_TIME))

"""Where a job's images come from: all images of a folder, or those of its images that are named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from semart_vectors.images.names import to_path, to_text, to_texts
from semart_vectors.images.read_image import fingerprint_of
from semart_vectors.images.walk import NAMES_AT_A_TIME, walk_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NO_FILE = 0
"""The fingerprint of a file that is not there."""


class JobImages:
    """The images of one job. Everything here blocks on the disk: call it from threads."""

    def __init__(self, images_dir: Path, image_files: tuple[str, ...] | None) -> None:
        """Describe the source; `prepare` looks at it.

        Args:
            images_dir: The folder.
            image_files: Names of images, relative to the folder; None for all images below it.
        """
        self._images_dir = images_dir
        self._image_files = image_files
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
            ConfigurationError: the folder, or one below it, cannot be listed.
        """
        if self._image_files is None:
            return walk_images(self._images_dir, only=only)
        return map(only, _in_pieces(self._image_files))

    def count(self) -> int | None:
        """Count the images of the folder; None if `stop_counting` was called first."""
        total = 0

        def count_and_drop(names: list[str]) -> list[str]:
            nonlocal total
            total += len(names)
            return []

        walk = walk_images(self._images_dir, only=count_and_drop)
        return total if all(self._is_counting for _ in walk) else None

    def stop_counting(self) -> None:
        """Let `count` end now."""
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


def _in_pieces(names: tuple[str, ...]) -> Iterator[list[str]]:
    return (to_texts(list(names[at : at + NAMES_AT_A_TIME])) for at in range(0, len(names), NAMES_AT_A_TIME))

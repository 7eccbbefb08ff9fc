"""A guard against another folder with the same file names: would this run replace most of a checkpoint?

Cameras number their files alike, so a second folder can take every name of the first. Whether a run would
replace most vectors is estimated before any is paid for, from a sample of the images done before: only files
whose fingerprint differs are read, a few hundred at most.
"""

from __future__ import annotations

import hashlib
from itertools import compress
from typing import TYPE_CHECKING

from semart_vectors.errors import CheckpointMismatchError, InvalidInputError, UnreadableImageError
from semart_vectors.images.read_image import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from semart_vectors.pipeline.job_images import JobImages
    from semart_vectors.pipeline.protocols import CheckpointContents

_SAMPLE = 100
"""At least so many are looked at, and up to twice as many; all there are, if they are fewer."""

_FEW = 10
"""So many may always be replaced less one: a handful of edited photographs is everyday work."""


class EvenSample:
    """Some of the names that are added, evenly spread, however many there are."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.added = 0
        self._stride = 1

    def add(self, names: list[str]) -> None:
        """Add names; each as many of all as the sample can hold are kept."""
        self.names += names[-self.added % self._stride :: self._stride]
        self.added += len(names)
        while len(self.names) > 2 * _SAMPLE:
            del self.names[1::2]
            self._stride *= 2


class ReplacementGuard:
    """Refuses a run that would replace most of a checkpoint. Everything here blocks on the disk."""

    def __init__(self, source: JobImages, contents: CheckpointContents, checkpoint: Path) -> None:
        """Take where the images come from, what the checkpoint holds, and its folder."""
        self._source = source
        self._contents = contents
        self._checkpoint = checkpoint
        self._is_judged = False

    def judge_other_folder(self) -> Iterator[None]:
        """Judge before the first call, in steps, if the last run embedded another folder than this one.

        Of a folder that is the same, `judge` can wait until the new images are on their way.

        Raises:
            CheckpointMismatchError: as `judge`.
            ConfigurationError: the images cannot be listed.
        """
        before = self._contents.images_dir_before
        if before in ("", self._source.images_dir) or self._contents.count_done() < _FEW:
            return
        done = EvenSample()

        def see(names: list[str]) -> list[str]:
            done.add(list(compress(names, self._contents.done_before(names)[0].tolist())))
            return []

        for _ in self._source.select(see):
            yield
        self.judge(done)

    def judge(self, done: EvenSample) -> None:
        """Make sure that this run would not replace most of the checkpoint.

        Args:
            done: Of the images asked for, those that were done before.

        Raises:
            CheckpointMismatchError: it would replace ten images or more, and most of all that are done.
        """
        if self._is_judged or done.added < _FEW:
            return
        self._is_judged = True
        replaced = sum(self._is_replaced(name) for name in done.names)
        estimate = replaced * done.added // len(done.names)
        if estimate < _FEW or 2 * estimate <= self._contents.count_done():
            return
        before = self._contents.images_dir_before
        of_before = (
            f" (the last run embedded {before})" if before not in ("", self._source.images_dir) else ""
        )
        raise CheckpointMismatchError(
            f"the checkpoint {self._checkpoint} holds other images under the same names{of_before}: of "
            f"{len(done.names):,} looked at, {replaced:,} have another content; choose another --checkpoint "
            "for another folder, or replace their vectors with --replace (replace=True)"
        )

    def _is_replaced(self, name: str) -> bool:
        """Whether an image has a content that is new to the checkpoint, in place of the one it had."""
        known = self._contents.done(name)
        if known is None or self._source.fingerprint(name) == known.file_fingerprint:
            return False
        try:
            data, _ = read_file(self._source.path(name))
        except (UnreadableImageError, InvalidInputError):  # it keeps its vector, or fails on its own
            return False
        return not self._contents.know_contents([hashlib.sha256(data).digest()])[0]

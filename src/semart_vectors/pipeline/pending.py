"""What a job has to do, found in two passes, so that the first call need not wait for a million files.

The first pass asks the checkpoint about names alone and finds those that are new. The second, when these are
on their way, looks at the files of the others and finds those that changed. Both block on the disk and are
advanced in a thread, about a thousand names at a time.
"""

from __future__ import annotations

from itertools import compress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from semart_vectors.pipeline.job_images import NO_FILE
from semart_vectors.pipeline.replacing import EvenSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from semart_vectors.pipeline.job_images import JobImages
    from semart_vectors.pipeline.protocols import ImagesBefore

_STEP_S = 0.02
"""How long a pass goes on while it finds nothing: going to a thread for each thousand would cost more."""


class PendingBatch(NamedTuple):
    """What one step of a pass adds to what is known of the job."""

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


class PendingImages:
    """The images that a run has to embed: iterate `new` to its end first, then `changed`."""

    def __init__(self, source: JobImages, recorded: ImagesBefore, *, retry_failed: bool) -> None:
        self._source = source
        self._recorded = recorded
        self._retry_failed = retry_failed
        self.done = EvenSample()
        """Of the images that were done before, as far as `new` has come."""
        self.second_pass_begun = False
        """Whether images may turn up that have their vector already."""

    def new(self) -> Iterator[PendingBatch]:
        """Find the images that were neither done nor given up when the checkpoint was opened."""
        yield from self._batches(self._select_new)

    def changed(self) -> Iterator[PendingBatch]:
        """Find those of the images done before whose files have changed since."""
        if not self.done.added:
            return
        self.second_pass_begun = True
        seen = 0
        for batch in self._batches(self._select_changed):
            seen += batch.already_done
            yield batch._replace(already_done=-len(batch.names))
        yield PendingBatch([], seen - self.done.added, 0)  # files may have come or gone since the first pass

    def _batches(self, select: Callable[[list[str]], PendingBatch]) -> Iterator[PendingBatch]:
        already_done = failed = 0

        def only(names: list[str]) -> list[str]:
            nonlocal already_done, failed
            selected = select(names)
            already_done += selected.already_done
            failed += selected.failed
            return selected.names

        step_began_at = monotonic()
        for names in self._source.select(only):
            if names or monotonic() - step_began_at >= _STEP_S:
                yield PendingBatch(names, already_done, failed)
                already_done = failed = 0
                step_began_at = monotonic()
        yield PendingBatch([], already_done, failed)

    def _select_new(self, names: list[str]) -> PendingBatch:
        is_done, _ = self._recorded.done_before(names)
        self.done.add(list(compress(names, is_done.tolist())))
        new: list[str] = []
        failed = 0
        for name in compress(names, (~is_done).tolist()):
            failure = self._recorded.failure(name)
            if (
                failure is None
                or self._retry_failed
                or self._source.fingerprint(name) != failure.file_fingerprint
            ):
                new.append(name)
            else:
                failed += 1
        return PendingBatch(new, int(is_done.sum()), failed)

    def _select_changed(self, names: list[str]) -> PendingBatch:
        is_done, fingerprints = self._recorded.done_before(names)
        done = compress(names, is_done.tolist())
        changed = [
            name
            for name, recorded in zip(done, fingerprints[is_done].tolist(), strict=True)
            if self._source.fingerprint(name) not in (recorded, NO_FILE)
        ]
        return PendingBatch(changed, int(is_done.sum()), 0)

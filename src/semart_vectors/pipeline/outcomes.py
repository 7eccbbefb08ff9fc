"""What is recorded of each image: after an answer, after an error, and when its file cannot be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from semart_vectors.errors import InvalidInputError, RetriesExhaustedError, UnreadableImageError
from semart_vectors.pipeline.image_loader import JobImage
from semart_vectors.records import Embedding, EmbeddingFailure, Outcome

if TYPE_CHECKING:
    from semart_vectors.checkpoint.store import Failed
    from semart_vectors.errors import ItemError
    from semart_vectors.pipeline.deduplication import Deduplication
    from semart_vectors.pipeline.progress import Progress
    from semart_vectors.pipeline.protocols import KnownContents
    from semart_vectors.pipeline.recorder import OutcomeRecorder

_logger = logging.getLogger("semart_vectors")


class Outcomes:
    """Decides what is recorded of each image."""

    def __init__(
        self,
        contents: KnownContents,
        recorder: OutcomeRecorder,
        deduplication: Deduplication,
        progress: Progress,
    ) -> None:
        self._contents = contents
        self._recorder = recorder
        self._deduplication = deduplication
        self._progress = progress
        self._unconfirmed_failures: list[Failed] = []
        self._unreadable = 0
        self._is_accepting = False

    def answered(self, outcome: Outcome) -> None:
        """Record what the service answered, for an image and for the others of its content."""
        image = outcome.source
        assert isinstance(image, JobImage)  # noqa: S101 - `Deduplication.unpaid` put it there
        same_content = self._deduplication.answered(image)
        match outcome:
            case Embedding(vector=vector, attempts=attempts):
                for each in same_content:
                    self._recorder.add(each.done(vector, each.repairs))
                self._is_accepting = True
                self.confirm_failures()
            case EmbeddingFailure(error=error):
                attempts = error.attempts
                self._unconfirmed_failures.extend(each.failed(error) for each in same_content)
                if not self._may_be_the_services(error):
                    self.confirm_failures()
            case _:
                assert_never(outcome)
        self._progress.called(attempts)

    def _may_be_the_services(self, error: ItemError) -> bool:
        """Whether it shows after further answers only if the service is to blame, or this image."""
        if isinstance(error, InvalidInputError):
            return not error.is_explained and not self._is_accepting
        return isinstance(error, RetriesExhaustedError)

    def not_sent(self, failure: Failed) -> None:
        """Record why an image was not sent; one that cannot be read now keeps the vector it has."""
        if failure.error == UnreadableImageError.__name__ and self._contents.done(failure.image_file):
            if not self._unreadable:
                _logger.warning("%s keeps its vector although %s", failure.image_file, failure.message)
            self._unreadable += 1
            self._progress.kept()
        else:
            self._recorder.add(failure)

    def confirm_failures(self) -> None:
        """Record the failures since the last answer as the images' own.

        Called when the service has answered again, or nothing is left to ask: until then it may have been
        the service's fault.
        """
        failures, self._unconfirmed_failures = self._unconfirmed_failures, []
        for failure in failures:
            self._recorder.add(failure)

    def log_unreadable(self) -> None:
        """Say how many images cannot be read now, apart from the one that was named."""
        if self._unreadable > 1:
            _logger.warning("%d more images cannot be read now and keep their vectors", self._unreadable - 1)

"""Publication: what the journals hold becomes a part that any Parquet reader opens."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from semart_vectors.checkpoint.failures import write_failures
from semart_vectors.checkpoint.parts import (
    read_index_rows,
    read_names,
    read_part,
    with_fingerprints,
    write_part,
    write_touched,
)
from semart_vectors.checkpoint.schema import failure_table, integers, touched_table, vector_table
from semart_vectors.errors import CheckpointError, DiskError
from semart_vectors.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from semart_vectors.checkpoint.catalogue import Catalogue, Publication
    from semart_vectors.checkpoint.folder import CheckpointFolder
    from semart_vectors.checkpoint.journal_writer import JournalWriter
    from semart_vectors.checkpoint.vector_reader import VectorReader


_MANY_TOUCHED_FILES = 16
"""So many stay: a part is 8 MB to write anew, however few of its images were touched."""


def publish(folder: CheckpointFolder, model_version: str, publication: Publication) -> None:
    """Write what is to be published, in an order that survives a kill at any moment.

    Rows that were replaced leave their parts first, while a journal still holds what replaced them: so no
    reader ever sees an image twice. They are kept in files of replaced rows until a later run completes: they
    are paid for, and their contents may come up again under other names when files are renumbered.

    Raises:
        CheckpointDamagedError: a part is damaged.
        DiskError: the disk refused. All of it may be done again.
    """
    with disk_errors(folder.path):
        _remove_outdated_rows(folder, publication)
        if publication.changes.by_name:
            table = vector_table(list(publication.changes.by_name.values()), model_version)
            write_part(folder, folder.part(publication.part), table)
        if publication.changes.touched:
            table = touched_table(list(publication.changes.touched.values()))
            write_touched(folder.touched_file(publication.part), table)
        if publication.failures is not None:
            write_failures(folder, failure_table(publication.failures))


def _remove_outdated_rows(folder: CheckpointFolder, publication: Publication) -> None:
    for number, (part, outdated) in enumerate(
        publication.changes.outdated.items(), publication.first_replaced
    ):
        path = folder.part(part)
        table = read_part(path)
        names = table["image_file"].to_pylist()
        leaving = [row for row, name in enumerate(names) if name in outdated]
        if not leaving:  # a name had the key of another
            continue
        aside = folder.replaced_file(number)
        write_part(folder, aside, table.take(integers(leaving)))
        publication.replaced[number] = read_index_rows(aside).contents
        kept = [row for row, name in enumerate(names) if name not in outdated]
        write_part(folder, path, table.take(integers(kept)))


class Publisher:
    """Publishes what the catalogue and the journals hold, in a thread of its own or at once.

    Only the files are written in the thread. The catalogue and the journals change in the thread that calls
    these methods, which is the checkpoint's one writer.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        model_version: str,
        catalogue: Catalogue,
        journals: JournalWriter,
        vectors: VectorReader,
    ) -> None:
        self._folder = folder
        self._model_version = model_version
        self._catalogue = catalogue
        self._journals = journals
        self._vectors = vectors
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="semart-vectors-publish")
        self._running: tuple[Publication, Future[None]] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a publication was started and not settled yet."""
        return self._running is not None

    def start(self, *, on_failure: Callable[[], None]) -> None:
        """Begin to publish what the finished journals hold.

        Args:
            on_failure: Called in the thread if the publication fails.

        Raises:
            RuntimeError: no thread can be started; the journals keep what they hold.
        """
        publication = self._begin()
        try:
            future = self._thread.submit(publish, self._folder, self._model_version, publication)
        except BaseException:  # this machine has no thread to give
            self._take_back(publication)
            raise
        future.add_done_callback(lambda done: on_failure() if done.exception() else None)
        self._running = publication, future

    def settle(self, *, wait: bool = False) -> CheckpointError | DiskError | None:
        """Take over the result of the publication that was started, if there is one.

        Args:
            wait: Whether to wait for it.

        Returns:
            Why it failed, if it did; then what it should have published waits for the next.

        Raises:
            DiskError: the disk refused to remove the journals.
        """
        if self._running is None or not (wait or self._running[1].done()):
            return None
        publication, future = self._running
        self._running = None
        try:
            future.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, calls under way are answered first
            self._take_back(publication)
            if isinstance(error, CheckpointError | DiskError):
                return error
            return CheckpointError(f"cannot write a part: {type(error).__name__}: {error}; run again")
        self._commit(publication)
        return None

    def publish_now(self) -> None:
        """Publish all that is recorded.

        Raises:
            CheckpointDamagedError: a part is damaged.
            DiskError: the disk refused; the journals still hold everything.
        """
        publication = self._begin()
        try:
            publish(self._folder, self._model_version, publication)
        except BaseException:
            self._take_back(publication)
            raise
        self._commit(publication)

    def fold_touched(self) -> None:
        """Once there are many files of new fingerprints, write these into the parts instead.

        Raises:
            CheckpointDamagedError: a part is damaged.
            DiskError: the disk refused. All of it may be done again.
        """
        files = self._folder.touched_files().values()
        if len(files) <= _MANY_TOUCHED_FILES:
            return
        for number, path in self._folder.parts().items():
            rows = read_index_rows(path).fingerprints
            known = self._catalogue.fingerprints(read_names(path), number)
            if known is not None and not np.array_equal(rows, known):
                write_part(self._folder, path, with_fingerprints(read_part(path), known))
        for path in files:
            path.unlink()

    def close(self) -> None:
        """Wait for the thread, and end it."""
        self._thread.shutdown()

    def _begin(self) -> Publication:
        self._journals.begin_publication()
        return self._catalogue.begin_publication()

    def _commit(self, publication: Publication) -> None:
        self._catalogue.commit(publication)
        if publication.changes.outdated:
            self._vectors.forget()
        self._journals.commit()

    def _take_back(self, publication: Publication) -> None:
        self._catalogue.take_back(publication)
        self._vectors.forget()
        self._journals.take_back()

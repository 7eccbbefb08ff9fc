"""`EmbeddingJob`: every image of a folder to its vector, resumable at any moment.

How a run works is in `pipeline`: begin with `pipeline/run.py`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semart_vectors.images.selection import ImageSelection
from semart_vectors.pipeline.job_images import JobImages
from semart_vectors.pipeline.open_checkpoint import peek_into_checkpoint
from semart_vectors.pipeline.pending import PendingImages
from semart_vectors.pipeline.progress import Progress
from semart_vectors.pipeline.run import JobOptions, run_job
from semart_vectors.service.azure import MODEL_VERSION
from semart_vectors.streams.threads import in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.pipeline.protocols import Embedder
    from semart_vectors.records import JobReport


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a run would do, learned without a call; `already_done + failed + missing + to_do == total`."""

    total: int
    """Images asked for."""
    already_done: int
    """Images whose vector is recorded and whose file has not changed since."""
    failed: int
    """Images that failed before and are not tried again."""
    to_do: int
    """The rest. Each needs a call, unless its content is known under another name."""
    missing: int = 0
    """Images that were named, have no vector, and whose file is not there."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """As in `JobReport`."""
    unreadable_folders: tuple[str, ...] = ()
    """As in `JobReport`."""


class EmbeddingJob:
    """Embeds all images below a folder, and records what is done in a checkpoint that it resumes from.

    Cancelling `run`, as Ctrl-C under `asyncio.run` does, stops it cleanly: nothing new is sent, calls under
    way are answered and recorded, then the cancellation goes on. A job may be run again.
    """

    def __init__(
        self,
        embedder: Embedder,
        images_dir: str | os.PathLike[str],
        *,
        checkpoint: str | os.PathLike[str],
        image_files: Iterable[str] | None = None,
        include_hidden: bool = False,
        follow_links: bool = False,
        exclude: Iterable[str] = (),
        retry_failed: bool = False,
        replace: bool = False,
        repair: ImageRepair | None = None,
        progress: bool | None = None,
    ) -> None:
        """Describe a job; `run` does it.

        Args:
            embedder: An open `AsyncVisionEmbedder`, which others may use at the same time.
            images_dir: The folder. All images below it count; each is known by its path relative to the
                folder, as `semart_vectors.images.names` writes it.
            checkpoint: The folder of the checkpoint, made if missing.
            image_files: Only these paths relative to `images_dir`, such as those of a table of metadata; one
                that is missing is a failure.
            include_hidden: Take hidden files and folders too, and folders that systems make beside pictures,
                such as ``@eaDir`` and ``__MACOSX``. This and the next two say nothing about images that are
                named, nor about vectors that are recorded.
            follow_links: Go through folders that are linked to as well; no folder is gone through twice.
            exclude: Patterns of files and folders to leave out (`fnmatch`), a folder with all below it. One
                with ``/`` before its end fits a path relative to `images_dir`; another fits a name at any
                depth.
            retry_failed: Try again what failed in an earlier run. Without it a failed image is tried again
                only if its file has changed since.
            replace: Replace the vectors of images that have another content now, however many they are.
                Without it a run is refused that would replace ten or more, and most of the checkpoint:
                another folder may have the same file names.
            repair: Repairs images before they are sent; the checkpoint records what was done to each. None
                sends every file's own bytes. An image that has its vector keeps it either way.
            progress: Whether to show a progress bar on stderr; None shows it on a terminal.

        Raises:
            ConfigurationError: a pattern excludes nothing.
            TypeError: `image_files` is a single name, or `exclude` a single pattern.
        """
        self._embedder = embedder
        self._options = JobOptions(
            images_dir=Path(images_dir),
            checkpoint=Path(checkpoint),
            image_files=_as_tuple(image_files),
            selection=_selection(include_hidden, follow_links, exclude),
            retry_failed=retry_failed,
            replace=replace,
            repair=repair,
            show_progress=progress,
        )
        self._progress = Progress()

    @property
    def report(self) -> JobReport:
        """What the run has done so far, or the last run did; all zeros before the first."""
        return self._progress.report()

    async def run(self) -> JobReport:
        """Embed what is not done yet.

        Returns:
            The report; images that failed are counted there and named in ``failures.parquet``.

        Raises:
            RunError: no further image can be embedded (key, quota, endpoint, model).
            CheckpointError: the checkpoint is of another model, of other images, in use, or damaged.
            DiskError: the checkpoint's disk refused to read or write.
            ConfigurationError: the folder of images cannot be listed.
            asyncio.CancelledError: the task was cancelled; what was under way is recorded first.
        """
        self._progress = progress = Progress()
        with progress:
            await run_job(self._options, self._embedder, progress)
        return progress.report()


async def plan_job(
    images_dir: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str],
    model_version: str = MODEL_VERSION,
    image_files: Iterable[str] | None = None,
    include_hidden: bool = False,
    follow_links: bool = False,
    exclude: Iterable[str] = (),
    retry_failed: bool = False,
) -> JobPlan:
    """Return what a job's run would do, without a call, and without making a checkpoint.

    Args:
        images_dir: As for `EmbeddingJob`, like `checkpoint`, `image_files` and `retry_failed`.
        checkpoint: See there.
        model_version: The model of the embedder that the job would use.
        image_files: See there.
        include_hidden: See there.
        follow_links: See there.
        exclude: See there.
        retry_failed: See there.

    Raises:
        CheckpointError: the checkpoint is of another model, or damaged.
        DiskError: the checkpoint's disk refused to read.
        ConfigurationError: the folder of images cannot be listed, or a pattern excludes nothing.
        TypeError: `image_files` is a single name, or `exclude` a single pattern.
    """
    progress = Progress()
    selection = _selection(include_hidden, follow_links, exclude)
    source = JobImages(Path(images_dir), _as_tuple(image_files), selection, progress.skipped)
    missing = 0
    threads = ThreadPoolExecutor(1, thread_name_prefix="semart-vectors-find")
    try:
        await in_thread(threads, source.prepare)
        peek = partial(peek_into_checkpoint, Path(checkpoint), model_version=model_version)
        pending = PendingImages(source, await in_thread(threads, peek), retry_failed=retry_failed)
        for batches in (pending.new(), pending.changed()):
            while (batch := await in_thread(threads, next, batches, None)) is not None:
                progress.found(batch)
                missing += await in_thread(threads, source.missing, batch.names)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    found = progress.report()
    return JobPlan(
        total=found.total,
        already_done=found.already_done,
        failed=found.failed,
        missing=missing,
        to_do=found.total - found.already_done - found.failed - missing,
        skipped=found.skipped,
        unreadable_folders=found.unreadable_folders,
    )


def _as_tuple(image_files: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(image_files, str):
        raise TypeError("image_files takes many names, not one: put it in a list")
    return None if image_files is None else tuple(image_files)


def _selection(include_hidden: bool, follow_links: bool, exclude: Iterable[str]) -> ImageSelection:  # noqa: FBT001 - as the job was given them
    if isinstance(exclude, str):
        raise TypeError("exclude takes many patterns, not one: put it in a list")
    return ImageSelection(include_hidden=include_hidden, follow_links=follow_links, exclude=tuple(exclude))

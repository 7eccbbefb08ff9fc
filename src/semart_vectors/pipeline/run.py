"""One run of a job: two streams, one behind the other.

Pending images are read ahead; those whose content is not paid for are embedded; every outcome is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.store import Failed
from semart_vectors.errors import CheckpointError, DiskError
from semart_vectors.pipeline.deduplication import Deduplication
from semart_vectors.pipeline.image_loader import READ_AHEAD, ImageLoader, JobImage, ReadImage
from semart_vectors.pipeline.job_images import JobImages
from semart_vectors.pipeline.open_checkpoint import opened_checkpoint
from semart_vectors.pipeline.outcomes import Outcomes
from semart_vectors.pipeline.pending import PendingImages
from semart_vectors.pipeline.recorder import SAVE_EVERY_S, OutcomeRecorder
from semart_vectors.pipeline.replacing import ReplacementGuard
from semart_vectors.streams.source import Chunked
from semart_vectors.streams.threads import in_thread
from semart_vectors.streams.window import OutcomeStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
    from pathlib import Path

    from semart_vectors.checkpoint.store import Checkpoint
    from semart_vectors.images.read_image import LoadedImage
    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.images.selection import ImageSelection
    from semart_vectors.pipeline.progress import Progress
    from semart_vectors.pipeline.protocols import Embedder
    from semart_vectors.records import Outcome

_logger = logging.getLogger("semart_vectors")

_FINDERS = 2
"""Threads that look for images: one finds what is pending while the other counts all there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a job was asked to do, as `EmbeddingJob` documents it."""

    images_dir: Path
    checkpoint: Path
    image_files: tuple[str, ...] | None
    selection: ImageSelection
    retry_failed: bool
    replace: bool
    repair: ImageRepair | None
    show_progress: bool | None


async def run_job(options: JobOptions, embedder: Embedder, progress: Progress) -> None:
    """Embed all pending images of a job, and record each outcome.

    Raises:
        RunError: no further image can be embedded.
        CheckpointError: the checkpoint cannot be used.
        DiskError: its disk refused.
        ConfigurationError: the images cannot be listed.
    """
    async with AsyncExitStack() as closing:
        finders = ThreadPoolExecutor(_FINDERS, thread_name_prefix="semart-vectors-find")
        writer = ThreadPoolExecutor(1, thread_name_prefix="semart-vectors-write")
        for threads in (finders, writer):
            closing.callback(threads.shutdown, wait=False, cancel_futures=True)
        source = JobImages(options.images_dir, options.image_files, options.selection, progress.skipped)
        expected = await in_thread(finders, source.prepare)
        checkpoint = await closing.enter_async_context(
            opened_checkpoint(options.checkpoint, model_version=embedder.model_version, writer=writer)
        )
        loader = ImageLoader(source, options.repair)
        closing.callback(loader.close)
        closing.enter_context(progress.bar(expected, shown=options.show_progress))
        run = Run(
            source=source,
            guard=None if options.replace else ReplacementGuard(source, checkpoint, options.checkpoint),
            pending=PendingImages(source, checkpoint, retry_failed=options.retry_failed),
            finders=finders,
            loader=loader,
            checkpoint=checkpoint,
            recorder=OutcomeRecorder(checkpoint, writer=writer, embedder=embedder, progress=progress),
            progress=progress,
        )
        await run.embed(embedder)


class Run:
    """The streams of one run, from the names of images to their outcomes."""

    def __init__(
        self,
        *,
        source: JobImages,
        guard: ReplacementGuard | None,
        pending: PendingImages,
        finders: ThreadPoolExecutor,
        loader: ImageLoader,
        checkpoint: Checkpoint,
        recorder: OutcomeRecorder,
        progress: Progress,
    ) -> None:
        self._source = source
        self._guard = guard
        self._pending = pending
        self._finders = finders
        self._loader = loader
        self._checkpoint = checkpoint
        self._recorder = recorder
        self._progress = progress
        self._deduplication = Deduplication(checkpoint, recorder)
        self._outcomes = Outcomes(checkpoint, recorder, self._deduplication, progress)
        self._noted: int | None = None

    async def embed(self, embedder: Embedder) -> None:
        """Embed what is pending. What is under way when the run is stopped is answered and recorded."""
        await self._recorder.begin()
        try:
            async with (
                aclosing(self._names()) as names,
                OutcomeStream(names, self._loader.load, width=READ_AHEAD) as chunks,
                embedder.stream_images(Chunked(self._unpaid(chunks))) as outcomes,
            ):
                self._recorder.stop_on_trouble(outcomes.stop)
                try:
                    await self._collect(outcomes)
                except asyncio.CancelledError:
                    _logger.info("stopping: calls under way are answered and recorded first")
                    outcomes.stop()
                    with suppress(CheckpointError, DiskError):
                        await self._collect(outcomes)
                    await self._take_the_rest(outcomes)
                    raise
                except (CheckpointError, DiskError):
                    outcomes.stop()
                    await self._take_the_rest(outcomes)
                    raise
                if not self._recorder.in_trouble:
                    self._outcomes.confirm_failures()
                    self._checkpoint.mark_complete()
        finally:
            await self._recorder.finish()
            self._outcomes.log_unreadable()

    async def _names(self) -> AsyncGenerator[list[str], None]:
        """Find the images to embed, a chunk at a time: those that are new, then those that changed."""
        counting: Future[int | None] | None = None
        try:
            await self._judge_other_folder()
            await self._expect(self._progress.expected)
            if self._progress.expected is not None:  # the images are named
                self._finders.submit(self._source.log_missing)
            for batches in (self._pending.new(), self._pending.changed()):
                while (batch := await in_thread(self._finders, next, batches, None)) is not None:
                    self._progress.found(batch)
                    names = deque(batch.names)
                    while names:
                        yield [names.popleft() for _ in range(min(self._loader.chunk_size, len(names)))]
                        if counting is None and self._progress.expected is None:  # the first are on their way
                            counting = self._finders.submit(self._source.count)
                    if counting is not None and counting.done() and self._progress.expected is None:
                        await self._expect(counting.result())
                await self._expect(self._progress.total)
                if self._guard is not None:  # what has to be replaced comes next, if anything
                    await in_thread(self._finders, self._guard.judge, self._pending.done)
        finally:
            self._source.stop_counting()

    async def _judge_other_folder(self) -> None:
        steps = iter(()) if self._guard is None else self._guard.judge_other_folder()
        while await in_thread(self._finders, next, steps, self) is not self:
            pass

    async def _expect(self, total: int | None) -> None:
        """Show and note how many images there are, once that is known."""
        if total is not None and total != self._noted:
            self._noted = total
            self._progress.expect(total)
            await self._recorder.ask(self._checkpoint.note_images_asked_for, total, self._source.images_dir)

    async def _unpaid(self, chunks: AsyncIterable[list[ReadImage]]) -> AsyncIterator[list[LoadedImage]]:
        """Pass on the images whose content has to be paid for; what becomes of the others is decided here."""
        async for chunk in chunks:
            read: list[tuple[JobImage, bytes]] = []
            for each in chunk:
                if isinstance(each, Failed):
                    self._outcomes.not_sent(each)
                elif self._pending.second_pass_begun and self._deduplication.is_unchanged(each[0]):
                    self._recorder.add_touched(each[0].touched())
                    self._progress.kept()
                else:
                    read.append(each)
            yield await self._deduplication.unpaid(read)

    async def _collect(self, outcomes: OutcomeStream[Outcome]) -> None:
        """Take outcomes until there are no more, and have them saved several times a second meanwhile."""
        clock = asyncio.get_running_loop().time
        save_at = clock() + SAVE_EVERY_S
        while True:
            try:
                async with asyncio.timeout_at(save_at) as limit:
                    answered = await outcomes.next_batch()
            except TimeoutError:
                if not limit.expired():
                    raise
            else:
                if not answered:
                    return
                for outcome in answered:
                    self._outcomes.answered(outcome)
            if clock() >= save_at or self._recorder.is_full:
                await self._recorder.save_meanwhile()
                save_at = clock() + SAVE_EVERY_S

    async def _take_the_rest(self, outcomes: OutcomeStream[Outcome]) -> None:
        """Take what is still answered, to be saved in the end: there may be room again."""
        async for outcome in outcomes:
            self._outcomes.answered(outcome)

"""`EmbeddingJob`: every image of a folder to its vector, resumable at any moment.

A job is two streams, one behind the other: images are found and read ahead, then embedded. Between them
stands the one decision that saves money: is this content paid for already?
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from semart_vectors.checkpoint.store import Checkpoint, Done, Failed
from semart_vectors.errors import (
    CheckpointError,
    DiskError,
    ItemError,
    RetriesExhaustedError,
    UnreadableImageError,
)
from semart_vectors.images.load import LoadedImage, load_file
from semart_vectors.pipeline.pending import Found, Search
from semart_vectors.pipeline.progress import ProgressBar
from semart_vectors.pipeline.recorder import SAVE_EVERY_S, Paced, Recorder
from semart_vectors.records import Embedding, EmbeddingFailure, JobReport, Outcome, Vector
from semart_vectors.service.azure import MODEL_VERSION
from semart_vectors.streams.reading import Reader
from semart_vectors.streams.source import Chunked
from semart_vectors.streams.threads import in_thread
from semart_vectors.streams.window import OutcomeStream

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable

    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.streams.stop_token import StopToken

_logger = logging.getLogger("semart_vectors")

_READERS = 16
"""Threads that read ahead, while others are under way, so that a slow disk is hidden."""

_CHUNK_BYTES, _MOST_A_CHUNK = 1 << 20, 8
"""Images that are read in one go, as long as they are so small: large ones would take too much memory."""


class Embedder(Paced, Protocol):
    """What a job needs of an embedder."""

    model_version: str

    def stream_images(self, images: AsyncIterable[LoadedImage], /) -> OutcomeStream[Outcome]:
        """Embed images and give each outcome as it completes, with the source of the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a run would do; no call was made to learn it."""

    total: int
    """Images asked for."""
    already_done: int
    """Images whose vector is recorded and whose file has not changed since."""
    failed: int
    """Images that failed before and are not tried again."""
    to_do: int
    """The rest: one call each, but for those whose content is known under another name."""


@dataclass(frozen=True, slots=True)
class _Image:
    """An image on its way, known by its content."""

    image_file: str
    content_sha256: bytes
    file_fingerprint: int
    repairs: str = ""
    """What was done to it before it goes out."""
    twins: list[_Image] = field(default_factory=list)
    """Others with the very same content, which wait for this one's outcome."""


class EmbeddingJob:
    """Embeds all images below a folder, and records what is done in a checkpoint that it resumes from.

    Cancelling `run`, as Ctrl-C under `asyncio.run` does, stops it cleanly: nothing new is sent, what is under
    way is answered and recorded, then the cancellation goes on.
    """

    def __init__(
        self,
        embedder: Embedder,
        images_dir: str | os.PathLike[str],
        *,
        checkpoint: str | os.PathLike[str],
        image_files: Iterable[str] | None = None,
        retry_failed: bool = False,
        repair: ImageRepair | None = None,
        progress: bool | None = None,
    ) -> None:
        """Describe a job; `run` does it.

        Args:
            embedder: An open `AsyncVisionEmbedder`, which others may use meanwhile.
            images_dir: The folder; all images below it count, known by their paths relative to it, as
                `semart_vectors.images.names` writes them.
            checkpoint: The folder of the checkpoint, made if missing.
            image_files: Only these paths relative to `images_dir`, such as the metadata's; one that is
                missing is a failure.
            retry_failed: Try again what failed in an earlier run. Without it a failed image is tried again
                only if its file has changed since.
            repair: Mends images before they are sent, and the checkpoint says what was done to each. None
                sends every file's own bytes. What has its vector already keeps it, either way.
            progress: Whether to show a progress bar on stderr; None shows it on a terminal.
        """
        self._embedder = embedder
        self._images_dir = Path(images_dir)
        self._checkpoint_dir = Path(checkpoint)
        self._image_files = _as_given(image_files)
        self._retry_failed = retry_failed
        self._repair = repair
        self._show_progress = progress
        self._run = self._new_run()

    @property
    def report(self) -> JobReport:
        """What the last run did, or has done so far."""
        return self._run.report()

    async def run(self) -> JobReport:
        """Embed what is not done yet.

        Returns:
            The report; images that failed are counted there and named in ``failures.parquet``.

        Raises:
            RunError: no further image could be embedded (key, quota, endpoint, model).
            CheckpointError: the checkpoint is of another model, in use, or damaged.
            DiskError: its disk refused.
            ConfigurationError: the folder of images cannot be listed.
            asyncio.CancelledError: the task was cancelled; what was under way is recorded first.
        """
        self._run = run = self._new_run()
        async with AsyncExitStack() as closing:
            await run.open_checkpoint(closing)
            await run.embed(self._embedder, closing, show_progress=self._show_progress)
        return run.report()

    def _new_run(self) -> _Run:
        return _Run(
            images_dir=self._images_dir,
            image_files=self._image_files,
            checkpoint=_NotOpenYet(self._checkpoint_dir, model_version=self._embedder.model_version),
            retry_failed=self._retry_failed,
            repair=self._repair,
        )


async def plan_job(
    images_dir: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str],
    model_version: str = MODEL_VERSION,
    image_files: Iterable[str] | None = None,
    retry_failed: bool = False,
) -> JobPlan:
    """Tell what a job's run would do, without a call, and without a checkpoint where there is none yet.

    Args:
        images_dir: As for `EmbeddingJob`, like the rest.
        checkpoint: See there.
        model_version: The model of the embedder that the job would use.
        image_files: See there.
        retry_failed: See there.

    Raises:
        CheckpointError: as for `EmbeddingJob.run`.
        ConfigurationError: as for `EmbeddingJob.run`.
    """
    run = _Run(
        images_dir=Path(images_dir),
        image_files=_as_given(image_files),
        checkpoint=_NotOpenYet(checkpoint, model_version=model_version),
        retry_failed=retry_failed,
    )
    async with AsyncExitStack() as closing:
        await run.look_into_checkpoint(closing)
        return await run.plan()


class _NotOpenYet:
    """A checkpoint that is opened when the run begins, and is that checkpoint from then on."""

    def __init__(self, checkpoint: str | os.PathLike[str], *, model_version: str) -> None:
        self._path, self._model_version = checkpoint, model_version
        self._opened: Checkpoint | None = None

    def open(self) -> None:
        """Open it to record."""
        self._opened = Checkpoint.open(self._path, model_version=self._model_version)

    def peek(self) -> None:
        """Open it to look things up."""
        self._opened = Checkpoint.peek(self._path, model_version=self._model_version)

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._opened is not None:
            self._opened.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "on_trouble":
            setattr(self._opened, name, value)
        else:
            super().__setattr__(name, value)


class _Run:
    """One run of a job: its counts, its threads, and what is on its way."""

    def __init__(
        self,
        *,
        images_dir: Path,
        image_files: tuple[str, ...] | None,
        checkpoint: Any,
        retry_failed: bool,
        repair: ImageRepair | None = None,
    ) -> None:
        self._checkpoint: Any = checkpoint
        self._repair = repair
        self._search = Search(images_dir, image_files, self._checkpoint, retry_failed=retry_failed)
        self._searching = ThreadPoolExecutor(2, thread_name_prefix="semart-vectors-search")
        self._reader = Reader(self._read_all, threads=_READERS)
        self._recorder = Recorder(self._checkpoint)
        self._bar = ProgressBar(None, shown=False)
        self._expected: int | None = None
        self._noted: int | None = None
        self._chunk_size = 1
        self._is_looking_for_changed = False
        self._under_way: dict[bytes, _Image] = {}
        self._doubtful: list[Failed] = []
        self._unreadable = 0
        self._started_at = monotonic()
        self._ended_at: float | None = None
        self.total = self.already_done = self.failed_before = self.calls = self.retries = 0

    def report(self) -> JobReport:
        """Say what was done so far."""
        return JobReport(
            total=max(self.total, self._expected or 0),
            embedded=self._recorder.embedded,
            already_done=self.already_done,
            failed=self.failed_before + self._recorder.failed,
            calls=self.calls,
            retries=self.retries,
            elapsed_s=(self._ended_at or monotonic()) - self._started_at,
        )

    async def open_checkpoint(self, closing: AsyncExitStack) -> None:
        """Look where the images are, and hold the checkpoint until `closing` ends."""
        await self._begin(closing)
        closing.push_async_callback(self._recorder.ask, self._checkpoint.close)
        await self._recorder.ask(self._checkpoint.open)

    async def look_into_checkpoint(self, closing: AsyncExitStack) -> None:
        """Look where the images are, and learn what is done without holding or changing anything."""
        await self._begin(closing)
        await self._recorder.ask(self._checkpoint.peek)

    async def _begin(self, closing: AsyncExitStack) -> None:
        for close in (self._reader.close, self._recorder.close):
            closing.callback(close)
        closing.callback(self._searching.shutdown, wait=False, cancel_futures=True)
        self._expected = await in_thread(self._searching, self._search.begin)

    async def plan(self) -> JobPlan:
        """Look every image up, and do no more."""
        to_do = 0
        for search in (self._search.new(), self._search.changed()):
            while (found := await in_thread(self._searching, next, search, None)) is not None:
                to_do += len(found.names)
                self._add(found)
        return JobPlan(
            total=self.total, already_done=self.already_done, failed=self.failed_before, to_do=to_do
        )

    async def embed(self, embedder: Embedder, closing: AsyncExitStack, *, show_progress: bool | None) -> None:
        """Do what there is to do."""
        self._bar = closing.enter_context(ProgressBar(self._expected, shown=show_progress))
        await self._recorder.begin(embedder)
        try:
            async with (
                aclosing(self._pending()) as pending,
                OutcomeStream(pending, self._load, width=_READERS) as images,
                embedder.stream_images(Chunked(self._unpaid(images))) as outcomes,
            ):
                self._recorder.stop_on_trouble(outcomes.stop)
                try:
                    await self._collect(outcomes)
                except asyncio.CancelledError:
                    _logger.info("stopping: what is under way is answered and recorded first")
                    outcomes.stop()
                    try:
                        await self._collect(outcomes)
                    except (CheckpointError, DiskError):
                        await self._take_the_rest(outcomes)
                    raise
                except (CheckpointError, DiskError):
                    outcomes.stop()
                    await self._take_the_rest(outcomes)
                    raise
                if not self._recorder.in_trouble:
                    self._settle_doubtful()
                    self._checkpoint.mark_complete()
        finally:
            await self._recorder.finish()
            self._ended_at = monotonic()
            if self._unreadable > 1:
                _logger.warning("so do %d more that cannot be read now", self._unreadable - 1)

    async def _pending(self) -> AsyncGenerator[list[str], None]:
        """Find the images to embed, some at a time: those that are new, then those that changed."""
        counting: Future[int | None] | None = None
        try:
            await self._expect(self._expected)
            for search in (self._search.new(), self._search.changed()):
                while (found := await in_thread(self._searching, next, search, None)) is not None:
                    self._add(found)
                    names = deque(found.names)
                    while names:
                        yield [names.popleft() for _ in range(min(self._chunk_size, len(names)))]
                        if counting is None and self._expected is None:  # once the first are on their way
                            counting = self._searching.submit(self._search.count)
                    if counting is not None and counting.done() and self._expected is None:
                        await self._expect(counting.result())
                await self._expect(self.total)
                self._is_looking_for_changed = True
        finally:
            self._search.stop_counting()

    async def _expect(self, total: int | None) -> None:
        """Tell how many images there are, once that is known."""
        if total is not None and total != self._noted:
            self._expected = self._noted = total
            self._bar.expect(total)
            await self._recorder.ask(self._checkpoint.note_images_asked_for, total)

    def _add(self, found: Found) -> None:
        self.total += found.total
        self.already_done += found.already_done
        self.failed_before += found.failed
        self._bar.skipped(found.already_done + found.failed)

    async def _load(self, names: list[str], _: StopToken) -> list[tuple[_Image, bytes] | Failed]:
        chunk = await self._reader.read(names)
        size = sum(0 if isinstance(read, Failed) else len(read[1]) for read in chunk)
        self._chunk_size = min(_MOST_A_CHUNK, max(1, _CHUNK_BYTES * len(chunk) // max(1, size)))
        return chunk

    def _read_all(self, names: list[str]) -> list[tuple[_Image, bytes] | Failed]:
        return [self._read(name) for name in names]

    def _read(self, name: str) -> tuple[_Image, bytes] | Failed:
        try:
            return self._image(name)
        except ItemError:
            pass
        fingerprint = self._search.fingerprint(name)  # before it is read: who mends it meanwhile is noticed
        try:
            return self._image(name)
        except ItemError as error:
            return _failed(name, fingerprint, error)

    def _image(self, name: str) -> tuple[_Image, bytes]:
        path = self._search.path(name)
        if self._repair is not None:
            mended = self._repair.load_file(path)
            return _Image(name, mended.content_sha256, mended.file_fingerprint, mended.repairs), mended.data
        loaded = load_file(path)
        return _Image(name, hashlib.sha256(loaded.data).digest(), loaded.fingerprint), loaded.data

    async def _unpaid(
        self, chunks: AsyncIterable[list[tuple[_Image, bytes] | Failed]]
    ) -> AsyncIterator[list[LoadedImage]]:
        """Let those images pass whose content was never paid for, and settle the others here."""
        async for chunk in chunks:
            read: list[tuple[_Image, bytes]] = []
            for each in chunk:
                if isinstance(each, Failed):
                    self._settle_unread(each)
                elif not self._is_as_before(each[0]):
                    read.append(each)
            # Nothing is awaited between asking the checkpoint and acting on its answer: it learns meanwhile.
            known = self._checkpoint.know_contents([image.content_sha256 for image, _ in read])
            unpaid = [
                LoadedImage(image, data)
                for (image, data), is_known in zip(read, known, strict=True)
                if not is_known and self._is_first_of_its_content(image)
            ]
            for (image, data), is_known in zip(read, known, strict=True):
                if is_known and not await self._settle_known(image) and self._is_first_of_its_content(image):
                    unpaid.append(LoadedImage(image, data))
            yield unpaid

    def _is_as_before(self, image: _Image) -> bool:
        """Settle an image whose file was touched or copied, but holds what it held."""
        if not self._is_looking_for_changed:
            return False
        before = self._checkpoint.done(image.image_file)
        if before is None or not before.holds(image.content_sha256):
            return False
        self.already_done += 1
        self._bar.skipped(1)
        return True

    def _is_first_of_its_content(self, image: _Image) -> bool:
        """Settle an image whose content is on its way under another name, or came in just now."""
        if (first := self._under_way.get(image.content_sha256)) is not None:
            first.twins.append(image)
        elif (vector := self._recorder.vector(image.content_sha256)) is not None:
            self._settle(_done(image, vector, image.repairs))
        else:
            self._under_way[image.content_sha256] = image
            return True
        return False

    async def _settle_known(self, image: _Image) -> bool:
        """Settle an image whose content the checkpoint has the vector of."""
        # Found and read in one visit to the thread that records: a name may get another vector in between.
        found = await self._recorder.ask(self._checkpoint.vector_with_content, image.content_sha256)
        if found is not None:
            self._settle(_done(image, *found))
        return found is not None

    async def _collect(self, outcomes: OutcomeStream[Outcome]) -> None:
        """Take outcomes until there are no more, and have them saved several times a second meanwhile."""
        clock = asyncio.get_running_loop().time
        save_at = clock() + SAVE_EVERY_S
        while True:
            try:
                async with asyncio.timeout_at(save_at) as limit:
                    some = await outcomes.next_batch()
            except TimeoutError:
                if not limit.expired():
                    raise
                some = None
            if some is not None and not some:
                return
            for outcome in some or ():
                self._take(outcome)
            if clock() >= save_at or self._recorder.is_full:
                await self._recorder.save_meanwhile()
                save_at = clock() + SAVE_EVERY_S

    async def _take_the_rest(self, outcomes: OutcomeStream[Outcome]) -> None:
        """Take what is answered still, to be saved in the end: there may be room again."""
        async for outcome in outcomes:
            self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        """Settle an image, and the others of its content, by what the service answered."""
        image = outcome.source
        assert isinstance(image, _Image)  # noqa: S101 - `_unpaid` put it there
        del self._under_way[image.content_sha256]
        match outcome:
            case Embedding(vector=vector, attempts=attempts):
                for each in (image, *image.twins):
                    self._settle(_done(each, vector, each.repairs))
                self._settle_doubtful()
            case EmbeddingFailure(error=error):
                attempts = error.attempts
                failures = [
                    _failed(each.image_file, each.file_fingerprint, error) for each in (image, *image.twins)
                ]
                self._doubtful.extend(failures)
                if not isinstance(error, RetriesExhaustedError):
                    self._settle_doubtful()
            case _:
                assert_never(outcome)
        self.calls += attempts
        self.retries += max(attempts - 1, 0)

    def _settle_unread(self, failure: Failed) -> None:
        """Settle an image that was not sent; one that cannot be read now keeps the vector it has."""
        if failure.error == UnreadableImageError.__name__ and self._checkpoint.done(failure.image_file):
            if not self._unreadable:
                _logger.warning("%s keeps its vector, though %s", failure.image_file, failure.message)
            self._unreadable += 1
            self.already_done += 1
            self._bar.skipped(1)
        else:
            self._settle(failure)

    def _settle_doubtful(self) -> None:
        """Take failures for the images' own: the service has answered since, or nothing is left to ask."""
        doubtful, self._doubtful = self._doubtful, []
        for failure in doubtful:
            self._settle(failure)

    def _settle(self, entry: Done | Failed) -> None:
        self._recorder.add(entry)
        if isinstance(entry, Done):
            self._bar.done()
        else:
            self._bar.failed()


def _as_given(image_files: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(image_files, str):
        raise TypeError("image_files takes many names, not one: put it in a list")
    return None if image_files is None else tuple(image_files)


def _done(image: _Image, vector: Vector, repairs: str) -> Done:
    return Done(image.image_file, vector, image.content_sha256, image.file_fingerprint, repairs)


def _failed(image_file: str, fingerprint: int, error: ItemError) -> Failed:
    return Failed(image_file, type(error).__name__, str(error), error.attempts, fingerprint)

"""Outcomes on their way into the checkpoint, several times a second, while the calls go on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, TypeVar

from semart_vectors.checkpoint.store import Done, Failed, Touched
from semart_vectors.errors import CheckpointError, DiskError
from semart_vectors.pipeline.rate_handover import hold, seconds_until_free
from semart_vectors.streams.threads import finished, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from semart_vectors.checkpoint.image_records import Entry
    from semart_vectors.pipeline.progress import Progress
    from semart_vectors.pipeline.protocols import Embedder, OutcomeStore
    from semart_vectors.records import Vector

ResultT = TypeVar("ResultT")

SAVE_EVERY_S = 0.1
"""Outcomes wait no longer, and for one write, until they are durable: 0.25 s are promised."""

_MOST_UNSAVED = 2048
"""Outcomes that may wait to be recorded, 8 MB of vectors: a disk that is slower holds up the calls."""

_FEW_UNSAVED = 16
"""As many at first: the disk keeps room for all that may wait, and a slow service needs little of it."""


class OutcomeRecorder:
    """Makes outcomes durable several times a second, and notes the rate for the next run."""

    def __init__(
        self, checkpoint: OutcomeStore, *, writer: Executor, embedder: Embedder, progress: Progress
    ) -> None:
        """Set up.

        Args:
            checkpoint: Where outcomes become durable.
            writer: Its thread. One only: what the checkpoint is asked comes in order.
            embedder: Who makes the calls.
            progress: Learns what was added and what is durable.
        """
        self._checkpoint = checkpoint
        self._writer = writer
        self._embedder = embedder
        self._progress = progress
        self._unsaved: list[Entry] = []
        self._vectors: dict[bytes, Vector] = {}
        self._saving: asyncio.Future[CheckpointError | DiskError | None] | None = None
        self._being_saved: list[Entry] = []
        self._most_unsaved = _FEW_UNSAVED
        self.in_trouble = False
        """Whether the disk refused anything."""

    async def ask(self, work: Callable[..., ResultT], *args: object) -> ResultT:
        """Ask the checkpoint for something, between two of its writes."""
        return await in_thread(self._writer, work, *args)

    async def begin(self) -> None:
        """Keep to the rate of the run before, and make sure that the disk takes anything at all.

        Raises:
            DiskError: it does not.
        """
        free_at = await self.ask(self._checkpoint.calls_free_at)
        hold(self._embedder, free_at - time())
        trouble = await self.ask(self._record, [], self._free_in_s(unseen_s=SAVE_EVERY_S))
        if trouble is not None:
            raise trouble

    def add(self, entry: Done | Failed) -> None:
        """Take an outcome, to be recorded soon."""
        self._unsaved.append(entry)
        if isinstance(entry, Done):
            self._vectors[entry.content_sha256] = entry.vector
        self._progress.settled(done=isinstance(entry, Done))

    def add_touched(self, entry: Touched) -> None:
        """Take the new fingerprint of an image that keeps its vector, to be recorded soon."""
        self._unsaved.append(entry)

    def unsaved_vector(self, content_sha256: bytes) -> Vector | None:
        """Return the vector of a content that came in, if it is not durable yet."""
        return self._vectors.get(content_sha256)

    def stop_on_trouble(self, stop: Callable[[], None]) -> None:
        """Call `stop` as soon as the disk refuses anything: what is sent after that may be paid for twice."""
        loop = asyncio.get_running_loop()

        def stop_soon() -> None:
            self.in_trouble = True
            with suppress(RuntimeError):  # the loop is closed: all is over
                loop.call_soon_threadsafe(stop)

        self._checkpoint.on_trouble = stop_soon

    @property
    def is_full(self) -> bool:
        """Whether as many outcomes wait as there is room for."""
        return len(self._unsaved) - len(self._being_saved) >= self._most_unsaved

    async def save_meanwhile(self) -> None:
        """Begin to make outcomes durable while the calls go on; wait only if too many are unsaved.

        Raises:
            CheckpointError: the last ones could not be saved.
            DiskError: likewise.
        """
        if self._saving is not None and (self._saving.done() or self.is_full):
            await self._wait_until_saved()
        if self.is_full:
            self._most_unsaved = min(2 * self._most_unsaved, _MOST_UNSAVED)
        free_in_s = self._free_in_s(unseen_s=SAVE_EVERY_S)
        if self._saving is None and (self._unsaved or free_in_s > 2 * SAVE_EVERY_S):
            self._save(free_in_s)

    async def finish(self) -> None:
        """Make everything durable.

        Raises:
            CheckpointError: as for `DiskError`.
            DiskError: the first attempt failed. There is a second, when there may be room again: the counts
                of the progress say whether it succeeded.
        """
        try:
            await self._wait_until_saved()
            self._save(self._free_in_s())
            await self._wait_until_saved()
        except (CheckpointError, DiskError):  # what is paid for is tried once more
            self._save(self._free_in_s())
            await self._wait_until_saved()
            raise

    def _free_in_s(self, *, unseen_s: float = 0.0) -> float:
        return seconds_until_free(self._embedder, unseen_s=unseen_s)

    def _save(self, free_in_s: float) -> None:
        self._being_saved = self._unsaved.copy()
        loop = asyncio.get_running_loop()
        self._saving = loop.run_in_executor(self._writer, self._record, self._being_saved, free_in_s)

    def _record(self, entries: list[Entry], free_in_s: float) -> CheckpointError | DiskError | None:
        """Make outcomes durable, and return why there should be no more of them, if so."""
        # For those that wait while these are written, and for what is answered or under way at a full disk.
        self._checkpoint.keep_room_for(2 * (self._most_unsaved + self._embedder.max_in_flight))
        try:
            # Images with the same content come all at once, however many.
            for start in range(0, max(1, len(entries)), _MOST_UNSAVED):
                self._checkpoint.record(entries[start : start + _MOST_UNSAVED])
        except (CheckpointError, DiskError):
            self._checkpoint.on_trouble()
            raise
        if free_in_s > 0:
            with suppress(CheckpointError, DiskError):  # without the note, a call may be refused: no more
                self._checkpoint.note_calls_free_at(time() + free_in_s)
        return self._checkpoint.trouble

    async def _wait_until_saved(self) -> None:
        """Wait until what is being saved is durable, and count it."""
        if self._saving is None:
            return
        saving, self._saving = self._saving, None
        try:
            trouble = await finished(saving)
        finally:  # it may be durable though this wait was cancelled
            if saving.done() and not saving.cancelled() and saving.exception() is None:
                self._count_saved()
        if trouble is not None:
            raise trouble

    def _count_saved(self) -> None:
        saved, self._being_saved = self._being_saved, []
        del self._unsaved[: len(saved)]
        done = [entry for entry in saved if isinstance(entry, Done)]
        for entry in done:
            self._vectors.pop(entry.content_sha256, None)
        failed = sum(isinstance(entry, Failed) for entry in saved)
        self._progress.saved(embedded=len(done), failed=failed, replaced=self._checkpoint.replaced)

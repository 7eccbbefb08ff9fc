"""What a job has settled, on its way into the checkpoint while the calls go on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from semart_vectors.checkpoint.store import Checkpoint, Done, Failed
from semart_vectors.errors import CheckpointError, DiskError
from semart_vectors.streams.threads import finished, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from semart_vectors.records import Vector

ResultT = TypeVar("ResultT")

SAVE_EVERY_S = 0.1
"""Outcomes wait no longer, and for one write, until they are durable: 0.25 s are promised."""

_MOST_UNSAVED = 2048
"""Outcomes that may wait to be recorded, 8 MB of vectors: a disk that is slower holds up the calls."""

_FEW_UNSAVED = 16
"""As many at first: the disk keeps room for all that may wait, and a slow service needs little of it."""

_LONGEST_PAUSE_S = 120.0
"""A service asks for no longer one; a clock that was set back is believed so far and no further."""


class Paced(Protocol):
    """Who sends calls at a rate."""

    @property
    def limiter(self) -> Any:
        """The rate limit."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once."""


class Recorder:
    """Has outcomes made durable several times a second, and notes the pace for the next run."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.embedded = self.failed = 0
        """What is durable."""
        self._checkpoint = checkpoint
        # One thread: the checkpoint has one writer, and what it is asked comes in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="semart-vectors-write")
        self._paced: Paced
        self._entries: list[Done | Failed] = []
        self._vectors: dict[bytes, Vector] = {}
        self._saving: asyncio.Future[CheckpointError | DiskError | None] | None = None
        self._being_saved: list[Done | Failed] = []
        self._most_unsaved = _FEW_UNSAVED
        self.in_trouble = False
        """Whether the disk refused anything."""

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def ask(self, work: Callable[..., ResultT], *args: object) -> ResultT:
        """Ask the checkpoint for something, between two of its writes."""
        return await in_thread(self._thread, work, *args)

    async def begin(self, paced: Paced) -> None:
        """Hold calls as the run before would have: its calls still count in the service's window."""
        self._paced = paced
        free_at = await self.ask(self._checkpoint.calls_free_at)
        paced.limiter.hold(max(0.0, min(free_at - time(), _LONGEST_PAUSE_S)))
        trouble = await self.ask(self._record, [], paced.limiter.seconds_until_free(unseen_s=SAVE_EVERY_S))
        if trouble is not None:
            raise trouble

    def add(self, entry: Done | Failed) -> None:
        """Take an outcome, to be recorded soon."""
        self._entries.append(entry)
        if isinstance(entry, Done):
            self._vectors[entry.content_sha256] = entry.vector

    def vector(self, content_sha256: bytes) -> Vector | None:
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
        return len(self._entries) - len(self._being_saved) >= self._most_unsaved

    async def save_meanwhile(self) -> None:
        """Have outcomes made durable while the calls go on, unless too many wait for that already.

        Raises:
            CheckpointError: those before could not be.
            DiskError: likewise.
        """
        if self._saving is not None and (self._saving.done() or self.is_full):
            await self._saved()
        if self.is_full:
            self._most_unsaved = min(2 * self._most_unsaved, _MOST_UNSAVED)
        free_in_s = self._paced.limiter.seconds_until_free(unseen_s=SAVE_EVERY_S)
        if self._saving is None and (self._entries or free_in_s > 2 * SAVE_EVERY_S):
            self._save(free_in_s)

    async def finish(self) -> None:
        """Make everything durable.

        Raises:
            DiskError: it was not at the first attempt; whether at the second, when there may be room
                again, the counts tell.
        """
        try:
            await self._saved()
            self._save(self._paced.limiter.seconds_until_free())
            await self._saved()
        except (CheckpointError, DiskError):  # what is paid for is tried once more
            self._save(self._paced.limiter.seconds_until_free())
            await self._saved()
            raise

    def _save(self, free_in_s: float) -> None:
        self._being_saved = self._entries.copy()
        loop = asyncio.get_running_loop()
        self._saving = loop.run_in_executor(self._thread, self._record, self._being_saved, free_in_s)

    def _record(self, entries: list[Done | Failed], free_in_s: float) -> CheckpointError | DiskError | None:
        """Make outcomes durable, and say why there should be no more, if so."""
        # For those that wait while these are written, and for what is answered or under way at a full disk.
        self._checkpoint.keep_room_for(2 * (self._most_unsaved + self._paced.max_in_flight))
        try:
            # Images with the same content come all at once, however many.
            for start in range(0, max(1, len(entries)), _MOST_UNSAVED):
                self._checkpoint.record(entries[start : start + _MOST_UNSAVED])
        except (CheckpointError, DiskError):
            self._checkpoint.on_trouble()
            raise
        if free_in_s > 0:
            with suppress(
                CheckpointError, DiskError
            ):  # only a note: whoever lacks it is refused a call at worst
                self._checkpoint.note_calls_free_at(time() + free_in_s)
        return self._checkpoint.trouble

    async def _saved(self) -> None:
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
        del self._entries[: len(saved)]
        for entry in saved:
            if isinstance(entry, Done):
                self.embedded += 1
                self._vectors.pop(entry.content_sha256, None)
            else:
                self.failed += 1

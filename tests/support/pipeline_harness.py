"""The parts of a run alone, on a checkpoint and an embedder that only remember."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fake_service import MODEL, vector_for
from semart_vectors.pipeline.deduplication import Deduplication
from semart_vectors.pipeline.image_loader import JobImage
from semart_vectors.pipeline.outcomes import Outcomes
from semart_vectors.pipeline.progress import Progress
from semart_vectors.pipeline.recorder import OutcomeRecorder
from semart_vectors.records import Embedding, EmbeddingFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from concurrent.futures import ThreadPoolExecutor

    from semart_vectors.checkpoint.image_records import Entry
    from semart_vectors.errors import DiskError, ItemError
    from semart_vectors.images.read_image import LoadedImage
    from semart_vectors.records import Outcome, Vector
    from semart_vectors.streams.window import OutcomeStream


def _do_nothing() -> None:
    return


@dataclass
class Unchanged:
    """An image that has its vector, whatever it holds."""

    def holds(self, content_sha256: bytes) -> bool:
        """Compare nothing."""
        return bool(content_sha256)


@dataclass
class Store:
    """Remembers what it was asked."""

    recorded: list[list[Entry]] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    refusals: list[DiskError] = field(default_factory=list)
    trouble: DiskError | None = None
    replaced: int = 0
    noted: list[float] = field(default_factory=list)
    free_at: float = 0.0
    with_vector: set[str] = field(default_factory=set)
    contents: dict[bytes, tuple[Vector, str] | None] = field(default_factory=dict)
    open_door: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.on_trouble: Callable[[], None] = _do_nothing

    def keep_room_for(self, records: int) -> None:
        """Have room."""
        self.rooms.append(records)

    def record(self, entries: list[Entry]) -> None:
        """Remember entries, unless the next refusal comes first."""
        self.open_door.wait(10)
        if entries and self.refusals:
            raise self.refusals.pop()
        self.recorded.append(entries)

    def note_calls_free_at(self, unix_s: float) -> None:
        """Remember the note."""
        self.noted.append(unix_s)

    def calls_free_at(self) -> float:
        """Return what a run before has noted."""
        return self.free_at

    def done(self, image_file: str) -> Unchanged | None:
        """Know some names."""
        return Unchanged() if image_file in self.with_vector else None

    def know_contents(self, contents_sha256: list[bytes]) -> list[bool]:
        """Know some contents."""
        return [content in self.contents for content in contents_sha256]

    def vector_with_content(self, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Return the vector of one, if it has one."""
        return self.contents[content_sha256]

    @property
    def names(self) -> list[str]:
        """What was recorded, in order."""
        return [entry.image_file for entries in self.recorded for entry in entries]


class RememberingLimiter:
    """A rate limit that says what it was told to say, and remembers what it is told."""

    def __init__(self) -> None:
        self.free_in_s = 0.0
        self.unseen_s: list[float] = []
        self.held: list[float] = []

    def seconds_until_free(self, *, unseen_s: float = 0.0) -> float:
        """Say what it was told to say."""
        self.unseen_s.append(unseen_s)
        return self.free_in_s

    def hold(self, seconds: float) -> None:
        """Remember it."""
        self.held.append(seconds)


class Paced:
    """An embedder with a rate and nothing else."""

    model_version = MODEL
    max_in_flight = 8

    def __init__(self) -> None:
        self.limiter = RememberingLimiter()

    def stream_images(self, images: AsyncIterable[LoadedImage], /) -> OutcomeStream[Outcome]:
        """Embed nothing."""
        raise NotImplementedError


class Harness:
    """The parts under test, on a store and an embedder that remember."""

    def __init__(self, writer: ThreadPoolExecutor) -> None:
        self.store, self.embedder, self.progress = Store(), Paced(), Progress()
        self.store.open_door.set()
        self.recorder = OutcomeRecorder(
            self.store, writer=writer, embedder=self.embedder, progress=self.progress
        )
        self.deduplication = Deduplication(self.store, self.recorder)
        self.outcomes = Outcomes(self.store, self.recorder, self.deduplication, self.progress)

    async def send(self, *names: str, content: bytes | None = None) -> list[JobImage]:
        """Let images pass, each with a content of its own unless given, and return those to be sent."""
        images = [JobImage(name, content or name.encode(), 1, f"repairs of {name}") for name in names]
        unpaid = await self.deduplication.unpaid([(image, b"data") for image in images])
        sent = [loaded.source for loaded in unpaid]
        assert all(isinstance(image, JobImage) for image in sent)
        return sent  # type: ignore[return-value] # as was just checked

    async def saved(self) -> list[str]:
        """Save everything, and name what was recorded."""
        await self.recorder.finish()
        return self.store.names


def answer(image: JobImage, attempts: int = 1) -> Embedding:
    """Answer with the vector of an image's content."""
    return Embedding(image, vector_for(image.content_sha256), MODEL, attempts)


def failure(image: JobImage, error: ItemError) -> EmbeddingFailure:
    """Answer with an error, after four calls."""
    error.attempts = 4
    return EmbeddingFailure(image, error)

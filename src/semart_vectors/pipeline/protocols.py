"""What a job needs of the embedder and of the checkpoint, in the job's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from semart_vectors.pipeline.rate_handover import RateLimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    import numpy as np
    from numpy.typing import NDArray

    from semart_vectors.checkpoint.image_records import Entry, Known
    from semart_vectors.checkpoint.store import Failed
    from semart_vectors.errors import CheckpointError, DiskError
    from semart_vectors.images.read_image import LoadedImage
    from semart_vectors.records import Outcome, Vector
    from semart_vectors.streams.window import OutcomeStream


class Embedder(RateLimited, Protocol):
    """Embeds images, such as an open `AsyncVisionEmbedder`."""

    @property
    def model_version(self) -> str:
        """The model whose vectors it returns."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once."""

    def stream_images(self, images: AsyncIterable[LoadedImage], /) -> OutcomeStream[Outcome]:
        """Embed images and give each outcome as it completes, with the source of the image."""


class ImagesBefore(Protocol):
    """What earlier runs recorded of images, by name."""

    def done_before(self, image_files: list[str], /) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which images had their vectors when the run began, and their files' fingerprints."""

    def failure(self, image_file: str, /) -> Failed | None:
        """Return why an image failed, if that is the last that is known of it."""


class KnownContent(Protocol):
    """What is remembered of an image that has its vector."""

    def holds(self, content_sha256: bytes, /) -> bool:
        """Return whether this was the image's content."""


class KnownContents(Protocol):
    """The contents that have been paid for."""

    def done(self, image_file: str, /) -> KnownContent | None:
        """Return what is known of an image that has its vector."""

    def know_contents(self, contents_sha256: list[bytes], /) -> list[bool]:
        """Return for each content whether it may have its vector; `vector_with_content` makes sure."""

    def vector_with_content(self, content_sha256: bytes, /) -> tuple[Vector, str] | None:
        """Return the vector of a content and what was repaired, read from the disk."""


class CheckpointContents(ImagesBefore, KnownContents, Protocol):
    """What a checkpoint holds as a whole."""

    @property
    def images_dir_before(self) -> str:
        """The folder of images of the last run; empty if nothing says it."""

    def done(self, image_file: str, /) -> Known | None:
        """Return what is known of an image that has its vector."""

    def count_done(self) -> int:
        """Count the images that have their vector, or had it when the run began."""


class OutcomeStore(Protocol):
    """Where outcomes and the rate's state become durable. Its methods are called by one thread."""

    on_trouble: Callable[[], None]
    """Is called, by any thread, as soon as nothing more should be begun."""

    @property
    def trouble(self) -> CheckpointError | DiskError | None:
        """Why nothing more should be begun, though what was recorded is durable."""

    @property
    def replaced(self) -> int:
        """How many images recorded in this run had the vector of another content before."""

    def keep_room_for(self, records: int, /) -> None:
        """Reserve room on the disk for so many records more."""

    def record(self, entries: list[Entry], /) -> None:
        """Make outcomes durable."""

    def note_calls_free_at(self, unix_s: float, /) -> None:
        """Note for the next run when the rate allows its first call, in seconds since the epoch."""

    def calls_free_at(self) -> float:
        """Return what the run before noted; 0.0 without a note."""

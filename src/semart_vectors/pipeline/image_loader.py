"""Images read ahead of the calls: read, checked, repaired if asked for, and hashed, in a few threads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from semart_vectors.checkpoint.store import Done, Failed, Touched
from semart_vectors.errors import ItemError
from semart_vectors.images.read_image import load_file
from semart_vectors.streams.reading import Reader

if TYPE_CHECKING:
    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.pipeline.job_images import JobImages
    from semart_vectors.records import Vector

READ_AHEAD = 16
"""So many reads are under way at once, so that a slow disk is hidden behind the calls."""

_CHUNK_BYTES, MAX_CHUNK = 1 << 20, 8
"""Small images are read several at a time, of a megabyte together: large ones would take too much memory."""


@dataclass(frozen=True, slots=True)
class JobImage:
    """An image of a job once its file was read: its name, and what its content is known by."""

    image_file: str
    content_sha256: bytes
    """Of the file, whatever was repaired."""
    file_fingerprint: int
    repairs: str = ""
    """What was done to it before it goes out; empty for the file's own bytes."""

    def done(self, vector: Vector, repairs: str) -> Done:
        """Return what is recorded when it has its vector."""
        return Done(self.image_file, vector, self.content_sha256, self.file_fingerprint, repairs)

    def touched(self) -> Touched:
        """Return what is recorded when it holds what it held before."""
        return Touched(self.image_file, self.content_sha256, self.file_fingerprint)

    def failed(self, error: ItemError) -> Failed:
        """Return what is recorded when it gets none."""
        return _failed(self.image_file, self.file_fingerprint, error)


ReadImage: TypeAlias = tuple[JobImage, bytes] | Failed
"""An image with the bytes to be sent, or why it is not sent."""


class ImageLoader:
    """Reads images in threads, as many with one visit as are small enough."""

    def __init__(self, source: JobImages, repair: ImageRepair | None) -> None:
        self._source = source
        self._repair = repair
        self._reader = Reader(self._read_all, threads=READ_AHEAD)
        self.chunk_size = 1
        """How many images the next chunk should have: as the last one was, a megabyte or less."""

    def close(self) -> None:
        """Let the threads go."""
        self._reader.close()

    async def load(self, names: list[str], _: object = None) -> list[ReadImage]:
        """Read a chunk of images.

        Raises:
            OutOfResourcesError: this machine lacks file descriptors or memory.
        """
        chunk = await self._reader.read(names)
        size = sum(0 if isinstance(read, Failed) else len(read[1]) for read in chunk)
        self.chunk_size = min(MAX_CHUNK, max(1, _CHUNK_BYTES * len(chunk) // max(1, size)))
        return chunk

    def _read_all(self, names: list[str]) -> list[ReadImage]:
        return [self._read(name) for name in names]

    def _read(self, name: str) -> ReadImage:
        try:
            return self._load(name)
        except ItemError:
            pass
        # Looked at before a second attempt to read: a file that is replaced meanwhile is noticed next time.
        fingerprint = self._source.fingerprint(name)
        try:
            return self._load(name)
        except ItemError as error:
            return _failed(name, fingerprint, error)

    def _load(self, name: str) -> tuple[JobImage, bytes]:
        path = self._source.path(name)
        if self._repair is not None:
            repaired = self._repair.load_file(path)
            image = JobImage(name, repaired.content_sha256, repaired.file_fingerprint, repaired.repairs)
            return image, repaired.data
        loaded = load_file(path)
        return JobImage(name, hashlib.sha256(loaded.data).digest(), loaded.fingerprint), loaded.data


def _failed(image_file: str, fingerprint: int, error: ItemError) -> Failed:
    return Failed(image_file, type(error).__name__, str(error), error.attempts, fingerprint)

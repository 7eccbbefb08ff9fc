"""No content is paid for twice: not if it was paid for before, came in just now, or is in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semart_vectors.images.read_image import LoadedImage

if TYPE_CHECKING:
    from semart_vectors.pipeline.image_loader import JobImage
    from semart_vectors.pipeline.protocols import KnownContents
    from semart_vectors.pipeline.recorder import OutcomeRecorder


class Deduplication:
    """Passes on the images whose content has to be paid for, and records the others."""

    def __init__(self, contents: KnownContents, recorder: OutcomeRecorder) -> None:
        self._contents = contents
        self._recorder = recorder
        self._in_flight: dict[bytes, list[JobImage]] = {}

    async def unpaid(self, images: list[tuple[JobImage, bytes]]) -> list[LoadedImage]:
        """Return the images to send, with their `JobImage` as source; the others need no call."""
        # Nothing is awaited between asking the checkpoint and acting on its answer: it learns meanwhile.
        known = self._contents.know_contents([image.content_sha256 for image, _ in images])
        unpaid = [
            LoadedImage(image, data)
            for (image, data), is_known in zip(images, known, strict=True)
            if not is_known and self._is_first(image)
        ]
        for (image, data), is_known in zip(images, known, strict=True):
            if is_known and not await self._record_known(image) and self._is_first(image):
                unpaid.append(LoadedImage(image, data))
        return unpaid

    def is_unchanged(self, image: JobImage) -> bool:
        """Return whether an image holds what it held when it was embedded: its file was touched or copied."""
        before = self._contents.done(image.image_file)
        return before is not None and before.holds(image.content_sha256)

    def answered(self, image: JobImage) -> list[JobImage]:
        """Return the images with the content of one that was sent: itself, and those that waited for it."""
        return self._in_flight.pop(image.content_sha256)

    def _is_first(self, image: JobImage) -> bool:
        """Return whether to send an image; else its content is in flight, or came in just now."""
        if (same_content := self._in_flight.get(image.content_sha256)) is not None:
            same_content.append(image)
        elif (vector := self._recorder.unsaved_vector(image.content_sha256)) is not None:
            self._recorder.add(image.done(vector, image.repairs))
        else:
            self._in_flight[image.content_sha256] = [image]
            return True
        return False

    async def _record_known(self, image: JobImage) -> bool:
        """Record an image whose content has its vector in the checkpoint; False if it has none after all."""
        # Found and read in one visit to the thread that records: a name may get another vector in between.
        found = await self._recorder.ask(self._contents.vector_with_content, image.content_sha256)
        if found is not None:
            self._recorder.add(image.done(*found))
        return found is not None

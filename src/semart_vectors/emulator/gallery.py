"""The last images, small enough to look at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from semart_vectors.emulator.pictures import thumbnail

if TYPE_CHECKING:
    from semart_vectors.emulator.ledger import Call

GALLERY_IMAGES = 24
"""How many different images are kept."""
GALLERY_BYTES = 33_554_432
"""What their bodies may take together, and those listed last as much again: more than any one image."""


class Gallery:
    """The last images that got a vector: as they came, and small once somebody has looked."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        self._bytes = 0
        # Images may come faster than a page that was told of them can ask for them.
        self._listed: dict[str, bytes] = {}
        self._thumbnails: dict[str, bytes] = {}
        # One at a time: who watches must not slow down what there is to be watched.
        self._turn = asyncio.Lock()

    def add(self, call: Call, body: bytes) -> None:
        """Keep the body of a call if it was an image and got a vector."""
        if call.status != 200 or call.operation != "vectorizeImage":  # noqa: PLR2004 - the status is its own name
            return
        self._bytes += len(body) - len(self._images.pop(call.body_sha256, b""))
        self._images[call.body_sha256] = body
        while len(self._images) > GALLERY_IMAGES or self._bytes > GALLERY_BYTES:
            self._drop(next(iter(self._images)))

    def digests(self) -> list[str]:
        """List the SHA-256 of each image, the newest first; they can be seen until the next list at least."""
        self._listed = dict(self._images)
        return list(reversed(self._listed))

    async def thumbnail(self, digest: str) -> bytes | None:
        """Return a small JPEG of an image, made off the loop when first asked for; None if there is none."""
        async with self._turn:
            small = self._thumbnails.get(digest)
            body = self._images.get(digest, self._listed.get(digest))
            if small is None and body is not None:
                try:
                    small = await asyncio.to_thread(thumbnail, body)
                except Exception:  # noqa: BLE001 - Pillow raises nearly anything at what is no picture
                    self._listed.pop(digest, None)
                    self._drop(digest)
                    return None
                self._thumbnails[digest] = small
                if len(self._thumbnails) > 2 * GALLERY_IMAGES:
                    del self._thumbnails[next(iter(self._thumbnails))]
            return small

    def _drop(self, digest: str) -> None:
        self._bytes -= len(self._images.pop(digest, b""))

"""The last images that got a vector, and small copies of them for the dashboard."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from semart_vectors.emulator.image_decoding import thumbnail

if TYPE_CHECKING:
    from semart_vectors.emulator.ledger import ServedCall

MAX_IMAGES = 24
"""How many different images are kept."""
MAX_BYTES = 33_554_432
"""The limit for the bodies of all images together, and again for those listed last; above any one image."""


class RecentImages:
    """The last images that got a vector; a small copy is made when somebody first looks at one."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        self._bytes = 0
        # Images may come faster than the page can ask for those that it was just told about.
        self._listed: dict[str, bytes] = {}
        self._thumbnails: dict[str, bytes] = {}
        # One at a time: watching the emulator must not slow it down.
        self._turn = asyncio.Lock()

    def add(self, call: ServedCall, body: bytes) -> None:
        """Keep the body of a call if it was an image that got a vector."""
        if call.status != 200 or call.operation != "vectorizeImage":  # noqa: PLR2004 - the status is its own name
            return
        self._bytes += len(body) - len(self._images.pop(call.body_sha256, b""))
        self._images[call.body_sha256] = body
        while len(self._images) > MAX_IMAGES or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._images)))

    def digests(self) -> list[str]:
        """List the SHA-256 of each image, newest first; each stays available at least until the next list."""
        self._listed = dict(self._images)
        return list(reversed(self._listed))

    async def thumbnail(self, digest: str) -> bytes | None:
        """Return a small JPEG of an image, made in a thread at the first request; None if unknown."""
        async with self._turn:
            small = self._thumbnails.get(digest)
            body = self._images.get(digest, self._listed.get(digest))
            if small is None and body is not None:
                try:
                    small = await asyncio.to_thread(thumbnail, body)
                except Exception:  # noqa: BLE001 - Pillow's decoders raise nearly anything
                    self._listed.pop(digest, None)
                    self._drop(digest)
                    return None
                self._thumbnails[digest] = small
                if len(self._thumbnails) > 2 * MAX_IMAGES:
                    del self._thumbnails[next(iter(self._thumbnails))]
            return small

    def _drop(self, digest: str) -> None:
        self._bytes -= len(self._images.pop(digest, b""))

"""Records for a checkpoint: images that are done, with the fake service's vectors, and images that failed."""

from __future__ import annotations

import hashlib

from fake_service import vector_for
from semart_vectors.checkpoint.store import Done, Failed


def done(name: str, content: bytes | None = None, fingerprint: int = 1) -> Done:
    """Make the record of an image that holds `content`, or its own name."""
    content = name.encode() if content is None else content
    return Done(name, vector_for(content), hashlib.sha256(content).digest(), fingerprint)


def failed(name: str) -> Failed:
    """Make the record of an image that failed."""
    return Failed(name, "InvalidInputError", "it is empty", 0, 1)

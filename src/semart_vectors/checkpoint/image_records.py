"""What a checkpoint learns of an image: its vector, why it has none, or that its file alone is another.

Each is a record of a journal first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from semart_vectors.checkpoint.journal import Record
from semart_vectors.checkpoint.key_index import content_key

if TYPE_CHECKING:
    from semart_vectors.records import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An image with its vector."""

    image_file: str
    vector: Vector
    """float32, shape (1024,)."""
    content_sha256: bytes
    """Digest of the image's file, 32 bytes."""
    file_fingerprint: int
    """See `semart_vectors.images.read_image.fingerprint_of`."""
    repairs: str = ""
    """What was done to the image before it was embedded; empty if the file was sent as it is."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An image without a vector, and why."""

    image_file: str
    error: str
    """The name of the error's class."""
    message: str
    attempts: int
    file_fingerprint: int
    """0 if there was no file to look at."""


@dataclass(frozen=True, slots=True)
class Touched:
    """An image that holds what it held, in a file that was copied or touched."""

    image_file: str
    content_sha256: bytes
    """Digest of the image's file, 32 bytes."""
    file_fingerprint: int
    """What it is now."""


Entry: TypeAlias = Done | Failed | Touched


class Known(NamedTuple):
    """What memory holds of a done image while its vector is on the disk."""

    content_key: int
    file_fingerprint: int

    def holds(self, content_sha256: bytes) -> bool:
        """Whether the image held this very content; wrong once in 2⁶⁴ contents that differ."""
        return self.content_key == content_key(content_sha256)

    def is_of(self, entry: Done) -> bool:
        """Whether this is what is known of that very entry."""
        return self.holds(entry.content_sha256) and self.file_fingerprint == entry.file_fingerprint


def to_record(entry: Entry, model_version: str) -> Record:
    """Return an entry as a journal holds it."""
    match entry:
        case Done():
            fields = {
                "done": entry.image_file,
                "model_version": model_version,
                "content_sha256": entry.content_sha256.hex(),
                "file_fingerprint": entry.file_fingerprint,
                "repairs": entry.repairs,
            }
            return Record(fields, entry.vector.astype("<f4", copy=False).tobytes())
        case Failed():
            return Record(
                {
                    "failed": entry.image_file,
                    "error": entry.error,
                    "message": entry.message,
                    "attempts": entry.attempts,
                    "file_fingerprint": entry.file_fingerprint,
                }
            )
        case Touched():
            return Record(
                {
                    "touched": entry.image_file,
                    "content_sha256": entry.content_sha256.hex(),
                    "file_fingerprint": entry.file_fingerprint,
                }
            )


def from_record(record: Record) -> Entry:
    """Return the entry that a record of a journal holds."""
    fields = record.fields
    if "done" in fields:
        return Done(
            image_file=fields["done"],
            vector=np.frombuffer(record.blob, dtype="<f4"),
            content_sha256=bytes.fromhex(fields["content_sha256"]),
            file_fingerprint=fields["file_fingerprint"],
            repairs=fields.get("repairs", ""),
        )
    if "touched" in fields:
        return Touched(
            image_file=fields["touched"],
            content_sha256=bytes.fromhex(fields["content_sha256"]),
            file_fingerprint=fields["file_fingerprint"],
        )
    return Failed(
        image_file=fields["failed"],
        error=fields["error"],
        message=fields["message"],
        attempts=fields["attempts"],
        file_fingerprint=fields["file_fingerprint"],
    )

"""Small JSON files of a checkpoint, each with a checksum of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from semart_vectors.errors import CheckpointDamagedError
from semart_vectors.files import disk_errors, write_aside

if TYPE_CHECKING:
    from pathlib import Path


FIRST_FORMAT = 1
"""The format of checkpoints that had no seals and one journal; they are brought up to date."""

_FIRST_NOTE = {"format_version", "model_version", "dimension"}


def write_note(path: Path, note: dict[str, Any], *, durably: bool = True) -> None:
    """Replace a note in one step.

    Args:
        path: The file.
        note: What it says.
        durably: Whether it must outlive a power cut, which takes a moment.

    Raises:
        DiskError: the disk refused.
    """
    content = orjson.dumps(note | {"crc32": _checksum(note)}, option=orjson.OPT_INDENT_2)
    with write_aside(path, durably=durably) as aside:
        aside.write_bytes(content)


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what a note says; None where there is none.

    Raises:
        CheckpointDamagedError: it is not what was written.
        DiskError: the disk refused to read it.
    """
    with disk_errors(path, doing="read"):
        if not path.exists():
            return None
        content = path.read_bytes()
    note = _parsed(content)
    if note is None or note.pop("crc32", None) != _checksum(note):
        raise CheckpointDamagedError(f"{path} is damaged: it is not what was written")
    return note


def read_identity(directory: Path) -> dict[str, Any] | None:
    """Return what a checkpoint says that it holds; None where there is none.

    Raises:
        CheckpointDamagedError: it is not what was written.
        DiskError: the disk refused to read it.
    """
    path = directory / "_checkpoint.json"
    try:
        return read_note(path)
    except CheckpointDamagedError:
        with disk_errors(path, doing="read"):
            note = _parsed(path.read_bytes())
        if note is not None and note.keys() == _FIRST_NOTE and note["format_version"] == FIRST_FORMAT:
            return note
        raise


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object, or None for whatever else there is."""
    try:
        note = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return note if isinstance(note, dict) else None


def _checksum(note: dict[str, Any]) -> int:
    return crc32(orjson.dumps(note, option=orjson.OPT_SORT_KEYS))

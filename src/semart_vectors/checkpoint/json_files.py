"""Small JSON files of a checkpoint, each with a checksum of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from semart_vectors.errors import CheckpointDamagedError
from semart_vectors.files import disk_errors, write_aside

if TYPE_CHECKING:
    from pathlib import Path


def write_note(path: Path, note: dict[str, Any], *, durably: bool = True) -> None:
    """Replace a note in one step.

    Args:
        path: The file.
        note: What it says, by name.
        durably: Whether it must survive a power cut, which takes a moment.

    Raises:
        DiskError: the disk refused.
    """
    content = orjson.dumps(note | {"crc32": _checksum(note)}, option=orjson.OPT_INDENT_2)
    with write_aside(path, durably=durably) as aside:
        aside.write_bytes(content)


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what a note says, by name; None if there is no such file.

    Raises:
        CheckpointDamagedError: it has changed since it was written.
        DiskError: it cannot be read.
    """
    with disk_errors(path, doing="read"):
        if not path.exists():
            return None
        content = path.read_bytes()
    note = _parse(content)
    if note is None or note.pop("crc32", None) != _checksum(note):
        raise CheckpointDamagedError(f"{path} is damaged: its content does not match its checksum")
    return note


def read_value(path: Path, name: str) -> Any:
    """Return what a note says for `name`; None if it says nothing, is missing or is damaged.

    Raises:
        DiskError: it cannot be read.
    """
    try:
        note = read_note(path)
    except CheckpointDamagedError:
        return None
    return None if note is None else note.get(name)


def unverified_value(path: Path, name: str) -> Any:
    """Return what a note without a checksum says for `name`; None if it has one, or cannot be parsed."""
    with disk_errors(path, doing="read"):
        note = _parse(path.read_bytes())
    return None if note is None or "crc32" in note else note.get(name)


def _parse(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object, or None if the content is anything else."""
    try:
        note = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return note if isinstance(note, dict) else None


def _checksum(note: dict[str, Any]) -> int:
    return crc32(orjson.dumps(note, option=orjson.OPT_SORT_KEYS))

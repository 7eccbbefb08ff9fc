"""Answers of the real service, appended to a folder of recordings."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

import orjson

from semart_vectors.emulator.recordings import FILE_NAME

if TYPE_CHECKING:
    from pathlib import Path

_VECTOR = re.compile(rb'"vector"\s*:\s*(\[[^\[\]]*\])')


class RecordingWriter:
    """Appends answers to a folder; each is on the disk before the client gets it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._one_at_a_time = asyncio.Lock()

    def open(self) -> None:
        """Make the folder, and end a line that a killed writer left unfinished.

        Raises:
            OSError: the folder cannot be written.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")

    async def add(self, operation: str, sha256: str, answer: bytes) -> None:
        """Append the vector of an answer; an answer without one is ignored.

        Raises:
            OSError: the folder cannot be written.
        """
        found = _VECTOR.search(answer)
        try:
            model = orjson.loads(answer)["modelVersion"]
        except (ValueError, LookupError, TypeError):
            return
        if found is not None and isinstance(model, str):
            head = orjson.dumps({"operation": operation, "sha256": sha256, "model": model})
            line = b'%s,"vector":%s}\n' % (head[:-1], b"".join(found[1].split()))
            async with self._one_at_a_time:
                await asyncio.to_thread(self._append, line)

    def _append(self, line: bytes) -> None:
        with self._file.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())

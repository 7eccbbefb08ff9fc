"""Recorded answers of the real service, read from a folder to be replayed.

A folder holds `recordings.jsonl`: a line for each answer, appended and never changed, with the digits of the
numbers as they came. Or it holds images in `images/` and, in `vectors.json`, the vector of each file name.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

FILE_NAME: Final = "recordings.jsonl"
PICTURES_MODEL: Final = "2022-04-11"
"""The model of the public collections in the form `vectors.json`; they do not name it."""

_NAMED_VECTOR = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*(\[[^\[\]]*\])')


class RecordingsError(ValueError):
    """A folder, or a line in one of its files, holds no recording."""


class Recordings:
    """Recorded answers by operation, SHA-256 and model, ready to be sent."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], bytes] = {}

    def __len__(self) -> int:
        return len(self._answers)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder in either form, or in both; of several recordings of one input the last counts.

        Raises:
            RecordingsError: it holds no recordings, or something else.
            OSError: it cannot be read.
        """
        recordings = cls()
        lines, pictures = folder / FILE_NAME, folder / "vectors.json"
        if not lines.exists() and not pictures.exists():
            raise RecordingsError(
                f"{folder} holds no recordings: neither {FILE_NAME} nor vectors.json with images/"
            )
        if pictures.exists():
            recordings._read_pictures(pictures, folder / "images")
        if lines.exists():
            recordings._read_lines(lines)
        return recordings

    def find(self, operation: str, sha256: str, model: str) -> bytes | None:
        """Return the recorded answer to the input with this SHA-256, or None."""
        return self._answers.get((operation, sha256, model))

    def _read_pictures(self, file: Path, images: Path) -> None:
        for name, vector in _named_vectors(file):
            sha256 = hashlib.sha256((images / name).read_bytes()).hexdigest()
            self._add("vectorizeImage", sha256, PICTURES_MODEL, vector)

    def _read_lines(self, file: Path) -> None:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                # A writer that was killed within a line had not given its answer to anybody either.
                if not line.endswith(b"]}\n"):
                    continue
                head, _, vector = line[:-2].partition(b',"vector":')
                try:
                    named = orjson.loads(head + b"}")
                    _check(vector)
                    self._add(named["operation"], named["sha256"], named["model"], vector)
                except (ValueError, LookupError, TypeError) as error:
                    raise RecordingsError(f"line {number} of {file} is not a recording: remove it") from error

    def _add(self, operation: str, sha256: str, model: str, vector: bytes) -> None:
        self._answers[operation, sha256, model] = b'{"modelVersion":"%s","vector":%s}' % (
            model.encode(),
            vector,
        )


def _named_vectors(file: Path) -> Iterator[tuple[str, bytes]]:
    content = file.read_bytes()
    try:
        names = orjson.loads(content).keys()
    except (ValueError, AttributeError) as error:
        raise RecordingsError(f"{file} is not a JSON object of file names and vectors") from error
    found = {orjson.loads(name): vector for name, vector in _NAMED_VECTOR.findall(content)}
    if found.keys() != names:
        raise RecordingsError(f"{file} is not a JSON object of file names and vectors")
    for name, vector in found.items():
        _check(vector)
        yield name, vector


def _check(vector: bytes) -> None:
    numbers = orjson.loads(vector)
    if not (isinstance(numbers, list) and numbers and all(isinstance(n, int | float) for n in numbers)):
        raise RecordingsError("a vector must be a list of numbers")

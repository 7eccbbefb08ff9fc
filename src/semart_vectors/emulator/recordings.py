"""Real answers kept in a folder, and the way to the real service that fills it.

A folder holds `recordings.jsonl`: a line for each answer, appended and never changed, with the numbers in the
very digits that came. Or it holds pictures in `images/` and, in `vectors.json`, the vector of each file name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

import httpx
import orjson

from semart_vectors.emulator import refusals
from semart_vectors.emulator.messages import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from semart_vectors.emulator.messages import Body, Request

FILE_NAME: Final = "recordings.jsonl"
PICTURES_MODEL: Final = "2022-04-11"
"""The model behind the public collections of the form `vectors.json`; they do not name it."""
UPSTREAM_TIMEOUT_S: Final = 60.0

_VECTOR = re.compile(rb'"vector"\s*:\s*(\[[^\[\]]*\])')
_NAMED_VECTOR = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*(\[[^\[\]]*\])')
_PASSED_ON = ("content-type", "ocp-apim-subscription-key", "authorization")
_PASSED_BACK = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-ms-error-code", "apim-request-id")


class RecordingsError(ValueError):
    """A folder, or a line in it, is no recording."""


class Recordings:
    """What was recorded: of each operation, model and SHA-256 the answer, ready to be sent."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], bytes] = {}

    def __len__(self) -> int:
        return len(self._answers)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder in either form, or in both; of several recordings of the same the last counts.

        Raises:
            RecordingsError: it holds neither, or something else.
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
        """Return the answer to what has this SHA-256, or None."""
        return self._answers.get((operation, sha256, model))

    def _read_pictures(self, file: Path, images: Path) -> None:
        for name, vector in _named_vectors(file):
            sha256 = hashlib.sha256((images / name).read_bytes()).hexdigest()
            self._add("vectorizeImage", sha256, PICTURES_MODEL, vector)

    def _read_lines(self, file: Path) -> None:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                # The writer was killed within the line: its answer was not given to anybody either.
                if not line.endswith(b"]}\n"):
                    continue
                head, _, vector = line[:-2].partition(b',"vector":')
                try:
                    named = orjson.loads(head + b"}")
                    _check(vector)
                    self._add(named["operation"], named["sha256"], named["model"], vector)
                except (ValueError, LookupError, TypeError) as error:
                    raise RecordingsError(f"line {number} of {file} is no recording: remove it") from error

    def _add(self, operation: str, sha256: str, model: str, vector: bytes) -> None:
        self._answers[operation, sha256, model] = b'{"modelVersion":"%s","vector":%s}' % (
            model.encode(),
            vector,
        )


class Recorder:
    """Appends answers to a folder, each on the disk before it is given to the client."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._one_at_a_time = asyncio.Lock()

    def open(self) -> None:
        """Make the folder, and end a line within which a writer was killed.

        Raises:
            OSError: the folder cannot be written.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")

    async def add(self, operation: str, sha256: str, answer: bytes) -> None:
        """Append the vector in an answer; an answer without one is left out."""
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


class Upstream:
    """The real service, asked with the caller's own key, which is passed on and kept nowhere."""

    def __init__(self, url: str, recorder: Recorder | None = None) -> None:
        self._url = checked_upstream(url)
        self._recorder = recorder
        self._client = httpx.AsyncClient(timeout=UPSTREAM_TIMEOUT_S)

    async def ask(self, request: Request, body: Body, sha256: str) -> Answer:
        """Pass a request on and its answer back, recording it if it is a 200.

        Raises:
            refusals.Refusal: there was no answer, or no way to keep it.
        """
        try:
            response = await self._client.post(
                self._url + request.target,
                headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
                content=body.content,
            )
        except httpx.HTTPError as error:
            raise refusals.no_upstream(type(error).__name__) from error
        if response.status_code == httpx.codes.OK and self._recorder is not None:
            try:
                await self._recorder.add(request.operation, sha256, response.content)
            except OSError as error:
                raise refusals.recording_failed(error.strerror or "unknown") from error
        return Answer(
            response.status_code,
            response.content,
            response.headers.get("content-type", "application/json"),
            {name: response.headers[name] for name in _PASSED_BACK if name in response.headers},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def checked_upstream(url: str) -> str:
    """Return the address without its last slash.

    Raises:
        ValueError: it is not one to which a key may be sent.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"upstream must be an address, not {url!r}") from error
    local = parsed.scheme == "http" and parsed.host in {"localhost", "127.0.0.1", "::1"}
    if not parsed.host or not (parsed.scheme == "https" or local):
        raise ValueError(f"upstream must begin with https:// (http:// on this machine only), not {url!r}")
    return url.rstrip("/")


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

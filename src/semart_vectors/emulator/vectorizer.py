"""Where the vector in an answer comes from: a recording, the upstream, or a computation."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from semart_vectors.emulator import error_responses
from semart_vectors.emulator.computed_vectors import MODELS, image_vector, text_vector
from semart_vectors.emulator.http_messages import Answer
from semart_vectors.emulator.image_decoding import decode_image
from semart_vectors.emulator.recording_writer import RecordingWriter
from semart_vectors.emulator.recordings import Recordings
from semart_vectors.emulator.upstream import Upstream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semart_vectors.emulator.http_messages import Body, Request
    from semart_vectors.emulator.settings import Settings

DEFAULT_MODEL = "2023-04-15"
_OK = 200


class Vectorizer:
    """Answers what the gateway let through, from the sources that the settings name."""

    def __init__(self, settings: Settings, closing: asyncio.Event) -> None:
        self._settings = settings
        self._closing = closing
        # The default executor is the client's too: leave it more threads than the pictures take.
        self._cores = asyncio.Semaphore(os.cpu_count() or 1)
        self._recordings: Recordings | None = None
        self._upstream: Upstream | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Recordings:
        """Read the recordings and prepare to record; a second time it returns what is open.

        Raises:
            ValueError: the folder to replay holds no recordings.
            OSError: a folder cannot be read or written.
        """
        settings = self._settings
        async with self._opening:
            if self._recordings is not None:
                return self._recordings
            writer = None
            if settings.record is not None:
                writer = RecordingWriter(Path(settings.record))
                await asyncio.to_thread(writer.open)
            recordings = Recordings()
            if settings.replay is not None:
                recordings = await asyncio.to_thread(Recordings.load, Path(settings.replay))
            if settings.upstream is not None:
                self._upstream = Upstream(settings.upstream, writer)
            self._recordings = recordings
            return recordings

    async def aclose(self) -> None:
        """Close the connections to the upstream, if there are any; the next call opens them again."""
        upstream, self._upstream, self._recordings = self._upstream, None, None
        if upstream is not None:
            await upstream.aclose()

    async def answer(self, request: Request, body: Body) -> Answer:
        """Return the answer with the vector of what was sent.

        Raises:
            error_responses.ErrorResponse: there is none, and the service would say so like this.
        """
        recordings = await self.open() if self._recordings is None else self._recordings
        model = request.query.get("model-version", DEFAULT_MODEL)
        sent = _read_input(request, body)
        if (recorded := recordings.find(request.operation, sent.sha256, model)) is not None:
            return Answer(_OK, recorded)
        if self._upstream is not None:
            return await self._upstream.ask(request, body, sent.sha256)
        if not self._settings.computes:
            others = [other for other in MODELS if recordings.find(request.operation, sent.sha256, other)]
            raise error_responses.not_recorded(request.operation, sent.sha256, model, others)
        if model not in MODELS:
            raise error_responses.invalid(f"The model version '{model}' is not supported.")
        return Answer(_OK, await self._compute(sent, model))

    async def _compute(self, sent: _Input, model: str) -> bytes:
        if sent.url is not None:
            # The emulator stays on this machine: it fetches no address, so none is accessible.
            raise error_responses.invalid(
                "The provided image url is not accessible.", "ImageUrlNotAccessible"
            )
        if sent.text is not None and not 0 < len(sent.text.split()) <= error_responses.MAX_WORDS:
            raise error_responses.invalid(f"The text must have 1 to {error_responses.MAX_WORDS} words.")
        async with self._cores:
            if self._closing.is_set():
                raise error_responses.unavailable()
            return await asyncio.to_thread(_computed, sent, model)


@dataclass(frozen=True, slots=True)
class _Input:
    """What to embed: an image, a text, or the address of an image."""

    sha256: str
    image: bytes = b""
    text: str | None = None
    url: str | None = None


def _read_input(request: Request, body: Body) -> _Input:
    content_type = request.content_type
    if request.operation == "vectorizeText" and content_type == "application/json":
        text = _member(body.content, "text")
        return _Input(_sha256(text), text=text)
    if request.operation == "vectorizeImage" and content_type == "application/json":
        url = _member(body.content, "url")
        return _Input(_sha256(url), url=url)
    if request.operation == "vectorizeImage" and (
        content_type == "application/octet-stream" or content_type.startswith("image/")
    ):
        return _Input(body.sha256, image=body.content)
    raise error_responses.invalid(f"The content type '{content_type}' is not supported.")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _computed(sent: _Input, model: str) -> bytes:
    vector: NDArray[np.float32]
    if sent.text is None:
        vector = image_vector(decode_image(sent.image), model)
    else:
        vector = text_vector(sent.text, model)
    return orjson.dumps({"modelVersion": model, "vector": vector}, option=orjson.OPT_SERIALIZE_NUMPY)


def _member(body: bytes, name: str) -> str:
    try:
        value: Any = orjson.loads(body)[name]
    except (ValueError, LookupError, TypeError) as error:
        raise error_responses.invalid(f"The body must be a JSON object with '{name}'.") from error
    if not isinstance(value, str):
        raise error_responses.invalid(f"'{name}' must be a string.")
    return value

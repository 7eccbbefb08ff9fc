"""`AsyncVisionEmbedder`: images and texts to vectors, at one rate for all who share it."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import AsyncExitStack
from enum import Enum
from typing import TYPE_CHECKING, Literal, NoReturn, Self, TypedDict, Unpack

from semart_vectors.calls.attempts import Calls
from semart_vectors.calls.connection import Connection
from semart_vectors.calls.endpoint import checked_endpoint
from semart_vectors.calls.file_descriptors import leave_spare_descriptors
from semart_vectors.calls.key import Key, Secret
from semart_vectors.calls.limiter import (
    DEFAULT_RATE,
    AdaptiveLimiter,
    PausableLimiter,
    SteadyLimiter,
    limiter_for,
)
from semart_vectors.calls.retry import RetryPolicy
from semart_vectors.errors import (
    ConfigurationError,
    InvalidInputError,
    ItemError,
    RunError,
    causes,
    name_image,
)
from semart_vectors.images.read_image import LoadedImage, is_plain_jpeg, load_bytes, load_file
from semart_vectors.records import Embedding, EmbeddingBatch, EmbeddingFailure, ImageSource, Outcome
from semart_vectors.service import azure
from semart_vectors.service.azure import MODEL_VERSION, MODEL_VERSIONS
from semart_vectors.streams.reading import Reader
from semart_vectors.streams.source import numbered
from semart_vectors.streams.stop_token import StopToken
from semart_vectors.streams.window import OutcomeStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping
    from types import TracebackType

    from aiolimiter import AsyncLimiter

    from semart_vectors.calls.connection import HttpClient

_READERS = 8
"""Threads that read images: enough to hide a slow disk, few enough to leave a service its processors."""

_MIN_IN_FLIGHT, _AUTO_IN_FLIGHT, _MAX_IN_FLIGHT = 16, 256, 1000
"""Calls under way at once, where the caller leaves it to us; the second for a rate still to be found."""


class EmbedderOptions(TypedDict, total=False):
    """The keyword options of `AsyncVisionEmbedder`, which documents them."""

    requests_per_second: float | Literal["auto"] | None
    max_requests_per_second: float | None
    limiter: AsyncLimiter | None
    max_in_flight: int | None
    model_version: str
    retry: RetryPolicy | None
    http_client: HttpClient | None


class _State(Enum):
    NEW = "is not open: use it with `async with`"
    OPEN = "is open already"
    CLOSED = "is closed: make a new one"


class AsyncVisionEmbedder:
    """Turns images and texts into vectors through Azure AI Vision multimodal embeddings.

    Open it once with ``async with``, and share it between any number of tasks of that event loop: all of
    them together keep to its one rate, and a 429 to any of them pauses them all. Only what is answered with
    a vector is billed.
    """

    def __init__(
        self,
        endpoint: str,
        key: str | None = None,
        *,
        requests_per_second: float | Literal["auto"] | None = DEFAULT_RATE,
        max_requests_per_second: float | None = None,
        limiter: AsyncLimiter | None = None,
        max_in_flight: int | None = None,
        model_version: str = MODEL_VERSION,
        retry: RetryPolicy | None = None,
        http_client: HttpClient | None = None,
    ) -> None:
        """Set an embedder up; nothing is opened, sent or started yet.

        Args:
            endpoint: ``https://NAME.cognitiveservices.azure.com`` or one of its siblings; plain ``http`` only
                for this machine itself.
            key: The resource's key; blanks around it are dropped.
            requests_per_second: The limit to keep to, as the service states it (S1 from 10 on; the free
                tier's 20 a minute is ``20 / 60``); ``"auto"`` finds it, at the price of some refusals; None
                sends as fast as answers come. A `SteadyLimiter` of our own keeps to it.
            max_requests_per_second: What ``"auto"`` never exceeds, whatever the service would take.
            limiter: Any `aiolimiter.AsyncLimiter`, instead of `requests_per_second`; share one between the
                embedders of one resource, and with calls of your own. A 429 pauses all who share a
                `SteadyLimiter`, but this embedder's calls alone where the limiter is a plain one.
            max_in_flight: How many calls may be under way at once; unless given, as many as keep up the rate
                while each takes a second, but 16 at the least.
            model_version: ``2023-04-15``, multilingual, or ``2022-04-11``; their vectors cannot be compared.
            retry: How often and how patiently to try again.
            http_client: An `httpx.AsyncClient` or `httpx2.AsyncClient` of the caller's, used as it is and
                left open. On httpx's own transport a refusal that comes before a large image is uploaded may
                be lost, and the image is uploaded again; on an `AiohttpTransport` it is seen.

        Raises:
            ConfigurationError: one of these is missing or unusable; the message never has the key in it.
        """
        key = Secret((key or "").strip())  # tracebacks with variables show what it was before
        secret = Key(key)
        self._limiter = limiter_for(limiter, requests_per_second, max_requests_per_second)
        """The rate limit in use: a `SteadyLimiter` unless another was given."""
        if max_in_flight is None:
            max_in_flight = _default_in_flight(self._limiter, max_requests_per_second)
        if type(max_in_flight) is not int or max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight must be a whole number from 1 on, not {max_in_flight!r}")
        if model_version not in MODEL_VERSIONS:
            raise ConfigurationError(
                f"model_version must be one of {', '.join(MODEL_VERSIONS)}, not {model_version!r}"
            )
        self.model_version = model_version
        self._endpoint = checked_endpoint(endpoint, secret)
        secret.check()
        self._key = secret
        self._policy = retry or RetryPolicy()
        self._max_in_flight = max_in_flight
        self._connection = Connection(self._endpoint, secret, model_version, http_client)
        self._reader = Reader(_load, threads=_READERS)
        self._calls: Calls | None = None
        self._closing = AsyncExitStack()
        self._state = _State.NEW

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **options: Unpack[EmbedderOptions]
    ) -> AsyncVisionEmbedder:
        """Take endpoint and key from ``VISION_ENDPOINT`` and ``VISION_KEY``, when called.

        Args:
            environ: Where to look instead of the process's environment.
            options: As for the constructor.

        Raises:
            ConfigurationError: one of the two is not set, or an option is unusable.
        """
        environ = os.environ if environ is None else environ
        missing = [name for name in ("VISION_ENDPOINT", "VISION_KEY") if not environ.get(name, "").strip()]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} not set: set VISION_ENDPOINT to the address of your Azure AI "
                "Vision resource and VISION_KEY to its key, or run `semart-vectors emulator` and use the "
                "address that it prints"
            )
        endpoint, key = environ["VISION_ENDPOINT"], Secret(environ["VISION_KEY"])
        del environ  # a traceback with variables would show it
        return cls(endpoint, key, **options)

    @property
    def limiter(self) -> AsyncLimiter:
        """The rate limit in use: the caller's, or one of ours that keeps to `requests_per_second`."""
        return self._limiter

    @property
    def http_client(self) -> HttpClient:
        """The HTTP client in use: the caller's, or an `httpx.AsyncClient` of ours, whose event hooks work."""
        return self._connection.client

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once; fewer than asked for where descriptors are scarce."""
        return self._max_in_flight if self._calls is None else self._calls.max_in_flight

    def __repr__(self) -> str:
        if "_state" not in self.__dict__:
            return "<AsyncVisionEmbedder (not initialised)>"
        rate = self.limiter.max_rate / self.limiter.time_period
        pace = "no rate limit" if rate == math.inf else f"{rate:g} requests/s"
        return (
            f"<AsyncVisionEmbedder {self._endpoint}, model {self.model_version}, {pace}, "
            f"{self.max_in_flight} in flight, {self._state.name.lower()}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("an embedder has a key and connections: it cannot be pickled or copied")

    async def __aenter__(self) -> Self:
        if self._state is not _State.NEW:
            raise RuntimeError(f"this embedder {self._state.value}")
        self._state = _State.OPEN
        self._closing.callback(self._reader.close)
        self._closing.push_async_callback(self._connection.aclose)
        try:
            await self._connection.open()
            if self._connection.is_own:
                self._max_in_flight = await asyncio.to_thread(leave_spare_descriptors, self._max_in_flight)
            self._calls = self._new_calls()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._closing.callback(self._calls.close)
        return self

    def _new_calls(self) -> Calls:
        limiter = self.limiter
        return Calls(
            self._connection,
            limiter if isinstance(limiter, SteadyLimiter) else PausableLimiter(limiter),
            self._policy,
            key=self._key,
            model_version=self.model_version,
            max_in_flight=self._max_in_flight,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = _State.CLOSED
        await self._closing.aclose()

    async def embed_image(self, image: ImageSource) -> Embedding:
        """Embed one image.

        Args:
            image: A path, the image's bytes, or an ``https://`` URL that the service fetches itself.

        Returns:
            The vector: float32, shape (1024,), not normalised.

        Raises:
            ItemError: this image cannot be embedded; the subclass says why.
            RunError: no image can be embedded at the moment.
        """
        self._open_calls()
        try:
            return await self._embed(image, StopToken())
        except ItemError as error:
            error.source = image
            name_image(error, image)
            raise

    async def embed_text(self, text: str) -> Embedding:
        """Embed one text of 1 to 70 words, to compare with images by cosine.

        Args:
            text: In English for model 2022-04-11, in one of 102 languages for 2023-04-15.

        Returns:
            The vector: float32, shape (1024,), not normalised.

        Raises:
            ItemError: this text cannot be embedded; the subclass says why.
            RunError: no text can be embedded at the moment.
        """
        calls = self._open_calls()
        try:
            if not isinstance(text, str):
                raise InvalidInputError(
                    f"a text is a str, not {type(text).__name__}: embed several one by one"
                )
            if not text.strip():
                raise InvalidInputError("the text is empty")
            vector, attempts = await calls.call(azure.text_request(text), StopToken())
        except ItemError as error:
            error.source = text
            raise
        return Embedding(text, vector, self.model_version, attempts)

    async def embed_images(
        self, images: Iterable[ImageSource] | AsyncIterable[ImageSource]
    ) -> EmbeddingBatch:
        """Embed many images and wait for all of them; one bad image never fails the batch.

        Args:
            images: Paths, bytes or ``https://`` URLs, mixed as you like; taken as they are needed.

        Returns:
            Vectors, float32, shape (n_succeeded, 1024), and failures, both in input order.

        Raises:
            RunError: no further image can be embedded; its `batch` has what was answered before.
        """
        self._open_calls()
        outcomes: dict[int, Outcome] = {}

        async def work(item: tuple[int, ImageSource], token: StopToken) -> tuple[int, Outcome]:
            number, image = item
            return number, await self._outcome(image, token)

        def batch() -> EmbeddingBatch:
            return EmbeddingBatch.from_outcomes([outcomes[number] for number in sorted(outcomes)])

        try:
            async with OutcomeStream(numbered(images), work, width=self.max_in_flight) as stream:
                while arrived := await stream.next_batch():
                    outcomes.update(arrived)  # at once, for when the run ends early
        except RunError as error:
            error.batch = batch()
            raise
        return batch()

    def stream_images(
        self, images: Iterable[ImageSource | LoadedImage] | AsyncIterable[ImageSource | LoadedImage]
    ) -> OutcomeStream[Outcome]:
        """Embed any number of images in bounded memory, and get each outcome as it completes.

        ::

            async with embedder.stream_images(paths) as outcomes:
                async for outcome in outcomes: ...

        At most `max_in_flight` images are worked on, and as many outcomes wait to be taken. Leaving the block
        early cancels the rest; ``outcomes.stop()`` ends the iteration after the calls under way.

        Args:
            images: Paths, bytes or ``https://`` URLs, mixed as you like; taken as they are needed.

        Returns:
            A stream to be opened with ``async with``. Its iteration raises a `RunError` when no further
            image can be embedded, after the outcomes of the calls that were under way.
        """
        self._open_calls()
        return OutcomeStream(images, self._outcome, width=self.max_in_flight)

    def _open_calls(self) -> Calls:
        if self._state is not _State.OPEN or self._calls is None:
            raise RuntimeError(f"this embedder {self._state.value}")
        return self._calls

    async def _outcome(self, image: ImageSource | LoadedImage, token: StopToken) -> Outcome:
        try:
            return await self._embed(image, token)
        except ItemError as error:
            return _failure(image, error)

    async def _embed(self, image: ImageSource | LoadedImage, token: StopToken) -> Embedding:
        calls = self._open_calls()
        match image:
            case LoadedImage(source=source, data=data):
                request = azure.image_request(data)
            case bytes() if is_plain_jpeg(image):
                source, request = image, azure.image_request(image)
            case str() if image[:8].lower() == "https://":
                source, request = image, azure.image_url_request(image)
            case str() if image[:7].lower() == "http://":
                raise InvalidInputError("the service fetches images from https:// addresses only")
            case _:
                loaded = await self._reader.read(image)
                source, request = loaded.source, azure.image_request(loaded.data)
        vector, attempts = await calls.call(request, token)
        return Embedding(source, vector, self.model_version, attempts)


def _default_in_flight(limiter: AsyncLimiter, max_requests_per_second: float | None) -> int:
    if isinstance(limiter, AdaptiveLimiter):
        rate = max_requests_per_second or _AUTO_IN_FLIGHT
    else:
        rate = limiter.max_rate / limiter.time_period
    return int(max(_MIN_IN_FLIGHT, min(rate if rate < math.inf else 0, _MAX_IN_FLIGHT)))


def _failure(image: ImageSource | LoadedImage, error: ItemError) -> EmbeddingFailure:
    error.source = image.source if isinstance(image, LoadedImage) else image
    for each in causes(error):
        each.__traceback__ = None  # kept as a value, a stack would keep the image's bytes too
    return EmbeddingFailure(error.source, error)


def _load(image: ImageSource) -> LoadedImage:
    if isinstance(image, bytes | bytearray | memoryview):
        return load_bytes(bytes(image), source=image)
    if isinstance(image, str | os.PathLike):
        return load_file(image)
    raise InvalidInputError(f"an image is a path, bytes or an https:// URL, not {type(image).__name__}")

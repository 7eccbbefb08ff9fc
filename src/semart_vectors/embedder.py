"""`AsyncVisionEmbedder`: images and texts to vectors, at one rate for all who share it."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import os
import random
import re
from contextlib import AsyncExitStack
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NoReturn, Self, TypedDict, Unpack
from urllib.parse import quote, urlsplit

from semart_vectors.calls.breaker import Breaker
from semart_vectors.calls.clients import (
    ClientTransport,
    Post,
    ScarcityError,
    Transport,
    UnreachableError,
    is_this_machine,
)
from semart_vectors.calls.deadlines import Deadlines
from semart_vectors.calls.descriptors import free_descriptors
from semart_vectors.calls.health import Call, Health
from semart_vectors.calls.limiter import Gate
from semart_vectors.calls.retry import RetryPolicy
from semart_vectors.calls.transport import AiohttpTransport
from semart_vectors.errors import (
    ConfigurationError,
    EndpointError,
    InvalidInputError,
    ItemError,
    OutOfResourcesError,
    RetriesExhaustedError,
    RunError,
    ServiceUnavailableError,
    causes,
)
from semart_vectors.images.load import LoadedImage, is_plain_jpeg, load_bytes, load_file
from semart_vectors.records import Embedding, EmbeddingBatch, EmbeddingFailure, ImageSource, Outcome, Vector
from semart_vectors.service import azure as _service
from semart_vectors.service.azure import (
    MODEL_VERSION,
    MODEL_VERSIONS,
    ServiceAnswer,
    ServiceRequest,
    TransientError,
)
from semart_vectors.streams.reading import Reader
from semart_vectors.streams.window import OutcomeStream, StopToken, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping
    from types import TracebackType

    import httpx

_logger = logging.getLogger("semart_vectors")

_READERS = 8
"""Threads that read images: enough to hide a slow disk, few enough to leave a service its processors."""

_BUSY_FROM = 4
"""So many images asked for in one turn of the loop show that it works at its limit, and not at a rate."""


_LEAST_IN_FLIGHT, _MANY_IN_FLIGHT, _MOST_IN_FLIGHT = 16, 256, 1000
"""Calls under way at once, where the caller leaves their number to us; many, where no rate tells it."""

_LEAST_SECRET = 6
"""A key of fewer letters would be found in sentences of ours."""

_DESCRIPTORS_TO_SPARE = 32
"""So many of the files that a process may open are left for images, a checkpoint, and all else it does."""

_TIMES_ALONE = 5
"""So often a call tries to get a connection from this machine when there is no other to wait for."""

_RETRIES_OF_CALLS = 8
"""Once the budget of retries is spent, one call under way in so many may be one. With a single one in all, a
service that fails one call in five was found to give 14 images a second instead of 23, at 30 a second."""


class _Key(str):
    """A key that tracebacks with variables do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class EmbedderOptions(TypedDict, total=False):
    """The keyword options of `AsyncVisionEmbedder`, which documents them."""

    requests_per_second: float | Literal["auto"] | None
    max_requests_per_second: float | None
    max_in_flight: int | None
    model_version: str
    retry: RetryPolicy | None
    http_client: httpx.AsyncClient | None


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
        credential: object = None,
        requests_per_second: float | Literal["auto"] | None = 10.0,
        max_requests_per_second: float | None = None,
        max_in_flight: int | None = None,
        model_version: str = MODEL_VERSION,
        retry: RetryPolicy | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Set an embedder up; nothing is opened, sent or started yet.

        Args:
            endpoint: ``https://NAME.cognitiveservices.azure.com`` or one of its siblings; plain ``http`` only
                for this machine itself.
            key: The resource's key; blanks around it are dropped.
            credential: Reserved for Entra ID sign-in, which is not offered yet.
            requests_per_second: The limit to keep to, as the service states it (S1 from 10 on; the free
                tier's 20 a minute is ``20 / 60``); ``"auto"`` finds it, at the price of some refusals; None
                sends as fast as answers come.
            max_requests_per_second: What ``"auto"`` never exceeds, whatever the service would take.
            max_in_flight: How many calls may be under way at once; unless given, as many as keep up the rate
                while each takes a second, but 16 at the least.
            model_version: ``2023-04-15``, multilingual, or ``2022-04-11``; their vectors do not compare.
            retry: How often and how patiently to try again.
            http_client: A client of the caller's, used as it is and left open.

        Raises:
            ConfigurationError: one of these is missing or unusable; the message never holds the key.
        """
        key = _Key((key or "").strip())
        if credential is not None:
            raise ConfigurationError(
                "signing in with a credential is not offered yet; pass the resource's key"
            )
        self._gate = Gate(requests_per_second, ceiling=max_requests_per_second)
        if max_in_flight is None:
            rate = (
                max_requests_per_second or _MANY_IN_FLIGHT
                if requests_per_second == "auto"
                else requests_per_second
            )
            max_in_flight = int(max(_LEAST_IN_FLIGHT, min(rate or 0, _MOST_IN_FLIGHT)))
        if max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight must be at least 1, not {max_in_flight}")
        if model_version not in MODEL_VERSIONS:
            raise ConfigurationError(
                f"model_version must be one of {', '.join(MODEL_VERSIONS)}, not {model_version!r}"
            )
        self.model_version = model_version
        self.max_in_flight = max_in_flight
        self._key_as_written = _as_written(key)
        self._endpoint = _checked_endpoint(endpoint, self._key_as_written)
        self._key = _checked_key(key)
        self._retry = retry or RetryPolicy()
        self._slots: asyncio.Semaphore
        self._health: Health
        self._breaker = Breaker(self._retry.outage_limit_s)
        self._retry_slots: asyncio.Semaphore
        self._given_client = http_client
        self._transport: Transport
        self._posts: dict[tuple[str, str], Post] = {}
        self._deadlines = Deadlines(self._retry.attempt_timeout_s)
        self._reader = Reader(_load, threads=_READERS, busy_from=_BUSY_FROM)
        self._closing = AsyncExitStack()
        self._was_answered = False
        self._is_short = False
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
                "Vision resource and VISION_KEY to its key, or run `semart-vectors emulator` and use what "
                "it prints"
            )
        return cls(environ["VISION_ENDPOINT"], environ["VISION_KEY"], **options)

    def __repr__(self) -> str:
        if "_state" not in self.__dict__:
            return "<AsyncVisionEmbedder that could not be made>"
        rate = self._gate.requests_per_second
        pace = "no rate limit" if rate is None else f"{rate:g} requests/s"
        return (
            f"<AsyncVisionEmbedder {self._endpoint}, model {self.model_version}, {pace}, "
            f"{self.max_in_flight} in flight, {self._state.name.lower()}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("an embedder holds a key and connections: it cannot be pickled or copied")

    async def __aenter__(self) -> Self:
        if self._state is not _State.NEW:
            raise RuntimeError(f"this embedder {self._state.value}")
        self._state = _State.OPEN
        self._closing.callback(self._reader.close)
        self._closing.callback(self._deadlines.close)
        self._closing.callback(self._breaker.release)
        if self._given_client is not None:
            self._transport = ClientTransport(self._given_client)
        else:  # loading the certificates takes longer than a loop should stand still
            transport = await asyncio.to_thread(AiohttpTransport, self._endpoint)
            self._transport = await self._closing.enter_async_context(transport)
            self._leave_descriptors(await asyncio.to_thread(free_descriptors))
        self._slots = asyncio.Semaphore(self.max_in_flight)
        self._retry_slots = asyncio.Semaphore(max(1, self.max_in_flight // _RETRIES_OF_CALLS))
        self._health = Health(in_flight=self.max_in_flight)
        return self

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
            RunError: no image could be, at present.
        """
        self._check_open()
        try:
            return await self._embed_image(image, StopToken())
        except ItemError as error:
            error.add_note(f"image: {image!r}"[:200])
            raise

    async def embed_text(self, text: str) -> Embedding:
        """Embed one text of 1 to 70 words, to compare with images by cosine.

        Args:
            text: In English for model 2022-04-11, in one of 102 languages for 2023-04-15.

        Returns:
            The vector: float32, shape (1024,), not normalised.

        Raises:
            ItemError: this text cannot be embedded; the subclass says why.
            RunError: no text could be, at present.
        """
        self._check_open()
        if not text.strip():
            raise InvalidInputError("the text is empty")
        vector, attempts = await self._call(_service.text_request(text), StopToken())
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
            RunError: no further image could be embedded; its `batch` holds what was answered before.
        """
        self._check_open()
        outcomes: dict[int, Outcome] = {}

        async def work(numbered: tuple[int, ImageSource], worker: StopToken) -> tuple[int, Outcome]:
            number, image = numbered
            try:
                return number, await self._embed_image(image, worker)
            except ItemError as error:
                return number, _failure(image, error)

        def batch() -> EmbeddingBatch:
            return EmbeddingBatch.from_outcomes([outcomes[number] for number in sorted(outcomes)])

        try:
            async with OutcomeStream(numbered(images), work, width=self.max_in_flight) as stream:
                while some := await stream.next_batch():
                    outcomes.update(some)  # at once, for when the run ends early
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
            The stream, to be opened with ``async with``. Its iteration raises `RunError` when no further
            image could be embedded, after the outcomes of the calls that were under way.
        """
        self._check_open()
        return OutcomeStream(images, self._outcome, width=self.max_in_flight)

    def calls_free_in_s(self, *, unseen_s: float = 0.0) -> float:
        """Return the seconds until the rate, or a pause, lets the next call be sent; 0.0 if it does at once.

        What a program notes when it ends, so that the next one, by `hold_calls`, keeps to the same rate.

        Args:
            unseen_s: Say so for the case that calls are sent for so long still, after which the program is
                killed.
        """
        return self._gate.free_in_s(unseen_s=unseen_s)

    def hold_calls(self, seconds: float) -> None:
        """Send no call for `seconds`, whoever asks for it; a shorter time never ends a longer one."""
        self._gate.hold(seconds)

    def _check_open(self) -> None:
        if self._state is not _State.OPEN:
            raise RuntimeError(f"this embedder {self._state.value}")

    async def _outcome(self, image: ImageSource | LoadedImage, worker: StopToken) -> Outcome:
        try:
            return await self._embed_image(image, worker)
        except ItemError as error:
            return _failure(image, error)

    async def _embed_image(self, image: ImageSource | LoadedImage, worker: StopToken) -> Embedding:
        match image:
            case LoadedImage(source=source, data=data):
                request = _service.image_request(data)
            case bytes() if is_plain_jpeg(image):
                source, request = image, _service.image_request(image)
            case str() if image[:8].lower() == "https://":
                source, request = image, _service.image_url_request(image)
            case str() if image[:7].lower() == "http://":
                raise InvalidInputError("the service fetches images from https:// addresses only")
            case _:
                loaded = await self._reader.read(image)
                source, request = loaded.source, _service.image_request(loaded.data)
        vector, attempts = await self._call(request, worker)
        return Embedding(source, vector, self.model_version, attempts)

    async def _call(self, request: ServiceRequest, worker: StopToken) -> tuple[Vector, int]:
        """Send a request until it is answered for good; return its vector and the attempts it took."""
        call = Call()
        async with self._slots:
            while True:
                try:
                    vector = await self._attempt(request, worker, call)
                except (TransientError, ScarcityError) as error:
                    failure = error
                except ItemError as error:
                    error.attempts = call.attempts
                    raise
                else:
                    if vector is not None:
                        return vector, call.attempts
                    continue
                worker.raise_if_stopped()
                if isinstance(failure, ScarcityError):
                    await self._go_on_with_fewer(failure, call)
                else:
                    self._judge(failure, call)
                    await self._wait_after(failure, call)

    async def _attempt(self, request: ServiceRequest, worker: StopToken, call: Call) -> Vector | None:
        """Try once, when it is this call's turn; return None if nothing was sent, as an outage has begun."""
        is_probe = self._breaker.is_open and await self._outlast_outage(call)
        try:
            if call.is_retry and not self._health.affords_retry():
                async with self._retry_slots:
                    return await self._send_at_rate(request, worker, call, is_probe=is_probe)
            return await self._send_at_rate(request, worker, call, is_probe=is_probe)
        finally:
            if is_probe:
                self._breaker.probe_ended()

    async def _send_at_rate(
        self, request: ServiceRequest, worker: StopToken, call: Call, *, is_probe: bool
    ) -> Vector | None:
        call.passed_at = await self._gate.pass_through()
        self._check_open()
        if self._breaker.is_open and not is_probe:
            return None
        call.attempts += 1
        try:
            with worker.shielded():
                vector = await self._ask(request)
        except ItemError:
            self._answered(call)
            raise
        self._gate.succeeded()
        self._answered(call)
        return vector

    def _answered(self, call: Call) -> None:
        self._health.succeeded(call)
        if self._breaker.is_open:
            self._breaker.close()

    async def _outlast_outage(self, call: Call) -> bool:
        """Wait while the service is down, which takes time and no attempts; return whether to probe."""
        try:
            is_probe = await self._breaker.turn()
        except ServiceUnavailableError:
            failure = call.failure
            if failure is None or isinstance(failure, UnreachableError) or not self._health.has_few_witnesses:
                raise
            # A few images that are always answered 503, and are all that is left, look as an outage does.
            # Taken for one for ever, they would keep a job from its end in every run.
            self._breaker.wait_for_one_more()
            raise _given_up(failure, call) from failure
        call.forget()
        return is_probe

    def _judge(self, failure: TransientError, call: Call) -> None:
        """Count a failure; raise what it means, if that is the end of the call, or open the breaker."""
        now = asyncio.get_running_loop().time()
        call.failure = failure.with_traceback(None)  # whose frames hold the image's bytes
        if failure.throttled:  # uses up time, not attempts
            # Nor the budget of retries: the pause slows all down as much as it takes. Where the rate is left
            # to the refusals, to let those who were refused through a few at a time took a third longer.
            call.is_retry = False
            since, answered = call.throttled = call.throttled or (now, self._health.answered)
            if now < since + self._retry.throttled_limit_s:
                return
            if self._health.answered > answered:
                raise _given_up(failure, call) from failure
            raise ServiceUnavailableError(
                f"nothing but refusals for {now - since:.0f} s: {failure}; run again later"
            ) from failure
        is_strike = self._health.failed(call, now, no_images_fault=failure.no_images_fault)
        if isinstance(failure, UnreachableError) and not self._was_answered:
            if call.failures >= self._retry.max_attempts:
                raise EndpointError(
                    f"{failure}; check VISION_ENDPOINT and the network, then run again"
                ) from failure
        elif is_strike and call.strikes >= self._health.attempts_allowed(self._retry.max_attempts):
            raise _given_up(failure, call) from failure
        elif self._breaker.is_open:
            self._breaker.explain(str(failure))
        elif self._health.is_down(now):
            self._breaker.open(str(failure))

    async def _wait_after(self, failure: TransientError, call: Call) -> None:
        """Wait as long as a failure asks for: all together if the service said so, else this call alone."""
        asked_s = min(failure.retry_after_s or 0.0, self._retry.retry_after_cap_s)
        pauses = self._gate.throttled(call.passed_at, asked_s) if failure.throttled else 0
        if asked_s:
            self._gate.pause(asked_s)
        elif failure.throttled:
            bound_s = self._retry.backoff_bound_s(pauses, throttled=True)
            self._gate.pause(random.uniform(0, bound_s))  # noqa: S311 - jitter is no secret
        elif not self._breaker.is_open:  # which is another wait
            bound_s = self._retry.backoff_bound_s(call.failures)
            await asyncio.sleep(random.uniform(0, bound_s))  # noqa: S311 - as above

    def _leave_descriptors(self, free: int | None) -> None:
        """Begin with no more calls at once than there can be connections."""
        if free is not None and free - _DESCRIPTORS_TO_SPARE < self.max_in_flight:
            self.max_in_flight = max(1, free - _DESCRIPTORS_TO_SPARE)
            _logger.warning(
                "this process may open %d more files and connections: %d calls at once (ulimit -n)",
                free,
                self.max_in_flight,
            )

    async def _go_on_with_fewer(self, scarcity: ScarcityError, call: Call) -> None:
        """Give this call's place up for good, and wait for another's; if places are free, wait a while."""
        call.attempts -= 1  # nothing was sent
        if self._slots.locked() and self.max_in_flight > 1:
            if not self._is_short:
                self._is_short = True
                _logger.warning("%s: going on with fewer calls at once (ulimit -n)", scarcity)
            self.max_in_flight -= 1
            try:
                await self._slots.acquire()
            except asyncio.CancelledError:
                self.max_in_flight += 1  # whoever waits takes it now
                raise
            return
        call.scarcities += 1
        if call.scarcities >= _TIMES_ALONE:
            raise OutOfResourcesError(
                f"this machine has no more of what a connection takes: {scarcity}; "
                "raise its limits (ulimit -n), and run again"
            )
        await asyncio.sleep(self._retry.backoff_bound_s(call.scarcities))

    async def _ask(self, request: ServiceRequest) -> Vector:
        """Send a request once; what it raises holds the key neither in words nor in variables."""
        try:
            return _service.read_vector(await self._send(request), model_version=self.model_version)
        except (TransientError, ScarcityError, ItemError, RunError, asyncio.CancelledError) as error:
            error.args = tuple(_hidden(str(text), self._key_as_written) for text in error.args)
            error.__context__ = None
            raise error.with_traceback(None) from None

    async def _send(self, request: ServiceRequest) -> ServiceAnswer:
        post = self._posts.get((request.operation, request.content_type)) or self._prepared(request)
        try:
            with self._deadlines.limit():
                answer = await post(request.body)
        except TimeoutError:
            # As a 504 is: what stands before the service would have said so, had it been quicker.
            raise TransientError(
                f"no whole answer within {self._deadlines.timeout_s:g} s", no_images_fault=True
            ) from None
        self._was_answered = True
        return answer if answer.status == HTTPStatus.OK else self._without_key(answer)

    def _prepared(self, request: ServiceRequest) -> Post:
        post = self._transport.to(
            _service.request_url(self._endpoint, request.operation, self.model_version),
            {
                "Ocp-Apim-Subscription-Key": self._key,
                "Content-Type": request.content_type,
                "Accept-Encoding": "identity",  # 11 kB are not worth the time to unpack them
            },
        )
        return self._posts.setdefault((request.operation, request.content_type), post)

    def _without_key(self, answer: ServiceAnswer) -> ServiceAnswer:
        """Take the key out of a refusal, which may end in a message or a log."""
        body = answer.body
        for key in self._key_as_written:
            body = body.replace(key.encode(), b"***")
        headers = {
            name.lower(): _hidden(value, self._key_as_written) for name, value in answer.headers.items()
        }
        return ServiceAnswer(answer.status, headers, body)


def _given_up(failure: TransientError, call: Call) -> RetriesExhaustedError:
    error = RetriesExhaustedError(f"given up after {call.attempts} attempts: {failure}")
    error.attempts = call.attempts
    return error


def _failure(image: ImageSource | LoadedImage, error: ItemError) -> EmbeddingFailure:
    _forget_frames(error)
    return EmbeddingFailure(image.source if isinstance(image, LoadedImage) else image, error)


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the stack that a failure came from: kept as a value, it would keep the image's bytes too."""
    for each in causes(error):
        each.__traceback__ = None


def _load(image: ImageSource) -> LoadedImage:
    if isinstance(image, bytes | bytearray | memoryview):
        return load_bytes(bytes(image), source=image)
    if isinstance(image, str | os.PathLike):
        return load_file(image)
    raise InvalidInputError(f"an image is a path, bytes or an https:// URL, not {type(image).__name__}")


def _checked_endpoint(endpoint: str, key_as_written: list[_Key]) -> str:
    """Return the endpoint without what follows its path; the key travels there, so it must be encrypted."""
    address = endpoint.strip().rstrip("/")
    shown = _shown(address, key_as_written)
    parts = urlsplit(address)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment or parts.username:
        raise ConfigurationError(
            f"the endpoint{shown} is no address like https://NAME.cognitiveservices.azure.com; "
            "check VISION_ENDPOINT"
        )
    if parts.scheme == "http" and not is_this_machine(host):
        raise ConfigurationError(
            f"the endpoint{shown} is not encrypted, and the key would be readable on its way; use https://"
        )
    return address


def _shown(address: str, key_as_written: list[_Key]) -> str:
    """Quote an address without what may be a key: one in the address's place, a password, a query."""
    if "://" not in address or "@" in address:
        return ""
    return f" {_hidden(re.split('[?#]', address)[0], key_as_written)!r}"


def _as_written(key: _Key) -> list[_Key]:
    """Write a key as it is, and as Python, JSON, HTML and addresses escape it; the longest comes first."""
    text = str(key)
    if len(text) < _LEAST_SECRET:
        return []
    forms = {text, str.__repr__(text)[1:-1], json.dumps(text)[1:-1], html.escape(text), quote(text, safe="")}
    return [_Key(form) for form in sorted(forms, key=len, reverse=True)]


def _hidden(text: str, key_as_written: list[_Key]) -> str:
    for key in key_as_written:
        text = text.replace(key, "***")
    return text


def _checked_key(key: _Key) -> _Key:
    if not key:
        raise ConfigurationError(
            "the key is missing: pass the key of the Azure AI Vision resource (VISION_KEY)"
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError("the key holds characters that no key has; copy it again (VISION_KEY)")
    return key

"""The two operations of the service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from semart_vectors.emulator import refusals
from semart_vectors.emulator.control import control_routes
from semart_vectors.emulator.delivery import deliver
from semart_vectors.emulator.faults import DELIVERIES, SPOILT
from semart_vectors.emulator.gallery import Gallery
from semart_vectors.emulator.ledger import Call, Ledger
from semart_vectors.emulator.messages import PATH_PREFIX, Answer, Body, GoneError, Request, read_body
from semart_vectors.emulator.page import page_routes
from semart_vectors.emulator.pictures import read_picture
from semart_vectors.emulator.recordings import Recorder, Recordings, Upstream
from semart_vectors.emulator.refusals import Refusal
from semart_vectors.emulator.settings import Settings
from semart_vectors.emulator.vectors import MODELS, image_vector, text_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from starlette.requests import Request as StarletteRequest
    from starlette.types import ASGIApp, Receive, Scope, Send

    from semart_vectors.emulator.faults import Fault

API_VERSION = "2024-02-01"
RETIRED_API_VERSIONS = frozenset(
    {"2022-07-31-preview", "2022-10-12-preview", "2023-02-01-preview", "2023-04-01-preview"}
)
DEFAULT_MODEL = "2023-04-15"
OPERATIONS = ("vectorizeImage", "vectorizeText")
_OK = 200


class Service:
    """The emulated resource: an ASGI application with a rate limit and a ledger of its calls."""

    def __init__(
        self, settings: Settings | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings or Settings()
        self.ledger = Ledger(clock=clock)
        self.gallery = Gallery()
        self.faults = self.settings.new_faults()
        """What goes wrong, to be changed at any time."""
        self.closing = asyncio.Event()
        """Once set, no answer waits for its latency any more, and no further picture is begun."""
        self._clock = clock
        self._limit = self.settings.rate_limit(clock)
        self._latency = self.settings.latency()
        self._random = random.Random(f"latency {self.settings.seed}")  # noqa: S311 - a story told twice, no secret
        # The default executor is the client's too: leave it more threads than the pictures take.
        self._cores = asyncio.Semaphore(os.cpu_count() or 1)
        self._recordings: Recordings | None = None
        self._upstream: Upstream | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Recordings:
        """Read the recordings and make ready to record; the first call does so if nobody did before.

        Raises:
            ValueError: the folder to replay holds no recordings.
            OSError: a folder cannot be read or written.
        """
        settings = self.settings
        async with self._opening:
            if self._recordings is not None:
                return self._recordings
            recorder = None
            if settings.record is not None:
                recorder = Recorder(Path(settings.record))
                await asyncio.to_thread(recorder.open)
            recordings = Recordings()
            if settings.replay is not None:
                recordings = await asyncio.to_thread(Recordings.load, Path(settings.replay))
            if settings.upstream is not None:
                self._upstream = Upstream(settings.upstream, recorder)
            self._recordings = recordings
            return recordings

    async def aclose(self) -> None:
        """Close the connections to the upstream, if there are any; the next call opens them again."""
        upstream, self._upstream, self._recordings = self._upstream, None, None
        if upstream is not None:
            await upstream.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        with contextlib.suppress(GoneError):
            await self._answer(scope, receive, send)

    async def summarise(self, _request: StarletteRequest) -> JSONResponse:
        """Answer with the counts of the ledger."""
        return JSONResponse(self.ledger.summary())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        arrived_s, arrived_at, begun_s = self._clock(), datetime.now(UTC), loop.time()
        due_s = begun_s + self._latency.quantile_s(self._random.random() or math.ulp(0.5))
        request = Request.of(scope)
        # The gateway decides by the headers alone and the limit counts arrivals, not completed bodies.
        refusal = self._refuse_at_gateway(request)
        fault = None if refusal else self.faults.draw(request.operation)
        body = await read_body(receive)
        answer = Answer.of(refusal) if refusal else await self._respond(request, body, fault)
        if self.settings.vector_first and answer.status == _OK:
            answer = answer.vector_first()
        if fault is not None and fault.kind in SPOILT:
            if answer.status == _OK:
                answer = fault.spoil(answer)
            else:
                fault = None
        call = Call(
            operation=request.operation,
            status=0 if fault is not None and fault.kind == "reset" else answer.status,
            body_sha256=body.sha256,
            body_bytes=len(body.content),
            arrived_s=arrived_s,
            arrived_at=arrived_at,
            duration_s=max(due_s, loop.time()) - begun_s,
            fault=None if fault is None else str(fault),
        )
        self.ledger.record(call)
        self.gallery.add(call, body.content)
        await self._wait(due_s - loop.time())
        if fault is None or fault.kind not in DELIVERIES:
            await answer.send(send)
        else:
            await deliver(answer, fault, (scope, receive, send), self._wait)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.closing.wait()

    def _refuse_at_gateway(self, request: Request) -> Refusal | None:
        if not self._is_authentic(request):
            return refusals.access_denied()
        api_version = request.query.get("api-version", "")
        if request.operation not in OPERATIONS or request.method != "POST":
            return refusals.not_found()
        if api_version in RETIRED_API_VERSIONS:
            return refusals.gone(api_version)
        if api_version != API_VERSION:
            return refusals.not_found()
        # A gateway knows keys and rates before the model behind it sees a body, so a picture that
        # will be refused counts against the rate all the same.
        if (wait_s := self._limit.admit()) > 0:
            seconds = math.ceil(wait_s)
            return refusals.rate_exceeded(
                request.operation,
                seconds,
                api_version=api_version,
                tier=self.settings.tier or "S1",
                headers={"retry-after": str(seconds)} if self.settings.retry_after else {},
            )
        return None

    def _is_authentic(self, request: Request) -> bool:
        key = request.headers.get("ocp-apim-subscription-key")
        if key is not None:
            return bool(key.strip()) and self.settings.key in (None, key)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and bool(token.strip())

    async def _respond(self, request: Request, body: Body, fault: Fault | None) -> Answer:
        if fault is not None:
            tier = self.settings.tier or "S1"
            if (answer := fault.instead(request.operation, API_VERSION, tier)) is not None:
                return answer
            if fault.kind == "reset":
                return Answer(_OK, b"")
        try:
            return await self._vectorize(request, body)
        except Refusal as refused:
            return Answer.of(refused)

    async def _vectorize(self, request: Request, body: Body) -> Answer:
        recordings = await self.open() if self._recordings is None else self._recordings
        model = request.query.get("model-version", DEFAULT_MODEL)
        sent = _understood(request, body)
        if (recorded := recordings.find(request.operation, sent.sha256, model)) is not None:
            return Answer(_OK, recorded)
        if self._upstream is not None:
            return await self._upstream.ask(request, body, sent.sha256)
        if not self.settings.computes:
            others = [other for other in MODELS if recordings.find(request.operation, sent.sha256, other)]
            raise refusals.not_recorded(request.operation, sent.sha256, model, others)
        if model not in MODELS:
            raise refusals.invalid(f"The model version '{model}' is not supported.")
        return Answer(_OK, await self._compute(sent, model))

    async def _compute(self, sent: _Sent, model: str) -> bytes:
        if sent.url:
            # The emulator stays on this machine: no address is fetched, so none is accessible.
            raise refusals.invalid("The provided image url is not accessible.", "ImageUrlNotAccessible")
        if sent.text is not None and not 0 < len(sent.text.split()) <= refusals.MAX_WORDS:
            raise refusals.invalid(f"The text must have 1 to {refusals.MAX_WORDS} words.")
        async with self._cores:
            if self.closing.is_set():
                raise refusals.unavailable()
            return await asyncio.to_thread(_computed, sent, model)


def create_app(service: Service) -> ASGIApp:
    """Return the application: a few pages for people, every other path for clients of the service."""
    pages = Starlette(
        routes=[
            *page_routes(service),
            Route("/calls", service.summarise),
            *control_routes(service.faults),
            Mount("/", service),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's routing takes longer than an answer from a recording.
        direct = scope["type"] == "http" and scope["path"].startswith(PATH_PREFIX)
        await (service if direct else pages)(scope, receive, send)

    return app


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is to become a vector: a picture, a text, or the address of a picture."""

    sha256: str
    picture: bytes = b""
    text: str | None = None
    url: str = ""


def _understood(request: Request, body: Body) -> _Sent:
    content_type = request.content_type
    if request.operation == "vectorizeText" and content_type == "application/json":
        text = _member(body.content, "text")
        return _Sent(_sha256(text), text=text)
    if request.operation == "vectorizeImage" and content_type == "application/json":
        url = _member(body.content, "url")
        return _Sent(_sha256(url), url=url or "nowhere")
    if request.operation == "vectorizeImage" and (
        content_type == "application/octet-stream" or content_type.startswith("image/")
    ):
        return _Sent(body.sha256, picture=body.content)
    raise refusals.invalid(f"The content type '{content_type}' is not supported.")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _computed(sent: _Sent, model: str) -> bytes:
    vector: NDArray[np.float32]
    if sent.text is None:
        vector = image_vector(read_picture(sent.picture), model)
    else:
        vector = text_vector(sent.text, model)
    return orjson.dumps({"modelVersion": model, "vector": vector}, option=orjson.OPT_SERIALIZE_NUMPY)


def _member(body: bytes, name: str) -> str:
    try:
        value: Any = orjson.loads(body)[name]
    except (ValueError, LookupError, TypeError) as error:
        raise refusals.invalid(f"The body must be a JSON object with '{name}'.") from error
    if not isinstance(value, str):
        raise refusals.invalid(f"'{name}' must be a string.")
    return value

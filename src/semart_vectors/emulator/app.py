"""The two operations of the service as a Starlette application."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from semart_vectors.emulator import refusals
from semart_vectors.emulator.gallery import Gallery
from semart_vectors.emulator.ledger import Call, Ledger
from semart_vectors.emulator.page import page_routes
from semart_vectors.emulator.pictures import read_picture
from semart_vectors.emulator.rate_limit import RateLimit, SlidingWindow, Unlimited
from semart_vectors.emulator.refusals import Refusal
from semart_vectors.emulator.vectors import MODELS, image_vector, text_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from starlette.types import Receive, Scope, Send

API_VERSION = "2024-02-01"
RETIRED_API_VERSIONS = frozenset(
    {"2022-07-31-preview", "2022-10-12-preview", "2023-02-01-preview", "2023-04-01-preview"}
)
DEFAULT_MODEL = "2023-04-15"
PATH_PREFIX = "/computervision/retrieval:"
OPERATIONS = ("vectorizeImage", "vectorizeText")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the emulated resource behaves."""

    key: str | None = None
    """The only good key; with None every key that is not empty is good."""
    requests_per_second: float | None = None
    """The rate that both operations share, in an exact sliding window; with None there is no limit."""
    latency_s: float = 0.0
    """The least time from a request to its answer, whatever the answer."""
    retry_after: bool = True
    """Whether a 429 names the wait in a ``Retry-After`` header; its sentence does so always."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_s) and self.latency_s >= 0):
            raise ValueError(f"latency_s must be zero or more and finite, not {self.latency_s}")
        if self.key is not None and not self.key.strip():
            raise ValueError("key must not be blank; None takes every key")


class Service:
    """The emulated resource: an ASGI application with a rate limit and a ledger of its calls."""

    def __init__(
        self, settings: Settings | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings or Settings()
        self.ledger = Ledger(clock=clock)
        self.gallery = Gallery()
        self.closing = asyncio.Event()
        """Once set, no answer waits for its latency any more, and no further picture is begun."""
        self._clock = clock
        rate = self.settings.requests_per_second
        self._limit: RateLimit = Unlimited() if rate is None else SlidingWindow.of_rate(rate, clock=clock)
        # The default executor is the client's too: leave it more threads than the pictures take.
        self._cores = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        with contextlib.suppress(ClientDisconnect):
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def summarise(self, _request: Request) -> Response:
        """Answer with the counts of the ledger."""
        return Response(orjson.dumps(self.ledger.summary()), media_type="application/json")

    async def _answer(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        arrived_s, arrived_at, begun_s = self._clock(), datetime.now(UTC), loop.time()
        due_s = begun_s + self.settings.latency_s
        operation = request.url.path.removeprefix(PATH_PREFIX)
        # The gateway decides by the headers alone and the limit counts arrivals, not completed bodies.
        refusal = self._refuse_at_gateway(request, operation)
        body = await request.body()
        headers: dict[str, str] = {}
        try:
            if refusal is not None:
                raise refusal
            content, status = await self._vectorize(request, operation, body), 200
        except Refusal as refused:
            content, status = orjson.dumps(refused.body()), refused.status
            headers = {"x-ms-error-code": refused.code, **refused.headers}
        call = Call(
            operation=operation,
            status=status,
            body_sha256=hashlib.sha256(body).hexdigest(),
            body_bytes=len(body),
            arrived_s=arrived_s,
            arrived_at=arrived_at,
            duration_s=max(due_s, loop.time()) - begun_s,
        )
        self.ledger.record(call)
        self.gallery.add(call, body)
        await self._wait_until(due_s)
        headers |= {"apim-request-id": str(uuid.uuid4()), "date": formatdate(usegmt=True)}
        return Response(content, status, headers, media_type="application/json")

    async def _wait_until(self, due_s: float) -> None:
        if self.settings.latency_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self.closing.wait()

    def _refuse_at_gateway(self, request: Request, operation: str) -> Refusal | None:
        if not self._is_authentic(request):
            return refusals.access_denied()
        api_version = request.query_params.get("api-version", "")
        if operation not in OPERATIONS or request.method != "POST":
            return refusals.not_found()
        if api_version in RETIRED_API_VERSIONS:
            return refusals.gone(api_version)
        if api_version != API_VERSION:
            return refusals.not_found()
        # A gateway knows keys and rates before the model behind it sees a body, so a picture that
        # will be refused counts against the rate all the same.
        if (wait_s := self._limit.admit()) > 0:
            return refusals.rate_exceeded(
                operation, api_version, math.ceil(wait_s), retry_after=self.settings.retry_after
            )
        return None

    def _is_authentic(self, request: Request) -> bool:
        key = request.headers.get("ocp-apim-subscription-key")
        if key is not None:
            return bool(key.strip()) and self.settings.key in (None, key)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and bool(token.strip())

    async def _vectorize(self, request: Request, operation: str, body: bytes) -> bytes:
        model = request.query_params.get("model-version", DEFAULT_MODEL)
        if model not in MODELS:
            raise refusals.invalid(f"The model version '{model}' is not supported.")
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if operation == "vectorizeText":
            vector = await self._compute(text_vector, _text(content_type, body), model)
        elif content_type == "application/json":
            # The emulator stays on this machine: no address is fetched, so none is accessible.
            _member(body, "url")
            raise refusals.invalid("The provided image url is not accessible.", "ImageUrlNotAccessible")
        elif content_type == "application/octet-stream" or content_type.startswith("image/"):
            vector = await self._compute(lambda: image_vector(read_picture(body), model))
        else:
            raise refusals.invalid(f"The content type '{content_type}' is not supported.")
        return orjson.dumps({"modelVersion": model, "vector": vector}, option=orjson.OPT_SERIALIZE_NUMPY)

    async def _compute(self, function: Callable[..., NDArray[np.float32]], *args: Any) -> NDArray[np.float32]:
        async with self._cores:
            if self.closing.is_set():
                raise refusals.unavailable()
            return await asyncio.to_thread(function, *args)


def create_app(service: Service) -> Starlette:
    """Return the application: a page and ``GET /calls`` for people, the rest for clients of the service."""
    return Starlette(routes=[*page_routes(service), Route("/calls", service.summarise), Mount("/", service)])


def _text(content_type: str, body: bytes) -> str:
    if content_type != "application/json":
        raise refusals.invalid(f"The content type '{content_type}' is not supported.")
    text = _member(body, "text")
    if not 0 < len(text.split()) <= refusals.MAX_WORDS:
        raise refusals.invalid(f"The text must have 1 to {refusals.MAX_WORDS} words.")
    return text


def _member(body: bytes, name: str) -> str:
    try:
        value = orjson.loads(body)[name]
    except (ValueError, LookupError, TypeError) as error:
        raise refusals.invalid(f"The body must be a JSON object with '{name}'.") from error
    if not isinstance(value, str):
        raise refusals.invalid(f"'{name}' must be a string.")
    return value

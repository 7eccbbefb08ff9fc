"""The emulated service: checks each request as its gateway does, answers it, and keeps a ledger."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from semart_vectors.emulator import error_responses
from semart_vectors.emulator.connection_faults import deliver
from semart_vectors.emulator.dashboard import dashboard_routes
from semart_vectors.emulator.error_responses import ErrorResponse
from semart_vectors.emulator.faults import SPOILT
from semart_vectors.emulator.faults_over_http import fault_routes
from semart_vectors.emulator.http_messages import PATH_PREFIX, Answer, Body, GoneError, Request, read_body
from semart_vectors.emulator.ledger import Ledger, ServedCall
from semart_vectors.emulator.recent_images import RecentImages
from semart_vectors.emulator.settings import Settings
from semart_vectors.emulator.vectorizer import Vectorizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request as StarletteRequest
    from starlette.types import ASGIApp, Receive, Scope, Send

    from semart_vectors.emulator.faults import Fault

API_VERSION = "2024-02-01"
RETIRED_API_VERSIONS = frozenset(
    {"2022-07-31-preview", "2022-10-12-preview", "2023-02-01-preview", "2023-04-01-preview"}
)
OPERATIONS = ("vectorizeImage", "vectorizeText")
_OK = 200


class EmulatedService:
    """The emulated resource as an ASGI application, with a rate limit and a ledger of its calls."""

    def __init__(
        self, settings: Settings | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings or Settings()
        self.ledger = Ledger(clock=clock)
        self.recent_images = RecentImages()
        self.faults = self.settings.new_faults()
        """The faults to come; may be changed at any time."""
        self.closing = asyncio.Event()
        """Once set, no answer waits for its latency any more, and no further picture is decoded."""
        self._clock = clock
        self._limit = self.settings.rate_limit(clock)
        self._latency = self.settings.latency()
        self._random = random.Random(f"latency {self.settings.seed}")  # noqa: S311 - to be repeatable, not secret
        self._vectorizer = Vectorizer(self.settings, self.closing)

    async def open(self) -> None:
        """Read the recordings to replay; the first call does so if nobody did before.

        Raises:
            ValueError: the folder to replay holds no recordings.
            OSError: a folder cannot be read or written.
        """
        await self._vectorizer.open()

    async def aclose(self) -> None:
        """Close the connections to the upstream, if there are any; the next call opens them again."""
        await self._vectorizer.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI defines it."""
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
        # The gateway decides by the headers alone, and the limit counts arrivals, not completed bodies.
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
        call = ServedCall(
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
        self.recent_images.add(call, body.content)
        await self._wait(due_s - loop.time())
        if fault is None:
            await answer.send(send)
        else:
            await deliver(answer, fault, (scope, receive, send), self._wait)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.closing.wait()

    def _refuse_at_gateway(self, request: Request) -> ErrorResponse | None:
        if not self._is_authentic(request):
            return error_responses.access_denied()
        api_version = request.query.get("api-version", "")
        if request.operation not in OPERATIONS or request.method != "POST":
            return error_responses.not_found()
        if api_version in RETIRED_API_VERSIONS:
            return error_responses.gone(api_version)
        if api_version != API_VERSION:
            return error_responses.not_found()
        # The gateway counts a call before the model sees its body, so an image that will be refused
        # counts against the rate all the same.
        if (wait_s := self._limit.admit()) > 0:
            seconds = math.ceil(wait_s)
            return error_responses.rate_exceeded(
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
            return await self._vectorizer.answer(request, body)
        except ErrorResponse as refused:
            return Answer.of(refused)


def create_app(service: EmulatedService) -> ASGIApp:
    """Return the whole application: the service, the dashboard, and the endpoint for faults."""
    pages = Starlette(
        routes=[
            *dashboard_routes(service),
            Route("/calls", service.summarise),
            *fault_routes(service.faults),
            Mount("/", service),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's routing takes longer than an answer from a recording.
        direct = scope["type"] == "http" and scope["path"].startswith(PATH_PREFIX)
        await (service if direct else pages)(scope, receive, send)

    return app

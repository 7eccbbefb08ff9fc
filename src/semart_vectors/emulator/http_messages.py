"""HTTP requests and answers as plain values: Starlette's own would take longer than a replayed answer."""

from __future__ import annotations

import functools
import hashlib
import time
import uuid
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from semart_vectors.emulator.error_responses import ErrorResponse

PATH_PREFIX: Final = "/computervision/retrieval:"


class GoneError(Exception):
    """The client disconnected before its request was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request."""

    method: str
    """The HTTP method, in capitals."""
    operation: str
    """``vectorizeImage``, ``vectorizeText``, or the path when it is neither."""
    query: Mapping[str, str]
    """The query parameters; of several values the last."""
    headers: Mapping[str, str]
    """The headers by lower-case name; of several values the last."""
    target: str
    """Path and query, as sent."""

    @classmethod
    def of(cls, scope: Scope) -> Request:
        """Read an ASGI scope."""
        query: bytes = scope["query_string"]
        return cls(
            scope["method"],
            scope["path"].removeprefix(PATH_PREFIX),
            _query(query),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            scope["path"] + (f"?{query.decode('latin-1')}" if query else ""),
        )

    @property
    def content_type(self) -> str:
        """The type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request and its hash."""

    content: bytes
    """The bytes."""
    sha256: str
    """Their SHA-256, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: int
    """The HTTP status."""
    content: bytes
    """The whole body."""
    content_type: str = "application/json"
    """The type of the body."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Further headers."""

    def vector_first(self) -> Answer:
        """Return the same answer with ``vector`` before ``modelVersion``."""
        model, comma, vector = self.content.partition(b',"vector":')
        if not comma:
            return self
        return replace(self, content=b'{"vector":' + vector[:-1] + b"," + model[1:] + b"}")

    @classmethod
    def of(cls, error: ErrorResponse) -> Answer:
        """Return the answer that carries an error."""
        headers = {"x-ms-error-code": error.code, **error.headers}
        return cls(error.status, orjson.dumps(error.body()), headers=headers)

    def start(self) -> dict[str, object]:
        """Return the ASGI message with which this answer starts."""
        headers = {
            "content-type": self.content_type,
            "content-length": str(len(self.content)),
            "apim-request-id": str(uuid.uuid4()),
            "date": _date(int(time.time())),
            **self.headers,
        }
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": self.status, "headers": pairs}

    async def send(self, send: Send) -> None:
        """Send the answer in one piece."""
        await send(self.start())
        await send({"type": "http.response.body", "body": self.content})


async def read_body(receive: Receive) -> Body:
    """Read a body, and hash each part while the next arrives.

    Raises:
        GoneError: the client disconnected.
    """
    parts: list[bytes] = []
    digest = hashlib.sha256()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        parts.append(message.get("body", b""))
        digest.update(parts[-1])
        more = message.get("more_body", False)
    return Body(parts[0] if len(parts) == 1 else b"".join(parts), digest.hexdigest())


@functools.lru_cache(maxsize=64)
def _query(query: bytes) -> Mapping[str, str]:
    return MappingProxyType(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)

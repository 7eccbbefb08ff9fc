"""The vision API as pure functions: a request out, a vector or the right error in.

No I/O, no clock, no logging: every odd answer of the service is a two-line test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
import simdjson

from semart_vectors.errors import (
    AuthenticationError,
    EndpointError,
    InvalidInputError,
    ItemError,
    ModelMismatchError,
    QuotaExceededError,
    RunError,
)
from semart_vectors.records import DIMENSION, Vector
from semart_vectors.service.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

API_VERSION = "2024-02-01"
"""The generally available version; all previews were retired on 2025-03-31."""

MODEL_VERSION = "2023-04-15"
"""The multilingual model."""

MODEL_VERSIONS = (MODEL_VERSION, "2022-04-11")
"""All there are; the older one knows English only."""

MAX_ANSWER_BYTES = 1 << 20
"""A vector is about 11 kB of JSON; what is a hundred times longer is not an answer."""

_MEMBERS = 2
"""An answer has ``modelVersion`` and ``vector``."""

_SURELY_FINITE = float(np.finfo(np.float32).max) ** 2
"""One product tells in a microsecond that all numbers of a vector are finite as float32: where one is not,
the sum of their squares is not below this. It is 10^72 times what a vector of the service has."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""JSON has none."""

_parser = simdjson.Parser()
"""One for all: it keeps its memory, which costs more to get anew than an answer costs to parse."""

_NOT_THE_IMAGES_FAULT = frozenset({402, 405, 407, 421})

_NOBODY_THERE = frozenset({502, 503, 504})
"""Said by what stands before a service that is down or too busy."""

_OUT_OF_PLACE = "operation is not enabled in this region"


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One call, ready to be sent by any HTTP client."""

    operation: Literal["vectorizeImage", "vectorizeText"]
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """One answer, as any HTTP client received it."""

    status: int
    headers: Mapping[str, str]
    """Looked up in lower case, of a refusal only."""
    body: bytes


class TransientError(Exception):
    """The attempt failed in a way that may pass: try again."""

    def __init__(
        self,
        message: str,
        *,
        throttled: bool = False,
        no_images_fault: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.throttled = throttled
        """Whether the service said "too fast" (429)."""
        self.no_images_fault = no_images_fault
        """Whether no image can be the cause: nobody was there to look at it."""
        self.retry_after_s = retry_after_s
        """How long the service asks everybody to wait, in seconds, if it says so."""


def image_request(image: bytes) -> ServiceRequest:
    """Ask for the vector of an image given by its bytes."""
    return ServiceRequest("vectorizeImage", image, "application/octet-stream")


def image_url_request(url: str) -> ServiceRequest:
    """Ask for the vector of an image that the service fetches itself."""
    return ServiceRequest("vectorizeImage", _json({"url": url}), "application/json")


def text_request(text: str) -> ServiceRequest:
    """Ask for the vector of a text."""
    return ServiceRequest("vectorizeText", _json({"text": text}), "application/json")


def _json(content: dict[str, str]) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError as error:  # half a surrogate pair
        raise InvalidInputError("it holds characters that are no Unicode text") from error


def request_url(endpoint: str, operation: str, model_version: str) -> str:
    """Put the address of an operation together; the endpoint has no trailing slash."""
    return (
        f"{endpoint}/computervision/retrieval:{operation}"
        f"?api-version={API_VERSION}&model-version={model_version}"
    )


def read_vector(answer: ServiceAnswer, *, model_version: str) -> Vector:
    """Return the vector of an answer, checked, or raise what the answer means.

    Raises:
        TransientError: trying again may help: 408, 429, 5xx, or a 200 that cannot be read.
        ItemError: this image or text was refused; the others are unaffected.
        RunError: every further call would fare the same.
    """
    if answer.status == HTTPStatus.OK:
        return _checked_vector(answer.body, model_version)
    raise _error_for(answer)


def _all_finite(numbers: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(numbers.astype(np.float32)).all())


def _checked_vector(body: bytes, model_version: str) -> Vector:
    numbers, answered = _read_fast(body) or _read_with_care(body)
    if not numbers.dot(numbers) < _SURELY_FINITE and not _all_finite(numbers):
        raise TransientError(
            "the answer's vector holds numbers that are too large for float32, or no numbers"
        )
    vector = numbers.astype(np.float32)
    if answered != model_version:
        raise ModelMismatchError(
            f"the service answered with model {answered!r} although {model_version!r} was asked for; "
            "vectors of two models do not compare, so the run stops"
        )
    vector.setflags(write=False)
    return vector


def _read_fast(body: bytes) -> tuple[NDArray[np.float64], str] | None:
    """Read an answer that is just as documented, in a third of the time; None leaves it to care.

    Never a number becomes a Python object here. What is accepted is sure: two members, so none twice, and one
    array, which holds 1024 numbers and nothing else.
    """
    # simdjson would take the numbers of arrays within for its own, and read on after a byte order mark.
    if body.find(b"[") != body.rfind(b"[") or body.startswith(_BYTE_ORDER_MARK):
        return None
    try:
        content = _parser.parse(body)
        if not isinstance(content, simdjson.Object) or len(content) != _MEMBERS:
            return None
        numbers, answered = content.get("vector"), content.get("modelVersion")
        if not isinstance(numbers, simdjson.Array) or len(numbers) != DIMENSION:
            return None
        if not isinstance(answered, str):
            return None
        return np.frombuffer(numbers.as_buffer(of_type="d"), dtype=np.float64), answered
    # It is not JSON; not all are numbers; one is too long, or another thread uses the parser at this moment.
    except (ValueError, TypeError, RuntimeError):
        return None


def _read_with_care(body: bytes) -> tuple[NDArray[np.float64], str]:
    """Read any answer that can be read, and say what is wrong with any other."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise TransientError("the answer is not JSON") from None
    if not isinstance(content, dict):
        raise TransientError("the answer is not a JSON object")
    numbers = content.get("vector")
    if not isinstance(numbers, list) or len(numbers) != DIMENSION:
        raise TransientError(f"the answer holds no vector of {DIMENSION} numbers")
    if not set(map(type, numbers)) <= {float, int}:  # numpy would take "1", true and null for numbers
        raise TransientError("the answer's vector holds something else than numbers")
    answered = content.get("modelVersion")
    if not isinstance(answered, str):
        raise TransientError("the answer does not name its model")
    if _repeats_a_name(body):
        raise TransientError("the answer says something twice")
    return np.array(numbers, dtype=np.float64), answered


def _repeats_a_name(body: bytes) -> bool:
    """Whether an object names a member twice; a parser keeps the last without a word."""
    repeats = False

    def look(members: list[tuple[str, object]]) -> None:
        nonlocal repeats
        repeats = repeats or len(dict(members)) < len(members)

    try:
        json.loads(body, object_pairs_hook=look)
    except RecursionError:
        return True
    return repeats


def _error_for(  # noqa: C901, PLR0911 - a table, one return for each meaning
    answer: ServiceAnswer,
) -> TransientError | ItemError | RunError:
    """Classify an answer that is not a 200."""
    status = answer.status
    code, message = _code_and_message(answer)
    said = f"the service answered {status}" + (f" ({message})" if message else "")
    request_id = answer.headers.get("apim-request-id")
    if request_id:
        said += f" [apim-request-id {request_id}]"
    if code == "Gone" or status == HTTPStatus.GONE:
        return EndpointError(f"{said}: this version of the API was retired; upgrade semart-vectors")
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return AuthenticationError(f"{said}; check VISION_KEY and that it belongs to the endpoint")
        case HTTPStatus.FORBIDDEN if "quota" in message.lower():
            return QuotaExceededError(f"{said}; wait until it is replenished, or raise it, and run again")
        case HTTPStatus.FORBIDDEN:
            return AuthenticationError(
                f"{said}; the key is known but may not do this: check its role and network rules"
            )
        case HTTPStatus.NOT_FOUND:
            return EndpointError(f"{said}; check VISION_ENDPOINT, it is not an Azure AI Vision endpoint")
        case HTTPStatus.BAD_REQUEST if _OUT_OF_PLACE in message.lower():
            return EndpointError(f"{said}; choose a resource in a region that offers multimodal embeddings")
        case _ if _may_pass(status):
            return TransientError(
                said,
                throttled=status == HTTPStatus.TOO_MANY_REQUESTS,
                no_images_fault=status in _NOBODY_THERE,
                retry_after_s=retry_after_s(answer.headers, message),
            )
        case _ if status < HTTPStatus.BAD_REQUEST:
            return EndpointError(
                f"the service answered {status}, a redirect, which is not followed lest the key go "
                "elsewhere; check VISION_ENDPOINT"
            )
        case _ if status in _NOT_THE_IMAGES_FAULT:
            return EndpointError(f"{said}; check VISION_ENDPOINT and what stands between it and you")
        case _:
            return InvalidInputError(said)


def _may_pass(status: int) -> bool:
    return (
        status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status < HTTPStatus.MULTIPLE_CHOICES  # a 204, say: no answer, but no refusal either
    )


def _code_and_message(answer: ServiceAnswer) -> tuple[str, str]:
    """Find what an error says of itself: envelope, bare gateway form, or neither (a page, nothing)."""
    code = answer.headers.get("x-ms-error-code", "")
    try:
        content: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return code, ""
    if isinstance(content, dict) and isinstance(content.get("error"), dict):
        content = content["error"]
    if not isinstance(content, dict):
        return code, ""
    inner = content.get("innererror")
    inner_message = inner.get("message") if isinstance(inner, dict) else None
    message = content.get("message") or inner_message
    named = content.get("code")
    return (
        named if isinstance(named, str) else code,
        " ".join(message.split())[:500] if isinstance(message, str) else "",
    )

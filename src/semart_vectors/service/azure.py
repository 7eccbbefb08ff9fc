"""Azure AI Vision as pure functions: a request out, a vector or the right error in.

No I/O, no clock, no logging: every odd answer of the service is a two-line test. What each status and code
means is in the table of ``docs/design.md``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from semart_vectors.errors import (
    AuthenticationError,
    EndpointError,
    InvalidInputError,
    ItemError,
    ModelMismatchError,
    QuotaExceededError,
    RunError,
)
from semart_vectors.service.messages import ErrorAttributes, ServiceRequest, TransientError
from semart_vectors.service.retry_after import retry_after_s
from semart_vectors.service.vectors import parse_vector

if TYPE_CHECKING:
    from semart_vectors.records import Vector
    from semart_vectors.service.messages import ServiceAnswer

API_VERSION = "2024-02-01"
"""The generally available version; all previews were retired on 2025-03-31."""

MODEL_VERSION = "2023-04-15"
"""The multilingual model."""

MODEL_VERSIONS = (MODEL_VERSION, "2022-04-11")
"""All there are; the older one knows English only."""

_IMAGE_INDEPENDENT_REFUSALS = frozenset({402, 405, 407, 421})
"""Client errors that say something of the endpoint, and nothing of the image."""

_NOBODY_THERE = frozenset({502, 503, 504})
"""Said by what stands before a service that is down or too busy."""

_NOT_IN_THIS_REGION = "operation is not enabled in this region"


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
        raise InvalidInputError("it has characters that are not Unicode text") from error


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
    if answer.status != HTTPStatus.OK:
        raise _error_for(answer)
    vector, answered = parse_vector(answer.body)
    if answered != model_version:
        raise ModelMismatchError(
            f"the service answered with model {answered!r} although {model_version!r} was asked for; "
            "vectors of two models cannot be compared, so the run stops",
            status_code=answer.status,
        )
    return vector


def _error_for(  # noqa: C901, PLR0911 - a table, one return for each meaning
    answer: ServiceAnswer,
) -> TransientError | ItemError | RunError:
    """Classify an answer that is not a 200."""
    status = answer.status
    code, message = _code_and_message(answer)
    request_id = answer.headers.get("apim-request-id")
    given = ErrorAttributes(status_code=status, code=code or None, request_id=request_id or None)
    said = f"the service answered {status}" + (f" ({message})" if message else "")
    if request_id:
        said += f" [apim-request-id {request_id}]"
    if code == "Gone" or status == HTTPStatus.GONE:
        return EndpointError(f"{said}: this version of the API was retired; upgrade semart-vectors", **given)
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return AuthenticationError(
                f"{said}; check VISION_KEY and that it belongs to the endpoint", **given
            )
        case HTTPStatus.FORBIDDEN if "quota" in message.lower():
            return QuotaExceededError(
                f"{said}; wait until it is replenished, or raise it, and run again", **given
            )
        case HTTPStatus.FORBIDDEN:
            return AuthenticationError(
                f"{said}; the key is known but may not do this: check its role and network rules", **given
            )
        case HTTPStatus.NOT_FOUND:
            return EndpointError(
                f"{said}; check VISION_ENDPOINT, it is not an Azure AI Vision endpoint", **given
            )
        case HTTPStatus.BAD_REQUEST if _NOT_IN_THIS_REGION in message.lower():
            return EndpointError(
                f"{said}; choose a resource in a region that offers multimodal embeddings", **given
            )
        case _ if _may_pass(status):
            return TransientError(
                said,
                is_throttled=status == HTTPStatus.TOO_MANY_REQUESTS,
                is_image_independent=status in _NOBODY_THERE,
                retry_after_s=retry_after_s(answer.headers, message),
                **given,
            )
        case _ if status < HTTPStatus.BAD_REQUEST:
            return EndpointError(
                f"the service answered {status}, a redirect, which is not followed because the key would "
                "travel along; check VISION_ENDPOINT",
                **given,
            )
        case _ if status in _IMAGE_INDEPENDENT_REFUSALS:
            return EndpointError(f"{said}; check VISION_ENDPOINT and what stands between it and you", **given)
        case _:
            return InvalidInputError(said, **given)


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

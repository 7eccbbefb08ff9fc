"""What an answer of Azure AI Vision without a vector means: a table from status and code to an error."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from semart_vectors.errors import (
    AuthenticationError,
    EndpointError,
    InvalidInputError,
    ItemError,
    QuotaExceededError,
    RunError,
)
from semart_vectors.service.messages import TransientError
from semart_vectors.service.retry_after import retry_after_s

if TYPE_CHECKING:
    from semart_vectors.service.messages import ServiceAnswer

_IMAGE_INDEPENDENT_REFUSALS = frozenset({402, 405, 407, 421})
"""Client errors that say something of the endpoint, and nothing of the image."""

_NOBODY_THERE = frozenset({502, 503, 504})
"""Said by what stands before a service that is down or too busy."""

_NOT_IN_THIS_REGION = "operation is not enabled in this region"


def error_for(  # noqa: C901, PLR0911 - a table, one return for each meaning
    answer: ServiceAnswer,
) -> TransientError | ItemError | RunError:
    """Classify an answer that is not a 200."""
    status = answer.status
    code, message = _code_and_message(answer)
    given = answer.attributes(code)
    said = f"the service answered {status}" + (f" ({message})" if message else "")
    if answer.is_body_lost:
        said += (
            " (why is not known: a hook of http_client raised first; `await response.aread()` in it before)"
        )
    if given["request_id"]:
        said += f" [apim-request-id {given['request_id']}]"
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
            refusal = InvalidInputError(said, **given)
            refusal.is_explained = bool(message)
            return refusal


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

"""The error responses of the service, each as a function, in the service's own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_IMAGE_BYTES = 20_971_520
MIN_SIDE_PX, MAX_SIDE_PX = 10, 16_000
"""Both bounds are excluded: a side must have more than 10 and fewer than 16,000 pixels."""
MAX_WORDS = 70
QUOTA_USED_UP = {
    "statusCode": 403,
    "message": "Out of call volume quota. Quota will be replenished in 1.02:03:04",
}
"""The body of the gateway's 403, which does not have the usual form."""


@dataclass(eq=False)
class ErrorResponse(Exception):  # noqa: N818 - it is an answer, not an error of the emulator
    """An answer other than 200."""

    status: int
    """The HTTP status."""
    code: str
    """`error.code` and the header `x-ms-error-code`; for the gateway's errors it is the status."""
    message: str
    """`error.message`."""
    inner_code: str | None = None
    """`error.innererror.code`, where the service gives one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the answer."""

    def body(self) -> dict[str, object]:
        """Return the body of the response, as plain values."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.inner_code is not None:
            error["innererror"] = {"code": self.inner_code, "message": self.message}
        return {"error": error}


def access_denied() -> ErrorResponse:
    """Refuse a missing or wrong key."""
    return ErrorResponse(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid"
        " key for an active subscription and use a correct regional API endpoint for your resource.",
    )


def not_found() -> ErrorResponse:
    """Refuse an unknown path or api-version."""
    return ErrorResponse(404, "404", "Resource not found")


def gone(api_version: str) -> ErrorResponse:
    """Refuse a retired preview of the API."""
    return ErrorResponse(
        410,
        "Gone",
        f"Computer Vision {api_version} has been deprecated. Please use a generally available version.",
    )


def rate_exceeded(
    operation: str, wait_s: int, *, api_version: str, tier: str, headers: Mapping[str, str]
) -> ErrorResponse:
    """Refuse a call beyond the rate of a pricing tier; the message says how long to wait."""
    advice = (
        "To increase your rate limit switch to a paid tier."
        if tier == "F0"
        else "Please contact Azure support service if you would like to further increase the default rate"
        " limit."
    )
    return ErrorResponse(
        429,
        "429",
        f"Requests to the {operation} Operation under Computer Vision API ({api_version}) have exceeded call"
        f" rate limit of your current ComputerVision {tier} pricing tier."
        f" Please retry after {wait_s} second{'' if wait_s == 1 else 's'}. {advice}",
        headers=headers,
    )


def unavailable() -> ErrorResponse:
    """Refuse a call that the service cannot process now."""
    return ErrorResponse(503, "ServiceUnavailable", "The service is temporarily unavailable.")


def no_upstream(reason: str) -> ErrorResponse:
    """Refuse a call because the upstream did not answer it."""
    return ErrorResponse(502, "BadGateway", f"The upstream did not answer: {reason}.")


def recording_failed(reason: str) -> ErrorResponse:
    """Report an answer that could not be recorded: without the recording it would be paid for again."""
    return ErrorResponse(500, "RecordingFailed", f"The answer could not be recorded: {reason}.")


def not_recorded(operation: str, sha256: str, model: str, others: list[str]) -> ErrorResponse:
    """Refuse what the replayed folder does not hold, with 400, because another attempt would not help."""
    known = f"; it has one for model {', '.join(others)}" if others else ""
    return ErrorResponse(
        400,
        "NotRecorded",
        f"The replayed folder has no {operation} of SHA-256 {sha256} for model {model}{known}.",
    )


def invalid(message: str, inner_code: str | None = None) -> ErrorResponse:
    """Refuse a request that another attempt would not change."""
    return ErrorResponse(400, "InvalidRequest", message, inner_code)


def invalid_size() -> ErrorResponse:
    """Refuse an image that is empty or has too many bytes."""
    return invalid(
        f"The image size is not allowed to be zero or larger than {MAX_IMAGE_BYTES} bytes.",
        "InvalidImageSize",
    )


def invalid_format() -> ErrorResponse:
    """Refuse bytes that are not a complete image."""
    return invalid("Image format is not valid.", "InvalidImageFormat")


def invalid_dimension() -> ErrorResponse:
    """Refuse an image with a side that is too short or too long."""
    return invalid(
        f"The image dimension is not allowed to be smaller than {MIN_SIDE_PX} and larger than {MAX_SIDE_PX}.",
        "InvalidImageDimension",
    )

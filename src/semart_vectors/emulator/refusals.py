"""What the service says when it says no: one exception, and a function for each answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_IMAGE_BYTES = 20_971_520
MIN_SIDE_PX, MAX_SIDE_PX = 10, 16_000
"""Both bounds are themselves refused: a side is more than 10 and less than 16,000 pixels."""
MAX_WORDS = 70
QUOTA_USED_UP = {
    "statusCode": 403,
    "message": "Out of call volume quota. Quota will be replenished in 1.02:03:04",
}
"""The gateway's 403, which has no envelope."""


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer of the service, not an error of the emulator
    """An answer other than 200."""

    status: int
    """The HTTP status."""
    code: str
    """`error.code` and the header `x-ms-error-code`; the gateway repeats the status here."""
    message: str
    """`error.message`."""
    inner_code: str | None = None
    """`error.innererror.code`, where the service gives one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the answer."""

    def body(self) -> dict[str, object]:
        """Return the envelope around code and message."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.inner_code is not None:
            error["innererror"] = {"code": self.inner_code, "message": self.message}
        return {"error": error}


def access_denied() -> Refusal:
    """Refuse a missing or wrong key."""
    return Refusal(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid"
        " key for an active subscription and use a correct regional API endpoint for your resource.",
    )


def not_found() -> Refusal:
    """Refuse a path or api-version that never was."""
    return Refusal(404, "404", "Resource not found")


def gone(api_version: str) -> Refusal:
    """Refuse a retired preview."""
    return Refusal(
        410,
        "Gone",
        f"Computer Vision {api_version} has been deprecated. Please use a generally available version.",
    )


def rate_exceeded(
    operation: str, wait_s: int, *, api_version: str, tier: str, headers: Mapping[str, str]
) -> Refusal:
    """Refuse a call beyond the rate of a pricing tier; the sentence names the wait, the headers may."""
    advice = (
        "To increase your rate limit switch to a paid tier."
        if tier == "F0"
        else "Please contact Azure support service if you would like to further increase the default rate"
        " limit."
    )
    return Refusal(
        429,
        "429",
        f"Requests to the {operation} Operation under Computer Vision API ({api_version}) have exceeded call"
        f" rate limit of your current ComputerVision {tier} pricing tier."
        f" Please retry after {wait_s} second{'' if wait_s == 1 else 's'}. {advice}",
        headers=headers,
    )


def unavailable() -> Refusal:
    """Refuse a call that the service will not get to."""
    return Refusal(503, "ServiceUnavailable", "The service is temporarily unavailable.")


def no_upstream(reason: str) -> Refusal:
    """Refuse a call that was to be passed on to a service that did not answer."""
    return Refusal(502, "BadGateway", f"The upstream did not answer: {reason}.")


def recording_failed(reason: str) -> Refusal:
    """Refuse to pass on an answer that could not be kept: it would have to be paid for again."""
    return Refusal(500, "RecordingFailed", f"The answer could not be recorded: {reason}.")


def not_recorded(operation: str, sha256: str, model: str, others: list[str]) -> Refusal:
    """Refuse what the replayed folder does not hold; no second try will make it better, so this is a 400."""
    known = f"; it is there for model {', '.join(others)}" if others else ""
    return Refusal(
        400,
        "NotRecorded",
        f"The replayed folder has no {operation} of SHA-256 {sha256} for model {model}{known}.",
    )


def invalid(message: str, inner_code: str | None = None) -> Refusal:
    """Refuse a request that no second try will make better."""
    return Refusal(400, "InvalidRequest", message, inner_code)


def invalid_size() -> Refusal:
    """Refuse an empty picture, or one of too many bytes."""
    return invalid(
        f"The image size is not allowed to be zero or larger than {MAX_IMAGE_BYTES} bytes.",
        "InvalidImageSize",
    )


def invalid_format() -> Refusal:
    """Refuse bytes that are no picture, or not all of one."""
    return invalid("Image format is not valid.", "InvalidImageFormat")


def invalid_dimension() -> Refusal:
    """Refuse a picture with a side too short or too long."""
    return invalid(
        f"The image dimension is not allowed to be smaller than {MIN_SIDE_PX} and larger than {MAX_SIDE_PX}.",
        "InvalidImageDimension",
    )

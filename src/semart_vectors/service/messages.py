"""What goes out, what comes back, and the failure that may pass: the words that every service shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ANSWER_BYTES = 1 << 20
"""A vector is about 11 kB of JSON; what is a hundred times longer is not an answer."""


class ServiceRequest(NamedTuple):
    """One call, ready to be sent by any HTTP client."""

    operation: Literal["vectorizeImage", "vectorizeText"]
    body: bytes
    content_type: str


class ServiceAnswer(NamedTuple):
    """One answer, as any HTTP client received it."""

    status: int
    headers: Mapping[str, str]
    """Looked up in lower case; not of a vector."""
    body: bytes
    is_body_lost: bool = False
    """Whether somebody closed it unread: a hook of the caller's client that raises for its status."""

    def attributes(self, code: str | None = None) -> ErrorAttributes:
        """Return what an error that comes from this answer carries."""
        request_id = self.headers.get("apim-request-id")
        return ErrorAttributes(status_code=self.status, code=code or None, request_id=request_id or None)


class ErrorAttributes(TypedDict):
    """What every error that comes from an answer carries; see `semart_vectors.errors.ApiError`."""

    status_code: int | None
    code: str | None
    request_id: str | None


class TransientError(Exception):
    """The attempt failed in a way that may pass: try again. Never seen outside."""

    def __init__(
        self,
        message: str,
        *,
        is_throttled: bool = False,
        is_image_independent: bool = False,
        retry_after_s: float | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.is_throttled = is_throttled
        """Whether the service answered 429: too many requests."""
        self.is_image_independent = is_image_independent
        """Whether no image can be the cause: nobody was there to look at it."""
        self.retry_after_s = retry_after_s
        """How long the service asks everybody to wait, in seconds, if it says so."""
        self.attributes = ErrorAttributes(status_code=status_code, code=code, request_id=request_id)
        """What the error that it may end in carries."""

"""The real service behind the emulator, asked for what is not replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from semart_vectors.emulator import error_responses
from semart_vectors.emulator.http_messages import Answer

if TYPE_CHECKING:
    from semart_vectors.emulator.http_messages import Body, Request
    from semart_vectors.emulator.recording_writer import RecordingWriter

UPSTREAM_TIMEOUT_S: Final = 60.0

_PASSED_ON = ("content-type", "ocp-apim-subscription-key", "authorization")
_PASSED_BACK = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-ms-error-code", "apim-request-id")


class Upstream:
    """The real service, asked with the caller's own key, which is passed on and stored nowhere."""

    def __init__(self, url: str, writer: RecordingWriter | None = None) -> None:
        self._url = checked_upstream(url)
        self._writer = writer
        self._client = httpx.AsyncClient(timeout=UPSTREAM_TIMEOUT_S)

    async def ask(self, request: Request, body: Body, sha256: str) -> Answer:
        """Pass a request on and its answer back; a 200 is recorded first.

        Raises:
            error_responses.ErrorResponse: the upstream did not answer, or its answer could not be recorded.
        """
        try:
            response = await self._client.post(
                self._url + request.target,
                headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
                content=body.content,
            )
        except httpx.HTTPError as error:
            raise error_responses.no_upstream(type(error).__name__) from error
        if response.status_code == httpx.codes.OK and self._writer is not None:
            try:
                await self._writer.add(request.operation, sha256, response.content)
            except OSError as error:
                raise error_responses.recording_failed(error.strerror or "unknown") from error
        return Answer(
            response.status_code,
            response.content,
            response.headers.get("content-type", "application/json"),
            {name: response.headers[name] for name in _PASSED_BACK if name in response.headers},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def checked_upstream(url: str) -> str:
    """Return the address without a final slash.

    Raises:
        ValueError: no key may be sent to it.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"upstream must be an address, not {url!r}") from error
    local = parsed.scheme == "http" and parsed.host in {"localhost", "127.0.0.1", "::1"}
    if not parsed.host or not (parsed.scheme == "https" or local):
        raise ValueError(f"upstream must begin with https:// (http:// on this machine only), not {url!r}")
    return url.rstrip("/")

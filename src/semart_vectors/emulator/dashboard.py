"""The dashboard: a page that shows the emulator at work, and the JSON that the page reads.

Nothing here counts as a call of the service, and only this machine is answered.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from semart_vectors.emulator.emulated_service import EmulatedService

DEFAULT_LIMIT: Final = 500
MAX_LIMIT: Final = 5_000
"""How many calls one answer lists at most; each is about 300 bytes."""

_PAGE: Final = resources.files("semart_vectors.emulator").joinpath("dashboard.html").read_bytes()


def _hashes(tag: str) -> str:
    """Return the source expression of a policy that allows this one inline element, by its hash."""
    (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag.encode(), tag.encode()), _PAGE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes('script')}",
            f"style-src {_hashes('style')}",
            "img-src 'self' data:",  # data: for the page's own icon
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def dashboard_routes(service: EmulatedService) -> list[Route]:
    """Return the routes of the page, of the calls as JSON, and of the thumbnails."""
    pages: dict[str, Callable[[EmulatedService, Request], Awaitable[Response]]] = {
        "/": _page,
        "/_emulator/calls": _calls,
        "/_emulator/images/{digest}.jpg": _image,
    }
    return [Route(path, partial(_answer, service, page), methods=["GET"]) for path, page in pages.items()]


async def _answer(
    service: EmulatedService,
    page: Callable[[EmulatedService, Request], Awaitable[Response]],
    request: Request,
) -> Response:
    if not _is_local(request):
        return _text(403, "This page can be seen only on the machine that runs the emulator.")
    return await page(service, request)


def _is_local(request: Request) -> bool:
    """Whether the request comes from this machine, under a name of this machine.

    The name is checked because a foreign page can have its name resolve to this machine (DNS rebinding).
    """
    # Read the header itself: in place of one that it cannot parse, `request.url` has the server's address.
    named = re.sub(r":[0-9]+$", "", request.headers.get("host", "")).strip("[]").lower()
    came_from = request.client.host if request.client else ""
    return (named == "localhost" or _is_loopback(named)) and _is_loopback(came_from)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or empty
        return False


async def _page(_service: EmulatedService, _request: Request) -> Response:
    return Response(_PAGE, 200, _HEADERS, media_type="text/html")


async def _calls(service: EmulatedService, request: Request) -> Response:
    try:
        after = _whole(request, "after", 2**63)
        limit = _whole(request, "limit", MAX_LIMIT)
    except ValueError as error:
        return _text(400, str(error))
    settings, latency = service.settings, service.settings.latency()
    content = {
        # One by one, because the key is a setting too.
        "settings": {
            "requests_per_second": settings.rate,
            "latency_p50_s": latency.quantile_s(0.5),
            "latency_p99_s": latency.quantile_s(0.99),
            "retry_after": settings.retry_after,
            "any_key": settings.key is None,
        },
        **service.ledger.report(after=after, limit=DEFAULT_LIMIT if limit is None else limit),
        "images": service.recent_images.digests(),
    }
    return Response(orjson.dumps(content), 200, _HEADERS, media_type="application/json")


def _whole(request: Request, name: str, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    # Not `isdigit`, which takes superscripts, and `int` does not.
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > most:
        raise ValueError(f"'{name}' must be a whole number from 0 to {most}.")
    return int(text)


async def _image(service: EmulatedService, request: Request) -> Response:
    small = await service.recent_images.thumbnail(request.path_params["digest"])
    if small is None:
        return _text(404, "This image is not one of the recent ones.")
    return Response(small, 200, _HEADERS, media_type="image/jpeg")


def _text(status: int, sentence: str) -> Response:
    return Response(f"{sentence}\n", status, _HEADERS, media_type="text/plain")

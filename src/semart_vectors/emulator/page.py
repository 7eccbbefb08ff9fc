"""What the emulator shows of itself: a page for people, and the JSON it lives on.

None of it is a call of the service, and none of it leaves this machine.
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

    from semart_vectors.emulator.app import Service

DEFAULT_LIMIT: Final = 500
MAX_LIMIT: Final = 5_000
"""How many calls one answer lists: about 300 bytes each."""

_PAGE: Final = resources.files("semart_vectors.emulator").joinpath("page.html").read_bytes()


def _hashes(tag: str) -> str:
    """Return what a policy says of the one inline element of this name: its very bytes, nothing else."""
    (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag.encode(), tag.encode()), _PAGE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes('script')}",
            f"style-src {_hashes('style')}",
            "img-src 'self' data:",  # data: is the page's own icon
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


def page_routes(service: Service) -> list[Route]:
    """Return the routes of the page: itself, the calls, and the small images."""
    pages: dict[str, Callable[[Service, Request], Awaitable[Response]]] = {
        "/": _page,
        "/_emulator/calls": _calls,
        "/_emulator/images/{digest}.jpg": _image,
    }
    return [Route(path, partial(_answer, service, page), methods=["GET"]) for path, page in pages.items()]


async def _answer(
    service: Service, page: Callable[[Service, Request], Awaitable[Response]], request: Request
) -> Response:
    if not _is_local(request):
        return _text(403, "This page is for the machine that the emulator runs on.")
    return await page(service, request)


def _is_local(request: Request) -> bool:
    """Whether the request comes from this machine and names it.

    The second keeps out pages from elsewhere whose name was bent to point here (DNS rebinding).
    """
    # The header itself: where `request.url` finds it odd, it takes the server's own address instead.
    named = re.sub(r":[0-9]+$", "", request.headers.get("host", "")).strip("[]").lower()
    came_from = request.client.host if request.client else ""
    return (named == "localhost" or _is_loopback(named)) and _is_loopback(came_from)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or nothing
        return False


async def _page(_service: Service, _request: Request) -> Response:
    return Response(_PAGE, 200, _HEADERS, media_type="text/html")


async def _calls(service: Service, request: Request) -> Response:
    try:
        after = _whole(request, "after", None, 2**63)
        limit = _whole(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    except ValueError as error:
        return _text(400, str(error))
    settings, latency = service.settings, service.settings.latency()
    content = {
        # Named one by one: the key is a setting too.
        "settings": {
            "requests_per_second": settings.rate,
            "latency_p50_s": latency.quantile_s(0.5),
            "latency_p99_s": latency.quantile_s(0.99),
            "retry_after": settings.retry_after,
            "any_key": settings.key is None,
        },
        **service.ledger.report(after=after, limit=DEFAULT_LIMIT if limit is None else limit),
        "images": service.gallery.digests(),
    }
    return Response(orjson.dumps(content), 200, _HEADERS, media_type="application/json")


def _whole(request: Request, name: str, default: int | None, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    # Not `isdigit`: superscripts are digits to it, and no numbers to `int`.
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > most:
        raise ValueError(f"'{name}' must be a whole number from 0 to {most}.")
    return int(text)


async def _image(service: Service, request: Request) -> Response:
    small = await service.gallery.thumbnail(request.path_params["digest"])
    if small is None:
        return _text(404, "This image is not among the last ones.")
    return Response(small, 200, _HEADERS, media_type="image/jpeg")


def _text(status: int, sentence: str) -> Response:
    return Response(f"{sentence}\n", status, _HEADERS, media_type="text/plain")

"""What the environment says of the way to an address: the proxy to ask, and the certificates to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx

from semart_vectors.calls.endpoint import is_this_machine, split_address
from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from urllib.parse import SplitResult


class Route(NamedTuple):
    """How an origin is reached."""

    trust: ssl.SSLContext | None
    """Whose certificates count; None where none are looked at."""
    proxy: str | None


def find_route(address: SplitResult, *, verify: ssl.SSLContext | None, trust_env: bool) -> Route:
    """Look at the environment, which blocks: call it in a thread.

    Args:
        address: Where calls go. This machine itself is reached without a proxy, which would read the key of
            an unencrypted call.
        verify: Decides whom to trust, instead of the environment.
        trust_env: Whether proxies of the environment count.

    Raises:
        ConfigurationError: the certificates or the proxy that the environment names cannot be used.
    """
    is_direct = not trust_env or is_this_machine(address.hostname or "")
    trust = (verify or _trusted()) if address.scheme == "https" else None
    return Route(trust, None if is_direct else _proxy_for(address.scheme, address.netloc))


def _trusted() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()  # as everywhere: SSL_CERT_FILE, SSL_CERT_DIR, else certifi's
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no HTTP client can be made from this environment: {error}; "
            "check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables"
        ) from None


def _proxy_for(scheme: str, netloc: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    parts = split_address(proxy)
    if parts is None:  # its address may have a password in it
        raise ConfigurationError(
            f"the {scheme} proxy that the environment names is not a usable address; check HTTPS_PROXY and "
            "its siblings"
        )
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f"the environment names a {parts.scheme} proxy, and only http and https proxies work "
            "here: pass an httpx.AsyncClient that can use it as http_client, or name the endpoint in NO_PROXY"
        )
    return proxy

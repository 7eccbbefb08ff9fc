"""The service's address: checked before anything is sent to it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from semart_vectors.calls.key import Key


def checked_endpoint(endpoint: str, key: Key) -> str:
    """Return an endpoint without what follows its path.

    Args:
        endpoint: As it was handed in.
        key: Travels to the endpoint, which must be encrypted for that; no message shows it.

    Raises:
        ConfigurationError: it is not an https:// address, or an http:// one of this machine.
    """
    address = endpoint.strip().rstrip("/")
    shown = _shown(address, key)
    parts = split_address(address)
    if (
        parts is None
        or parts.scheme not in ("https", "http")
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise ConfigurationError(
            f"the endpoint{shown} is not an address such as https://NAME.cognitiveservices.azure.com; "
            "check VISION_ENDPOINT"
        )
    if parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise ConfigurationError(
            f"the endpoint{shown} is not encrypted, and the key would be readable on its way; use https://"
        )
    return address


def split_address(address: str) -> SplitResult | None:
    """Take an address apart; None if its host or port cannot be used."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # either raises what it cannot read
    except ValueError:
        return None
    return parts if host else None


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(address: str, key: Key) -> str:
    """Quote an address without what may be a key: one in the address's place, a password, a query."""
    if "://" not in address or "@" in address:
        return ""
    return f" {key.hide(re.split('[?#]', address)[0])!r}"

"""A local stand-in for the service: same requests, same answers, no account and no network.

It imports nothing else of this package, so that one bug cannot agree with itself.

::

    async with Emulator(requests_per_second=20) as emulator:
        ...  # speak to emulator.endpoint, then read emulator.calls
"""

from __future__ import annotations

from semart_vectors.emulator.app import Service, Settings, create_app
from semart_vectors.emulator.ledger import Call
from semart_vectors.emulator.server import Emulator

__all__ = ["Call", "Emulator", "Service", "Settings", "create_app"]

"""A local stand-in for the service: same requests, same answers, no account and no network.

It imports nothing else of this package, so that one bug cannot agree with itself.

::

    async with Emulator(requests_per_second=20) as emulator:
        ...  # speak to emulator.endpoint, then read emulator.calls
"""

from __future__ import annotations

from semart_vectors.emulator.app import Service, create_app
from semart_vectors.emulator.faults import Fault, Faults
from semart_vectors.emulator.latency import Constant, Latency, Lognormal, Uniform
from semart_vectors.emulator.ledger import Call
from semart_vectors.emulator.recordings import RecordingsError
from semart_vectors.emulator.server import Emulator
from semart_vectors.emulator.settings import Settings

__all__ = [
    "Call",
    "Constant",
    "Emulator",
    "Fault",
    "Faults",
    "Latency",
    "Lognormal",
    "RecordingsError",
    "Service",
    "Settings",
    "Uniform",
    "create_app",
]

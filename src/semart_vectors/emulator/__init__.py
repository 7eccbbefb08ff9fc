"""A local emulator of the service: the same requests and answers, without an account or a network.

It imports nothing else from this package, so that the two cannot share a bug.

::

    async with Emulator(requests_per_second=20) as emulator:
        ...  # speak to emulator.endpoint, then read emulator.calls
"""

from __future__ import annotations

from semart_vectors.emulator.emulated_service import EmulatedService, create_app
from semart_vectors.emulator.faults import Fault, Faults
from semart_vectors.emulator.latency import Constant, Latency, Lognormal, Uniform
from semart_vectors.emulator.ledger import ServedCall
from semart_vectors.emulator.recordings import RecordingsError
from semart_vectors.emulator.server import Emulator
from semart_vectors.emulator.settings import Settings

__all__ = [
    "Constant",
    "EmulatedService",
    "Emulator",
    "Fault",
    "Faults",
    "Latency",
    "Lognormal",
    "RecordingsError",
    "ServedCall",
    "Settings",
    "Uniform",
    "create_app",
]

"""Fixtures of many tests: a fake service, an embedder on it, and a guard against blocking the loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from fake_service import FakeService
from helpers import QUICK
from postgres_server import NoPostgresError, Server, postgres_server
from semart_vectors import AsyncVisionEmbedder

# A busy machine is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

pytest_plugins = [
    "pytester",
    "command_in_process",
    "made_sample",
    "scorecard",
    "semart_vectors.emulator.pytest_plugin",
]

# Who starts the tests in the background of a script has SIGINT ignored, in the commands under test too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    with blockbuster_ctx("semart_vectors") as guard:
        yield guard


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """Serve good answers on loopback."""
    async with FakeService() as fake:
        yield fake


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Run a PostgreSQL with pgvector, where there is one."""
    try:
        with postgres_server() as running:
            yield running
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
async def embedder(service: FakeService) -> AsyncIterator[AsyncVisionEmbedder]:
    """Open an embedder on the fake service, unpaced and quick to try again."""
    async with AsyncVisionEmbedder(
        service.endpoint, "a-key", requests_per_second=None, max_in_flight=8, retry=QUICK
    ) as open_embedder:
        yield open_embedder

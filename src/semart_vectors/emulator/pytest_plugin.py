"""A pytest fixture for other projects: ``pytest_plugins = ["semart_vectors.emulator.pytest_plugin"]``.

The emulator runs in a thread of its own, so that blocking tests can use it as well as asynchronous ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal

from semart_vectors.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `vision_emulator`."""
    config.addinivalue_line("markers", "vision_emulator(**settings): the settings of the emulator")


@pytest.fixture
def vision_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Run an emulator for one test, with the settings of its marker ``vision_emulator``."""
    mark = request.node.get_closest_marker("vision_emulator")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(portal.call(_make, mark)) as emulator,
    ):
        yield emulator


async def _make(mark: pytest.Mark | None) -> Emulator:
    return Emulator(**(mark.kwargs if mark else {}))

"""An empty database for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Server


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Make an empty database for a test."""
    server.ask("CREATE DATABASE paintings")
    yield server.url("paintings")
    server.ask("DROP DATABASE paintings WITH (FORCE)")

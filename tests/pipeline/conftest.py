"""The parts of a run, without a service and without a disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline_harness import Harness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Set the parts up, with a thread for the store."""
    with ThreadPoolExecutor(1) as writer:
        built = Harness(writer)
        yield built
        built.store.open_door.set()

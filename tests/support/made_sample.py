"""The demo's collection of paintings, painted once for all workers of a test run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from semart_vectors.demo.sample import Sample, make_sample

if TYPE_CHECKING:
    import pathlib


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a folder of this test run that all its workers see."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def made_sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Paint the sample, or find what another worker painted; no test may change it."""
    folder = shared_folder(tmp_path_factory)
    with FileLock(folder / "sample.lock"):
        return make_sample(folder / "sample" / "SemArt")

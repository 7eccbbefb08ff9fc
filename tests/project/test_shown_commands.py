"""The commands of the README and of the pages after it, in their order, from a folder with SemArt alone."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from anyio.from_thread import start_blocking_portal

from command_in_process import cli_here
from semart_vectors.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from semart_vectors.demo.sample import Sample

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("looking.md", "from-the-tutorial.md", "pgvector.md")),
]
NOT_RUN_HERE = ("load", "--postgres")
"""Commands that need a database; tests/postgres has one, and runs them there."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Serve the emulator from another thread."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(portal.call(_made)) as emulator,
    ):
        yield emulator.endpoint


async def _made() -> Emulator:
    return Emulator()


def commands_of(page: Path) -> list[list[str]]:
    """Return the arguments of each command that a page shows, in order."""
    shown = re.findall(r"^\$ semart-vectors (.+)$", page.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in shown]


def test_the_commands_shown_run_in_their_order(made_sample: Sample, endpoint: str, tmp_path: Path) -> None:
    """The demo's paintings are SemArt here, and the rate is higher than the ten a second that are shown."""
    for name, images in (("SemArt", "Images"), ("semart_dataset", "images")):
        shutil.copytree(made_sample.directory, tmp_path / name)
        (tmp_path / name / "Images").rename(tmp_path / name / images)
    read = cli_here("clean", "SemArt", "-o", "read.csv", cwd=tmp_path)
    assert read.code == 0
    painting = pd.read_csv(tmp_path / "read.csv", sep="\t")["image_file"][0]
    for name in ("photo.jpg", "reference_image.jpg"):
        shutil.copy(tmp_path / "SemArt" / "Images" / painting, tmp_path / name)
    stand_in = {"10": "1000", "12345-ship.jpg": painting}
    done = []
    for page in PAGES:
        for shown in commands_of(page):
            if shown in done or any(word in shown for word in NOT_RUN_HERE):
                continue
            ran = cli_here(*(stand_in.get(word, word) for word in shown), cwd=tmp_path, endpoint=endpoint)
            assert ran.code == 0, (page.name, shown, ran.err)
            done.append(shown)
    assert {command[0] for command in done} == {
        "clean",
        "embed",
        "status",
        "merge",
        "search",
        "map",
        "export",
    }

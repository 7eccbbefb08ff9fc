"""What the documentation shows is run."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers import make_images
from semart_vectors.cli import EXIT_CODES, cli
from semart_vectors.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def blocks(language: str) -> list[tuple[str, str]]:
    """Find the code blocks of a language: where each stands, and what it says."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (f"{page.name}:{page.read_text()[: match.start()].count(chr(10)) + 1}", match[1])
        for page in PAGES
        for match in pattern.finditer(page.read_text())
    ]


@pytest.mark.parametrize(("_where", "code"), blocks("python"), ids=[where for where, _ in blocks("python")])
async def test_every_python_block_runs(tmp_path: Path, _where: str, code: str) -> None:
    """On the emulator, in a folder with two images."""
    for name, content in zip(("a.jpg", "b.jpg"), make_images(tmp_path / "made", 2).values(), strict=True):
        (tmp_path / name).write_bytes(content)
    async with Emulator() as emulator:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code),
            cwd=tmp_path,
            env={**os.environ, "VISION_ENDPOINT": emulator.endpoint, "VISION_KEY": "any"},
        )
        assert await process.wait() == 0


@pytest.mark.parametrize(
    "line",
    [line for _, block in blocks("console") for line in block.splitlines() if "semart-vectors " in line],
)
def test_every_command_shown_exists_with_its_options(line: str) -> None:
    """Nothing is shown that the command line would not take."""
    arguments = line.partition("semart-vectors ")[2].split()
    if line.startswith("$ pip"):
        return
    shown = {argument for argument in arguments if argument.startswith("-")}
    told = CliRunner().invoke(cli, [arguments[0], "--help"])
    assert told.exit_code == 0
    assert all(option in told.output for option in shown)


def test_the_readme_names_every_exit_code() -> None:
    """And fits on a few screens."""
    readme = (ROOT / "README.md").read_text()
    codes = set(re.findall(r"\b(\d+) [a-z]", readme.partition("Exit codes:")[2].partition("##")[0]))
    assert {str(code) for code in EXIT_CODES.values()} | {"0", "3", "130"} == codes
    assert len(readme.splitlines()) < 110


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_to_a_file_is_dead(page: Path) -> None:
    """Links within the project lead somewhere."""
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []

"""The wheel in an environment that has only what a plain install brings."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import venv
from pathlib import Path

import pytest

from helpers import make_images
from semart_vectors.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMANDS = cli.list_commands(None)  # type: ignore[arg-type] # it looks at no context
HELP_OF_ALL = """
from click.testing import CliRunner
from semart_vectors.cli import cli
for arguments in (["--help"], ["-h"], [], *([name, "--help"] for name in cli.list_commands(None))):
    result = CliRunner().invoke(cli, arguments)
    assert "Usage:" in result.output, (arguments, result.output)
    assert result.exit_code == (0 if arguments else 2), arguments
"""
README_EXAMPLE = """
import asyncio, os, sys
from semart_vectors.emulator import Emulator

async def main():
    async with Emulator() as emulator:
        os.environ.update(VISION_ENDPOINT=emulator.endpoint, VISION_KEY="any")
        process = await asyncio.create_subprocess_exec(sys.executable, "example.py")
        sys.exit(await process.wait())

asyncio.run(main())
"""


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without our sources on the path."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        command, cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment, and return its folder of programs."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "--retries=0", "--timeout=15")
    installed = run(*pip, "install", "--quiet", "--prefer-binary", ROOT, cwd=folder)
    if "Could not find a version that satisfies" in installed.stderr or "onnection" in installed.stderr:
        pytest.skip("pip reaches no package registry")
    assert installed.returncode == 0, installed.stderr
    return programs


def test_a_plain_install_has_no_extra(bare: Path, tmp_path: Path) -> None:
    """Otherwise the tests below would show nothing."""
    listed = run(bare / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout.lower()
    extras = {
        re.split(r"[^\w-]", requirement)[0]
        for name in ("map", "pgvector", "search")
        for requirement in PROJECT["optional-dependencies"][name]
    }
    assert extras >= {"bokeh", "duckdb", "psycopg"}
    assert {line.partition("==")[0] for line in listed.splitlines()}.isdisjoint(extras)


def test_every_command_of_a_plain_install_shows_its_help(bare: Path, tmp_path: Path) -> None:
    """As the program itself does with `--help`, `-h`, and nothing; a shell completes its commands."""
    shown = run(bare / "python", "-c", HELP_OF_ALL, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in run(bare / "semart-vectors", "--help", cwd=tmp_path).stdout
    completed = run(
        bare / "semart-vectors",
        cwd=tmp_path,
        _SEMART_VECTORS_COMPLETE="bash_complete",
        COMP_WORDS="semart-vectors ",
        COMP_CWORD="1",
    )
    assert [line.partition(",")[2] for line in completed.stdout.splitlines()] == COMMANDS


def test_the_example_of_the_readme_runs_on_a_plain_install(bare: Path, tmp_path: Path) -> None:
    """With the emulator, which is part of it."""
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "example.py").write_text(example[1])
    for name, made in zip(("a.jpg", "b.jpg"), make_images(tmp_path, 2), strict=True):
        (tmp_path / made).rename(tmp_path / name)
    ran = run(bare / "python", "-c", README_EXAMPLE, cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()) == (0, ["(2, 1024)", "2 0 0"]), ran.stderr


def test_a_command_whose_extra_is_missing_names_it(bare: Path, tmp_path: Path) -> None:
    """With the exit code of wrong usage, and no traceback."""
    ran = run(bare / "semart-vectors", "map", "a.parquet", "--images", ".", "-o", "map.html", cwd=tmp_path)
    assert (ran.returncode, "semart-vectors[map]" in ran.stderr) == (2, True)

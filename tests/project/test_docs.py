"""What the documentation shows is run, and what it says of the code is compared with the code."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from helpers import make_images
from semart_vectors import errors
from semart_vectors.cli import EXIT_CODES, cli
from semart_vectors.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "semart_vectors"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def blocks(language: str) -> list[tuple[str, str]]:
    """Find the code blocks of a language: where each stands, and what it says."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (f"{page.relative_to(ROOT)}:{page.read_text()[: match.start()].count(chr(10)) + 1}", match[1])
        for page in PAGES
        for match in pattern.finditer(page.read_text())
    ]


PROGRAMS = [block for block in blocks("python") if "def test_" not in block[1]]
TESTS = [block for block in blocks("python") if "def test_" in block[1]]
CONFTEST = next(code for _, code in PROGRAMS if code.startswith("# conftest.py"))


def ids(found: list[tuple[str, str]]) -> list[str]:
    """Name blocks by where they stand."""
    return [where for where, _ in found]


@pytest.mark.parametrize(("_where", "code"), PROGRAMS, ids=ids(PROGRAMS))
async def test_every_program_shown_runs(tmp_path: Path, _where: str, code: str) -> None:
    """On the emulator, in a folder with two images."""
    for name, made in zip(("a.jpg", "b.jpg"), make_images(tmp_path, 2), strict=True):
        (tmp_path / made).rename(tmp_path / name)
    async with Emulator() as emulator:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code),
            cwd=tmp_path,
            env={**os.environ, "VISION_ENDPOINT": emulator.endpoint, "VISION_KEY": "any"},
        )
        assert await process.wait() == 0


@pytest.mark.parametrize(("_where", "code"), TESTS, ids=ids(TESTS))
async def test_every_test_shown_passes(tmp_path: Path, _where: str, code: str) -> None:
    """By pytest, in a project of its own that has none of our settings."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_shown.py").write_text(code)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--strict-markers"),
        f"--rootdir={tmp_path}",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert f"{code.count('def test_')} passed" in output.decode()


@pytest.mark.parametrize(("_where", "code"), blocks("py"), ids=ids(blocks("py")))
def test_code_that_is_quoted_is_our_code(_where: str, code: str) -> None:
    """A block of ```py stands in a file of ours, line for line."""
    files = [path.read_text() for path in PACKAGE.rglob("*.py")]
    assert any(code in text for text in files) or any(dedent(code) in dedent(text) for text in files)


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
    result = CliRunner().invoke(cli, [arguments[0], "--help"])
    assert result.exit_code == 0
    assert all(option in result.output for option in shown)


def test_the_readme_names_every_exit_code() -> None:
    """And fits on a few screens."""
    readme = (ROOT / "README.md").read_text()
    codes = set(re.findall(r"\b(\d+) [a-z]", readme.partition("Exit codes:")[2].partition("##")[0]))
    assert {str(code) for code in EXIT_CODES.values()} | {"0", "3", "130", "143"} == codes
    assert len(readme.splitlines()) < 120


def test_the_page_of_errors_has_the_tree_of_the_code() -> None:
    """With what to do for each error that is raised, and its exit code."""
    page = (DOCS / "errors.md").read_text()
    assert errors.__doc__ is not None
    tree = errors.__doc__.partition("::\n\n")[2].partition("\n\nAn `ItemError`")[0]
    assert dedent(tree) in page
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page.partition("## What to do")[2], re.MULTILINE))
    raised = {kind for kind in vars(errors).values() if isinstance(kind, type) and not kind.__subclasses__()}
    assert {kind.__name__ for kind in raised if issubclass(kind, errors.SemartVectorsError)} <= rows.keys()
    for name, codes in rows.items():
        kind = getattr(errors, name)
        expected = next((code for each, code in EXIT_CODES.items() if issubclass(kind, each)), 1)
        assert codes == "none" or str(expected) in re.findall(r"\d+", codes), name


def test_the_way_of_one_image_meets_few_concepts() -> None:
    """They are numbered, and each is in the file that the table names."""
    table = (DOCS / "design.md").read_text().partition("<!-- concepts -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| \[([^]]+)\]", table, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1))
    assert 20 <= len(rows) <= 25
    for _, term, file in rows:
        word = term.strip("` ").replace(" ", "").lower()
        assert word in (PACKAGE / file).read_text().replace(" ", "").lower(), term


def test_the_folders_shown_are_those_there_are() -> None:
    """Each with its sentence."""
    shown = re.findall(r"^[├└]── (\w+(?:\.py|/)) +\w", (DOCS / "design.md").read_text(), re.MULTILINE)
    there = {
        path.name if path.is_file() else f"{path.name}/"
        for path in PACKAGE.iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or path.is_dir())
    }
    assert set(shown) == there


def test_every_page_is_in_the_index() -> None:
    """Nobody has to guess that a page exists."""
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if f"]({page.name})" not in index] == ["README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    """Links within the project lead to a file, and to a heading of it."""
    dead = []
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", page.read_text()):
        file = page.parent / target if target else page
        if not file.exists() or (heading and heading not in headings(file)):
            dead.append(f"{target}#{heading}")
    assert dead == []


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}

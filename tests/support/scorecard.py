"""The scorecard: faults and bad inputs, what each must show, and the figures that its tests find.

Each test below ``faults/`` belongs to a row, and tells the figure that it found. ``pytest`` runs a share of
each row that takes seconds, and checks what can be counted, so that a busy machine fails nothing.
``--all-faults`` runs all of it, measures what a row demands in seconds, and writes docs/reliability.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_TABLE = re.compile(r"(?<=<!-- scorecard -->\n).*(?=<!-- end of scorecard -->)", re.DOTALL)
_ROW = re.compile(r"\| (\d+) \| [^|]* \| [^|]* \| ([^|]*) \|")


@dataclass(frozen=True)
class Row:
    """One fault, and what must show after it."""

    fault: str
    must_show: str


ROWS = {
    1: Row(
        "SIGKILL at random moments, a third of them in a publication",
        "lost 0; paid again ≤ in flight + 0.25 s",
    ),
    2: Row("SIGKILL at each file system call", "torn 0"),
    3: Row("disk full, file-size limit", "lost 0; calls after the error ≤ in flight; exit 8"),
    4: Row("I/O error on write or fsync", "nothing reported done that is not"),
    5: Row("read-only checkpoint", "noticed before the first call"),
    6: Row("too few file descriptors", "finishes with fewer in flight"),
    7: Row("part, journal, note cut at every length", "loud; only what was cut is done again"),
    8: Row("bit flips anywhere in a checkpoint", "unnoticed 0"),
    9: Row("two processes, one checkpoint", "second leaves in 2 s with exit 7 and no call; no stale lock"),
    10: Row("429 with Retry-After in seconds, date, ms, junk, none", "early sends 0; crashes 0"),
    11: Row("limit of 10/s, enforced three ways", "429 under 0.2 %; time ≤ 1.05 × ideal"),
    12: Row("20 % random 500/502/503/504/reset/cut body", "failed 0; calls an image ≤ 1.35"),
    13: Row("service down for 10 minutes", "probes ≤ 1 per 30 s; lost 0; goes on by itself"),
    14: Row("401, 403, 404, 3xx, Gone in mid-run", "calls after it ≤ in flight; nothing marked failed"),
    15: Row("TLS: untrusted, wrong host, expired; plain http off loopback", "key sent 0 times"),
    16: Row(
        "DNS failure, refused, hung accept, hung header, dripping body, 100 MB body, gzip bomb",
        "each attempt ≤ its limit + 0.5 s; memory ≤ + 50 MB",
    ),
    17: Row("answers that are none: 1023 numbers, NaN, strings, other model, …", "wrong ones accepted 0"),
    18: Row("redirects to other origins", "key leaked 0"),
    19: Row(
        "tasks cancelled at random awaits", "slots, sockets, files, tasks left 0; vectors already read kept"
    ),
    20: Row("Ctrl-C once, twice, SIGTERM", "drained within 5 s and nothing paid again; twice: as SIGKILL"),
    21: Row(
        "images: empty, cut, too small, too large, bomb, odd, FIFO, directory, vanishing, …",
        "reason for each; no call for what can be refused here; the others unaffected",
    ),
    22: Row("names: blanks, quotes, newline, emoji, NFC/NFD, surrogate bytes, …", "1:1, round trip exact"),
    23: Row(
        "metadata: encoding, BOM, short and long rows, duplicates, …",
        "clear error with the line, or the rule",
    ),
    24: Row("clock jumps", "pace and pauses unchanged"),
    25: Row("soak: 200,000 images, 1 % mixed faults", "memory, files, tasks flat"),
    26: Row("secret canary in all output, logs, reprs, pickles, tracebacks, files", "hits 0"),
    27: Row("random histories against a dict", "failures 0"),
}


@dataclass
class Scorecard:
    """The figures of one run of the tests."""

    figures: dict[int, list[str]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    """Rows that did not show what they must; the page keeps their figures until they do."""

    def record(self, row: int, figure: str) -> None:
        """Keep a figure of a row."""
        self.figures.setdefault(row, []).append(figure)

    def table(self) -> str:
        """Return the rows as Markdown; those that were not tried now keep their figures."""
        before = dict(self._before())
        lines = ["| # | fault or bad input | must show | found |", "|---|---|---|---|"]
        for number, row in ROWS.items():
            is_new = number in self.figures and number not in self.failed
            found = "; ".join(self.figures[number]) if is_new else before.get(number, "not measured")
            lines.append(f"| {number} | {row.fault} | {row.must_show} | {found} |")
        return "\n".join(lines)

    def _before(self) -> Iterator[tuple[int, str]]:
        """Find the figures that the page has."""
        for line in PAGE.read_text("utf-8").splitlines():
            if found := _ROW.fullmatch(line):
                yield int(found[1]), found[2]

    def write(self) -> None:
        """Put the table into its page."""
        page = PAGE.read_text("utf-8")
        PAGE.write_text(_TABLE.sub(lambda _: self.table() + "\n", page), "utf-8")


_SCORECARD = pytest.StashKey[Scorecard]()


@dataclass(frozen=True)
class Extent:
    """How much of a row is tried."""

    is_all: bool

    def pick(self, *, quick: T, all: T) -> T:  # noqa: A002 - it reads best so
        """Return a number for the quick share, or for all of a row."""
        return all if self.is_all else quick


@pytest.fixture
def extent(request: pytest.FixtureRequest) -> Extent:
    """Say whether this is the quick share or all of it."""
    return Extent(is_all=request.config.getoption("--all-faults"))


@pytest.fixture
def score(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell the figure of this test's row, once it has reached what the row asks for."""
    row = _row_of(request.node)
    return lambda figure: request.config.stash[_SCORECARD].record(row, figure)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what `make faults` asks for."""
    parser.addoption(
        "--all-faults", action="store_true", help="run every fault in full and write docs/reliability.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no figures."""
    config.addinivalue_line("markers", "row(number): the row of the scorecard that a test belongs to")
    config.stash[_SCORECARD] = Scorecard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the reason why a row was skipped."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and item.get_closest_marker("row"):
        item.config.stash[_SCORECARD].record(_row_of(item), report.longrepr[2].removeprefix("Skipped: "))
    if report.failed and item.get_closest_marker("row"):
        item.config.stash[_SCORECARD].failed.add(_row_of(item))
    del call
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page after all of it was run."""
    del exitstatus
    if session.config.getoption("--all-faults"):
        session.config.stash[_SCORECARD].write()


def _row_of(item: pytest.Item) -> int:
    marker = item.get_closest_marker("row")
    assert marker is not None, "a test of a fault names its row: @pytest.mark.row(8)"
    return int(marker.args[0])

"""`Progress`: what a report says before, during and after a run, and what the bar shows."""

from __future__ import annotations

import io
import re
import sys
import time
from contextlib import suppress

import pytest

from semart_vectors import JobReport
from semart_vectors.pipeline import progress as progress_module
from semart_vectors.pipeline.pending import PendingBatch
from semart_vectors.pipeline.progress import Progress, duration

NOTHING = JobReport(total=0, embedded=0, already_done=0, failed=0, calls=0, retries=0, elapsed_s=0.0)


def test_the_time_runs_while_a_run_does() -> None:
    """Zero before, however long ago the job was made; fixed when the run has ended, by an error too."""
    progress = Progress()
    time.sleep(0.01)
    assert progress.report() == NOTHING
    with suppress(ValueError), progress:
        time.sleep(0.01)
        early = progress.report().elapsed_s
        time.sleep(0.01)
        late = progress.report().elapsed_s
        raise ValueError
    end = progress.report().elapsed_s
    time.sleep(0.01)
    assert 0.01 <= early < late <= end == progress.report().elapsed_s


def test_the_counts_add_up() -> None:
    """Only what is durable counts as embedded or failed; changed images no longer count as done."""
    progress = Progress()
    progress.found(PendingBatch(["a", "b", "c"], 10, 2))
    progress.found(PendingBatch(["d", "e"], -2, 0))
    progress.kept()
    progress.settled(done=True)
    assert (progress.report().embedded, progress.report().failed) == (0, 2)
    progress.saved(embedded=3, failed=1, replaced=2)
    for attempts in (1, 4, 0):
        progress.called(attempts)
    report = progress.report()
    assert (report.total, report.already_done, report.embedded, report.failed) == (15, 9, 3, 3)
    assert (report.calls, report.retries, report.replaced) == (5, 3, 2)


def test_the_total_is_the_expected_one_once_it_is_known() -> None:
    """Or what was found, where that is more."""
    progress = Progress()
    progress.found(PendingBatch(["a"], 4, 0))
    assert progress.report().total == 5
    progress.expect(9)
    assert progress.report().total == 9
    progress.found(PendingBatch([], 5, 0))
    assert progress.report().total == 10


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock of one entry, which a test sets."""
    clock = [0.0]
    monkeypatch.setattr(progress_module, "monotonic", lambda: clock[0])
    return clock


class Terminal(io.StringIO):
    """A stderr that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_plain_line_every_30_s_and_one_at_the_end(
    seconds: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """With time, done, failed, rate and time left; however many are skipped, and no carriage return."""
    progress = Progress()
    with progress.bar(None, shown=True):
        for _ in range(1000):
            progress.kept()
        progress.found(PendingBatch(["a"], 100, 20))
        progress.expect(2000)
        for second in range(1, 61):
            seconds[0] = float(second)
            progress.settled(done=second != 5)
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d embedding: ", line) for line in lines)
    assert [line.partition("embedding: ")[2] for line in lines] == [
        "1,129 of 2,000 done, 21 failed, 1 a second, 14 min 10 s left\n",
        "1,159 of 2,000 done, 21 failed, 1 a second, 13 min 40 s left\n",
        "1,159 of 2,000 done, 21 failed, 1 a second, in 1 min 0 s\n",
    ]


def test_a_log_without_a_total_speaks_of_no_time_left(
    seconds: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor one that stands still."""
    with Progress().bar(None, shown=True):
        pass
    progress = Progress()
    with progress.bar(None, shown=True):
        seconds[0] = 40.0
        progress.settled(done=True)
    told = [line.partition("embedding: ")[2] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "0 done, 0 failed, 0 a second, in 0 s",
        "1 done, 0 failed, 0.025 a second",
        "1 done, 0 failed, 0.025 a second, in 40 s",
    ]


@pytest.mark.parametrize(
    ("time_s", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (18_120, "5 h 2 min")]
)
def test_a_time_is_told_in_its_two_largest_units(time_s: float, text: str) -> None:
    """Rounded to whole ones."""
    assert duration(time_s) == text


def test_the_bar_of_a_terminal_counts_earlier_failures_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what was skipped, which makes no rate and draws no bar of its own."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress()
    with progress.bar(2_000_000, shown=None):
        progress.found(PendingBatch(["a", "b"], 999_980, 20))
        for _ in range(1000):
            progress.kept()
        time.sleep(0.02)
        progress.settled(done=True)
        progress.settled(done=False)
    drawn = terminal.getvalue().split("\r")
    assert "1001002/2000000, failed=21 [" in drawn[-1]
    assert float(drawn[-1].rsplit(", ", 1)[1].strip().removesuffix("img/s]")) < 120
    assert len(drawn) < 20


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is no terminal."""
    for shown in (None, False):
        with Progress().bar(3, shown=shown):
            pass
    assert capsys.readouterr().err == ""

"""`Progress`: what a report says before, during and after a run, and what the bar shows."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from semart_vectors import JobReport
from semart_vectors.pipeline.pending import PendingBatch
from semart_vectors.pipeline.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

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
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return the last line of the bar."""
    return lambda: capsys.readouterr().err.strip().splitlines()[-1]


def test_the_bar_shows_done_failed_and_what_was_skipped(shown: Callable[[], str]) -> None:
    """Skipped ones count as done, but not for the rate."""
    progress = Progress()
    with progress.bar(None, shown=True):
        progress.found(PendingBatch(["a", "b", "c"], 4, 1))
        progress.kept()
        progress.expect(9)
        progress.settled(done=True)
        progress.settled(done=False)
        progress.settled(done=False)
    assert shown().startswith("embedding: 9/9, failed=2 [")


def test_no_bar_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is no terminal."""
    for shown in (None, False):
        with Progress().bar(3, shown=shown):
            pass
    assert capsys.readouterr().err == ""


def test_what_was_skipped_makes_no_rate(shown: Callable[[], str]) -> None:
    """A resumed run is no faster for what is done already, nor is its end nearer."""
    progress = Progress()
    with progress.bar(2_000_000, shown=True):
        progress.found(PendingBatch(["a"], 1_000_000, 0))
        time.sleep(0.02)
        progress.settled(done=True)
    line = shown()
    assert "1000001/2000000" in line
    assert float(line.rsplit(", ", 1)[1].removesuffix("img/s]")) < 60

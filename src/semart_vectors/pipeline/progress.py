"""How far a run is: the counts of its report, and a line on stderr with done, failed, rate and time left."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, Self

from tqdm import tqdm

from semart_vectors.images.selection import Skipped
from semart_vectors.records import JobReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from semart_vectors.pipeline.pending import PendingBatch

_LINE = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"

_BETWEEN_LOG_LINES_S = 30.0


class ProgressLine(Protocol):
    """What shows the progress while a ``with`` block lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""

    def skipped(self, done: int, failed: int) -> None:
        """Count images that an earlier run settled; they say nothing about this one's rate."""

    def settled(self, *, done: bool) -> None:
        """Count an image that got its vector, or none."""


class ProgressBar:
    """A line on the terminal that is drawn over itself."""

    def __init__(self, total: int | None) -> None:
        """Draw it; the total may come later."""
        self._failed = 0
        self._bar: tqdm[Any] = tqdm(
            total=total,
            unit="img",
            desc="embedding",
            smoothing=0.02,  # steady against single calls, quick enough to show a pause
            dynamic_ncols=True,
            bar_format=_LINE,
            postfix={"failed": 0},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""
        self._bar.total = total
        self._bar.refresh()

    def skipped(self, done: int, failed: int) -> None:
        """Move on without a rate."""
        count = done + failed
        self._bar.initial += count
        self._bar.last_print_n += count
        self._bar.n += count
        self._count_failed(failed)
        self._bar.update(0)  # draws no more often than the bar's own interval

    def settled(self, *, done: bool) -> None:
        """Move on by one."""
        self._count_failed(0 if done else 1)
        self._bar.update()

    def _count_failed(self, count: int) -> None:
        if count:
            self._failed += count
            self._bar.set_postfix(failed=self._failed, refresh=False)


class ProgressLog:
    """Lines for a file or a journal: one every 30 s in which images were settled, and one at the end."""

    def __init__(self, total: int | None) -> None:
        """Begin to measure; the total may come later."""
        self._total = total
        self._done = self._failed = self._settled = self._settled_before = 0
        self._began_at = self._printed_at = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elapsed_s = monotonic() - self._began_at
        self._print(self._settled / elapsed_s if elapsed_s else 0.0, f"in {duration(elapsed_s)}")

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""
        self._total = total

    def skipped(self, done: int, failed: int) -> None:
        """Count them without a rate."""
        self._done += done
        self._failed += failed
        self._print_at_times()

    def settled(self, *, done: bool) -> None:
        """Count one."""
        self._settled += 1
        if done:
            self._done += 1
        else:
            self._failed += 1
        self._print_at_times()

    def _print_at_times(self) -> None:
        now = monotonic()
        if now - self._printed_at < _BETWEEN_LOG_LINES_S:
            return
        rate = (self._settled - self._settled_before) / (now - self._printed_at)
        self._settled_before, self._printed_at = self._settled, now
        known = self._total is not None and rate > 0
        left = max((self._total or 0) - self._done - self._failed, 0)
        self._print(rate, f"{duration(left / rate)} left" if known else "")

    def _print(self, rate: float, time: str) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        parts = [f"{self._done:,}{of} done", f"{self._failed:,} failed", f"{rate:.3g} a second", time]
        line = ", ".join(part for part in parts if part)
        with suppress(OSError):  # a full disk under the log must not end the run
            print(f"{datetime.now():%Y-%m-%d %H:%M:%S} embedding: {line}", file=sys.stderr, flush=True)  # noqa: T201, DTZ005 - it is a line of a log, in the time of its reader


class NoProgress:
    """Nothing is shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def expect(self, total: int) -> None:
        """Ignore it."""

    def skipped(self, done: int, failed: int) -> None:
        """Ignore them."""

    def settled(self, *, done: bool) -> None:
        """Ignore it."""


def progress_line(total: int | None, *, shown: bool | None) -> ProgressLine:
    """Return what fits stderr: a bar on a terminal, lines in a file; with `shown` None, a bar only."""
    if sys.stderr is None or shown is False:
        return NoProgress()
    if sys.stderr.isatty():
        return ProgressBar(total)
    return ProgressLog(total) if shown else NoProgress()


def duration(seconds: float) -> str:
    """Write a time in its two largest units: 42 s, 3 min 20 s, 5 h 2 min."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


class Progress:
    """The counts, the bar and the time of a run. The time runs while a ``with`` block lasts."""

    def __init__(self) -> None:
        self.total = self.already_done = self.failed_before = 0
        """Images found so far; those done, and those given up, by an earlier run."""
        self.embedded = self.failed = self.replaced = 0
        """Images of this run whose outcome is durable."""
        self.calls = self.retries = 0
        self.expected: int | None = None
        """Images that there are in all, once it is known."""
        self._line: ProgressLine = NoProgress()
        self.skipped = Skipped()
        """What was passed over while images were found."""
        self._began_at: float | None = None
        self._ended_at: float | None = None

    def __enter__(self) -> Self:
        self._began_at = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended_at = monotonic()

    @contextmanager
    def bar(self, total: int | None, *, shown: bool | None) -> Iterator[None]:
        """Show the progress while the block lasts; with `shown` None, on a terminal only."""
        self.expected = total
        with progress_line(total, shown=shown) as self._line:
            yield

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""
        self.expected = total
        self._line.expect(total)

    def found(self, batch: PendingBatch) -> None:
        """Count images that were looked up."""
        self.total += batch.total
        self.already_done += batch.already_done
        self.failed_before += batch.failed
        self._line.skipped(batch.already_done, batch.failed)

    def kept(self) -> None:
        """Count an image that turned out to keep the vector it has."""
        self.already_done += 1
        self._line.skipped(1, 0)

    def called(self, attempts: int) -> None:
        """Count the calls that were made for an image."""
        self.calls += attempts
        self.retries += max(attempts - 1, 0)

    def settled(self, *, done: bool) -> None:
        """Show an image whose outcome is known, and that is recorded soon."""
        self._line.settled(done=done)

    def saved(self, *, embedded: int, failed: int, replaced: int) -> None:
        """Count images whose outcome is durable; `replaced` is the count of the whole run so far."""
        self.replaced = replaced
        self.embedded += embedded
        self.failed += failed

    def report(self) -> JobReport:
        """Return what was done so far."""
        return JobReport(
            total=max(self.total, self.expected or 0),
            embedded=self.embedded,
            already_done=self.already_done,
            failed=self.failed_before + self.failed,
            replaced=self.replaced,
            calls=self.calls,
            retries=self.retries,
            elapsed_s=self._elapsed_s(),
            skipped=self.skipped.kinds,
            unreadable_folders=self.skipped.unreadable_folders,
        )

    def _elapsed_s(self) -> float:
        if self._began_at is None:
            return 0.0
        return (monotonic() if self._ended_at is None else self._ended_at) - self._began_at

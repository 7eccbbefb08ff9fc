"""How far a run is: the counts of its report, and a line on stderr with done, failed, rate and time left."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from semart_vectors.images.selection import Skipped
from semart_vectors.records import JobReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from semart_vectors.pipeline.pending import PendingBatch

_LINE = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"
_LINE_OF_LOG = "{desc}: {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]\n"

_TERMINAL_S = 0.1
_LOG_S = 5.0
"""Between two states of the line where stderr is a file: a log wants fewer."""


class ProgressBar:
    """A line on stderr while a ``with`` block lasts."""

    def __init__(self, total: int | None, *, shown: bool | None) -> None:
        """Describe the line; the total may come later, and with `shown` None it shows on a terminal only."""
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._failed = 0
        self._bar: tqdm[Any] | None = None
        if sys.stderr is not None and (on_terminal if shown is None else shown):
            self._bar = tqdm(
                total=total,
                unit="img",
                desc="embedding",
                mininterval=_TERMINAL_S if on_terminal else _LOG_S,
                smoothing=0.02,  # steady against single calls, quick enough to show a pause
                dynamic_ncols=True,
                bar_format=_LINE if on_terminal else _LINE_OF_LOG,
                postfix={"failed": 0},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""
        if self._bar is not None:
            self._bar.total = total
            self._bar.refresh()

    def skipped(self, count: int) -> None:
        """Count images that an earlier run settled; they say nothing about this one's rate."""
        if count and self._bar is not None:
            self._bar.initial += count
            self._bar.last_print_n += count
            self._bar.n += count
            self._bar.refresh()

    def done(self) -> None:
        """Count an image that got its vector."""
        if self._bar is not None:
            self._bar.update()

    def failed(self) -> None:
        """Count an image that got none."""
        if self._bar is not None:
            self._failed += 1
            self._bar.set_postfix(failed=self._failed, refresh=False)
            self._bar.update()


class Progress:
    """The counts, the bar and the time of a run. The time runs while a ``with`` block lasts."""

    def __init__(self) -> None:
        self.total = self.already_done = self.failed_before = 0
        """Images found so far; those done, and those given up, by an earlier run."""
        self.embedded = self.failed = 0
        """Images of this run whose outcome is durable."""
        self.calls = self.retries = 0
        self.expected: int | None = None
        """Images that there are in all, once it is known."""
        self.skipped = Skipped()
        """What was passed over while images were found."""
        self._bar = ProgressBar(None, shown=False)
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
        """Show a bar while the block lasts; with `shown` None, on a terminal only."""
        self.expected = total
        with ProgressBar(total, shown=shown) as self._bar:
            yield

    def expect(self, total: int) -> None:
        """Learn how many images there are in all."""
        self.expected = total
        self._bar.expect(total)

    def found(self, batch: PendingBatch) -> None:
        """Count images that were looked up."""
        self.total += batch.total
        self.already_done += batch.already_done
        self.failed_before += batch.failed
        self._bar.skipped(batch.already_done + batch.failed)

    def kept(self) -> None:
        """Count an image that turned out to keep the vector it has."""
        self.already_done += 1
        self._bar.skipped(1)

    def called(self, attempts: int) -> None:
        """Count the calls that were made for an image."""
        self.calls += attempts
        self.retries += max(attempts - 1, 0)

    def settled(self, *, done: bool) -> None:
        """Show an image whose outcome is known, and that is recorded soon."""
        self._bar.done() if done else self._bar.failed()

    def saved(self, *, embedded: int, failed: int) -> None:
        """Count images whose outcome is durable."""
        self.embedded += embedded
        self.failed += failed

    def report(self) -> JobReport:
        """Return what was done so far."""
        return JobReport(
            total=max(self.total, self.expected or 0),
            embedded=self.embedded,
            already_done=self.already_done,
            failed=self.failed_before + self.failed,
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

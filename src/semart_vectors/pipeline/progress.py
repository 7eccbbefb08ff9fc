"""The progress of a job as one line: done, failed, rate and time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

if TYPE_CHECKING:
    from types import TracebackType

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

"""The progress of a job as one line: done, failed, rate and time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

if TYPE_CHECKING:
    from types import TracebackType

_TERMINAL_S = 0.1
_LOG_S = 5.0
"""Between two lines where stderr is a file: a log wants fewer."""


class ProgressBar:
    """A line on stderr while a ``with`` block lasts."""

    def __init__(self, total: int, *, shown: bool | None) -> None:
        """Describe the line; `shown` None shows it on a terminal only."""
        self._bar = tqdm(
            total=total,
            disable=None if shown is None else not shown,
            unit="img",
            desc="embedding",
            mininterval=_TERMINAL_S if sys.stderr.isatty() else _LOG_S,
            smoothing=0.02,  # steady against single calls, quick enough to show a pause
            dynamic_ncols=True,
        )
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def skipped(self, count: int) -> None:
        """Count images that earlier runs have done; they say nothing about the rate."""
        if count and not self._bar.disable:
            self._bar.initial += count
            self._bar.last_print_n += count
            self._bar.n += count
            self._bar.refresh()

    def done(self, count: int) -> None:
        """Count images that got their vector."""
        self._bar.update(count)

    def failed(self, count: int) -> None:
        """Count images that got none."""
        self._failed += count
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update(count)

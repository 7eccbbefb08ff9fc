"""An event loop whose clock jumps to the next timer when nothing else is left to do.

For pure timer tests: hours pass in milliseconds, in the order and with the distances that real time has. The
clock stands still while a job is in a thread or a socket is open, as what they bring is not a matter of time.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

ResultT = TypeVar("ResultT")

_PATIENCE_S = 60.0
"""Real seconds that a thread or a socket may take until something happens; it only ends a hang."""

_A_TURN_S = 1e-6
"""What a turn of the loop takes: a clock that stood still between jumps would never pass a rounding error."""


class _Selector(selectors.SelectSelector):
    """Asks the loop how long to wait in earnest; the rest of the wait only moves the clock."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0) or self.loop.nothing_ready(timeout, super().select)


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Time starts at 0 and moves by jumps, each of them `lateness` seconds too long, as real timers are."""

    def __init__(self, *, lateness: Callable[[], float] = lambda: 0.0, max_turns: int = 200_000) -> None:
        self._now_s, self._lateness, self._turns_left, self._jobs = 0.0, lateness, max_turns, 0
        self._waits = _Selector()
        self._waits.loop = self
        super().__init__(self._waits)
        self._own_files = len(self._waits.get_map())

    def time(self) -> float:
        return self._now_s

    def run_in_executor(  # type: ignore[override] # the same call, told in fewer words
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        self._jobs += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    def nothing_ready(self, timeout: float | None, wait: Callable[[float], Any]) -> Any:
        self._turns_left -= 1
        self._now_s += _A_TURN_S
        if self._turns_left < 0:
            self._turns_left = 1_000  # for the tasks to be cancelled
            raise RuntimeError("the loop has turned too often: is it endless?")
        if timeout is not None and timeout <= 0:
            return []
        if timeout is None or self._jobs or len(self._waits.get_map()) > self._own_files:
            if not (events := wait(_PATIENCE_S)):
                raise RuntimeError("nothing happens: every task waits for what does not come with time")
            return events
        self._now_s += timeout + self._lateness()
        return []


def run_virtual(coroutine: Coroutine[Any, Any, ResultT], **options: Any) -> ResultT:
    """Run a coroutine in a `VirtualClockLoop` made with `options`, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(**options)) as runner:
        return runner.run(coroutine)

"""What this machine may lack at times: file descriptors above all."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCARCITY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def is_scarcity(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that this machine has no more of something."""
    return any(isinstance(each, OSError) and each.errno in _SCARCITY for each in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from causes(each)
        error = error.__cause__ or error.__context__


def free_descriptors() -> int | None:
    """Return how many more files and connections this process may open; None where that is not told."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return max(0, limit - sum(1 for _ in Path("/dev/fd").iterdir()))  # on Linux a link to /proc/self/fd
    except OSError as error:
        return 0 if is_scarcity(error) else None

"""File descriptors: how many this process has left, and how many calls at once that allows."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

from semart_vectors.errors import is_out_of_resources

_logger = logging.getLogger("semart_vectors")

_SPARE = 32
"""So many of the files that a process may open are left for images, a checkpoint, and all else it does."""


def leave_spare_descriptors(max_in_flight: int) -> int:
    """Return how many calls may be under way at once, each on a connection: no more than there can be.

    It blocks for a moment.
    """
    free = free_descriptors()
    if free is None or free - _SPARE >= max_in_flight:
        return max_in_flight
    fewer = max(1, free - _SPARE)
    _logger.warning(
        "this process may open only %d more files and connections: %d calls at once (see ulimit -n)",
        free,
        fewer,
    )
    return fewer


def free_descriptors() -> int | None:
    """Return how many more files and connections this process may open; None where that is not told."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return max(0, limit - sum(1 for _ in Path("/dev/fd").iterdir()))  # on Linux a link to /proc/self/fd
    except OSError as error:
        return 0 if is_out_of_resources(error) else None

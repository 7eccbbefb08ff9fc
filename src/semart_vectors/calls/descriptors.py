"""How many more files and connections this process may open."""

from __future__ import annotations

import resource
from pathlib import Path

from semart_vectors.errors import is_out_of_resources


def free_descriptors() -> int | None:
    """Return how many more files and connections this process may open; None where that is not told."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return max(0, limit - sum(1 for _ in Path("/dev/fd").iterdir()))  # on Linux a link to /proc/self/fd
    except OSError as error:
        return 0 if is_out_of_resources(error) else None

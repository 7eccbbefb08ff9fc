"""The lock of a checkpoint: one process writes at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import filelock

from semart_vectors.errors import CheckpointInUseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from semart_vectors.checkpoint.folder import CheckpointFolder


@contextmanager
def locked(folder: CheckpointFolder, *, wait_s: float = 0.5, to_write: bool = True) -> Iterator[None]:
    """Hold the lock of a checkpoint; the system releases it when the process dies.

    Args:
        folder: The checkpoint's.
        wait_s: How long to wait for another process. Half a second outlasts `is_locked` in another process,
            which holds the lock for a moment.
        to_write: If false, go on without the lock where the disk refuses it: a folder that may only be read.

    Raises:
        CheckpointInUseError: another process holds it.
        OSError: the disk refused.
    """
    lock = filelock.FileLock(folder.lock, timeout=wait_s, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CheckpointInUseError(
            f"another process is using the checkpoint {folder.path}; wait for it, or stop it"
        ) from None
    except OSError:
        if to_write:
            raise
        yield
        return
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: CheckpointFolder) -> bool:
    """Whether a process writes to a checkpoint at this moment."""
    if not folder.lock.exists():
        return False
    try:
        with locked(folder, wait_s=0, to_write=False):
            return False
    except CheckpointInUseError:
        return True

"""The one place where a job opens its checkpoint."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.store import Checkpoint
from semart_vectors.streams.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor
    from pathlib import Path

    from semart_vectors.pipeline.protocols import ImagesBefore


@asynccontextmanager
async def opened_checkpoint(path: Path, *, model_version: str, writer: Executor) -> AsyncIterator[Checkpoint]:
    """Open a checkpoint for a run, in the thread that writes to it, and close it there.

    Raises:
        CheckpointError: it is of another model, in use, or damaged.
        DiskError: the disk refused.
    """
    opened: list[Checkpoint] = []

    def open_it() -> Checkpoint:
        opened.append(Checkpoint.open(path, model_version=model_version))
        return opened[0]

    def close_it() -> None:
        for checkpoint in opened:  # also when nobody waited any more for it to be opened
            checkpoint.close()

    try:
        yield await in_thread(writer, open_it)
    finally:
        await in_thread(writer, close_it)


def peek_into_checkpoint(path: Path, *, model_version: str) -> ImagesBefore:
    """Return what is recorded, without holding or changing anything; it blocks on the disk.

    Raises:
        CheckpointError: it is of another model, or damaged.
        DiskError: the disk refused.
    """
    return Checkpoint.peek(path, model_version=model_version)

"""Write a file so that its final name never holds half of it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from semart_vectors.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def disk_errors(path: Path, *, doing: Literal["read", "write"] = "write") -> Iterator[None]:
    """Translate what the disk refuses into `DiskError`, named after `path`."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        raise disk_error(path, error, doing=doing) from error


def disk_error(path: Path, error: OSError, *, doing: Literal["read", "write"] = "write") -> DiskError:
    """Say what the disk refused."""
    reason = error.strerror or str(error)
    return DiskError(f"cannot {doing} {path}: {reason}; mend that or choose another place, and run again")


@contextmanager
def write_aside(path: Path, *, folder: Path | None = None, durably: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it becomes `path`, durably, else it goes.

    Args:
        path: The final name. A file that stands there is replaced in one step.
        folder: Where the temporary file lives, on the same file system; beside `path` unless given.
        durably: Whether to wait until it would outlive a power cut.

    Raises:
        DiskError: the disk refused to write; a file that stood at `path` is as it was.
    """
    name = os.fsdecode(os.fsencode(path.name)[:200])  # of the 255 bytes that a name may have
    aside = (folder or path.parent) / f"_{name}.{os.getpid()}.tmp"
    try:
        with disk_errors(path):
            yield aside
            if durably:
                sync(aside)
            aside.replace(path)
            if durably:
                sync(path.parent)
    except BaseException:
        with suppress(OSError):  # what went wrong before says more
            aside.unlink()
        raise


def sync(path: Path) -> None:
    """Ask the disk to keep `path`, a file or a folder, through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Write a file so that its final name never holds half of it, and say plainly what the disk refused."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from semart_vectors.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY_FILES = "_*.tmp"
"""What the names of the files look like that `write_aside` makes: a killed process may leave one behind."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_CANNOT_SYNC = frozenset(
    {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS, errno.EISDIR, errno.EACCES, errno.EPERM}
)
"""What `open` and `fsync` say of a folder whose file system cannot sync it."""

_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def disk_errors(path: Path, *, doing: Literal["read", "write"] = "write") -> Iterator[None]:
    """Turn an `OSError` into a `DiskError` that names `path`."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        raise disk_error(path, error, doing=doing) from error


def disk_error(path: Path, error: OSError, *, doing: Literal["read", "write"] = "write") -> DiskError:
    """Return a `DiskError` that says what the disk refused, and what to do about it."""
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        advice = "free some space"
    elif error.errno in _NOT_ALLOWED:
        advice = "make it readable" if doing == "read" else "make it writable"
    else:
        advice = "fix this"
    elsewhere = " or choose another place" if doing == "write" else ""
    return DiskError(f"cannot {doing} {path}: {reason}; {advice}{elsewhere}, and run again")


@contextmanager
def write_aside(path: Path, *, folder: Path | None = None, durably: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it is renamed to `path`, otherwise it is removed.

    Args:
        path: The final name. A file of that name is replaced in one step.
        folder: Where to put the temporary file, on the same file system; beside `path` by default.
        durably: Whether to wait until the file would survive a power cut.

    Raises:
        DiskError: the disk refused to write; an earlier file at `path` is unchanged.
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
                sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # what went wrong before says more
            aside.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder would survive a power cut, where its file system can say so.

    Some network and FUSE file systems cannot, and a folder that may be written to need not be readable. The
    files in it stand whole under their names all the same.

    Raises:
        OSError: the disk failed.
    """
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def make_folder_of(path: Path) -> None:
    """Make the folder of an output, where it is missing.

    Raises:
        DiskError: it cannot be made, such as where a file has its name.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


def sync(path: Path) -> None:
    """Wait until `path`, a file or a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

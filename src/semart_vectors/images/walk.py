"""The images below a folder, found lazily: a thousand names at a time, whatever the size of the folder.

Everything here blocks on the disk: it runs in threads, never on the event loop.
"""

from __future__ import annotations

import os
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from semart_vectors.errors import ConfigurationError
from semart_vectors.images.formats import SUFFIXES
from semart_vectors.images.names import to_text, to_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES_AT_A_TIME = 1024
"""Names that are looked up in one go: a millisecond's work."""

_SUFFIXES = tuple(SUFFIXES)


def walk_images(
    folder: Path, *, only: Callable[[list[str]], list[str]] = list, below: str = ""
) -> Iterator[list[str]]:
    """Yield the images below `folder`, as texts of their relative paths, in lists of about a thousand.

    The paths are ``/``-separated and written as `semart_vectors.images.names` describes. The images of a
    folder come first, sorted, then those of its subfolders, each of which is listed only when its turn comes;
    the names of one folder at a time are held in memory. Links to folders are not followed, as they may go in
    circles. A list may be empty: it says that work was done and there is more, so that a walk through a
    million files can be stopped at any of them.

    Args:
        folder: Where to begin.
        only: A filter: takes some of the names, in no order, and returns those to keep; the others take no
            memory.
        below: A prefix for each name.

    Raises:
        ConfigurationError: the folder, or one below it, cannot be listed.
    """
    runs: list[list[str]] = []
    folder_runs: list[list[str]] = []
    try:
        with os.scandir(folder) as entries:
            while block := list(islice(entries, NAMES_AT_A_TIME)):
                names: list[str] = []
                folders: list[str] = []
                for entry in block:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif name.lower().endswith(_SUFFIXES) and (name[0] != "." or _has_suffix(name)):
                        names.append(below + name)
                runs.append(_packed(sorted(only(to_texts(names)))))
                folder_runs.append(_packed(sorted(folders)))
                yield []
    except OSError as error:
        raise ConfigurationError(f"cannot list the images in {folder}: {error.strerror or error}") from error
    # Sorted in pieces: sorting a million names in one go would stop all other threads for half a second.
    in_order = merge(*map(_unpacked, runs))
    while found := list(islice(in_order, NAMES_AT_A_TIME)):
        yield found
    runs.clear()
    for name in merge(*map(_unpacked, folder_runs)):
        yield from walk_images(folder / name, only=only, below=f"{below}{to_text(name)}/")


def _packed(names: list[str]) -> list[str]:
    """Join names by NUL, which no name holds: a million may wait here, in a quarter of the memory."""
    return ["\0".join(names[at : at + 32]) for at in range(0, len(names), 32)]


def _unpacked(packed: list[str]) -> Iterator[str]:
    for names in packed:
        yield from names.split("\0")


def _has_suffix(name: str) -> bool:
    """Whether a name that begins with a dot has a suffix: ``.a.jpg`` is a hidden image, ``.jpg`` is not."""
    return Path(name).suffix != ""

"""The images below a folder, found lazily: a thousand names at a time, whatever the size of the folder.

Everything here blocks on the disk: it runs in threads, never on the event loop.
"""

from __future__ import annotations

import os
from collections import deque
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from semart_vectors.errors import ConfigurationError, OutOfResourcesError, is_out_of_resources
from semart_vectors.images.names import to_text, to_texts
from semart_vectors.images.selection import (
    EXCLUDED,
    HIDDEN_FOLDER,
    HIDDEN_IMAGE,
    LINKED_FOLDER,
    SYSTEM_FOLDER,
    SYSTEM_FOLDERS,
    ImageSelection,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES_AT_A_TIME = 1024
"""Names that are looked up in one go: a millisecond's work."""


def _ignore(_: object, __: object = None) -> None:
    pass


def walk_images(
    folder: Path,
    *,
    only: Callable[[list[str]], list[str]] = list,
    selection: ImageSelection = ImageSelection(),  # noqa: B008 - it is frozen
    skip: Callable[[str], object] = _ignore,
    cannot_list: Callable[[str, OSError], object] = _ignore,
) -> Iterator[list[str]]:
    """Yield the images below `folder`, as texts of their relative paths, in lists of about a thousand.

    The paths are ``/``-separated and written as `semart_vectors.images.names` describes. The images of a
    folder come first, sorted, then those of its subfolders, each of which is listed only when its turn comes;
    the names of one folder at a time are held in memory. Where links to folders are followed, these come
    last, and no folder comes twice: links may go in circles. A list may be empty: it says that work was done
    and there is more, so that a walk through a million files can be stopped at any of them.

    Args:
        folder: Where to begin.
        only: A filter: takes some of the names, in no order, and returns those to keep; the others take no
            memory.
        selection: Which files are images.
        skip: Is told the kind of each file or folder that is passed over.
        cannot_list: Is told of each folder below that cannot be listed, or not to its end, and why.

    Raises:
        ConfigurationError: the folder itself cannot be listed.
        OutOfResourcesError: this machine lacks file descriptors or memory.
    """
    walk = _Walk(os.fspath(folder), only, selection, skip, cannot_list)
    yield from walk.folder("")
    while walk.links:
        yield from walk.folder(walk.links.popleft())


class _Walk:
    """A walk under way. Paths are relative to the top; those of folders have ``/`` at their end."""

    def __init__(
        self,
        top: str,
        only: Callable[[list[str]], list[str]],
        selection: ImageSelection,
        skip: Callable[[str], object],
        cannot_list: Callable[[str, OSError], object],
    ) -> None:
        self._top = top
        self._only = only
        self._selection = selection
        self._suffixes = tuple(selection.suffixes)
        self._skip = skip
        self._cannot_list = cannot_list
        self._visited: set[tuple[int, int]] = set()
        self.links: deque[str] = deque()
        """Folders that were linked to, to be gone through when all others were."""

    def folder(self, path: str) -> Iterator[list[str]]:
        """Yield the images in a folder, and in all below it."""
        below = [iter([path])]
        while below:
            if (path := next(below[-1], "\0")) == "\0":
                below.pop()
                continue
            if self._is_visited(path):
                continue
            folder_runs: list[list[str]] = []
            yield from self._images(path, folder_runs)
            below.append(_paths(path, folder_runs))

    def _images(self, path: str, folder_runs: list[list[str]]) -> Iterator[list[str]]:
        """Yield the images in a folder, and put its subfolders, sorted and packed, into `folder_runs`."""
        below = to_text(path[:-1]) + "/" if path else ""
        runs: list[list[str]] = []
        try:
            with os.scandir(os.path.join(self._top, path)) as entries:  # noqa: PTH118 - as fast as can be
                while block := list(islice(entries, NAMES_AT_A_TIME)):
                    names: list[str] = []
                    folders: list[str] = []
                    for entry in block:
                        self._sort_in(entry, path, names, folders)
                    found = [below + name for name in to_texts(names)] if below else to_texts(names)
                    runs.append(_packed(sorted(self._only(found))))
                    folder_runs.append(_packed(sorted(folders)))
                    yield []
        except OSError as error:
            self._note_unlisted(path, error)
        # Sorted in pieces: sorting a million names in one go would stop all other threads for half a second.
        in_order = merge(*map(_unpacked, runs))
        while names := list(islice(in_order, NAMES_AT_A_TIME)):
            yield names

    def _sort_in(self, entry: os.DirEntry[str], path: str, names: list[str], folders: list[str]) -> None:
        """Add an entry of a folder to the names of images, to the folders to go through, or to neither."""
        selection, name = self._selection, entry.name
        is_image = name.lower().endswith(self._suffixes)
        is_link = entry.is_symlink() and (selection.follow_links or not is_image) and entry.is_dir()
        is_folder = is_link or entry.is_dir(follow_symlinks=False)
        kind: str | None = None
        if selection.is_excluded is not None and selection.is_excluded(path + name):
            kind = EXCLUDED
        elif is_folder:
            kind = self._why_not_entered(name, is_link=is_link)
            if kind is None and is_link:
                self.links.append(f"{path}{name}/")
            elif kind is None:
                folders.append(name)
        elif is_image and (name[0] != "." or _has_suffix(name)):
            kind = HIDDEN_IMAGE if name[0] == "." and not selection.include_hidden else None
            if kind is None:
                names.append(name)
        else:
            kind = None if name[0] == "." else kind_of(name)
        if kind is not None:
            self._skip(kind)

    def _why_not_entered(self, name: str, *, is_link: bool) -> str | None:
        """Return what kind of folder to pass over this is, if it is one."""
        if not self._selection.include_hidden:
            if name[0] == ".":
                return HIDDEN_FOLDER
            if name.lower() in SYSTEM_FOLDERS:
                return SYSTEM_FOLDER
        return LINKED_FOLDER if is_link and not self._selection.follow_links else None

    def _is_visited(self, path: str) -> bool:
        """Whether a folder was gone through before, as only links can lead to."""
        if not self._selection.follow_links:
            return False
        try:
            status = os.stat(os.path.join(self._top, path))  # noqa: PTH116, PTH118 - as above
        except OSError:  # listing it says why
            return False
        place = status.st_dev, status.st_ino
        is_visited = place in self._visited
        self._visited.add(place)
        return is_visited

    def _note_unlisted(self, path: str, error: OSError) -> None:
        if is_out_of_resources(error):
            raise OutOfResourcesError(
                f"this machine has too few file descriptors or too little memory to list a folder: {error}; "
                "raise its limits (ulimit -n) or lower max_in_flight, and run again"
            ) from error
        if not path:
            reason = error.strerror or error
            raise ConfigurationError(f"cannot list the images in {self._top}: {reason}") from error
        self._cannot_list(to_text(path[:-1]), error)


def _paths(path: str, folder_runs: list[list[str]]) -> Iterator[str]:
    return (f"{path}{name}/" for name in merge(*map(_unpacked, folder_runs)))


def _packed(names: list[str]) -> list[str]:
    """Join names by NUL, which no name holds: a million may wait here, in a quarter of the memory."""
    return ["\0".join(names[at : at + 32]) for at in range(0, len(names), 32)]


def _unpacked(packed: list[str]) -> Iterator[str]:
    for names in packed:
        yield from names.split("\0")


def _has_suffix(name: str) -> bool:
    """Whether a name that begins with a dot has a suffix: ``.a.jpg`` is a hidden image, ``.jpg`` is not."""
    return Path(name).suffix != ""

"""Which files below a folder are its images, and what to call those that are passed over."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from semart_vectors.errors import ConfigurationError
from semart_vectors.images.formats import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN_FOLDER, HIDDEN_IMAGE, SYSTEM_FOLDER = "hidden folder", "hidden image", "system folder"
LINKED_FOLDER, EXCLUDED, NO_SUFFIX, OTHER = "linked folder", "excluded", "no suffix", "other"

SYSTEM_FOLDERS = frozenset(
    {
        "@eadir", "@recycle", "@recently-snapshot", "@sharebin", "@tmp",  # Synology, QNAP
        "#recycle", "#snapshot",  # Synology
        "__macosx", "network trash folder", "temporary items",  # zip files of macOS, and its shares
        "$recycle.bin", "recycler", "system volume information",  # Windows
    }
)  # fmt: skip  # a row for each maker
"""Folders, in lower case, that systems make beside pictures: thumbnails, deleted files, resource forks."""

_SUFFIX = re.compile(r"[^.]\.([A-Za-z0-9]{1,10})\Z")
"""The suffix of a name; anything longer or odder is no kind of file."""

_MOST_KINDS = 100
_MOST_FOLDERS = 1000


@dataclass(frozen=True, kw_only=True)
class ImageSelection:
    """Which files below a folder are its images."""

    include_hidden: bool = False
    """Whether hidden files and folders, and those that systems make, count as well."""
    follow_links: bool = False
    """Whether folders that are linked to are gone through too."""
    exclude: tuple[str, ...] = ()
    """Shell patterns (`fnmatch`) of files and folders that are left out, a folder with all below it: one with
    ``/`` before its end fits a path relative to the top, another fits a name at any depth."""
    suffixes: frozenset[str] = SUFFIXES
    """The suffixes of images, in lower case."""

    def __post_init__(self) -> None:
        for pattern in self.exclude:
            if not pattern.strip("/") or pattern.startswith("!"):
                raise ConfigurationError(
                    f"{pattern!r} excludes nothing: give a name, or a pattern such as *.png"
                )

    @cached_property
    def is_excluded(self) -> Callable[[str], object] | None:
        """Whether any pattern fits a path relative to the top; None if there are no patterns."""
        if not self.exclude:
            return None
        return re.compile("|".join(map(_as_regex, self.exclude)), re.DOTALL).match


class Skipped:
    """What was passed over while the images of a folder were found: by kind, and folders by name.

    One thread writes; any may read.
    """

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._unreadable: dict[str, None] = {}

    @property
    def kinds(self) -> dict[str, int]:
        """How many there are of each kind, the most common first."""
        return dict(self._kinds.copy().most_common())

    @property
    def unreadable_folders(self) -> tuple[str, ...]:
        """Folders that could not be listed, as texts; a thousand of them at most."""
        return tuple(self._unreadable)

    def add(self, kind: str) -> None:
        """Count a file or folder that was passed over."""
        self._kinds[kind if kind in self._kinds or len(self._kinds) < _MOST_KINDS else OTHER] += 1

    def add_unreadable(self, folder: str) -> bool:
        """Note a folder that could not be listed; False if it, or enough of them, were noted before."""
        if folder in self._unreadable or len(self._unreadable) >= _MOST_FOLDERS:
            return False
        self._unreadable[folder] = None
        return True


def kind_of(name: str) -> str:
    """Return what to call a file that is no image: its suffix, if it has one."""
    match = _SUFFIX.search(name)
    return f".{match[1].lower()}" if match else NO_SUFFIX


def _as_regex(pattern: str) -> str:
    """Translate a pattern, which with ``/`` before its end fits a path, else a name at any depth."""
    path = pattern.rstrip("/").removeprefix("**/")
    return ("" if "/" in path else "(?:.*/)?") + fnmatch.translate(path.lstrip("/"))

"""Pruning: a checkpoint forgets the images whose files are gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.json_files import read_note, read_value
from semart_vectors.checkpoint.parts import read_names
from semart_vectors.checkpoint.store import Checkpoint
from semart_vectors.errors import ConfigurationError, UnreadableImageError
from semart_vectors.files import disk_errors
from semart_vectors.images.names import to_path

if TYPE_CHECKING:
    from collections.abc import Iterable

_FEW = 10
"""Fewer may always go, unless none is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What pruning removed, or with `dry_run` would remove."""

    images_dir: str
    """The folder in which the files were looked for."""
    kept: int
    """Images with their vector whose file is there."""
    pruned: int
    """Images with their vector whose file is gone."""
    failures_pruned: int
    """Images that had failed and whose file is gone."""


def prune_checkpoint(
    checkpoint: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> PruneReport:
    """Forget the images whose files are gone; it blocks on the disk.

    Whether a file is there decides, not whether a job would embed it. The vectors that leave are kept aside
    until a later job completes: an image that was only renamed gets its own back without a call.

    Args:
        checkpoint: Its folder.
        images_dir: The folder of images; by default the one that the last job embedded.
        dry_run: Only count what is in parts, without holding or changing anything.
        force: Prune even if most of the images are gone, as when a disk is not mounted.

    Raises:
        ConfigurationError: it is no checkpoint; the folder of images is missing, or not known; or most images
            would go, without `force`.
        CheckpointError: the checkpoint is in use or damaged.
        DiskError: the disk refused.
    """
    folder = CheckpointFolder(checkpoint)
    identity = read_note(folder.identity)
    if identity is None:
        raise ConfigurationError(f"{folder.path} is no checkpoint; `semart-vectors embed` makes one")
    images = _images_dir(folder, images_dir)
    if dry_run:
        return _Search(folder, images).report()
    with Checkpoint.open(folder.path, model_version=identity["model_version"]) as opened:
        search = _Search(folder, images)
        report = search.report()
        most_go = report.pruned > report.kept
        if most_go and not force and (report.pruned >= _FEW or not report.kept):
            raise ConfigurationError(
                f"{report.pruned:,} of {report.kept + report.pruned:,} images are not in {images}; mount its "
                "disk, name the right folder with --images, or prune them all the same with --force"
            )
        opened.forget(search.gone)
        opened.forget(search.failed_gone)
    return report


def _images_dir(folder: CheckpointFolder, images_dir: str | os.PathLike[str] | None) -> Path:
    if images_dir is None:
        noted = read_value(folder.job_note, "images_dir")
        if not isinstance(noted, str):
            raise ConfigurationError(
                f"{folder.path} does not say which images it is of; name their folder with --images"
            )
        images_dir = noted
    images = Path(images_dir)
    if not images.is_dir():
        raise ConfigurationError(
            f"the folder of images {images} is missing; mount its disk, or name another with --images"
        )
    return images


class _Search:
    """Which of the images of a checkpoint are gone."""

    def __init__(self, folder: CheckpointFolder, images: Path) -> None:
        self._images = images
        self.gone: list[str] = []
        self.failed_gone = self._gone(failure.image_file for failure in read_failures(folder.path))
        self._done = 0
        for part in folder.parts().values():
            names = read_names(part)
            self._done += len(names)
            self.gone += self._gone(names)

    def report(self) -> PruneReport:
        """Return the counts."""
        return PruneReport(
            images_dir=str(self._images),
            kept=self._done - len(self.gone),
            pruned=len(self.gone),
            failures_pruned=len(self.failed_gone),
        )

    def _gone(self, names: Iterable[str]) -> list[str]:
        with disk_errors(self._images, doing="read"):
            return [name for name in names if self._is_gone(name)]

    def _is_gone(self, name: str) -> bool:
        try:
            os.lstat(os.path.join(self._images, to_path(name)))  # noqa: PTH118 - a million times
        except PermissionError:  # whatever is there, it may come within reach again
            return False
        except (FileNotFoundError, NotADirectoryError, UnreadableImageError, ValueError):
            return True
        return False

"""The `prune` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import AS_JSON, DIRECTORY
from semart_vectors.cli.output import print_result

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("checkpoint", type=DIRECTORY)
@click.option("--images", type=DIRECTORY, help="The folder of images; by default that of the last run.")
@click.option("--dry-run", is_flag=True, help="Count what would go, and change nothing.")
@click.option("--force", is_flag=True, help="Prune even if most of the images are gone.")
@AS_JSON
def prune(
    checkpoint: Path,
    images: Path | None,
    dry_run: bool,  # noqa: FBT001 - click passes them by name
    force: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Forget the images whose files are gone."""
    from semart_vectors.pipeline.prune import prune_checkpoint

    report = prune_checkpoint(checkpoint, images, dry_run=dry_run, force=force)
    were = "would be" if dry_run else "were"
    print_result(
        report,
        f"{report.pruned:,} done and {report.failures_pruned:,} failed {were} pruned, whose files are gone "
        f"from {report.images_dir}; {report.kept:,} stay",
        as_json=as_json,
    )

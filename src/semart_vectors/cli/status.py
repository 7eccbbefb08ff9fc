"""The `status` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import AS_JSON, DIRECTORY
from semart_vectors.cli.output import print_result

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("checkpoint", type=DIRECTORY)
@AS_JSON
def status(checkpoint: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Show how many images a checkpoint holds, also while a job writes to it."""
    from semart_vectors.checkpoint.status import read_status

    found = read_status(checkpoint)
    parts = [f"{found.done:,} images done with model {found.model_version}, {found.failed:,} failed"]
    if found.asked_for is not None:
        parts.append(f"the last run covered {found.asked_for:,}")
        if found.done + found.failed > found.asked_for:
            parts.append("`semart-vectors prune` forgets images whose files are gone")
    if found.in_use:
        parts.append("a job is writing to it now")
    print_result(found, "; ".join(parts), as_json=as_json)

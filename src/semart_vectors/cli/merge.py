"""The `merge` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import AS_JSON, DIRECTORY, FILE, OUTPUT
from semart_vectors.cli.output import first_few, print_result, say

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("metadata", type=FILE)
@click.argument("checkpoint_dir", type=DIRECTORY)
@OUTPUT
@AS_JSON
def merge(metadata: Path, checkpoint_dir: Path, output: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Add each image's vector to its row of the metadata."""
    from semart_vectors.metadata.merge import merge_vectors

    report = merge_vectors(metadata, checkpoint_dir, output)
    print_result(report, f"{report.rows:,} images with their vectors written to {output}", as_json=as_json)
    for names, problem in (
        (report.without_vector, "rows of the metadata have no vector and were left out"),
        (report.without_metadata, "vectors have no row in the metadata and were left out"),
    ):
        if names:
            say(f"{len(names):,} {problem}: {first_few(names)}", err=True)

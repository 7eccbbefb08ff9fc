"""The `export` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import FILE, VECTORS
from semart_vectors.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("vectors", type=VECTORS)
@click.option(
    "-o", "--output", type=FILE, required=True, help="A .npy file; the names go into a .jsonl beside it."
)
def export(vectors: Path, output: Path) -> None:
    """Write the vectors of a merged file as .npy, and their names as .jsonl.

    VECTORS is the .parquet file that merge wrote, or a checkpoint.
    """
    from semart_vectors.metadata.export import export_vectors

    rows = export_vectors(vectors, output)
    say(f"{rows:,} vectors written to {output}, their names to {output.with_suffix('.jsonl')}")

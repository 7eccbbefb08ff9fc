"""The `clean` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import DIRECTORY, OUTPUT
from semart_vectors.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("dataset_dir", type=DIRECTORY)
@OUTPUT
@click.option(
    "--more-than",
    type=click.IntRange(min=0),
    default=15,
    show_default=True,
    metavar="N",
    help="Keep authors with more than N paintings.",
)
@click.option(
    "--keep",
    type=click.Choice(["date", "school"]),
    multiple=True,
    help="Keep this column too, which the tutorial drops; may be given twice.",
)
def clean(dataset_dir: Path, output: Path, more_than: int, keep: tuple[str, ...]) -> None:
    """Clean the tables of SemArt and join them into one."""
    from semart_vectors.metadata.semart import clean_semart
    from semart_vectors.metadata.tables import check_output, write_metadata

    check_output(output)
    table = clean_semart(dataset_dir, more_than=more_than, keep=keep)
    write_metadata(table, output)
    say(f"{len(table):,} paintings by {table['author'].nunique():,} authors written to {output}")
    if table.empty:
        say(f"No author has more than {more_than:,} paintings: choose a lower --more-than", err=True)

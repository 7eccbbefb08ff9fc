"""The `merge` command."""

from __future__ import annotations

from pathlib import Path

import click

from semart_vectors.cli.options import AS_JSON, DIRECTORY, NAME_COLUMN, OUTPUT
from semart_vectors.cli.output import first_few, print_result, say


@click.command()
@click.argument("metadata", type=click.Path(path_type=Path), metavar="[METADATA]")
@click.argument("checkpoint_dir", type=DIRECTORY, metavar="CHECKPOINT_DIR", required=False)
@OUTPUT
@NAME_COLUMN
@click.option(
    "--images",
    "images_dir",
    type=DIRECTORY,
    help="Without metadata: the folder of the images, to add size, width, height and camera date.",
)
@AS_JSON
def merge(  # noqa: PLR0917 - click passes them all by name
    metadata: Path,
    checkpoint_dir: Path | None,
    output: Path,
    name_column: str,
    images_dir: Path | None,
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Add each image's vector to its row of the metadata.

    Without METADATA, write names, vectors, and what is known of the images: folder and format.
    """
    from semart_vectors.metadata.merge import merge_vectors

    table: Path | None = metadata
    if checkpoint_dir is None:  # click gives a single name to the first argument
        table, checkpoint_dir = None, metadata
        if not checkpoint_dir.is_dir():
            raise click.UsageError(f"{checkpoint_dir} is no folder: name the checkpoint")
    if table is not None and images_dir is not None:
        raise click.UsageError("--images works only without METADATA, whose columns say what there is to say")
    report = merge_vectors(table, checkpoint_dir, output, name_column=name_column, images_dir=images_dir)
    print_result(report, f"{report.rows:,} images with their vectors written to {output}", as_json=as_json)
    for names, problem in (
        (report.without_vector, "rows of the metadata have no vector and were left out"),
        (report.without_metadata, "vectors have no row in the metadata and were left out"),
    ):
        if names:
            say(f"{len(names):,} {problem}: {first_few(names)}", err=True)

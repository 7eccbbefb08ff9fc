"""The `map` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semart_vectors.cli.extras import extra
from semart_vectors.cli.options import DIRECTORY, FILE, VECTORS
from semart_vectors.cli.output import first_few, say
from semart_vectors.files import make_folder_of

if TYPE_CHECKING:
    from pathlib import Path


@click.command("map")
@click.argument("vectors", type=VECTORS)
@click.option("--images", "images_dir", type=DIRECTORY, required=True, help="The folder of the images.")
@click.option(
    "-o", "--output", type=FILE, required=True, help="An .html page to explore, or a .png to print."
)
@click.option(
    "--colour-by",
    metavar="COLUMN",
    help="The column that colours the page; by default type, school or timeframe, else the folder.",
)
@click.option(
    "--title", metavar="TEXT", default="A map of the collection", show_default=True, help="The headline."
)
def map_command(vectors: Path, images_dir: Path, output: Path, colour_by: str | None, title: str) -> None:
    """Draw the whole collection with similar images close together.

    VECTORS is the .parquet file that merge wrote, or a checkpoint.
    """
    if output.suffix.lower() not in {".html", ".png"}:  # before libraries are loaded that take seconds
        raise click.UsageError(f"-o must name an .html or a .png file, not {output}")
    with extra("map"):
        from semart_vectors.map import draw_map

    make_folder_of(output)
    report = draw_map(vectors, images_dir, output, colour_by=colour_by, title=title)
    of = "" if report.drawn == report.total else f" of {report.total:,}, chosen evenly,"
    say(f"{report.drawn:,} images{of} drawn on {output}")
    if report.unreadable:
        say(
            f"{len(report.unreadable):,} images in {images_dir} cannot be read and are drawn grey: "
            f"{first_few(report.unreadable)}",
            err=True,
        )

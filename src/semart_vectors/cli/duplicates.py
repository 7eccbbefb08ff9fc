"""The `duplicates` command."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click
import orjson

from semart_vectors.cli.options import AS_JSON, VECTORS
from semart_vectors.cli.output import say
from semart_vectors.cli.sheet import IMAGES, SHEET, check_sheet, draw_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.duplicates import DuplicateGroup
    from semart_vectors.search.contact_sheet import SheetRow

_MAX_GROUPS, _MAX_IN_GROUP = 40, 13
"""On a sheet: a group's first picture and two lines of others, and no more than an image viewer opens."""


@click.command()
@click.argument("vectors", type=VECTORS)
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.97,
    show_default=True,
    help="The least cosine to the first picture of a group; 1 for equal vectors only.",
)
@IMAGES
@SHEET
@AS_JSON
def duplicates(
    vectors: Path,
    threshold: float,
    images: Path | None,
    sheet: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes it by name
) -> None:
    """List pictures that are equal or nearly so, in groups.

    VECTORS is the .parquet file that merge wrote, or a checkpoint. Each line is a picture and its cosine to
    the first picture of its group; an empty line ends a group. It makes no calls, and deletes nothing.
    """
    from semart_vectors.duplicates import find_duplicates
    from semart_vectors.gallery import Gallery

    if sheet is not None:
        check_sheet(sheet, images)
    gallery = Gallery.open(vectors)
    groups = find_duplicates(gallery, threshold)
    if as_json:
        say(orjson.dumps([dataclasses.asdict(group) for group in groups]))
    for number, group in enumerate(groups if not as_json else ()):
        if number:
            say("")
        for image in group.images:
            say(f"{_digits(image.score)}  {image.image_file}")
    pictures = sum(len(group.images) for group in groups)
    if groups:
        of = "group" if len(groups) == 1 else "groups"
        say(f"{pictures:,} of {len(gallery):,} pictures are in {len(groups):,} {of} of like ones", err=True)
    else:
        say(f"No two of {len(gallery):,} pictures have a cosine of {threshold:g} or more", err=True)
    if groups and sheet is not None and images is not None:
        if len(groups) > _MAX_GROUPS:
            say(f"The sheet shows the first {_MAX_GROUPS} of {len(groups):,} groups", err=True)
        draw_sheet(
            [_sheet_row(group, images) for group in groups[:_MAX_GROUPS]],
            sheet,
            title="Like pictures",
            explanation="On the left the first picture of each group; beside it those like it, with their "
            "cosine similarity to it.",
        )


def _digits(score: float) -> str:
    """Write a cosine with four digits; only equal vectors have 1.0000."""
    return "0.9999" if score < 1 and score > 0.9999 else f"{score:.4f}"  # noqa: PLR2004 - four digits


def _sheet_row(group: DuplicateGroup, images_dir: Path) -> SheetRow:
    from semart_vectors.search.contact_sheet import SheetRow
    from semart_vectors.search.results import name_panel

    first, *others = (
        name_panel(images_dir, image.image_file, image.score) for image in group.images[:_MAX_IN_GROUP]
    )
    more = len(group.images) - _MAX_IN_GROUP
    told = f" · {more:,} more like it are not shown" if more > 0 else ""
    return SheetRow(dataclasses.replace(first, detail=f"{first.detail}{told}", score=None), others)

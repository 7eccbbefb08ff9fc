"""What the commands that draw a contact sheet share: its options, checked before anything is paid for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from semart_vectors.cli.options import DIRECTORY, FILE
from semart_vectors.cli.output import say
from semart_vectors.files import make_folder_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from semart_vectors.search.contact_sheet import SheetRow

IMAGES = click.option("--images", type=DIRECTORY, help="The folder of the images, for the sheet.")
SHEET = click.option("--sheet", type=FILE, help="Draw the results as this PNG.")


def check_sheet(sheet: Path, images: Path | None) -> None:
    """Refuse, before any work is done, a sheet that cannot be written or would replace another file."""
    if images is None:
        raise click.UsageError("--sheet needs --images DIR, the folder that the image names are relative to")
    is_other = os.path.lexists(sheet) and not os.path.isfile(sheet)  # noqa: PTH113 - False, not an error, without permission
    if sheet.suffix.lower() != ".png" or is_other:
        raise click.UsageError(f"--sheet must name a .png file, not {sheet}")
    make_folder_of(sheet)


def draw_sheet(rows: Sequence[SheetRow], sheet: Path, **words: str) -> None:
    """Draw a sheet, and say on stderr what was written."""
    from semart_vectors.search.contact_sheet import contact_sheet

    contact_sheet(rows, sheet, **words)
    count = sum(1 + len(row.neighbours) for row in rows)
    say(f"{count:,} pictures drawn on {sheet}", err=True)

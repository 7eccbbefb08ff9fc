"""The `check` command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from semart_vectors.cli.exit_codes import DAMAGED
from semart_vectors.cli.options import AS_JSON, DIRECTORY
from semart_vectors.cli.output import print_result, say

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("checkpoint", type=DIRECTORY)
@click.option("--repair", is_flag=True, help="Move damaged files aside, so that embed can redo their images.")
@AS_JSON
def check(checkpoint: Path, repair: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes them by name
    """Compare every stored byte of a checkpoint with its checksum."""
    from semart_vectors.checkpoint.check import check_checkpoint

    report = check_checkpoint(checkpoint, repair=repair)
    found = f"{len(report.damaged):,} damaged" if report.damaged else "no damage"
    print_result(
        report,
        f"{report.files:,} files, {report.bytes:,} bytes, {report.vectors:,} vectors: {found}",
        as_json=as_json,
    )
    for damage in report.damaged:
        say(damage, err=True)
    if report.damaged and repair:
        say(
            f"The damaged files are now in {checkpoint / '_damaged'};"
            " run `semart-vectors embed` to do their images again",
            err=True,
        )
    elif report.damaged:
        sys.exit(DAMAGED)

"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import click

_MIN_RATE, _MAX_RATE = 0.001, 1_000_000


DIRECTORY = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
VECTORS = click.Path(path_type=Path)
"""A merged file or a checkpoint."""
OUTPUT = click.option(
    "-o", "--output", type=FILE, required=True, help="A .parquet file, or a .csv/.tsv separated by tabs."
)
TABLE = click.option(
    "--table", metavar="NAME", default="paintings", show_default=True, help="NAME or SCHEMA.NAME."
)
NAME_COLUMN = click.option(
    "--name-column",
    metavar="COLUMN",
    default="image_file",
    show_default=True,
    help="The column of the metadata that holds the names of the images.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def rate(_: click.Context, parameter: click.Parameter, value: str | None) -> float | Literal["auto"] | None:
    """Read a rate in calls a second; `--requests-per-second` takes `auto` too."""
    if value is None or (value == "auto" and parameter.name == "requests_per_second"):
        return value  # type: ignore[return-value] # it is one of these two
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise click.BadParameter(
            f"{value!r} is not a rate from {_MIN_RATE:g} to {_MAX_RATE:,} calls a second"
        )
    return rate

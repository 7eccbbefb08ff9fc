"""Clean the SemArt tables, step by step as the tutorial does."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from anyascii import anyascii

from semart_vectors.errors import MetadataError
from semart_vectors.metadata.tables import CP1252, read_errors, read_rows

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike

COLUMNS = ("image_file", "description", "author", "title", "technique", "type", "timeframe")
"""The columns of the cleaned table."""

SPLITS = ("semart_train.csv", "semart_test.csv", "semart_val.csv")
"""The tables of the data set, in the order in which the tutorial joins them."""

_SPLIT_COLUMNS = (
    "IMAGE_FILE", "DESCRIPTION", "AUTHOR", "TITLE", "TECHNIQUE", "DATE", "TYPE", "SCHOOL", "TIMEFRAME",
)  # fmt: skip  # one line, as it stands in the files
_LOST_LETTERS = {"TURA, Cosm?": "TURA, Cosme", "DELACROIX, Eug?ne": "DELACROIX, Eugene"}

_logger = logging.getLogger("semart_vectors")


OPTIONAL_COLUMNS = ("date", "school")
"""Columns of the data set that the tutorial drops, and that may be kept."""


def clean_semart(
    dataset_dir: str | PathLike[str], *, more_than: int = 15, keep: Collection[str] = ()
) -> pd.DataFrame:
    """Clean the SemArt tables as the tutorial does: 11,206 of the 21,382 paintings remain.

    Args:
        dataset_dir: The folder with ``semart_train.csv``, ``semart_test.csv`` and ``semart_val.csv``; those
            that exist are read, and a warning names the others.
        more_than: Only authors with more paintings than this are kept.

        keep: Which of date and school, which the tutorial drops, to keep as further columns.

    Returns:
        The columns image_file, description, author, title, technique, type and timeframe, then those of
        `keep`. All but image_file, which has to keep naming a file, are ASCII.

    Raises:
        ValueError: `keep` has another name.
        MetadataError: none of the tables exists, or one cannot be read.
    """
    if unknown := [name for name in keep if name not in OPTIONAL_COLUMNS]:
        raise ValueError(f"keep takes {' and '.join(OPTIONAL_COLUMNS)}, not {', '.join(map(repr, unknown))}")
    kept = [*COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in keep)]
    folder = Path(dataset_dir)
    present = [name for name in SPLITS if (folder / name).is_file()]
    missing = [name for name in SPLITS if name not in present]
    if not present:
        raise MetadataError(
            f"none of {', '.join(SPLITS)} is in {folder}: give the folder into which SemArt was unpacked"
        )
    if missing:
        _logger.warning("%s: no %s; only %s is read", folder, ", ".join(missing), ", ".join(present))

    table = pd.concat([_read_split(folder / name) for name in present], ignore_index=True)
    counts = [len(table)]
    table = table[(table != "").all(axis=1)]
    counts.append(len(table))
    table = table.drop_duplicates("IMAGE_FILE").rename(columns=str.lower)[kept]
    counts.append(len(table))
    table = table.map(_to_ascii).assign(image_file=table["image_file"])
    table = table.assign(technique=table["technique"].map(_before_size))
    paintings = table["author"].map(table["author"].value_counts())
    table = table[paintings > more_than]
    counts.append(len(table))
    table = table.assign(author=table["author"].replace(_LOST_LETTERS))
    table = table[~table["author"].str.contains("UNKNOWN", regex=False).astype(bool)]
    counts.append(len(table))

    dropped = [before - after for before, after in pairwise(counts)]
    _logger.info(
        "%s: %d rows; dropped %d with an empty field, %d of a repeated image_file, "
        "%d of authors with at most %d paintings, %d of unknown artists; kept %d",
        folder, counts[0], dropped[0], dropped[1], dropped[2], more_than, dropped[3], counts[-1],
    )  # fmt: skip  # the arguments in the order of the sentence
    return table.reset_index(drop=True)


def find_images_dir(dataset_dir: str | PathLike[str]) -> Path:
    """Find the folder of the paintings: ``Images``, as in the archive, or ``images``, as in the tutorial.

    Raises:
        MetadataError: neither exists.
    """
    for name in ("Images", "images"):
        folder = Path(dataset_dir, name)
        if folder.is_dir():
            return folder
    raise MetadataError(f"neither Images nor images is a folder in {Path(dataset_dir)}")


def _to_ascii(text: str) -> str:
    # anyascii turns the multiplication sign into an asterisk; sizes are written with an x.
    return anyascii(text.replace("\N{MULTIPLICATION SIGN}", "x"))


def _before_size(technique: str) -> str:
    """Keep ``Oil on canvas`` of ``Oil on canvas, 105 x 184 cm``."""
    return technique.partition(", ")[0]


def _read_split(path: Path) -> pd.DataFrame:
    """Read one table of the data set, all of it text."""
    with read_errors(path):
        rows = read_rows(path, CP1252)
        header = next(rows)
        missing = [name for name in _SPLIT_COLUMNS if name not in header]
        if missing:
            raise MetadataError(
                f"{path}: no column {', '.join(missing)}; the columns are {', '.join(map(repr, header))}"
            )
        return pd.DataFrame(list(rows), columns=header, dtype=object)[list(_SPLIT_COLUMNS)].astype(str)

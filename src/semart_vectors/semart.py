"""Read and clean the SemArt tables, and keep the result as Parquet or as the tutorial's TAB form."""

from __future__ import annotations

import codecs
import csv
import logging
import re
from collections import Counter
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from anyascii import anyascii

from semart_vectors.errors import MetadataError
from semart_vectors.files import write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

COLUMNS = ("image_file", "description", "author", "title", "technique", "type", "timeframe")
"""The columns of the cleaned table."""

SPLITS = ("semart_train.csv", "semart_test.csv", "semart_val.csv")
"""The tables of the data set, in the order in which the tutorial joins them."""

TAB_SUFFIXES = (".csv", ".tsv")
"""Names that mean the tutorial's TAB form; the others end with ``.parquet``."""

_SPLIT_COLUMNS = (
    "IMAGE_FILE", "DESCRIPTION", "AUTHOR", "TITLE", "TECHNIQUE", "DATE", "TYPE", "SCHOOL", "TIMEFRAME",
)  # fmt: skip  # one line, as it stands in the files
_LOST_LETTERS = {"TURA, Cosm?": "TURA, Cosme", "DELACROIX, Eug?ne": "DELACROIX, Eugene"}
_CP1252 = "cp1252"
_UTF8 = "utf-8-sig"  # a byte order mark is no part of the first column's name
_NEEDS_QUOTES = re.compile(r'["\t\r\n]|\A\Z|\A\\\.\Z')
_BATCH_ROWS = 8192
_NAMED = 3

_log = logging.getLogger("semart_vectors")


def clean_semart(dataset_dir: str | PathLike[str], *, more_than: int = 15) -> pd.DataFrame:
    """Clean the SemArt tables as the tutorial does: 11,206 of the 21,382 paintings remain.

    Args:
        dataset_dir: The folder with ``semart_train.csv``, ``semart_test.csv`` and ``semart_val.csv``; those
            of them that are there are read.
        more_than: Only authors with more paintings than this are kept.

    Returns:
        The columns image_file, description, author, title, technique, type and timeframe. All but
        image_file, which has to keep naming a file, are ASCII.

    Raises:
        MetadataError: no table is there, or one cannot be read as what it should be.
    """
    folder = Path(dataset_dir)
    present = [name for name in SPLITS if (folder / name).is_file()]
    missing = [name for name in SPLITS if name not in present]
    if not present:
        raise MetadataError(
            f"none of {', '.join(SPLITS)} is in {folder}: give the folder that the SemArt archive unpacks to"
        )
    if missing:
        _log.warning("%s: no %s; only %s is read", folder, ", ".join(missing), ", ".join(present))

    table = pd.concat([_read_split(folder / name) for name in present], ignore_index=True)
    counts = [len(table)]
    table = table[(table != "").all(axis=1)]
    counts.append(len(table))
    table = table.drop_duplicates("IMAGE_FILE").rename(columns=str.lower)[list(COLUMNS)]
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
    _log.info(
        "%s: %d rows; dropped %d with an empty field, %d of a repeated image_file, "
        "%d of authors with at most %d paintings, %d of unknown artists; kept %d",
        folder, counts[0], dropped[0], dropped[1], dropped[2], more_than, dropped[3], counts[-1],
    )  # fmt: skip  # the arguments in the order of the sentence
    return table.reset_index(drop=True)


def find_images_dir(dataset_dir: str | PathLike[str]) -> Path:
    """Find the folder of the paintings: ``Images``, as in the archive, or ``images``, as in the tutorial.

    Raises:
        MetadataError: neither is there.
    """
    for name in ("Images", "images"):
        folder = Path(dataset_dir, name)
        if folder.is_dir():
            return folder
    raise MetadataError(f"neither Images nor images is a folder in {Path(dataset_dir)}")


def read_metadata(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a metadata table with a column image_file that names every row.

    Args:
        path: A ``.parquet`` file, or ``.csv``/``.tsv`` in the tutorial's TAB form: UTF-8, a header, ordinary
            CSV quoting. Everything in the TAB form is text, and an empty field is an empty text.

    Raises:
        MetadataError: the file cannot be read, or image_file is absent, empty or repeated somewhere.
    """
    table: pd.DataFrame = read_table(Path(path)).to_pandas()
    # Parquet that pandas wrote may hold image_file as the index.
    return table if "image_file" in table.columns else table.reset_index()


def write_metadata(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write a metadata table, without its index, so that `read_metadata` gives the same texts back.

    Args:
        table: Any columns, image_file among them.
        path: A ``.parquet`` file, or ``.csv``/``.tsv`` for the tutorial's TAB form. A file that stands there
            is replaced only once the new one is complete.

    Raises:
        MetadataError: the table cannot be kept in this form, or the folder is not there.
        CheckpointDiskError: the disk refused to write.
    """
    path = Path(path)
    tab = check_target(path)
    arrow = to_arrow(table)
    checked_names(arrow, "the table")
    with write_aside(path) as aside:
        if tab:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(tab_line(arrow.column_names) + "\n")
                for batch in arrow.to_batches(max_chunksize=_BATCH_ROWS):
                    columns = [column.to_pylist() for column in batch.columns]
                    file.writelines(tab_line(values) + "\n" for values in zip(*columns, strict=True))
        else:
            pq.write_table(arrow, aside, compression="zstd", write_page_checksum=True)


def check_target(path: Path) -> bool:
    """Refuse what could not be written to before any work is done; say whether it means the TAB form."""
    tab = _is_tab(path)
    if not path.parent.is_dir():
        raise MetadataError(f"cannot write {path}: {path.parent} is not a folder; create it first")
    if path.is_dir():
        raise MetadataError(f"cannot write {path}: it is a folder")
    return tab


def read_table(path: Path) -> Any:
    """Read a metadata table as `read_metadata` does, as an Arrow table."""
    tab = _is_tab(path)
    with _reading(path):
        table = _read_tab(path) if tab else _read_parquet(path)
    checked_names(table, str(path))
    return table


def to_arrow(table: pd.DataFrame) -> Any:
    """Turn a DataFrame into an Arrow table, without its index."""
    try:
        return pa.Table.from_pandas(table, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise MetadataError(f"the table has a column that cannot be stored: {error}") from error


def checked_names(table: Any, where: str) -> list[str]:
    """Return the image_file of every row, once all are known to be texts, not empty and not repeated."""
    if "image_file" not in table.column_names:
        found = ", ".join(map(repr, table.column_names)) or "none"
        raise MetadataError(f"{where}: no column image_file; the columns are {found}")
    names: list[Any] = table.column("image_file").to_pylist()
    unusable = [row for row, name in enumerate(names) if not (isinstance(name, str) and name)]
    if unusable:
        raise MetadataError(
            f"{where}: image_file is empty or no text in {_first_few(unusable)} (the first row is 0)"
        )
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        raise MetadataError(f"{where}: image_file names more than one row: {_first_few(repeated)}")
    return names


def tab_line(values: Iterable[object]) -> str:
    """Join values as one line of the TAB form, without its end; a null is an empty field, an empty text `""`.

    Only what needs quotes has them. The standard library's writer leaves a lone carriage return unquoted
    before Python 3.13, and its reader then refuses it.
    """
    fields = []
    for value in values:
        text = "" if value is None else str(value)
        if "\0" in text:
            raise MetadataError(f"{text[:80]!r} holds a zero byte, which no TAB form can: write .parquet")
        if value is not None and _NEEDS_QUOTES.search(text):
            text = '"' + text.replace('"', '""') + '"'
        fields.append(text)
    return "\t".join(fields)


def _is_tab(path: Path) -> bool:
    """Say whether a name means the TAB form or Parquet; it must mean one of them."""
    suffix = path.suffix.lower()
    if suffix not in (".parquet", *TAB_SUFFIXES):
        raise MetadataError(
            f"{path}: the name must end with .parquet, or with .csv or .tsv for a TAB separated text"
        )
    return suffix in TAB_SUFFIXES


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate whatever comes up while a table is read into `MetadataError`, named after its file."""
    try:
        yield
    except MetadataError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise MetadataError(f"cannot read {path}: {reason}") from error


def _first_few(values: list[Any]) -> str:
    more = len(values) - _NAMED
    return ", ".join(map(repr, values[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _to_ascii(text: str) -> str:
    # anyascii makes an asterisk of the multiplication sign; sizes are written with an x.
    return anyascii(text.replace("\N{MULTIPLICATION SIGN}", "x"))


def _before_size(technique: str) -> str:
    """Keep ``Oil on canvas`` of ``Oil on canvas, 105 x 184 cm``."""
    return technique.partition(", ")[0]


def _read_split(path: Path) -> pd.DataFrame:
    """Read one table of the data set, all of it text."""
    with _reading(path):
        rows = _read_rows(path, _CP1252)
        header = next(rows)
        missing = [name for name in _SPLIT_COLUMNS if name not in header]
        if missing:
            raise MetadataError(
                f"{path}: no column {', '.join(missing)}; the columns are {', '.join(map(repr, header))}"
            )
        return pd.DataFrame(list(rows), columns=header, dtype=object)[list(_SPLIT_COLUMNS)].astype(str)


def _read_parquet(path: Path) -> Any:
    # Not `pq.read_table`, which adds columns for folders named like "a=b"; in batches it takes half the time.
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return pa.Table.from_batches(file.iter_batches(_BATCH_ROWS), schema=file.schema_arrow)


def _read_tab(path: Path) -> Any:
    """Read a TAB form as Arrow texts, batch by batch: Python's own would take several times the memory."""
    rows = _read_rows(path, _UTF8)
    header = next(rows)
    if len(header) == 1 and "," in header[0] and "image_file" in header[0].split(","):
        raise MetadataError(
            f"{path} is separated by commas: it must be separated by TABs, whatever its suffix"
        )
    schema = pa.schema([(name, pa.string()) for name in header])
    batches = []
    while batch := list(islice(rows, _BATCH_ROWS)):
        columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
        batches.append(pa.record_batch(columns, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def _read_rows(path: Path, encoding: str) -> Iterator[list[str]]:
    """Yield the header, then every row, each with as many fields as the header."""
    _check_encoding(path, encoding)
    # The limit is one for the process. It is never lowered again: another thread may be reading.
    csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size))
    with path.open(encoding=encoding, newline="\n") as file:
        records = _read_records(file, path)
        _, header = next(records, (1, []))
        if not header:
            raise MetadataError(f"{path} is empty: not even a header")
        repeated = [name for name, count in Counter(header).items() if count > 1]
        if repeated:
            raise MetadataError(f"{path}: more than one column is named {', '.join(map(repr, repeated))}")
        yield header
        for line, record in records:
            if len(record) != len(header):
                raise MetadataError(
                    f"{path}, line {line}: {len(record)} fields where the header has {len(header)}"
                )
            yield record


def _read_records(lines: Iterable[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the line it begins on: quoted fields hold line ends."""
    reader = csv.reader(lines, delimiter="\t", strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise MetadataError(
                f"{path}: the row that begins on line {line} is malformed: {error}"
            ) from error
        if record:
            yield line, record


def _check_encoding(path: Path, encoding: str) -> None:
    """Refuse a file in another encoding, with the line that shows it.

    Nearly any bytes decode as cp1252, so what would come out wrong is looked for: text beyond ASCII that is
    UTF-8 throughout was never cp1252.
    """
    not_ascii = 0
    utf8_throughout = True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise MetadataError(f"{path}, line 1: a UTF-16 byte order mark; {_expected(encoding)}")
            if number == 1 and encoding == _CP1252 and line.startswith(codecs.BOM_UTF8):
                raise MetadataError(f"{path}, line 1: a UTF-8 byte order mark; {_expected(encoding)}")
            if b"\0" in line:
                raise MetadataError(f"{path}, line {number}: a zero byte; {_expected(encoding)}")
            if line.isascii():
                continue
            not_ascii = not_ascii or number
            utf8_throughout = utf8_throughout and _decodes(line, "utf-8")
            if not _decodes(line, encoding):
                raise MetadataError(f"{path}, line {number}: undefined bytes; {_expected(encoding)}")
    if encoding == _CP1252 and not_ascii and utf8_throughout:
        raise MetadataError(f"{path}, line {not_ascii}: text in UTF-8; {_expected(encoding)}")


def _expected(encoding: str) -> str:
    if encoding == _CP1252:
        return "the SemArt tables are in cp1252: use them as they come out of the archive"
    return "convert the table to UTF-8"


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True

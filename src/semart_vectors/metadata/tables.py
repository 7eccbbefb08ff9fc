"""Tables of metadata: read, checked, and written as Parquet or in the tutorial's TAB form."""

from __future__ import annotations

import codecs
import csv
import errno
import os
import re
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from semart_vectors.errors import ConfigurationError, MetadataError, SemartVectorsError
from semart_vectors.files import disk_error, make_folder_of, write_aside
from semart_vectors.metadata.python_values import to_python
from semart_vectors.metadata.vector_columns import plain_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    import pandas as pd

    from semart_vectors.errors import VectorFileError

TAB_SUFFIXES = (".csv", ".tsv")
"""Suffixes that mean the tutorial's TAB form; the other one is ``.parquet``."""

IMAGE_FILE = "image_file"
"""The column that names each row's picture."""

CP1252 = "cp1252"
UTF8 = "utf-8-sig"
"""With or without a byte order mark, which is not part of the first column's name."""

_NEEDS_QUOTES = re.compile(r'["\t\r\n]|\A\Z|\A\\\.\Z')
_BATCH_ROWS = 8192


def read_metadata(path: str | PathLike[str], *, name_column: str = IMAGE_FILE) -> pd.DataFrame:
    """Read a metadata table with a column image_file that names every row.

    Args:
        path: A ``.parquet`` file, or ``.csv``/``.tsv``: a header, ordinary CSV quoting, separated by TABs,
            commas or semicolons, in UTF-8 or else cp1252. Everything in these is text, and an empty field is
            an empty text.
        name_column: The column that holds the names; it becomes image_file.

    Raises:
        MetadataError: the file cannot be read, or image_file is absent, empty or repeated somewhere.
        DiskError: the disk failed.
    """
    table: pd.DataFrame = read_table(Path(path), name_column).to_pandas()
    # Parquet that pandas wrote may hold image_file as the index.
    return table if "image_file" in table.columns else table.reset_index()


def write_metadata(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write a metadata table, without its index, so that `read_metadata` gives the same texts back.

    Args:
        table: Any columns, image_file among them.
        path: A ``.parquet`` file, or ``.csv``/``.tsv`` for the tutorial's TAB form. An earlier file of that
            name is replaced only once the new one is complete.

    Raises:
        MetadataError: the table cannot be stored in this form.
        ConfigurationError: the path has another suffix, or its folder does not exist.
        DiskError: the file cannot be written.
    """
    path = Path(path)
    tab = check_output(path)
    arrow = to_arrow(table)
    checked_names(arrow, "the table")
    with write_aside(path) as aside:
        if tab:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(tab_line(arrow.column_names) + "\n")
                for batch in arrow.to_batches(max_chunksize=_BATCH_ROWS):
                    columns = [to_python(column) for column in batch.columns]
                    file.writelines(tab_line(values) + "\n" for values in zip(*columns, strict=True))
        else:
            pq.write_table(arrow, aside, compression="zstd", write_page_checksum=True)


def check_output(path: Path) -> bool:
    """Refuse, before any work, a path that cannot be written to; return whether it means the TAB form.

    Raises:
        ConfigurationError: its suffix means neither form, or it is a folder.
        DiskError: its folder is missing and cannot be made.
    """
    tab = _is_tab(path, ConfigurationError)
    check_is_writable(path)
    return tab


def check_is_writable(path: Path) -> None:
    """Refuse, before any work, a path that is a folder itself; make its own folder, where that is missing.

    Raises:
        ConfigurationError: it is a folder.
        DiskError: its folder cannot be made.
    """
    if path.is_dir():
        raise ConfigurationError(f"cannot write {path}: it is a folder")
    make_folder_of(path)


def read_table(path: Path, name_column: str = IMAGE_FILE, *, names_only: bool = False) -> Any:
    """Read a metadata table as `read_metadata` does, as an Arrow table; or of it only the names."""
    tab = _is_tab(path, MetadataError)
    with read_errors(path):
        if tab:
            form = _form_of(path, name_column)
            table = _read_tab(path, form)
        else:
            table = _read_parquet(path, [name_column] if names_only else None)
        table = with_names(table, str(path), name_column)
        if names_only:
            table = table.select([IMAGE_FILE])
        checked_names(
            table, str(path), (lambda row: f"line {_line_of(path, row, form)}") if tab else _describe_row
        )
    return table


def with_names(table: Any, where: str, name_column: str) -> Any:
    """Call the column that holds the names image_file.

    Raises:
        MetadataError: there is no such column, or another one is called image_file.
    """
    if name_column == IMAGE_FILE:
        return table
    names = table.column_names
    if name_column not in names or IMAGE_FILE in names:
        problem = f"has a column {IMAGE_FILE} beside" if name_column in names else "has no column"
        raise MetadataError(
            f"{where} {problem} {name_column!r}; the columns are {', '.join(map(repr, names))}"
        )
    return table.rename_columns({name_column: IMAGE_FILE})


def to_arrow(table: Any) -> Any:
    """Turn a DataFrame, without its index, or any table that speaks Arrow's C stream into an Arrow table.

    Raises:
        MetadataError: a column of it cannot be stored, or it is no table.
    """
    try:
        if isinstance(table, pa.Table):
            return _without_views(table)
        import pandas as pd  # noqa: PLC0415 - slow to import: not for a table that is read from a file

        if isinstance(table, pd.DataFrame) or not hasattr(table, "__arrow_c_stream__"):
            return pa.Table.from_pandas(table, preserve_index=False)
        return _without_views(pa.table(table))
    except AttributeError as error:
        raise MetadataError(
            f"{type(table).__name__} is no table: give one of pandas, Polars or pyarrow, or a file's path"
        ) from error
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise MetadataError(f"the table has a column that cannot be stored: {error}") from error


def _describe_row(row: int) -> str:
    return f"row {row} (counted from 0)"


def checked_names(table: Any, where: str, describe: Callable[[int], str] = _describe_row) -> list[str]:
    """Return the image_file of every row, and make sure that they are texts, not empty and not repeated.

    Args:
        table: Any Arrow table.
        where: What an error calls the table.
        describe: Returns what an error calls a row.

    Raises:
        MetadataError: they are not.
    """
    if "image_file" not in table.column_names:
        found = ", ".join(map(repr, table.column_names)) or "none"
        raise MetadataError(f"{where}: no column image_file; the columns are {found}")
    names: list[Any] = table.column("image_file").to_pylist()
    unusable = [row for row, name in enumerate(names) if not (isinstance(name, str) and name)]
    if unusable:
        raise MetadataError(
            f"{where}, {describe(unusable[0])}: image_file is empty or not text{_and_more(unusable, 'row')}"
        )
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        first = names.index(repeated[0])
        again = names.index(repeated[0], first + 1)
        raise MetadataError(
            f"{where}, {describe(again)}: image_file is {repeated[0]!r}, as in {describe(first)}"
            f"{_and_more(repeated, 'name')}"
        )
    return names


def tab_line(values: Iterable[object]) -> str:
    """Join values as one line of the TAB form, without its end; a null is an empty field, an empty text `""`.

    Only values that need quotes get them. Before Python 3.13 the standard library's writer leaves a lone
    carriage return unquoted, and its reader then refuses it.

    Raises:
        MetadataError: a value holds a NUL character.
    """
    fields = []
    for value in values:
        text = "" if value is None else str(value)
        if "\0" in text:
            raise MetadataError(f"{text[:80]!r} holds a NUL character, which CSV cannot: write .parquet")
        if value is not None and _NEEDS_QUOTES.search(text):
            text = '"' + text.replace('"', '""') + '"'
        fields.append(text)
    return "\t".join(fields)


def _is_tab(path: Path, error: type[ConfigurationError | MetadataError]) -> bool:
    """Return whether a suffix means the TAB form or Parquet; raise `error` if it means neither."""
    suffix = path.suffix.lower()
    if suffix not in (".parquet", *TAB_SUFFIXES):
        raise error(f"{path}: the name must end with .parquet, or with .csv or .tsv for TAB-separated text")
    return suffix in TAB_SUFFIXES


@contextmanager
def read_errors(path: Path, kind: type[MetadataError | VectorFileError] = MetadataError) -> Iterator[None]:
    """Translate whatever is raised while a file is read into one kind of error, with the file's name.

    Raises:
        DiskError: the disk failed, so the file may be all right.
    """
    try:
        yield
    except SemartVectorsError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise disk_error(path, error, doing="read") from error
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise kind(f"cannot read {path}: {reason}") from error


def _and_more(values: list[Any], noun: str) -> str:
    more = len(values) - 1
    return f" (and {more:,} more {noun}{'s' if more > 1 else ''})" if more else ""


def _without_views(table: Any) -> Any:
    """Give columns that Arrow can compute little with, and other readers may not know, a plain type."""
    fields = [
        field if pa.types.is_dictionary(field.type) else field.with_type(plain_type(field.type))
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, table.schema.metadata))


def _read_parquet(path: Path, columns: list[str] | None) -> Any:
    # Not `pq.read_table`, which adds columns for folders named like "a=b"; in batches it takes half the time.
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        if columns is not None and all(schema.names.count(name) == 1 for name in columns):
            schema = pa.schema([schema.field(name) for name in columns])
        batches = file.iter_batches(_BATCH_ROWS, columns=schema.names)
        return _without_views(pa.Table.from_batches(batches, schema=schema))


class _Form(NamedTuple):
    """How a text file is written."""

    encoding: str
    delimiter: str


def _form_of(path: Path, name_column: str) -> _Form:
    """Find out how a table is written: UTF-8 if it can be, and separated so that the header has the names."""
    with path.open("rb") as file:
        # Text that is UTF-8 in one line and not in another is damaged or cut, and no cp1252.
        beyond_ascii = [
            (_decodes(line, "utf-8"), _decodes(line, CP1252)) for line in file if not line.isascii()
        ]
    is_cp1252 = beyond_ascii and all(cp1252 and not utf8 for utf8, cp1252 in beyond_ascii)
    encoding = CP1252 if is_cp1252 and not _is_cut(path) else UTF8
    with path.open(encoding=encoding, errors="replace", newline="\n") as file:
        header = re.split("[\r\n]", file.readline(), maxsplit=1)[0]
    fields = {delimiter: next(csv.reader([header], delimiter=delimiter), []) for delimiter in "\t,;"}
    fitting = [delimiter for delimiter in fields if name_column in fields[delimiter]] or list(fields)
    return _Form(encoding, max(fitting, key=lambda delimiter: len(fields[delimiter])))


def _is_cut(path: Path) -> bool:
    """Whether a file ends within a character of UTF-8 of three bytes or more, which cp1252 hardly spells."""
    with path.open("rb") as file:
        file.seek(-min(3, path.stat().st_size), os.SEEK_END)
        return bool(re.search(rb"[\xe0-\xef][\x80-\xbf]$|[\xf0-\xf4][\x80-\xbf]{1,2}$", file.read()))


def _read_tab(path: Path, form: _Form) -> Any:
    """Read a text form as Arrow strings, batch by batch: Python's own take several times the memory."""
    rows = read_rows(path, form.encoding, form.delimiter)
    header = next(rows)
    schema = pa.schema([(name, pa.string()) for name in header])
    batches = []
    while batch := list(islice(rows, _BATCH_ROWS)):
        columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
        batches.append(pa.record_batch(columns, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def _line_of(path: Path, row: int, form: _Form) -> int:
    """Return the line on which a row of a text form begins; the header comes before row 0."""
    with path.open(encoding=form.encoding, newline="\n") as file:
        records = _read_records(file, path, form.delimiter)
        return next(line for line, _ in islice(records, row + 1, None))


def read_rows(path: Path, encoding: str, delimiter: str = "\t") -> Iterator[list[str]]:
    """Yield the header, then every row, each with as many fields as the header."""
    _check_encoding(path, encoding)
    # The limit is global. It is never lowered again: another thread may be reading.
    csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size))
    with path.open(encoding=encoding, newline="\n") as file:
        records = _read_records(file, path, delimiter)
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


def _read_records(lines: Iterable[str], path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the line it begins on: quoted fields hold newlines."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
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
    """Refuse a file in another encoding, and name the line that shows it.

    Nearly any bytes decode as cp1252, so decoding proves nothing: text beyond ASCII that is valid UTF-8
    throughout was never cp1252.
    """
    not_ascii = 0
    utf8_throughout = True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise MetadataError(f"{path}, line 1: a UTF-16 byte order mark; {_expected(encoding)}")
            if number == 1 and encoding == CP1252 and line.startswith(codecs.BOM_UTF8):
                raise MetadataError(f"{path}, line 1: a UTF-8 byte order mark; {_expected(encoding)}")
            if b"\0" in line:
                raise MetadataError(f"{path}, line {number}: a NUL byte; {_expected(encoding)}")
            if line.isascii():
                continue
            not_ascii = not_ascii or number
            utf8_throughout = utf8_throughout and _decodes(line, "utf-8")
            if not _decodes(line, encoding):
                raise MetadataError(f"{path}, line {number}: undefined bytes; {_expected(encoding)}")
    if encoding == CP1252 and not_ascii and utf8_throughout:
        raise MetadataError(f"{path}, line {not_ascii}: text in UTF-8; {_expected(encoding)}")


def _expected(encoding: str) -> str:
    if encoding == CP1252:
        return "the SemArt tables are in cp1252: use them as they come out of the archive"
    return "convert the table to UTF-8"


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True

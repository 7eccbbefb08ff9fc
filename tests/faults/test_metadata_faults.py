"""Metadata as people have it: an error names the file and the line, or a rule says how it is read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from command_line import cli
from helpers import make_images
from semart_vectors import clean_semart, merge_vectors
from semart_vectors.errors import MetadataError
from semart_vectors.metadata.tables import read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_service import FakeService

pytestmark = pytest.mark.row(23)

HEADER = b"image_file\ttitle\n"

FAULTY = {
    "UTF-8 and cp1252": (HEADER + "a\té\n".encode() + b"b\tCaf\xe9\n", "line 3: undefined bytes; convert"),
    "UTF-16 with a mark": ("image_file\ttitle\n".encode("utf-16"), "line 1: a UTF-16 byte order mark"),
    "UTF-16 without one": ("image_file\ttitle\n".encode("utf-16-le"), "line 1: a NUL byte"),
    "cut in a character": (HEADER + b"a.jpg\tA\nb.jpg\t\xf0\x9f\x9a", "line 3: undefined bytes"),
    "a zero byte": (HEADER + b"a.jpg\tA\nb.jpg\tB\0\n", "line 3: a NUL byte"),
    "a short row": (HEADER + b"a.jpg\tA\nb.jpg\nc.jpg\tC\n", "line 3: 1 fields where the header has 2"),
    "a long row": (HEADER + b"a.jpg\tA\tmore\n", "line 2: 3 fields where the header has 2"),
    "a long row behind quotes": (HEADER + b'a.jpg\t"A\nB"\n\nb.jpg\tB\tC\n', "line 5: 3 fields where"),
    "a quote that does not end": (HEADER + b'a\tA\nb\t"B\nc\tC\n', "begins on line 3 is malformed"),
    "text behind a quote": (HEADER + b'a.jpg\t"A"B\n', "begins on line 2 is malformed"),
    "lines that end with CR": (b"image_file\ttitle\ra.jpg\tA\r", "begins on line 1 is malformed"),
    "a name twice": (HEADER + b'a\t"\n"\nb\tB\na\tC\n', "line 5: image_file is 'a', as in line 2"),
    "an empty name": (HEADER + b"a.jpg\tA\n\n\tB\n", "line 4: image_file is empty or not text"),
    "a column twice": (b"image_file\ttitle\ttitle\n", "more than one column is named 'title'"),
    "no names": (b"name\ttitle\na.jpg\tA\n", "no column image_file; the columns are 'name', 'title'"),
    "another case": (b"IMAGE_FILE\ttitle\na.jpg\tA\n", "no column image_file; the columns are 'IMAGE_FILE'"),
    "nothing": (b"", "is empty: not even a header"),
    "only empty lines": (b"\n\n", "is empty: not even a header"),
}  # fmt: skip  # a fault a line

BY_RULE: dict[str, tuple[bytes, list[list[str]]]] = {
    "a byte order mark is no text": (b"\xef\xbb\xbf" + HEADER + b"a.jpg\tA\n", [["a.jpg", "A"]]),
    "CRLF ends a line as LF does": (b"image_file\ttitle\r\na\tA\r\nb\tB\r\n", [["a", "A"], ["b", "B"]]),
    "the last line need not end": (HEADER + b"a.jpg\tA", [["a.jpg", "A"]]),
    "empty lines are none": (HEADER + b"\na.jpg\tA\n\n\n", [["a.jpg", "A"]]),
    "quotes hold TABs, line ends, quotes": (HEADER + b'"a\tb"\t"A\r\n""B"""\n', [["a\tb", 'A\r\n"B"']]),
    "a quote within is a character": (HEADER + b'a".jpg\tA "B" C\n', [['a".jpg', 'A "B" C']]),
    "blanks belong to a field": (HEADER + b" a.jpg \t A\n", [[" a.jpg ", " A"]]),
    "an empty field is an empty text": (HEADER + b"a.jpg\t\nb.jpg\tNA\n", [["a.jpg", ""], ["b.jpg", "NA"]]),
    "cp1252 where nothing is UTF-8": (HEADER + b"a.jpg\tCaf\xe9\n", [["a.jpg", "Café"]]),
    "commas where the header has them": (b"image_file,title\na.jpg,A\n", [["a.jpg", "A"]]),
    "semicolons likewise": (b"image_file;title\na.jpg;A, B\n", [["a.jpg", "A, B"]]),
    "a header alone has no rows": (HEADER, []),
    "UTF-8 is not normalised": (HEADER + "é\tA\ne\u0301\tB\n".encode(), [["é", "A"], ["e\u0301", "B"]]),
}  # fmt: skip  # a rule a line


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_fault_is_named_with_its_line_and_anything_else_is_read_by_a_rule(
    tmp_path: Path, suffix: str, score: Callable[[str], None]
) -> None:
    """Nothing is guessed, and nothing left out in silence."""
    path = tmp_path / f"table{suffix}"
    for fault, (content, told) in FAULTY.items():
        path.write_bytes(content)
        with pytest.raises(MetadataError) as caught:
            read_metadata(path)
        assert told in str(caught.value), fault
        assert str(path) in str(caught.value), fault
    for rule, (content, rows) in BY_RULE.items():
        path.write_bytes(content)
        assert read_metadata(path).to_numpy().tolist() == rows, rule
    if suffix == ".csv":
        score(f"{len(FAULTY)} of {len(FAULTY)} faults named, with the line; {len(BY_RULE)} oddities by rule")


def test_the_tables_of_semart_are_checked_likewise(tmp_path: Path, score: Callable[[str], None]) -> None:
    """They are in another encoding, and a table in UTF-8 would come out as other letters."""
    header = b"IMAGE_FILE\tDESCRIPTION\tAUTHOR\tTITLE\tTECHNIQUE\tDATE\tTYPE\tSCHOOL\tTIMEFRAME\n"
    row = b"a.jpg\tD\tA\tT\tOil\t1640\tlandscape\tDutch\t1601-1650\n"
    faulty = {
        header + row + row.replace(b"T", "é".encode(), 1): "line 3: text in UTF-8",
        header + row + row.replace(b"T", b"\x81", 1): "line 3: undefined bytes",
        b"\xef\xbb\xbf" + header + row: "line 1: a UTF-8 byte order mark",
        header + row + b"b.jpg\tD\n": "line 3: 2 fields where the header has 9",
        header.replace(b"TYPE\t", b"") + row.replace(b"landscape\t", b""): "no column TYPE",
    }
    for content, told in faulty.items():
        (tmp_path / "semart_train.csv").write_bytes(content)
        with pytest.raises(MetadataError, match=rf"semart_train\.csv.*{told}"):
            clean_semart(tmp_path)
    score(f"{len(faulty)} of {len(faulty)} in SemArt's own tables")


async def test_images_that_one_side_lacks_are_told(
    service: FakeService, tmp_path: Path, score: Callable[[str], None]
) -> None:
    """A missing image is a failure, and one that no row names is left alone; columns of any name go along."""
    images = list(make_images(tmp_path / "images", 6))
    table = tmp_path / "table.tsv"
    table.write_text("mine\timage_file\n" + "".join(f"{n}\t{n}\n" for n in ["missing.jpg", *images[:4]]))
    arguments = ("embed", "images", "--checkpoint", "ck", "--requests-per-second=1000")
    ran = await cli(*arguments, "--metadata", "table.tsv", cwd=tmp_path, service=service)
    assert (ran.code, len(service.calls)) == (3, 4)
    assert "  missing.jpg: it cannot be read: No such file or directory" in ran.err
    table.write_text("mine\timage_file\n" + "".join(f"{n}\t{n}\n" for n in ["missing.jpg", *images[1:5]]))
    report = await asyncio.to_thread(merge_vectors, table, tmp_path / "ck", tmp_path / "out.parquet")
    assert report.without_vector == ("missing.jpg", images[4])
    assert report.without_metadata == (images[0],)
    merged = pd.read_parquet(tmp_path / "out.parquet")
    assert merged["mine"].tolist() == merged["image_file"].tolist() == images[1:4]
    table.write_bytes(HEADER + b"a.jpg\tA\nb.jpg\n")
    ran = await cli(*arguments, "--metadata", "table.tsv", cwd=tmp_path, service=service)
    assert (ran.code, ran.err) == (2, "Error: table.tsv, line 3: 1 fields where the header has 2\n")
    assert len(service.calls) == 4
    score("missing and extra images told on both sides")

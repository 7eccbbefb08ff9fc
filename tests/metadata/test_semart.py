"""Cleaning the SemArt tables, and the two forms a metadata table is kept in."""

from __future__ import annotations

import csv
import logging
import unicodedata
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from command_in_process import cli_here
from semart_vectors.errors import MetadataError
from semart_vectors.metadata.semart import COLUMNS, clean_semart, find_images_dir
from semart_vectors.metadata.tables import write_metadata

HEADER = "IMAGE_FILE\tDESCRIPTION\tAUTHOR\tTITLE\tTECHNIQUE\tDATE\tTYPE\tSCHOOL\tTIMEFRAME"
REAL = Path(__file__).parents[3] / "shared" / "data" / "semart"
ASCII_OF = dict(
    zip("’ÁÇâÚéíÄÔõÖëüÉûžçúËÜóôèÓöîÍÂáä×", "'ACaUeiAOoOeuEuzcuEUooeOoiIAaax", strict=True)  # noqa: RUF001  # the characters of the tables
)


def row(name: str, author: str = "HALS, Frans", **fields: str) -> str:
    """One line of a SemArt table, good unless told otherwise."""
    values = {
        "description": "A man", "title": "Man", "technique": "Oil on canvas, 10 x 20 cm", "date": "1640",
        "type": "portrait", "school": "Dutch", "timeframe": "1601-1650",
    } | fields  # fmt: skip  # a row stays in sight
    first = (name, values.pop("description"), author)
    return "\t".join((*first, *values.values()))


def write_split(folder: Path, *rows: str, split: str = "train") -> None:
    """Write a table of the data set as the archive has it."""
    text = "\n".join([HEADER, *rows]) + "\n"
    (folder / f"semart_{split}.csv").write_bytes(text.encode("cp1252"))


def clean(folder: Path) -> pd.DataFrame:
    """Clean without the rule that a handful of made-up rows could not pass."""
    return clean_semart(folder, more_than=0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real SemArt table is not here: its licence keeps it out")
def test_the_real_table_is_cleaned_as_an_independent_cleaning_does() -> None:
    """The seven steps, written a second time with other means, give the same rows."""
    kept: dict[str, list[str]] = {}
    with (REAL / "semart_val.csv").open(encoding="cp1252", newline="") as file:
        for record in csv.DictReader(file, delimiter="\t"):
            if all(record.values()) and record["IMAGE_FILE"] not in kept:
                texts = [record[column.upper()] for column in COLUMNS]
                texts = [text.replace("\N{MULTIPLICATION SIGN}", "x").replace("’", "'") for text in texts]  # noqa: RUF001  # as it stands there
                plain = [unicodedata.normalize("NFKD", text).encode("ascii", "ignore") for text in texts]
                kept[record["IMAGE_FILE"]] = [text.decode() for text in plain]
    paintings = Counter(texts[2] for texts in kept.values())
    expected = []
    for image_file, description, author, title, technique, *rest in kept.values():
        if paintings[author] > 5 and "UNKNOWN" not in author:
            named = {"TURA, Cosm?": "TURA, Cosme", "DELACROIX, Eug?ne": "DELACROIX, Eugene"}.get(
                author, author
            )
            expected.append([image_file, description, named, title, technique.split(", ")[0], *rest])
    table = clean_semart(REAL, more_than=5)
    assert list(table.columns) == list(COLUMNS)
    assert table.to_numpy().tolist() == expected
    assert len(expected) > 100


@pytest.mark.skipif(not REAL.is_dir(), reason="the real SemArt table is not here: its licence keeps it out")
def test_the_real_table_has_the_rows_that_the_tutorial_expects() -> None:
    """What can be counted of validation alone: all of it, and no row that an earlier one repeats."""
    everything = clean_semart(REAL, more_than=0)
    unknown = pd.read_csv(REAL / "semart_val.csv", sep="\t", encoding="cp1252")["AUTHOR"].str.contains(
        "UNKNOWN"
    )
    assert len(unknown) == 1069
    assert len(everything) == 1069 - unknown.sum()
    assert everything.nunique()["image_file"] == len(everything)
    assert everything.nunique()["type"] == 10


def test_the_csv_is_what_pandas_writes_in_the_tutorial(tmp_path: Path) -> None:
    """Byte for byte, quotes and all."""
    write_split(
        tmp_path, row("a.jpg", title='"A ""Man"" at\n\tDawn"'), row("b.jpg", title="Müller's; , Mill")
    )
    for folder in (tmp_path, *([REAL] if REAL.is_dir() else [])):
        table = clean(folder)
        write_metadata(table, tmp_path / "dataset.csv")
        table.to_csv(tmp_path / "pandas.csv", sep="\t", index=False)
        assert (tmp_path / "dataset.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()


@pytest.mark.parametrize(("character", "plain"), ASCII_OF.items())
def test_every_character_of_the_tables_becomes_one_of_ascii(
    tmp_path: Path, character: str, plain: str
) -> None:
    """All 31 characters beyond ASCII become exactly one expected character, in every text column."""
    write_split(
        tmp_path, row("a.jpg", f"V{character}N", title=f"{character}.", technique=f"{character}, 1 cm")
    )
    table = clean(tmp_path)
    assert table[["author", "title", "technique"]].to_numpy().tolist() == [[f"V{plain}N", f"{plain}.", plain]]


def test_splits_are_joined_in_the_order_of_the_tutorial(tmp_path: Path) -> None:
    """Train, test, val; of a repeated image_file the first row that is complete stays."""
    write_split(tmp_path, row("c.jpg", title="val"), row("a.jpg", title="val"), split="val")
    write_split(tmp_path, row("b.jpg", title="test"), row("a.jpg", title="test"), split="test")
    write_split(tmp_path, row("a.jpg", title="train"), row("b.jpg", title=""), split="train")
    table = clean(tmp_path)
    assert table["image_file"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert table["title"].tolist() == ["train", "test", "val"]
    assert table.index.equals(pd.RangeIndex(3))


def test_authors_need_more_than_the_number_of_paintings(tmp_path: Path) -> None:
    """Exactly 15 is too few; the count is of paintings before the lost letters come back."""
    few = [row(f"few{number}.jpg", "FEW, Anna") for number in range(15)]
    many = [row(f"many{number}.jpg", "DELACROIX, Eug?ne") for number in range(16)]
    write_split(tmp_path, *few, *many, row("one.jpg", "DELACROIX, Eugene"), row("tura.jpg", "TURA, Cosm?"))
    assert clean_semart(tmp_path)["author"].tolist() == ["DELACROIX, Eugene"] * 16
    assert "TURA, Cosme" in clean(tmp_path)["author"].tolist()


def test_unknown_artists_go(tmp_path: Path) -> None:
    """An author that contains UNKNOWN goes; a title may say so."""
    write_split(tmp_path, row("a.jpg", "UNKNOWN MASTER, Dutch"), row("b.jpg", title="UNKNOWN MASTER"))
    assert clean(tmp_path)["image_file"].tolist() == ["b.jpg"]


@pytest.mark.parametrize("title", ["None", "NA", "nan", "null", "-", " ", '"', "?"])
def test_only_an_empty_field_is_missing(tmp_path: Path, title: str) -> None:
    """A painting may be titled as what other readers take for nothing."""
    quoted = '"' + title.replace('"', '""') + '"'
    write_split(tmp_path, row("a.jpg", title=quoted), row("b.jpg", title='""'), row("c.jpg", school=""))
    assert clean(tmp_path)["title"].tolist() == [title]


def test_technique_ends_before_the_size(tmp_path: Path) -> None:
    """What stands before the first comma and blank stays; a comma alone does not end it."""
    write_split(tmp_path, row("a.jpg", technique="Oil,wax on oak, 103 x 101,3 cm, oval"))
    assert clean(tmp_path)["technique"].tolist() == ["Oil,wax on oak"]


def test_image_file_keeps_naming_its_file(tmp_path: Path) -> None:
    """A name is not made ASCII: it would no longer be that of the file."""
    write_split(tmp_path, row("é.jpg"))
    assert clean(tmp_path)["image_file"].tolist() == ["é.jpg"]


def test_quoted_fields_may_be_long_and_hold_lines(tmp_path: Path) -> None:
    """Doubled quotes, TABs and line ends inside quotes are text, however much of it; blank lines are none."""
    text = 'He said "no"\tand\nleft. ' * 20_000
    quoted = '"' + text.replace('"', '""') + '"'
    write_split(tmp_path, row("a.jpg", description=quoted), "", row("b.jpg"))
    assert clean(tmp_path)["description"].tolist() == [text, "A man"]


def test_other_columns_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    """Columns nobody asked for are left out, wherever they are; CRLF is as good as LF."""
    text = "EXTRA\t" + HEADER + "\r\n1\t" + row("a.jpg") + "\r\n"
    (tmp_path / "semart_val.csv").write_bytes(text.encode())
    assert clean(tmp_path)["image_file"].tolist() == ["a.jpg"]


def test_cleaning_says_once_what_it_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing splits are a warning, the rows each rule dropped one line."""
    rows = [row("a.jpg", "A"), row("b.jpg", "A"), *[row("a.jpg", "A")] * 2, row("c.jpg", title="")]
    rows += [row("d.jpg"), row("e.jpg", "B"), row("f.jpg", "C")]
    write_split(tmp_path, *rows, *(row(f"{number}.jpg", "UNKNOWN") for number in range(4)))
    with caplog.at_level(logging.INFO, logger="semart_vectors"):
        assert len(clean_semart(tmp_path, more_than=1)) == 2
    warning, told = caplog.records
    assert warning.levelname == "WARNING"
    assert "no semart_test.csv, semart_val.csv; only semart_train.csv is read" in warning.getMessage()
    assert told.getMessage().endswith(
        "12 rows; dropped 1 with an empty field, 2 of a repeated image_file, "
        "3 of authors with at most 1 paintings, 4 of unknown artists; kept 2"
    )


@pytest.mark.parametrize("folder", ["", "absent"])
def test_no_table_at_all_says_what_was_looked_for(tmp_path: Path, folder: str) -> None:
    """A folder without tables, and one that is not there, are one clear error."""
    with pytest.raises(MetadataError, match=r"none of semart_train\.csv, .*is in .*: give the folder"):
        clean_semart(tmp_path / folder)


GOOD = HEADER.encode() + b"\n" + row("a.jpg").encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (GOOD.replace(b"SCHOOL", b"SCHUL").replace(b"DATE", b"DAY"), "no column DATE, SCHOOL; the"),
        (GOOD.replace(b"DATE", b"TYPE"), "more than one column is named 'TYPE'"),
        (GOOD + row("b.jpg").encode() + b"\t\n", "line 3: 10 fields where the header has 9"),
        (GOOD.replace(b"A man", b'"A\nman"') + b"b.jpg\tshort\n", "line 4: 2 fields where the header has 9"),
        (GOOD + b'b.jpg\t"never closed\n' + GOOD, "begins on line 3 is malformed: unexpected end"),
        (GOOD + b'b.jpg\t"quoted"badly\n', "begins on line 3 is malformed"),
        (GOOD + row("b.jpg").encode() + b"\x81\n", "line 3: undefined bytes; the SemArt tables are in"),
        (b"\xef\xbb\xbf" + GOOD, "line 1: a UTF-8 byte order mark"),
        (GOOD.decode().encode("utf-16"), "line 1: a UTF-16 byte order mark"),
        (GOOD.decode().encode("utf-16-le"), "line 1: a NUL byte"),
        (GOOD + row("b.jpg", "DÜRER").encode() + b"\n", "line 3: text in UTF-8; the SemArt"),
    ],
)  # fmt: skip  # a fault a line
def test_a_faulty_table_is_named_with_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    """Nothing faulty is guessed at: the error names the file, and the line where there is one."""
    (tmp_path / "semart_train.csv").write_bytes(content)
    with pytest.raises(MetadataError, match=r"semart_train\.csv") as caught:
        clean_semart(tmp_path)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["Images", "images"])
def test_the_images_are_found_in_either_spelling(tmp_path: Path, name: str) -> None:
    """The archive says Images, the tutorial images."""
    with pytest.raises(MetadataError, match="neither Images nor images"):
        find_images_dir(tmp_path)
    (tmp_path / name).mkdir()
    assert find_images_dir(str(tmp_path)).samefile(tmp_path / name)


def test_date_and_school_stay_where_they_are_asked_for(tmp_path: Path) -> None:
    """After the other columns; nothing else may be kept."""
    write_split(tmp_path, row("a.jpg", school="Flämisch"))
    table = clean_semart(tmp_path, more_than=0, keep=["school", "date"])
    assert list(table.columns) == [*COLUMNS, "date", "school"]
    assert (*table["date"], *table["school"]) == ("1640", "Flamisch")
    with pytest.raises(ValueError, match="keep takes date and school, not 'colour'"):
        clean_semart(tmp_path, keep=["colour"])


def test_a_table_goes_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    """A wrong suffix is refused before the work, and makes none."""
    write_split(tmp_path, row("a.jpg"))
    options = ("--more-than=0", "--keep=school")
    ran = cli_here("clean", ".", "-o", "a/b/dataset.csv", *options, cwd=tmp_path)
    assert (ran.code, pd.read_csv(tmp_path / "a/b/dataset.csv", sep="\t")["school"].tolist()) == (
        0,
        ["Dutch"],
    )
    ran = cli_here("clean", "absent", "-o", "c/dataset.xlsx", cwd=tmp_path)
    assert (ran.code, "must end with" in ran.err, (tmp_path / "c").exists()) == (2, True, False)
    ran = cli_here("clean", ".", "-o", "semart_train.csv/x.csv", cwd=tmp_path)
    assert (ran.code, "cannot write semart_train.csv" in ran.err) == (8, True)

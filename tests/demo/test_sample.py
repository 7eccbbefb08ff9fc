from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from helpers import contents
from semart_vectors.demo import sample as sample_module
from semart_vectors.demo.motifs import KINDS, motifs_of, paint
from semart_vectors.demo.sample import Sample, make_sample
from semart_vectors.errors import MetadataError

if TYPE_CHECKING:
    from pathlib import Path


Row = dict[str, str]
PAINTERS = sample_module._PAINTERS
SPLITS = ("semart_train.csv", "semart_test.csv", "semart_val.csv")
COLUMNS = ["IMAGE_FILE", "DESCRIPTION", "AUTHOR", "TITLE", "TECHNIQUE", "DATE", "TYPE", "SCHOOL", "TIMEFRAME"]


@pytest.fixture(scope="module")
def rows(made_sample: Sample) -> list[Row]:
    """All rows in the order of the cleaning, read by nothing but the standard library."""
    found: list[Row] = []
    for split in SPLITS:
        with (made_sample.directory / split).open(encoding="cp1252", newline="") as file:
            found += csv.DictReader(file, delimiter="\t")
    return found


@pytest.fixture(scope="module")
def cleaned(rows: list[Row]) -> list[Row]:
    """What the cleaning keeps: first rows, authors with more than 15 of them, no unknown masters."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["IMAGE_FILE"], row)
    count = Counter(row["AUTHOR"] for row in first.values())
    return [row for row in first.values() if count[row["AUTHOR"]] > 15 and "UNKNOWN" not in row["AUTHOR"]]


def test_tables_have_the_form_of_semart(made_sample: Sample, rows: list[Row]) -> None:
    """TAB, LF, a header without BOM, nine columns in order, nothing empty."""
    for split in SPLITS:
        text = (made_sample.directory / split).read_bytes()
        assert text.startswith("\t".join(COLUMNS).encode() + b"\n")
        assert b"\r" not in text
    assert all(list(row) == COLUMNS and all(row.values()) for row in rows)


def test_sample_counts_what_it_wrote(made_sample: Sample, rows: list[Row]) -> None:
    """Each row has its image and each image its row; one row repeats an image."""
    images = {path.name for path in made_sample.images_dir.iterdir()}
    assert (made_sample.n_rows, made_sample.n_images) == (len(rows), len(images))
    assert images == {row["IMAGE_FILE"] for row in rows}
    assert len(rows) == len(images) + 1
    assert all(re.fullmatch(r"\d{5}-[a-z0-9_-]+\.jpg", name) for name in images)


def test_every_image_is_whole(made_sample: Sample) -> None:
    """All images decode, small enough to look at and large enough for the service."""
    for path in made_sample.images_dir.iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.format == "JPEG"
            assert 220 <= max(image.size) <= 280
        assert 4_000 < path.stat().st_size < 40_000


def test_two_images_share_their_bytes(made_sample: Sample) -> None:
    """The same content lies under two names once."""
    contents = Counter(path.read_bytes() for path in made_sample.images_dir.iterdir())
    assert Counter(contents.values()) == {1: made_sample.n_images - 2, 2: 1}


def test_cleaning_keeps_every_type(cleaned: list[Row]) -> None:
    """About 150 paintings of nine painters, all ten types and ten or more timeframes are left."""
    assert 140 <= len(cleaned) <= 160
    assert {row["TYPE"] for row in cleaned} == set(KINDS)
    assert min(Counter(row["TYPE"] for row in cleaned).values()) >= 5
    assert len({row["TIMEFRAME"] for row in cleaned}) >= 10
    authors = Counter(row["AUTHOR"] for row in cleaned)
    assert len(authors) == 9
    assert {"TURA, Cosm?", "DELACROIX, Eug?ne", "JUEL, Jens J?rgensen"} <= authors.keys()


def test_cleaning_has_something_to_drop(rows: list[Row]) -> None:
    """An unknown master with enough paintings, a painter with exactly fifteen, and some with few."""
    count = Counter({row["IMAGE_FILE"]: row["AUTHOR"] for row in rows}.values())
    assert count["UNKNOWN MASTER, Flemish"] > 15
    assert 15 in count.values()
    assert min(count.values()) == 1


def test_tables_are_awkward(made_sample: Sample, rows: list[Row]) -> None:
    """What trips a careless reader of SemArt is here too."""
    train = (made_sample.directory / SPLITS[0]).read_bytes()
    assert all(piece in train for piece in (b"\x92", b"\x9e", b"\xd7", b'""'))
    assert set("äéçõöüÁÉÜ") <= set(train.decode("cp1252"))
    titles = {row["TITLE"] for row in rows}
    assert {"Who Has Lost the Wager?", "Madame de la Ferti?re", 'Still-Life with the "Blue" Vase'} <= titles
    techniques = [row["TECHNIQUE"] for row in rows]
    for form in (r"[A-Z][a-z ]+", r".*, \d+ x \d+ cm", r".*, \d+ x \d+,\d cm", r".*, \d+ × \d+ cm"):  # noqa: RUF001 - the sign that SemArt has
        assert any(re.fullmatch(form, technique) for technique in techniques)
    assert any(row["DATE"] == "-" for row in rows)


def test_dates_lie_in_their_timeframe(rows: list[Row]) -> None:
    """A known year falls into the fifty years named beside it."""
    for row in rows:
        first, last = map(int, row["TIMEFRAME"].split("-"))
        if year := re.search(r"\d{4}(?!s)", row["DATE"]):
            assert first <= int(year[0]) <= last


def test_descriptions_are_short_long_and_repeated(rows: list[Row]) -> None:
    """From four words to about a hundred and fifty, some of them more than once."""
    words = [len(row["DESCRIPTION"].split()) for row in rows]
    assert min(words) == 4
    assert 120 < max(words) < 200
    assert max(Counter(row["DESCRIPTION"] for row in rows).values()) > 1


def test_second_call_finds_the_sample(made_sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is painted where all is there."""
    monkeypatch.setattr(sample_module, "paint", None)
    assert make_sample(made_sample.directory) == made_sample


def test_interrupted_sample_is_made_again_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a call was interrupted the next one paints the very same sample, half-written images included."""
    few = {name: each._replace(paintings=min(each.paintings, 2)) for name, each in PAINTERS.items()}
    monkeypatch.setattr(sample_module, "_PAINTERS", few)
    sample = make_sample(tmp_path / "whole")
    torn = tmp_path / "torn"
    (torn / "Images").mkdir(parents=True)
    image = next(sample.images_dir.iterdir())
    shutil.copy(sample.directory / SPLITS[1], torn)
    (torn / "Images" / f"{image.name}.part").write_bytes(image.read_bytes()[:500])
    assert contents(make_sample(torn).directory) == contents(sample.directory)
    assert sample.n_images == 28


@pytest.mark.parametrize("stranger", ["Images/12345-other.jpg", "semart_val.csv"])
def test_other_collection_is_left_alone(tmp_path: Path, stranger: str) -> None:
    """A folder that holds somebody's own data is refused and stays as it was."""
    (tmp_path / "Images").mkdir()
    (tmp_path / stranger).write_bytes(b"precious")
    with pytest.raises(MetadataError, match="another collection"):
        make_sample(tmp_path)
    assert contents(tmp_path) == {stranger: b"precious"}


@pytest.mark.parametrize(("kind", "motif"), [(kind, motif) for kind in KINDS for motif in motifs_of(kind)])
def test_every_motif_can_be_painted(kind: str, motif: str) -> None:
    """Each motif gives a picture of the size asked for, with something to see on it."""
    for seed in range(3):
        painting = paint(kind, np.random.default_rng(seed), motif=motif, size=160)
        assert (painting.mode, max(painting.size)) == ("RGB", 160)
        assert np.asarray(painting, dtype=float).std() > 10


def test_painting_depends_on_the_generator_alone() -> None:
    """The same state gives the same picture, another one another, also of a motif left open."""
    one, same, other = (paint("genre", np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2))
    assert one == same != other

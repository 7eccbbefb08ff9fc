"""Drawing a map: every image is on it, and what cannot be drawn is said first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_in_process import cli_here
from command_line import cli
from map_galleries import in_groups, known_of, make_gallery
from semart_vectors.errors import ConfigurationError, DiskError, VectorFileError
from semart_vectors.gallery import Gallery
from semart_vectors.images.names import to_text
from semart_vectors.map import draw as draw_module, draw_map
from semart_vectors.map.entries import read_entries
from semart_vectors.map.sheet import write_sheet


def test_of_too_many_as_many_as_can_be_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly, from the first on; the sheet says so."""
    monkeypatch.setattr(draw_module, "MAX_IMAGES", 10)
    assert draw_module.choose_rows(25).tolist() == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]
    report = draw_map(make_gallery(tmp_path, in_groups(5, 5)), tmp_path / "images", tmp_path / "map.html")
    assert (report.drawn, report.total) == (10, 25)
    assert "10 of 25 images" in (tmp_path / "map.html").read_text()


def test_a_name_of_any_bytes_has_its_picture(tmp_path: Path) -> None:
    """On the sheet and on the page; a name that leads elsewhere, or is no file's, has none."""
    name = os.fsdecode(b"caf\xe9 <b>'\"\n.png")
    gallery = make_gallery(tmp_path, in_groups(1, 5), name)
    for output in (tmp_path / "map.png", tmp_path / "map.html"):
        assert draw_map(gallery, tmp_path / "images", output).unreadable == ()
    assert known_of((tmp_path / "map.html").read_text())["title"][0] == to_text(name)
    table = gallery.columns()
    names = ["../outside.png", "NUL\0.png", "a//b.png", "n" * 300]
    Image.new("RGB", (40, 40)).save(tmp_path / "outside.png")
    stored = pa.FixedSizeListArray.from_arrays(gallery.vectors.ravel(), 1024)
    table |= {"image_file": [*names, to_text(name)], "vector": stored, "model_version": ["2023-04-15"] * 5}
    pq.write_table(pa.table(table), tmp_path / "odd.parquet")
    report = draw_map(Gallery.open(tmp_path / "odd.parquet"), tmp_path / "images", tmp_path / "map.png")
    assert report.unreadable == tuple(names)


def test_a_folder_without_any_of_the_images_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is placed, and the map that was there stays; so where nothing can be written."""
    gallery = make_gallery(tmp_path, in_groups(1, 5))
    (tmp_path / "map.html").write_text("an earlier one")
    monkeypatch.setattr("semart_vectors.map.draw.positions_of", None)
    with pytest.raises(ConfigurationError, match="none of the 5 images is in"):
        draw_map(gallery, tmp_path, tmp_path / "map.html")
    assert (tmp_path / "map.html").read_text() == "an earlier one"
    with pytest.raises(DiskError):
        draw_map(gallery, tmp_path / "images", Path("/proc/map.html"))


def test_the_sheet_has_above_what_is_above(tmp_path: Path) -> None:
    """And to the right what is to the right, with nothing moved that need not be."""
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    places = np.array([(-9, 9), (9, 9), (-9, -9), (9, -9)], np.float32)
    pictures = [Image.new("RGB", (9, 9), colour) for colour in colours]
    with (tmp_path / "s.png").open("wb") as file:
        write_sheet(places, pictures, file, title="T", explanation="E")
    with Image.open(tmp_path / "s.png") as sheet:
        where = [np.argwhere((np.asarray(sheet) == colour).all(axis=2)).mean(axis=0) for colour in colours]
    (top_left, top_right, low_left, low_right) = where
    assert top_left[0] == top_right[0] < low_left[0] == low_right[0]
    assert top_left[1] == low_left[1] < top_right[1] == low_right[1]


def test_an_empty_gallery_has_an_empty_map(tmp_path: Path) -> None:
    """As one made by hand may be; a file without paintings has no model, and is no gallery."""
    none = Gallery(pa.table({"image_file": pa.array([], pa.string())}), np.zeros((0, 1024), np.float32), "m")
    for output in (tmp_path / "map.png", tmp_path / "map.html"):
        assert draw_map(none, tmp_path, output).drawn == 0
        assert output.stat().st_size > 1000


@pytest.mark.parametrize(("module", "library"), [("sklearn", "scikit-learn"), ("bokeh", "Bokeh")])
def test_a_missing_extra_is_named(module: str, library: str) -> None:
    """To who imports it and to who types it, in one sentence."""
    for code, told in (
        (
            "try:\n import semart_vectors.map\nexcept ImportError as error: sys.exit(str(error))",
            f"the map needs {library}, which is not installed: pip install 'semart-vectors[map]'",
        ),
        (
            "sys.argv = 'x map a --images . -o a.png'.split()\nfrom semart_vectors.cli import main; main()",
            f"Error: {library} is not installed: pip install 'semart-vectors[map]'",
        ),
    ):
        without = f"import sys\nsys.modules[{module!r}] = None\n"
        ran = subprocess.run(
            [sys.executable, "-c", without + code], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (1 if "try" in code else 2, f"{told}\n")


def test_the_sheet_shows_every_painting(tmp_path: Path) -> None:
    """Each in its own colour; one without a readable image is grey, and named."""
    gallery = make_gallery(tmp_path, in_groups(4, 15))
    (tmp_path / "images" / "003.png").unlink()
    (tmp_path / "images" / "007.png").write_bytes(b"torn")
    report = draw_map(gallery, tmp_path / "images", tmp_path / "map.png", title="Sixty")
    assert report.unreadable == ("003.png", "007.png")
    with Image.open(tmp_path / "map.png") as sheet:
        seen = {colour for _, colour in sheet.getcolors(1 << 24) or []}
    assert {(number, 255 - number, 60) for number in range(60) if number not in {3, 7}} <= seen
    assert not {(3, 252, 60), (7, 248, 60)} & seen
    assert (0xE6, 0xE2, 0xDA) in seen


def test_a_merged_file_is_drawn_as_its_gallery_is(tmp_path: Path) -> None:
    """Its path is enough; a file that is none is refused before anything is drawn."""
    gallery = make_gallery(tmp_path, in_groups(2, 5))
    for source, name in ((gallery, "gallery.png"), (str(tmp_path / "paintings.parquet"), "path.png")):
        assert draw_map(source, tmp_path / "images", tmp_path / name).total == 10
    assert (tmp_path / "gallery.png").read_bytes() == (tmp_path / "path.png").read_bytes()
    with pytest.raises(VectorFileError, match=r"absent\.parquet"):
        draw_map(tmp_path / "absent.parquet", tmp_path / "images", tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize("name", ["map.png", "map.html"])
@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_progress_is_shown_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, *, progress: bool | None, shown: bool
) -> None:
    """Without a word about it, only on a terminal, which stderr is not here."""
    draw_map(make_gallery(tmp_path, in_groups(1, 3)), tmp_path / "images", tmp_path / name, progress=progress)
    assert ("3/3" in capsys.readouterr().err) is shown


@pytest.mark.parametrize("name", ["map.png", "map.html"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_map_of_a_few_is_drawn(tmp_path: Path, name: str, count: int) -> None:
    """Also of paintings of which nothing is known but the name."""
    report = draw_map(make_gallery(tmp_path, in_groups(1, count)), tmp_path / "images", tmp_path / name)
    assert (report.drawn, report.unreadable) == (count, ())
    assert (tmp_path / name).stat().st_size > 1000


def test_without_metadata_the_folder_of_an_image_is_its_group(tmp_path: Path) -> None:
    """From its name, where the file has no such column; with metadata, when asked for."""
    names = ["a/b/1.png", "a/2.png", "3.png"]
    made = make_gallery(tmp_path, in_groups(1, 3), type=["x", "y", "z"])
    for columns, colour_by in (({}, None), ({"type": ["x", "y", "z"]}, "folder")):
        table = pa.table({"image_file": names, **columns})
        gallery = Gallery(table, made.vectors, made.model_version)
        entries = read_entries(gallery, [0, 1, 2], tmp_path, colour_by)
        assert [entry.group for entry in entries] == ["a/b", "a", "top folder"]
        assert "folder" not in entries[0].details


def test_what_cannot_be_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    """A column, a folder or a kind of file that is not there."""
    gallery = make_gallery(tmp_path, in_groups(1, 3), type=["a", "b", "c"])
    images = tmp_path / "images"
    with pytest.raises(ConfigurationError, match=r"no column 'school' .*type"):
        draw_map(gallery, images, tmp_path / "map.html", colour_by="school")
    with pytest.raises(ConfigurationError, match=r"a .png has no dots to colour by 'type'"):
        draw_map(gallery, images, tmp_path / "map.png", colour_by="type")
    with pytest.raises(ConfigurationError, match=r"must end with \.png or \.html"):
        draw_map(gallery, images, tmp_path / "map.svg")
    for folder in (images / "no", images / "000.png"):
        with pytest.raises(ConfigurationError, match="no folder"):
            draw_map(gallery, folder, tmp_path / "map.html")
    with pytest.raises(ConfigurationError, match="no folder"):
        draw_map(gallery, images, tmp_path / "no" / "map.html")
    (tmp_path / "map.png").mkdir()
    with pytest.raises(DiskError):
        draw_map(gallery, images, tmp_path / "map.png")
    assert not list(tmp_path.glob("*.tmp"))


def names_in(folder: Path) -> set[str]:
    """List a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("gallery")
async def test_the_command_draws_and_says_what_is_grey(tmp_path: Path) -> None:
    """The result on stdout; usage errors end with 2, a missing file too, and leave nothing behind."""
    (tmp_path / "images" / "004.png").unlink()
    ran = await cli("map", "paintings.parquet", "--images=images", "-o", "map.html", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "12 images drawn on map.html\n")
    assert "1 images in images cannot be read and are drawn grey: 004.png" in ran.err
    for arguments in (
        ("paintings.parquet", "--images=images", "-o", "a.html", "--colour-by=mood"),
        ("paintings.parquet", "--images=images", "-o", "a.png", "--colour-by=type"),
        ("absent.parquet", "--images=images", "-o", "a.html"),
        ("paintings.parquet", "--images=absent", "-o", "a.png"),
    ):
        ran = await cli("map", *arguments, cwd=tmp_path)
        assert (ran.code, ran.out, "Error: " in ran.err) == (2, "", True)
    assert names_in(tmp_path) == {"images", "map.html", "paintings.parquet"}


def test_a_kind_of_file_that_no_map_is_is_refused_before_libraries_are_loaded(tmp_path: Path) -> None:
    """And before the folder and the vectors are looked for; the sentence names the two kinds."""
    (tmp_path / "images").mkdir()
    ran = cli_here("map", "missing.parquet", "--images=images", "-o", "map.svg", cwd=tmp_path)
    assert (ran.code, "an .html or a .png file" in ran.err) == (2, True)

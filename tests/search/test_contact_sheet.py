from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFont

from semart_vectors.errors import DiskError
from semart_vectors.search.contact_sheet import (
    Panel,
    SheetRow,
    _drawable,
    _font,
    _shorten,
    _truncate,
    _typeface_for,
    _wrap,
    contact_sheet,
    open_scaled,
)

if TYPE_CHECKING:
    from pathlib import Path


def picture(
    path: Path, size: tuple[int, int] = (60, 30), colour: tuple[int, int, int] = (192, 48, 32)
) -> Path:
    """Save a picture of one colour."""
    Image.new("RGB", size, colour).save(path)
    return path


def test_sheet_holds_the_pictures_in_their_places(tmp_path: Path) -> None:
    """The query stands left and its neighbours beside it, in the order they are given."""
    colours = {"query": (200, 40, 30), "near": (30, 120, 60), "far": (40, 60, 160)}
    query, near, far = (
        Panel(picture(tmp_path / f"{name}.png", (50, 50), rgb), name) for name, rgb in colours.items()
    )
    contact_sheet([SheetRow(query, [near, far])], tmp_path / "sheet.png", title="Three colours")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        found = [sheet.getpixel((x, y)) for x in range(0, sheet.width, 9) for y in range(0, sheet.height, 9)]
    assert list(dict.fromkeys(c for c in found if c in colours.values())) == list(colours.values())


def test_sheet_is_drawn_without_rows(tmp_path: Path) -> None:
    """Where nothing was found there is still a sheet with its headline."""
    contact_sheet([], tmp_path / "sheet.png", title="Nothing")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 960


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """A sheet depends on its rows alone, and replaces the one that stood there."""
    rows = [SheetRow(Panel(picture(tmp_path / "a.png"), "A", "B", 0.5), [])]
    for name in ("one.png", "two.png", "one.png"):
        contact_sheet(rows, tmp_path / name, title="T")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_sheet_leaves_nothing_behind_when_it_cannot_be_written(tmp_path: Path) -> None:
    """What the disk refuses is one of our errors, and no half of a PNG stays."""
    with pytest.raises(DiskError):
        contact_sheet([], tmp_path / "absent" / "sheet.png", title="T")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "missing"), (b"", "not a readable image"), (b"\xff\xd8\xff\xe0 torn", "not a readable image")],
)
def test_cell_says_why_there_is_no_picture(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A missing or broken image costs its cell and not the sheet."""
    path = tmp_path / "image.jpg"
    if content is not None:
        path.write_bytes(content)
    assert open_scaled(path, 100) == reason
    contact_sheet([SheetRow(Panel(path, "?"), [Panel(path, "?", score=-0.1)])], tmp_path / "s.png", title="T")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Its cell says that there is no picture."""
    os.mkfifo(tmp_path / "image.jpg")
    assert open_scaled(tmp_path / "image.jpg", 100) == "not a readable image"


def test_torn_image_is_not_drawn(tmp_path: Path) -> None:
    """A file that ends in the middle of its pixels has a good header and is refused all the same."""
    path = tmp_path / "image.jpg"
    Image.effect_noise((300, 300), 80).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert open_scaled(path, 100) == "not a readable image"


def test_image_beyond_bounds_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that would fill the memory is named as such."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_scaled(picture(tmp_path / "big.png", (50, 50)), 100) == "too large to draw"


def test_picture_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is told apart from one that is broken."""

    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Image, "open", refuse)
    assert open_scaled(tmp_path / "image.jpg", 100) == "not allowed to read"


@pytest.mark.parametrize(("size", "fitted"), [((60, 30), (100, 50)), ((300, 600), (50, 100))])
def test_picture_keeps_its_proportions(
    tmp_path: Path, size: tuple[int, int], fitted: tuple[int, int]
) -> None:
    """Each picture fills its cell in one direction and is never stretched."""
    drawn = open_scaled(picture(tmp_path / "a.png", size), 100)
    assert isinstance(drawn, Image.Image)
    assert drawn.size == fitted


def test_picture_is_turned_upright(tmp_path: Path) -> None:
    """EXIF orientation is obeyed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "a.jpg", exif=exif)
    drawn = open_scaled(tmp_path / "a.jpg", 100)
    assert isinstance(drawn, Image.Image)
    assert drawn.size == (50, 100)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_mode_are_drawn(tmp_path: Path, mode: str) -> None:
    """Grey, indexed, transparent and printing colours all end on white paper as RGB."""
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (30, 30)).save(path)
    drawn = open_scaled(path, 60)
    assert isinstance(drawn, Image.Image)
    assert drawn.mode == "RGB"
    if mode == "RGBA":
        assert drawn.getpixel((30, 30)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_of_grey_keep_their_shades(tmp_path: Path, suffix: str) -> None:
    """Half of 65,535 is half of 255, not white."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.full((30, 30), 0x8000, np.uint16)).save(path)
    drawn = open_scaled(path, 60)
    assert isinstance(drawn, Image.Image)
    assert drawn.getpixel((30, 30)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_not_guessed_at(tmp_path: Path, mode: str) -> None:
    """Nothing says which of them are white."""
    Image.new(mode, (30, 30), 1).save(tmp_path / "a.tif")
    assert open_scaled(tmp_path / "a.tif", 60) == "not a readable image"


@pytest.mark.parametrize("size", [(15_000, 11), (11, 15_000)])
def test_a_strip_is_drawn_as_a_line(tmp_path: Path, size: tuple[int, int]) -> None:
    """However long and thin a picture is, a pixel of it is left, and the sheet is drawn."""
    strip = picture(tmp_path / "a.png", size)
    drawn = open_scaled(strip, 60)
    assert isinstance(drawn, Image.Image)
    assert sorted(drawn.size) == [1, 60]
    contact_sheet([SheetRow(Panel(strip, "A"), [Panel(strip, "B")])], tmp_path / "s.png", title="T")


def test_of_an_animation_the_first_picture_is_drawn(tmp_path: Path) -> None:
    """The others are not looked at."""
    red, blue = Image.new("RGB", (30, 30), (255, 0, 0)), Image.new("RGB", (30, 30), (0, 0, 255))
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    drawn = open_scaled(tmp_path / "a.gif", 60)
    assert isinstance(drawn, Image.Image)
    assert drawn.getpixel((30, 30)) == (255, 0, 0)


def test_long_text_ends_with_an_ellipsis() -> None:
    """A text is cut to its cell at the last letter that fits."""
    font = ImageFont.load_default(15)
    assert _truncate("Short", font, 200) == "Short"
    cut = _truncate("The Adoration of a Very Long Title " * 3, font, 200)
    assert cut.endswith("…")
    assert 150 < font.getlength(cut) <= 200
    assert _truncate("Wide", font, 1) == "…"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Lužnice, Müller’s “é”", "Luznice, Muller’s “e”"),  # noqa: RUF001 - the apostrophe that SemArt has
        ("26 × 33", "26 x 33"),  # noqa: RUF001 - the sign that SemArt has
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("漢 \x07", "· ·"),
        ("e\N{COMBINING ACUTE ACCENT} q\N{COMBINING ACUTE ACCENT}", "e q"),
    ],
)
def test_text_is_drawn_with_what_the_font_has(text: str, drawn: str) -> None:
    """No box for an unknown letter, and no second line, ever shows in a caption."""
    assert _drawable(text) == drawn


def system_has(typeface: str) -> bool:
    """Tell whether a font is installed."""
    try:
        ImageFont.truetype(typeface)
    except OSError:
        return False
    return True


@pytest.mark.skipif(not system_has("DejaVuSans.ttf"), reason="the font is not installed here")
def test_letters_that_pillow_s_font_lacks_are_drawn_in_one_of_the_system() -> None:
    """One for the whole sheet, so that captions look alike; and no other than Pillow's without need."""
    assert _typeface_for(["The Raising of the Cross", "26 × 33 — “T”"]) == ""  # noqa: RUF001 - SemArt's sign
    typeface = _typeface_for(["The Raising of the Cross", "Lužnice", "Утро", "Ωδή"])
    assert typeface
    assert _drawable("Lužnice e\N{COMBINING ACUTE ACCENT} Утро Ωδή", typeface) == "Lužnice é Утро Ωδή"


def test_without_a_font_of_the_system_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Pillow's own lacks is a plain letter or a dot."""
    monkeypatch.setattr("semart_vectors.search.contact_sheet._TYPEFACES", ("", "absent.ttf"))
    assert _typeface_for(["Утро"]) == ""
    contact_sheet([SheetRow(Panel(None, "Утро"), [])], tmp_path / "s.png", title="Lužnice")


def test_a_caption_has_no_gap_where_something_is_missing(tmp_path: Path) -> None:
    """The score moves up to where the artist would stand."""
    query = Panel(picture(tmp_path / "a.png"), "T")
    lowest = []
    for detail in ("A", ""):
        row = SheetRow(query, [Panel(query.image, "T", detail, 0.5)])
        contact_sheet([row], tmp_path / "s.png", title="T")
        with Image.open(tmp_path / "s.png") as sheet:
            ground = Image.new("RGB", sheet.size, sheet.getpixel((0, 0)))
            right = ImageChops.difference(sheet, ground).crop((368, 0, *sheet.size)).getbbox()
        assert right is not None
        lowest.append(right[3])
    assert lowest[0] - lowest[1] == 19


def test_a_line_is_as_high_as_its_highest_picture(tmp_path: Path) -> None:
    """Wide pictures leave no empty strip above them."""
    wide, tall = (
        picture(tmp_path / f"{name}.png", size) for name, size in (("w", (90, 30)), ("t", (30, 90)))
    )
    heights = []
    for queries, near in ((wide, wide), (wide, tall), (tall, wide)):
        contact_sheet([SheetRow(Panel(queries, "Q"), [Panel(near, "N")])], tmp_path / "s.png", title="T")
        with Image.open(tmp_path / "s.png") as sheet:
            heights.append(sheet.height)
    assert heights[0] < heights[1] < heights[2]


def test_a_text_of_any_length_is_cut_at_once() -> None:
    """A page that somebody put where a title belongs does not hold the sheet up."""
    assert len(_truncate("x" * 100_000, ImageFont.load_default(15), 200)) < 60


def test_more_neighbours_than_six_go_on_below(tmp_path: Path) -> None:
    """The sheet grows downwards, and each picture is there."""
    near = [Panel(picture(tmp_path / f"{n}.png", (50, 50), (200, 9 * n, 30)), str(n)) for n in range(13)]
    heights = []
    for count in (1, 6, 7, 13):
        contact_sheet([SheetRow(near[0], near[:count])], tmp_path / "s.png", title="T")
        with Image.open(tmp_path / "s.png") as sheet:
            heights.append(sheet.height)
    assert heights[0] == heights[1] < heights[2] < heights[3]
    with Image.open(tmp_path / "s.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(1 << 20) or []}
    assert {(200, 9 * n, 30) for n in range(13)} <= colours


@pytest.mark.parametrize("words", ["ship", "a ship in a storm", "漢字", "x" * 400, "long words " * 60, ""])
def test_words_are_set_within_their_panel(tmp_path: Path, words: str) -> None:
    """As large as they fit, and cut where they never do: nothing is drawn beside the frame."""
    sheets = []
    for text in (words, ""):
        contact_sheet([SheetRow(Panel(None, text, "in words"), [])], tmp_path / "s.png", title="T")
        with Image.open(tmp_path / "s.png") as sheet:
            sheets.append(sheet.copy())
    changed = ImageChops.difference(*sheets).getbbox()
    assert (changed is None) == (not words)
    if changed is not None:
        left, top, right, bottom = changed
        assert 64 < left < right < 64 + 248
        assert 196 < top < bottom < 196 + 248


def test_words_are_broken_between_words() -> None:
    """None is lost, and a line is no wider than it may be."""
    font = ImageFont.load_default(20)
    words = ["the", "raising", "of", "the", "cross", "in", "the", "midst", "of", "a", "storm"]
    lines = _wrap(words, font, 150)
    assert " ".join(lines).split() == words
    assert all(font.getlength(line) <= 150 for line in lines)


@pytest.mark.parametrize("name", ["IMG_20230512_181233_from_the_camera_0042.jpg", "x" * 500 + ".jpg"])
def test_a_long_file_name_keeps_its_end(name: str) -> None:
    """Where a camera's names differ; its first letters stay too, and a name that fits is left alone."""
    font = _font("", 15)
    shown = _shorten(name, font, 208)
    assert (shown[:2], shown[-6:]) == (name[:2], name[-6:])
    assert font.getlength(shown) <= 208
    assert _shorten("a.jpg", font, 208) == "a.jpg"

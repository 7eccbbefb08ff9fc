"""The map: near paintings stand together, each is seen, and the page needs nothing but itself."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness

from chromium import needs_chromium
from chromium_tab import Tab, open_tab
from command_line import cli
from helpers import SHARED_DATA
from semart_vectors import map as map_module
from semart_vectors.errors import ConfigurationError, DiskError
from semart_vectors.gallery import Gallery
from semart_vectors.images.names import to_text
from semart_vectors.map import draw_map, spread
from semart_vectors.map.layout import neighbours, place, snap
from semart_vectors.map.page import side_px, thumbnail
from semart_vectors.map.sheet import write_sheet
from semart_vectors.search.contact_sheet import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from numpy.typing import NDArray

HEADLINE = (
    """</script><script>window.evil = 1</script><!--<script><b onclick="window.evil=1"><img src=x onerror="""
    """'window.evil=1'>"&amp;\\u003c $$x$$ %%title%% {safe} \N{HORSE} \u05e9\u05dc\u05d5\u05dd \u202e"""
    + "very long " * 300
    + "end"
)
EVIL = HEADLINE + "\0\x1b[1m\u2028"


def in_groups(groups: int, each: int, *, spread_by: float = 0.6) -> NDArray[np.float32]:
    """Return vectors around a few directions, group after group, of different lengths."""
    dice = np.random.default_rng(7)
    middles = np.repeat(dice.normal(size=(groups, 1024)), each, axis=0)
    vectors = middles + spread_by * dice.normal(size=middles.shape)
    return (vectors * dice.uniform(0.5, 20, (len(vectors), 1))).astype(np.float32)


def make_gallery(
    folder: Path, vectors: NDArray[np.float32], first: str = "000.png", /, **columns: list[str]
) -> Gallery:
    """Write a merged file with an image of a colour of its own for each vector, and open it."""
    (folder / "images").mkdir()
    files = [first, *(f"{number:03}.png" for number in range(1, len(vectors)))]
    for number, name in enumerate(files):
        Image.new("RGB", (40, 40), (number, 255 - number, 60)).save(folder / "images" / name)
    names = [to_text(name) for name in files]
    stored = pa.FixedSizeListArray.from_arrays(vectors.ravel(), 1024)
    models = ["2023-04-15"] * len(vectors)
    table = pa.table({"image_file": names, **columns, "vector": stored, "model_version": models})
    pq.write_table(table, folder / "paintings.parquet")
    return Gallery.open(folder / "paintings.parquet")


def some_columns(count: int) -> dict[str, list[str]]:
    """Return titles, authors and types; the first title is as bad as can be."""
    return {
        "title": [EVIL, *(f"Title {number}" for number in range(1, count))],
        "author": [f"Author {number}" for number in range(count)],
        "type": [EVIL if number % 2 else "portrait" for number in range(count)],
        "description": [EVIL] * count,
    }


def test_those_of_one_direction_stand_together() -> None:
    """However long their vectors are, the nearest on the map is one of the same group."""
    places = place(in_groups(6, 30))
    assert places.dtype == np.float32
    assert places.shape == (180, 2)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) // 30 == np.arange(180) // 30).all()
    middles = places.reshape(6, 30, 2).mean(axis=1)
    to_middles = np.hypot(*(places[:, None] - middles[None]).transpose(2, 0, 1))
    assert (to_middles.argmin(axis=1) == np.arange(180) // 30).all()


def test_the_same_vectors_get_the_same_places() -> None:
    """To the last bit: a map that is drawn again is the map that is known."""
    vectors = in_groups(5, 60)
    np.testing.assert_array_equal(place(vectors), place(vectors))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 9])
def test_a_few_have_places_too(count: int) -> None:
    """All different, where the vectors are."""
    places = place(in_groups(1, count) if count else np.zeros((0, 1024), np.float32))
    assert places.dtype == np.float32
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == count


@pytest.mark.parametrize("count", [2, 5, 40])
def test_equal_vectors_and_those_without_length_have_places(count: int) -> None:
    """Nothing divides by the distance that they do not have."""
    for vectors in (np.ones((count, 1024), np.float32), np.zeros((count, 1024), np.float32)):
        np.testing.assert_array_equal(place(vectors), np.zeros((count, 2)))
    mixed = in_groups(1, count)
    mixed[::2] = mixed[0]
    mixed[1] = 0
    assert np.isfinite(place(mixed)).all()


@pytest.fixture(scope="module")
def real_vectors() -> NDArray[np.float32]:
    """Read the vectors of the 120 photographs, where they are."""
    recorded = SHARED_DATA / "azure_vectors" / "vectors.json"
    if not recorded.exists():
        pytest.skip("the real vectors are not part of the project")
    return np.array(list(json.loads(recorded.read_text()).values()), np.float32)


def test_real_vectors_keep_their_neighbourhoods(real_vectors: NDArray[np.float32]) -> None:
    """By the usual measure, trustworthiness: 0.96 of 120 photographs, where chance has 0.5."""
    places = {"placed": place(real_vectors), "by chance": np.random.default_rng(1).normal(size=(120, 2))}
    kept = {
        how: trustworthiness(real_vectors, where, n_neighbors=5, metric="cosine")
        for how, where in places.items()
    }
    assert kept["by chance"] < 0.6
    assert kept["placed"] > 0.93


def test_near_photographs_stand_nearer_than_others(real_vectors: NDArray[np.float32]) -> None:
    """119 of 120 stand within a quarter of the usual distance from the one most like them."""
    places = place(real_vectors)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    usual = np.median(apart[np.triu_indices(120, 1)])
    most_like = neighbours(real_vectors, 1)[0][:, 0]
    to_most_like = apart[np.arange(120), most_like]
    assert (to_most_like < usual / 4).mean() > 0.9
    assert np.median(to_most_like) < usual / 8


def test_every_painting_has_a_cell_to_itself() -> None:
    """Near where it belongs, also where many would stand on one spot."""
    places = np.concatenate([place(in_groups(4, 30)), np.full((80, 2), 3, np.float32)])
    cells = snap(places)
    assert len(np.unique(cells, axis=0)) == 200
    assert cells.min() == 0
    assert cells.max() < 30
    for axis in (0, 1):
        low, high = np.quantile(places[:, axis], [0.1, 0.9])
        assert cells[places[:, axis] < low, axis].max() < cells[places[:, axis] > high, axis].min()
    for few in (0, 1, 2):
        assert len(np.unique(snap(np.zeros((few, 2), np.float32)), axis=0)) == few


def test_neighbours_are_those_that_a_search_finds(tmp_path: Path) -> None:
    """In the same order, with the same cosines, without the painting itself."""
    gallery = make_gallery(tmp_path, in_groups(4, 10), type=["portrait"] * 40)
    rows, cosines = neighbours(gallery.vectors, 8)
    for row, name in enumerate(gallery.image_files):
        found = gallery.search(gallery.embedding(name), k=8, leave_out=name)
        assert [gallery.image_files[each] for each in rows[row]] == [each.image_file for each in found]
        np.testing.assert_allclose(cosines[row], [each.score for each in found], atol=1e-5)
    assert neighbours(gallery.vectors[:1], 8)[0].shape == (1, 0)
    assert neighbours(gallery.vectors[:3], 8)[0].shape == (3, 2)


def test_of_too_many_as_many_as_can_be_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly, from the first on; the sheet says so."""
    monkeypatch.setattr(map_module, "MOST", 10)
    assert spread(25).tolist() == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]
    report = draw_map(make_gallery(tmp_path, in_groups(5, 5)), tmp_path / "images", tmp_path / "map.html")
    assert (report.paintings, report.total) == (10, 25)
    assert "10 of 25 paintings" in (tmp_path / "map.html").read_text()


def test_pictures_share_the_room_of_a_page() -> None:
    """A few are as large as a panel shows them; thousands take 30 MB together, and 20,000 little more."""
    assert side_px(1) == side_px(120) == 400
    assert 96 <= side_px(11_206) <= 104
    for count in (2_000, 11_206, 20_000):
        assert count * side_px(count) ** 2 * 0.2 * 4 / 3 < 31e6


def test_photographs_keep_to_that_room() -> None:
    """The real ones: 11,206 like them take about 30 MB of a page."""
    photographs = list((SHARED_DATA / "azure_vectors" / "images").glob("*.jpg"))
    if not photographs:
        pytest.skip("the real photographs are not part of the project")
    side = side_px(11_206)
    pictures = [
        thumbnail(made) for made in (opened(path, side) for path in photographs) if not isinstance(made, str)
    ]
    assert len(pictures) == 120
    assert 20e6 < 11_206 * sum(len(each.address) for each in pictures) / 120 < 33e6


def test_a_name_of_any_bytes_has_its_picture(tmp_path: Path) -> None:
    """On the sheet and on the page; a name that leads elsewhere, or is no file's, has none."""
    name = os.fsdecode(b"caf\xe9 <b>'\"\n.png")
    gallery = make_gallery(tmp_path, in_groups(1, 5), name)
    for output in (tmp_path / "map.png", tmp_path / "map.html"):
        assert draw_map(gallery, tmp_path / "images", output).without_picture == ()
    assert known_of((tmp_path / "map.html").read_text())["title"][0] == to_text(name)
    table = gallery.columns()
    names = ["../outside.png", "NUL\0.png", "a//b.png", "n" * 300]
    Image.new("RGB", (40, 40)).save(tmp_path / "outside.png")
    stored = pa.FixedSizeListArray.from_arrays(gallery.vectors.ravel(), 1024)
    table |= {"image_file": [*names, to_text(name)], "vector": stored, "model_version": ["2023-04-15"] * 5}
    pq.write_table(pa.table(table), tmp_path / "odd.parquet")
    report = draw_map(Gallery.open(tmp_path / "odd.parquet"), tmp_path / "images", tmp_path / "map.png")
    assert report.without_picture == tuple(names)


def test_a_folder_without_any_of_the_images_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is placed, and the map that was there stays; so where nothing can be written."""
    gallery = make_gallery(tmp_path, in_groups(1, 5))
    (tmp_path / "map.html").write_text("an earlier one")
    monkeypatch.setattr("semart_vectors.map.place", None)
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
        assert draw_map(none, tmp_path, output).paintings == 0
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
    assert report.without_picture == ("003.png", "007.png")
    with Image.open(tmp_path / "map.png") as sheet:
        seen = {colour for _, colour in sheet.getcolors(1 << 24) or []}
    assert {(number, 255 - number, 60) for number in range(60) if number not in {3, 7}} <= seen
    assert not {(3, 252, 60), (7, 248, 60)} & seen
    assert (0xE6, 0xE2, 0xDA) in seen


@pytest.mark.parametrize("name", ["map.png", "map.html"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_map_of_a_few_is_drawn(tmp_path: Path, name: str, count: int) -> None:
    """Also of paintings of which nothing is known but the name."""
    report = draw_map(make_gallery(tmp_path, in_groups(1, count)), tmp_path / "images", tmp_path / name)
    assert (report.paintings, report.without_picture) == (count, ())
    assert (tmp_path / name).stat().st_size > 1000


def test_what_cannot_be_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    """A column, a folder or a kind of file that is not there."""
    gallery = make_gallery(tmp_path, in_groups(1, 3), type=["a", "b", "c"])
    images = tmp_path / "images"
    with pytest.raises(ConfigurationError, match=r"no column 'school' .*type"):
        draw_map(gallery, images, tmp_path / "map.html", colour_by="school")
    with pytest.raises(ConfigurationError, match=r"a sheet has no dots to colour by 'type'"):
        draw_map(gallery, images, tmp_path / "map.png", colour_by="type")
    with pytest.raises(ConfigurationError, match=r"a map is a \.png or an \.html"):
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


class Loaded(HTMLParser):
    """Finds what a page would load, and its elements outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.elements: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]


def known_of(page: str) -> dict[str, Any]:
    """Read the data of a page as its script does."""
    (known,) = re.findall(r'id="known">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(known)
    return found


def test_the_page_is_whole_and_what_it_tells_is_no_markup(tmp_path: Path) -> None:
    """It names no address to load, forbids it besides, and no title ends a script."""
    gallery = make_gallery(tmp_path, in_groups(3, 4), **some_columns(12))
    plain = make_gallery_page(tmp_path, gallery, "A map")
    evil = make_gallery_page(tmp_path, gallery, HEADLINE)
    page = Loaded(evil)
    assert page.addresses == []
    assert page.elements == Loaded(plain).elements
    assert page.elements.count("img") == 0
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', evil)
    assert policy.startswith("default-src 'none'; connect-src 'none'; img-src data:; ")
    assert re.fullmatch(r"( 'sha256-\S+'){2}", policy.split("script-src")[1])
    assert "<script>window.evil" not in evil
    assert known_of(evil)["details"][0]["description"] == EVIL
    assert make_gallery_page(tmp_path, gallery, os.fsdecode(b"caf\xe9")).count("caf?") == 2


def test_more_groups_than_colours_are_told_together(tmp_path: Path) -> None:
    """The largest have a colour each; one that is called as the rest is told apart from it."""
    types = ["2 others"] * 4 + [f"type {number:02}" for number in range(17)] * 2 + ["rare", "rarer"]
    gallery = make_gallery(tmp_path, in_groups(4, 10), type=types)
    groups = known_of(make_gallery_page(tmp_path, gallery, "A map"))["groups"]
    assert [groups[0]["name"], groups[18]["name"]] == ["2 others", "2 others"]
    assert [groups[0]["count"], groups[18]["count"], len(groups)] == [4, 2, 19]
    assert len({group["colour"] for group in groups}) == 19


def test_paintings_have_the_colour_of_their_type(tmp_path: Path) -> None:
    """Or of their school, or of their time, where there is no type."""
    columns = {"timeframe": ["1600"] * 3, "school": ["Dutch"] * 3, "type": ["still-life"] * 3}
    for name in ("still-life", "Dutch", "1600"):
        folder = tmp_path / name
        folder.mkdir()
        gallery = make_gallery(folder, in_groups(1, 3), **columns)
        [group] = known_of(make_gallery_page(folder, gallery, "M"))["groups"]
        assert group["name"] == name
        columns.popitem()


def make_gallery_page(folder: Path, gallery: Gallery, title: str) -> str:
    """Draw a page and return it."""
    draw_map(gallery, folder / "images", folder / "map.html", title=title)
    return (folder / "map.html").read_text()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """Make a gallery of twelve, and a page of it that holds what could do harm."""
    made = make_gallery(tmp_path, in_groups(3, 4), **some_columns(12))
    make_gallery_page(tmp_path, made, HEADLINE)
    return made


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a page of so many that they are dots from afar."""
    monkeypatch.setattr("semart_vectors.map.page._MOST_IN_VIEW", 200)
    make_gallery_page(tmp_path, make_gallery(tmp_path, in_groups(6, 40), type=["a", "b"] * 120), "Many")


PLOT = "Bokeh.documents[0].roots()[0]"
SELECTED = "model('paintings').selected.indices"
PICTURED = "model('pictured').indices"


@asynccontextmanager
async def open_page(folder: Path) -> AsyncIterator[Tab]:
    """Open the page of a folder, and see at the end that it asked for nothing and said nothing."""
    async with open_tab((folder / "map.html").as_uri(), folder / "profile") as tab:
        await tab.until(f"Number.isFinite({PLOT}.x_range.max_interval)")
        await tab.value_of(
            f"""void Object.assign(window, {{
                model: (name) => Bokeh.documents[0].get_model_by_name(name),
                byId: (id) => document.getElementById(id),
                bounds: JSON.parse(document.getElementById("known").textContent).bounds,
                across: () => {PLOT}.x_range.end - {PLOT}.x_range.start,
                upwards: () => {PLOT}.y_range.end - {PLOT}.y_range.start,
                at: (row) => {{
                    const {{x_range, y_range, inner_width, inner_height}} = {PLOT};
                    const {{left, top}} = byId("plot").getBoundingClientRect();
                    const {{x, y}} = model("paintings").data;
                    return [left + (x[row] - x_range.start) / across() * inner_width,
                            top + (y_range.end - y[row]) / upwards() * inner_height];
                }},
            }})"""
        )
        yield tab
        assert await tab.value_of("window.evil === undefined")
        assert [url for url in tab.requested if not url.startswith("data:")] == [
            (folder / "map.html").as_uri()
        ]
        assert tab.said == []


async def seen(tab: Tab) -> Image.Image:
    """Take a picture of the window."""
    taken = await tab.ask("Page.captureScreenshot", format="png")
    return Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")


async def drag(tab: Tab, start: tuple[float, float], by: tuple[float, float]) -> None:
    """Press the mouse, move it and let go."""
    await tab.mouse("mouseMoved", *start)
    await tab.mouse("mousePressed", *start, button="left", clickCount=1)
    for part in (0.2, 0.6, 1):
        x, y = start[0] + part * by[0], start[1] + part * by[1]
        await tab.mouse("mouseMoved", x, y, button="left", buttons=1)
    await tab.mouse("mouseReleased", x, y, button="left", clickCount=1)


TITLES = "[...byId('neighbours').children].map((each) => each.title.split(',')[0])"


@needs_chromium
async def test_the_page_is_hovered_and_clicked_through(gallery: Gallery, tmp_path: Path) -> None:
    """In a real browser: from neighbour to neighbour; the others fade; a title is a text."""
    async with open_page(tmp_path) as tab:
        assert await tab.value_of("document.querySelector('h1').textContent") == HEADLINE
        point = await tab.value_of("at(0)")
        await tab.mouse("mouseMoved", *point)
        assert EVIL in await tab.until("!byId('tip').hidden && byId('tip').textContent")
        await tab.click(*point)
        assert await tab.until("!byId('shown').hidden && byId('name').textContent") == EVIL
        assert EVIL in await tab.value_of("byId('details').textContent")
        near = neighbours(gallery.vectors, 8)[0][0].tolist()
        assert await tab.value_of(TITLES) == [f"Title {row}" for row in near]
        assert await tab.value_of(SELECTED) == [0, *near]
        ends = await tab.value_of(
            "[...model('lines').data.x1].map((each) => x.indexOf(each))".replace(
                "x.", "[...model('paintings').data.x]."
            )
        )
        assert ends == near
        await tab.value_of("byId('neighbours').children[0].click()")
        told = f"byId('name').textContent === 'Title {near[0]}' && document.activeElement.id"
        assert await tab.until(told) == "name"
        assert await tab.value_of("[...document.images].every((each) => each.complete && each.naturalWidth)")
        now = await tab.value_of("performance.now()")
        await tab.until(
            f"performance.now() > {now + 300}"
        )  # two clicks are one double click to Bokeh until then
        await tab.click(8, 740)  # where there is nothing
        assert await tab.until(
            f"byId('shown').hidden && !{SELECTED}.length && !model('lines').data.x0.length"
        )


@needs_chromium
@pytest.mark.usefixtures("gallery")
async def test_groups_and_words_choose_what_is_shown(tmp_path: Path) -> None:
    """A button of the legend hides its group and shows it again; words are found in all that is known."""
    shown = "model('visible').booleans.flatMap((each, row) => each ? row : [])"
    async with open_page(tmp_path) as tab:
        assert EVIL in await tab.value_of("byId('groups').children[1].textContent")
        for pressed, count in (("true", 12), ("false", 6), ("true", 12)):
            assert await tab.value_of("byId('groups').children[1].ariaPressed") == pressed
            assert len(await tab.value_of(shown)) == count
            await tab.value_of("byId('groups').children[1].click()")
        # Neighbours too are of those that are shown.
        await tab.value_of("byId('find').form.requestSubmit()")
        lit = set(await tab.value_of(SELECTED))
        assert 1 < len(lit) <= 6
        assert lit <= set(await tab.value_of(shown))
        await tab.value_of("byId('groups').children[1].click()")
        await tab.value_of("byId('find').focus()")
        for letter in "10 autHör":  # in any order
            await tab.press(letter)
        assert await tab.value_of(shown) == [10]
        assert await tab.value_of("byId('found').textContent") == "1 shown"
        await tab.value_of("byId('find').form.requestSubmit()")
        assert await tab.value_of("byId('name').textContent") == "Title 10"
        await tab.press("x")
        assert await tab.value_of(shown) == []
        assert await tab.value_of("byId('shown').hidden")
        await tab.value_of("byId('find').value = ''; byId('find').oninput()")
        for row in (0, 1, 2):
            await tab.value_of("byId('find').form.requestSubmit()")
            assert await tab.value_of(f"{SELECTED}[0]") == row


@needs_chromium
@pytest.mark.usefixtures("many")
async def test_one_comes_nearer_to_the_painting_that_is_looked_at(tmp_path: Path) -> None:
    """By the keyboard too, and not past it; arrows never leave all paintings behind."""
    async with open_page(tmp_path) as tab:
        await tab.value_of("byId('find').form.requestSubmit()")
        assert await tab.value_of(f"{SELECTED}[0]") == 0
        await tab.value_of("byId('map').focus()")
        before = await tab.value_of("across()")
        for _ in range(12):
            await tab.press("+")
        assert await tab.value_of("across()") < before / 1.4
        box = "byId('plot').getBoundingClientRect()"
        x, y = await tab.value_of("at(0)")
        assert 0 < x - await tab.value_of(f"{box}.left") < await tab.value_of(f"{box}.width")
        assert 0 < y - await tab.value_of(f"{box}.top") < await tab.value_of(f"{box}.height")
        for row in range(1, 20):
            await tab.value_of("byId('find').form.requestSubmit()")
            x, y = await tab.value_of(f"at({row})")
            assert 0 < x - await tab.value_of(f"{box}.left") < await tab.value_of(f"{box}.width")
            assert 0 < y - await tab.value_of(f"{box}.top") < await tab.value_of(f"{box}.height")
        for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"):
            for _ in range(60):
                await tab.press(key)
            x, y = await tab.value_of(
                f"[({PLOT}.x_range.start + {PLOT}.x_range.end) / 2,"
                f" ({PLOT}.y_range.start + {PLOT}.y_range.end) / 2]"
            )
            west, east, south, north = await tab.value_of("bounds")
            assert west - 1e-3 <= x <= east + 1e-3
            assert south - 1e-3 <= y <= north + 1e-3


@needs_chromium
@pytest.mark.usefixtures("gallery")
async def test_what_is_chosen_is_not_covered(tmp_path: Path) -> None:
    """Its frame is its own, a click ends the tip, and the panel has the cosines in three digits."""
    async with open_page(tmp_path) as tab:
        point = await tab.value_of("at(0)")
        await tab.mouse("mouseMoved", *point)
        await tab.until("!byId('tip').hidden")
        await tab.click(*point)
        await tab.until("model('chosen').data.x.length")
        assert await tab.value_of("byId('tip').hidden")
        [row] = await tab.value_of(f"{SELECTED}.slice(0, 1)")
        assert await tab.value_of(f"model('chosen').data.x[0] === model('paintings').data.x[{row}]")
        told = await tab.value_of(
            "[...byId('neighbours').children].map((each) => each.textContent.slice(-5))"
        )
        cosines = known_of((tmp_path / "map.html").read_text())["cosines"][row]
        assert told == [f"{cosine:.3f}" for cosine in cosines]


@needs_chromium
@pytest.mark.usefixtures("many")
async def test_from_near_by_the_dots_are_pictures(tmp_path: Path) -> None:
    """Each where its painting is, none over another; the wheel keeps what is below the pointer there."""
    async with open_page(tmp_path) as tab:
        last = await tab.value_of("at(239)")  # it is drawn over all others
        assert (await seen(tab)).getpixel(tuple(last)) == (208, 87, 60)
        assert await tab.value_of(PICTURED) == []
        await tab.wheel(*last, by=-400)
        await tab.until(f"{PICTURED}.length")
        assert await tab.value_of("at(239)") == pytest.approx(last, abs=6)  # a wheel knows whole pixels
        await tab.value_of("void (window.before = model('pictures').data)")
        await drag(tab, (700, 500), (-250, -140))
        assert await tab.value_of("at(239)") == pytest.approx([last[0] - 250, last[1] - 140], abs=8)
        await tab.until("model('pictures').data !== before")
        await tab.value_of("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        window = await seen(tab)
        placed = await tab.value_of(
            f"{PICTURED}.map((row) => [row, ...at(row), model('paintings').data.w[row]])"
        )
        inside = [(row, x, y) for row, x, y, _ in placed if 10 < x < 1000 and 150 < y < 740]
        assert len(inside) > 2
        for row, x, y in inside:
            assert window.getpixel((x, y)) == pytest.approx((row, 255 - row, 60), abs=12)
        for row, x, y, side in placed:
            others = [max(abs(x - each[1]), abs(y - each[2])) for each in placed if each[0] != row]
            assert min(others) > side


@needs_chromium
@pytest.mark.usefixtures("gallery")
async def test_a_keyboard_is_enough(tmp_path: Path) -> None:
    """Arrows move the map; plus, minus and 0 zoom, as the buttons do; Escape lets go."""
    async with open_page(tmp_path) as tab:
        await tab.value_of("byId('map').focus()")
        start, wide = await tab.value_of(f"[{PLOT}.x_range.start, across()]")
        await tab.press("ArrowRight")
        assert await tab.value_of(f"{PLOT}.x_range.start") > start
        assert await tab.value_of("across()") == pytest.approx(wide)
        await tab.press("+")
        assert await tab.value_of("across()") == pytest.approx(wide / 1.5)
        await tab.press("-")
        assert await tab.value_of("across()") == pytest.approx(wide)
        for _ in range(30):
            await tab.value_of("document.querySelector('#zoom [value=\"-\"]').click()")
        assert await tab.value_of("across()") == pytest.approx(2 * wide)
        await tab.press("0")
        assert await tab.value_of(f"[{PLOT}.x_range.start, across()]") == pytest.approx([start, wide])
        await tab.value_of("byId('find').form.requestSubmit()")
        assert not await tab.value_of("byId('shown').hidden")
        await tab.press("Escape")
        assert await tab.value_of(f"byId('shown').hidden && !{SELECTED}.length")


@needs_chromium
@pytest.mark.usefixtures("gallery")
async def test_the_page_fits_a_telephone_and_the_night(tmp_path: Path) -> None:
    """Nothing is wider than a narrow window, however long the words are; a dark system gets a dark page."""
    colours = "[getComputedStyle(document.body).backgroundColor, model('links').glyph.line_color.value]"
    async with open_page(tmp_path) as tab:
        light = await tab.value_of(colours)
        await tab.ask(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
        )
        await tab.until(f"{colours}.every((each, number) => each !== {light}[number])")
        assert (await seen(tab)).getpixel((5, 700)) == (0x1E, 0x1D, 0x1B)
        scale = f"{PLOT}.inner_width / across() - {PLOT}.inner_height / upwards()"
        assert await tab.value_of(scale) == pytest.approx(0, abs=0.01)
        await tab.ask(
            "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=2, mobile=True
        )
        await tab.until(f"{PLOT}.inner_width < 370")
        await tab.until(f"Math.abs({scale}) < 0.01")
        await tab.value_of("byId('find').form.requestSubmit()")
        assert not await tab.value_of("byId('shown').hidden")
        assert await tab.value_of("document.documentElement.scrollWidth") == 360
        xs = await tab.value_of("model('visible').booleans.map((each, row) => at(row)[0])")
        assert 0 < min(xs) <= max(xs) < 360


@pytest.fixture(params=["1", "2", "3", "equal"])
def few(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Make a page of a few, or of some that stand on one spot."""
    equal = request.param == "equal"
    vectors = np.ones((12, 1024), np.float32) if equal else in_groups(1, int(request.param))
    make_gallery_page(tmp_path, make_gallery(tmp_path, vectors), "Few")


@needs_chromium
@pytest.mark.usefixtures("few")
async def test_a_few_and_the_same_are_seen(tmp_path: Path) -> None:
    """One painting is a map; of those that stand on one spot one is a picture."""
    async with open_page(tmp_path) as tab:
        await tab.until(f"{PICTURED}.length")
        x, y = await tab.value_of("at(0)")
        await tab.wheel(x, y, by=-900)
        await tab.wheel(x, y, by=900)
        await tab.click(x, y)
        assert await tab.until("byId('name').textContent") == "000.png"
        assert await tab.value_of("Number.isFinite(across())")


@needs_chromium
@pytest.mark.usefixtures("gallery")
async def test_a_page_could_not_ask_if_it_would(tmp_path: Path) -> None:
    """Its own policy refuses, and the tests above would have seen it; no other script is run either."""
    async with open_tab((tmp_path / "map.html").as_uri(), tmp_path / "profile") as tab:
        await tab.until(f"!!{PLOT}")
        refused = "await fetch('http://127.0.0.1:9').then(() => 'asked', () => 'refused')"
        assert (
            await tab.value_of(f"(async () => {{{refused}}})()".replace("{await", "{return await"))
            == "refused"
        )
        script = "Object.assign(document.createElement('script'), {text: 'window.evil = 1'})"
        await tab.value_of(f"void document.body.append({script})")
        assert await tab.value_of("window.evil === undefined")
        assert str(tab.said).count("Content Security Policy") >= 2


def names_in(folder: Path) -> set[str]:
    """List a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("gallery")
async def test_the_command_draws_and_says_what_is_grey(tmp_path: Path) -> None:
    """The result on stdout; usage errors end with 2, a missing file too, and leave nothing behind."""
    (tmp_path / "images" / "004.png").unlink()
    ran = await cli("map", "paintings.parquet", "--images=images", "-o", "map.html", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "12 paintings drawn on map.html\n")
    assert "1 have no readable picture in images and are grey: 004.png" in ran.err
    for arguments in (
        ("paintings.parquet", "--images=images", "-o", "a.html", "--colour-by=mood"),
        ("paintings.parquet", "--images=images", "-o", "a.png", "--colour-by=type"),
        ("absent.parquet", "--images=images", "-o", "a.html"),
        ("paintings.parquet", "--images=absent", "-o", "a.png"),
    ):
        ran = await cli("map", *arguments, cwd=tmp_path)
        assert (ran.code, ran.out, "Error: " in ran.err) == (2, "", True)
    assert names_in(tmp_path) == {"images", "map.html", "paintings.parquet"}

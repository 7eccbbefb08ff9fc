"""The map as a page: it needs nothing but itself, and in a browser it does what it says."""

from __future__ import annotations

import base64
import io
import os
import re
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chromium import needs_chromium
from chromium_tab import Tab, open_tab
from helpers import SHARED_DATA
from map_galleries import EVIL, HEADLINE, in_groups, known_of, make_gallery, make_gallery_page, some_columns
from semart_vectors.map.layout import neighbours
from semart_vectors.map.page import side_px, thumbnail
from semart_vectors.search.contact_sheet import open_scaled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from semart_vectors.gallery import Gallery


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
        thumbnail(made)
        for made in (open_scaled(path, side) for path in photographs)
        if not isinstance(made, str)
    ]
    assert len(pictures) == 120
    assert 20e6 < 11_206 * sum(len(each.data_uri) for each in pictures) / 120 < 33e6


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


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a page of so many that they are dots from afar."""
    monkeypatch.setattr("semart_vectors.map.page._MAX_IN_VIEW", 200)
    make_gallery_page(tmp_path, make_gallery(tmp_path, in_groups(6, 40), type=["a", "b"] * 120), "Many")


PLOT = "Bokeh.documents[0].roots()[0]"


SELECTED = "model('images').selected.indices"


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
                bounds: JSON.parse(document.getElementById("data").textContent).bounds,
                across: () => {PLOT}.x_range.end - {PLOT}.x_range.start,
                upwards: () => {PLOT}.y_range.end - {PLOT}.y_range.start,
                at: (row) => {{
                    const {{x_range, y_range, inner_width, inner_height}} = {PLOT};
                    const {{left, top}} = byId("plot").getBoundingClientRect();
                    const {{x, y}} = model("images").data;
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
@pytest.mark.timeout(120)
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
                "x.", "[...model('images').data.x]."
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
@pytest.mark.timeout(120)
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
        assert await tab.value_of(f"model('chosen').data.x[0] === model('images').data.x[{row}]")
        told = await tab.value_of(
            "[...byId('neighbours').children].map((each) => each.textContent.slice(-5))"
        )
        cosines = known_of((tmp_path / "map.html").read_text())["cosines"][row]
        assert told == [f"{cosine:.3f}" for cosine in cosines]


@needs_chromium
@pytest.mark.timeout(120)
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
            f"{PICTURED}.map((row) => [row, ...at(row), model('images').data.w[row]])"
        )
        inside = [(row, x, y) for row, x, y, _ in placed if 10 < x < 1000 and 150 < y < 740]
        assert len(inside) > 2
        for row, x, y in inside:
            assert window.getpixel((x, y)) == pytest.approx((row, 255 - row, 60), abs=12)
        for row, x, y, side in placed:
            others = [max(abs(x - each[1]), abs(y - each[2])) for each in placed if each[0] != row]
            assert min(others) > side


@needs_chromium
@pytest.mark.timeout(120)
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
@pytest.mark.timeout(120)
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
        top, bottom = await tab.value_of(
            "(({top, bottom}) => [top, bottom])(byId('name').getBoundingClientRect())"
        )
        assert 0 < top < bottom <= 700  # the page has scrolled to where the title is in view
        xs = await tab.value_of("model('visible').booleans.map((each, row) => at(row)[0])")
        assert 0 < min(xs) <= max(xs) < 360


@pytest.fixture(params=["1", "2", "3", "equal"])
def few(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Make a page of a few, or of some that stand on one spot."""
    equal = request.param == "equal"
    vectors = np.ones((12, 1024), np.float32) if equal else in_groups(1, int(request.param))
    make_gallery_page(tmp_path, make_gallery(tmp_path, vectors), "Few")


@needs_chromium
@pytest.mark.timeout(120)
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
@pytest.mark.timeout(120)
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

"""The map: near paintings stand together, each is seen, and the page needs nothing but itself."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness

from chromium import needs_chromium
from chromium_tab import open_tab
from command_line import cli
from helpers import SHARED_DATA
from semart_vectors import map as map_module
from semart_vectors.errors import CheckpointDiskError, ConfigurationError
from semart_vectors.gallery import Gallery
from semart_vectors.map import draw_map, neighbours, place, snap, spread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EVIL = (
    """</script><script>window.evil = 1</script><img src=x onerror="window.evil=1">"""
    """'"&amp;\\u003c $$x$$ %%title%% @group {safe}"""
)


def in_groups(groups: int, each: int, *, spread_by: float = 0.6) -> NDArray[np.float32]:
    """Return vectors around a few directions, group after group, of different lengths."""
    dice = np.random.default_rng(7)
    middles = np.repeat(dice.normal(size=(groups, 1024)), each, axis=0)
    vectors = middles + spread_by * dice.normal(size=middles.shape)
    return (vectors * dice.uniform(0.5, 20, (len(vectors), 1))).astype(np.float32)


def make_gallery(folder: Path, vectors: NDArray[np.float32], **columns: list[str]) -> Gallery:
    """Write a merged file with an image of a colour of its own for each vector, and open it."""
    (folder / "images").mkdir()
    names = [f"{number:03}.png" for number in range(len(vectors))]
    for number, name in enumerate(names):
        Image.new("RGB", (40, 40), (number, 255 - number, 60)).save(folder / "images" / name)
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


def test_real_vectors_keep_their_neighbourhoods() -> None:
    """By the usual measure, trustworthiness, of 120 photographs."""
    recorded = SHARED_DATA / "azure_vectors" / "vectors.json"
    if not recorded.exists():
        pytest.skip("the real vectors are not part of the project")
    vectors = np.array(list(json.loads(recorded.read_text()).values()), np.float32)
    kept = trustworthiness(vectors, place(vectors), n_neighbors=5, metric="cosine")
    by_chance = trustworthiness(
        vectors, np.random.default_rng(1).normal(size=(120, 2)), n_neighbors=5, metric="cosine"
    )
    assert by_chance < 0.6
    assert kept > 0.9


def test_every_painting_has_a_cell_to_itself() -> None:
    """Near where it belongs, also where many would stand on one spot."""
    places = np.concatenate([place(in_groups(4, 30)), np.full((80, 2), 3, np.float32)])
    cells = snap(places)
    assert len(np.unique(cells, axis=0)) == 200
    assert cells.min() == 0
    assert cells.max() < 30
    left, right = cells[places[:, 0] < np.quantile(places[:, 0], 0.1)], cells[places[:, 0] > 10]
    assert left[:, 0].mean() < right[:, 0].mean()
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
    with pytest.raises(ConfigurationError, match=r"a map is a \.png or an \.html"):
        draw_map(gallery, images, tmp_path / "map.svg")
    for folder in (images / "no", images / "000.png"):
        with pytest.raises(ConfigurationError, match="no folder"):
            draw_map(gallery, folder, tmp_path / "map.html")
    with pytest.raises(ConfigurationError, match="no folder"):
        draw_map(gallery, images, tmp_path / "no" / "map.html")
    (tmp_path / "map.png").mkdir()
    with pytest.raises(CheckpointDiskError):
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


def test_the_page_is_whole_and_what_it_tells_is_no_markup(tmp_path: Path) -> None:
    """It names no address to load, forbids it besides, and no title ends a script."""
    gallery = make_gallery(tmp_path, in_groups(3, 4), **some_columns(12))
    plain = make_gallery_page(tmp_path, gallery, "A map")
    evil = make_gallery_page(tmp_path, gallery, EVIL)
    page = Loaded(evil)
    assert page.addresses == []
    assert page.elements == Loaded(plain).elements
    assert page.elements.count("img") == 1
    assert "default-src 'none'" in evil
    assert "<script>window.evil" not in evil
    (known,) = re.findall(r'id="known">(.*?)</script>', evil)
    assert json.loads(known)["details"][0]["description"] == EVIL


def make_gallery_page(folder: Path, gallery: Gallery, title: str) -> str:
    """Draw a page and return it."""
    draw_map(gallery, folder / "images", folder / "map.html", title=title)
    return (folder / "map.html").read_text()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """Make a gallery of twelve, and a page of it that holds what could do harm."""
    made = make_gallery(tmp_path, in_groups(3, 4), **some_columns(12))
    make_gallery_page(tmp_path, made, EVIL)
    return made


AT = """(() => {
  const {x, y} = Bokeh.documents[0].get_model_by_name("paintings").data;
  const view = Bokeh.index.roots[0], {left, top} = view.canvas_view.el.getBoundingClientRect();
  return [left + view.frame.x_scale.compute(x[ROW]), top + view.frame.y_scale.compute(y[ROW])];
})()"""
HOVERED = """(() => {
  const within = (each) => each.shadowRoot ? all(each.shadowRoot) : [];
  const all = (root) => [...root.querySelectorAll("*")].flatMap((each) => [each, ...within(each)]);
  return all(document).find((each) => each.matches(".bk-Tooltip"))?.shadowRoot.textContent.trim();
})()"""


@needs_chromium
@pytest.mark.timeout(120)
async def test_the_page_is_hovered_and_clicked_through(gallery: Gallery, tmp_path: Path) -> None:
    """In a real browser: nothing is asked for, nothing complains, and a title is a text."""
    async with open_tab((tmp_path / "map.html").as_uri(), tmp_path / "profile") as tab:
        await tab.until("Bokeh.documents[0].is_idle")
        assert await tab.value_of("document.title") == EVIL
        at = await tab.value_of(AT.replace("ROW", "0"))
        await tab.mouse("mouseMoved", *at)
        assert EVIL in await tab.until(HOVERED)
        await tab.click(*at)
        assert await tab.until("!byId('shown').hidden && byId('name').textContent") == EVIL
        assert EVIL in await tab.value_of("byId('details').textContent")
        nearest = [gallery.image_files[row] for row in neighbours(gallery.vectors, 8)[0][0]]
        titles = [f"Title {int(name[:3])}" for name in nearest]
        shown = await tab.value_of("[...byId('neighbours').children].map((each) => each.title.split(',')[0])")
        assert shown == titles
        await tab.value_of("byId('neighbours').children[0].click()")
        assert await tab.value_of("byId('name').textContent") == titles[0]
        for group in ("true", "false", "true"):
            assert await tab.value_of("byId('groups').children[1].ariaPressed") == group
            await tab.value_of("byId('groups').children[1].click()")
        assert await tab.value_of("byId('groups').children[1].textContent") == EVIL
        assert await tab.value_of("window.evil === undefined")
        assert await tab.value_of("[...document.images].every((each) => each.complete && each.naturalWidth)")
        requested = [url for url in tab.requested if not url.startswith("data:")]
        assert requested == [(tmp_path / "map.html").as_uri()]
        assert [each for each in tab.said if "[bokeh" not in str(each)] == []


@needs_chromium
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("gallery")
async def test_a_page_could_not_ask_if_it_would(tmp_path: Path) -> None:
    """Its own policy refuses, and the test above would have seen it."""
    async with open_tab((tmp_path / "map.html").as_uri(), tmp_path / "profile") as tab:
        await tab.until("Bokeh.documents[0].is_idle")
        refused = "await fetch('http://127.0.0.1:9').then(() => 'asked', () => 'refused')"
        assert await tab.value_of(f"(async () => {refused})()") == "refused"
        assert "Content Security Policy" in str(tab.said)


def names_in(folder: Path) -> set[str]:
    """List a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("gallery")
async def test_the_command_draws_and_says_what_is_grey(tmp_path: Path) -> None:
    """The result on stdout; usage errors end with 2, a missing file too, and leave nothing behind."""
    (tmp_path / "images" / "004.png").unlink()
    ran = await cli("map", "paintings.parquet", "--images=images", "-o", "map.html", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "12 paintings drawn on map.html\n")
    assert "1 have no readable picture in images and are grey: 004.png" in ran.err
    for arguments in (
        ("paintings.parquet", "--images=images", "-o", "a.html", "--colour-by=mood"),
        ("absent.parquet", "--images=images", "-o", "a.html"),
        ("paintings.parquet", "--images=absent", "-o", "a.png"),
    ):
        ran = await cli("map", *arguments, cwd=tmp_path)
        assert (ran.code, ran.out, "Error: " in ran.err) == (2, "", True)
    assert names_in(tmp_path) == {"images", "map.html", "paintings.parquet"}

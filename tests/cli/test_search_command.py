"""The search command as a user meets it, on a real socket."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from command_in_process import cli_here
from command_line import cli
from fake_service import FakeService, Reply, error_reply, good_reply, vector_for
from helpers import make_images
from merged import cosines, write_merged
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.emulator.computed_vectors import COLOUR_WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Ran
    from semart_vectors import RetryPolicy

TEXT = "a ship in a storm"
search_command = sys.modules["semart_vectors.cli.search"]  # in the package, the name is the command's


@pytest.fixture
def images(tmp_path: Path) -> dict[str, bytes]:
    """Make eight images, and the merged file of what the fake gives for them."""
    made = make_images(tmp_path / "images", 8)
    write_merged(
        tmp_path / "m.parquet",
        np.array([vector_for(content) for content in made.values()]),
        image_file=pa.array(list(made)),
        title=pa.array([f"Title\n\x1b[2J{row}" for row in range(8)]),
        author=pa.array(["MILLET, Jean-François", None] * 4),
    )
    return made


def search(cwd: Path, service: FakeService | None, *arguments: str) -> Ran:
    """Run the search command on the merged file in a folder."""
    return cli_here("search", *arguments, "--vectors=m.parquet", cwd=cwd, service=service)


def found(ran: Ran) -> list[str]:
    """Return the names of what was found."""
    assert ran.code == 0, ran.err
    return [each["image_file"] for each in json.loads(ran.out)]


def test_a_text_finds_the_nearest_best_first(
    served: FakeService, tmp_path: Path, images: dict[str, bytes]
) -> None:
    """With score and all other columns, by one call."""
    ran = search(tmp_path, served, TEXT, "--json", "-k3")
    (call,) = served.calls
    vectors = np.array([vector_for(content) for content in images.values()])
    scores = cosines(vectors, vector_for(call.body))
    best = np.argsort(-scores)[:3]
    assert json.loads(call.body) == {"text": TEXT}
    assert found(ran) == [list(images)[row] for row in best]
    first = json.loads(ran.out)[0]
    assert list(first) == ["image_file", "score", "title", "year", "author"]
    assert first["score"] == pytest.approx(scores[best[0]], rel=1e-12)


def test_an_image_file_finds_itself(served: FakeService, tmp_path: Path, images: dict[str, bytes]) -> None:
    """Its bytes are sent, whatever it is called."""
    (tmp_path / "photo").write_bytes(images["00003-image.jpg"])
    ran = search(tmp_path, served, "photo", "--json")
    assert [call.body for call in served.calls] == [images["00003-image.jpg"]]
    assert found(ran)[0] == "00003-image.jpg"


@pytest.mark.usefixtures("images")
def test_a_painting_s_name_needs_no_service_and_leaves_it_out(tmp_path: Path) -> None:
    """Its own vector is at hand."""
    names = found(search(tmp_path, None, "00003-image.jpg", "--json"))
    assert len(names) == 7
    assert "00003-image.jpg" not in names


@pytest.mark.usefixtures("images")
def test_the_line_of_a_painting_is_safe_for_a_terminal(tmp_path: Path) -> None:
    """Score, title, author and name; what is missing is left out."""
    ran = search(tmp_path, None, "00003-image.jpg", "--where", "year IN (1600, 1601)")
    assert ran.code == 0
    with_author, without = sorted(ran.out.splitlines(), key=lambda line: "00001" in line)
    title = r"Title\n\x1b[2J"
    assert re.fullmatch(r"-?0\.\d{4}", with_author.split("  ")[0])
    assert with_author.split("  ")[1:] == [f"{title}0", "MILLET, Jean-François", "00000-image.jpg"]
    assert without.split("  ")[1:] == [f"{title}1", "00001-image.jpg"]


@pytest.mark.usefixtures("images")
def test_an_address_is_fetched_by_the_service(served: FakeService, tmp_path: Path) -> None:
    """It is sent as an address, and not as words."""
    ran = search(tmp_path, served, "https://example.org/a.jpg", "-k3", "--images=.", "--sheet=s.png")
    assert (ran.code, len(ran.out.splitlines())) == (0, 3)
    assert [json.loads(call.body) for call in served.calls] == [{"url": "https://example.org/a.jpg"}]


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("absent.JPG",), "no file absent.JPG"),
        (("00003-image.jpg", "--where", "colour = 'red'"), "the columns are image_file, title"),
        (("00003-image.jpg", "--sheet", "s.png"), "--images"),
        ((TEXT, "--images=images", "--sheet=m.parquet"), "must name a .png file, not m.parquet"),
        ((TEXT, "--images=images", "--sheet=pipe.png"), "must name a .png file, not pipe.png"),
        ((TEXT, "--postgres=postgresql://x/y"), "either --vectors FILE or --postgres URL"),
        (("00003-image.jpg", "-k0"), "0 is not in the range x>=1"),
        ((TEXT, "--where", "colour = 'red'"), "the columns are image_file, title"),
        ((TEXT,), "VISION_KEY"),
        (("m.parquet",), "VISION_KEY"),
        ((" ", "--vectors=images/00003-image.jpg"), "00003-image.jpg"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """And says what to do."""
    os.mkfifo(tmp_path / "pipe.png")
    ran = cli_here("search", "--vectors=m.parquet", *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("query", "reply", "code"),
    [
        (TEXT, error_reply(401), 4),
        (TEXT, error_reply(403, "Out of call volume quota."), 5),
        (TEXT, error_reply(400, "too many words"), 2),
        ("m.parquet", error_reply(401), 2),
    ],
)
def test_a_query_that_gets_no_vector_ends_with_its_code(
    served: FakeService, tmp_path: Path, query: str, reply: Reply, code: int
) -> None:
    """The key refused, the quota used up, the query refused: by the service, or here as no image."""
    served.answer = lambda _: reply
    ran = search(tmp_path, served, query)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (code, "", 1)


@pytest.mark.usefixtures("images")
def test_another_model_ends_with_6(served: FakeService, tmp_path: Path) -> None:
    """The gallery's is asked for, and what else comes is no vector to compare."""
    served.answer = lambda call: Reply(body=good_reply(call).body.replace(b"2023-04-15", b"2022-04-11"))
    ran = search(tmp_path, served, TEXT)
    assert (ran.code, ran.out) == (6, "")
    assert "model-version=2023-04-15" in served.calls[0].target


@pytest.mark.usefixtures("images")
def test_the_sheet_is_drawn_from_the_folder_of_images(served: FakeService, tmp_path: Path) -> None:
    """Of words, a file and a painting, with what is missing as grey cells."""
    (tmp_path / "images" / "00001-image.jpg").unlink()
    for number, query in enumerate((TEXT, "images/00002-image.jpg", "00001-image.jpg")):
        sheet = f"{number}.png"
        ran = search(tmp_path, served, query, "--images=images", f"--sheet={sheet}")
        assert (ran.code, len(ran.out.splitlines())) == (0, 8 - (number == 2))
        with Image.open(tmp_path / sheet) as drawn:
            assert drawn.size[0] > drawn.size[1] > 700  # two lines of pictures


@pytest.mark.usefixtures("images")
def test_a_sheet_shows_the_first_of_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a line says so; the results are all printed."""
    query = ("00001-image.jpg", "--images=images")
    assert search(tmp_path, None, *query, "--sheet=few.PNG", "-k3").err == "4 pictures drawn on few.PNG\n"
    monkeypatch.setattr(search_command, "_MAX_ON_SHEET", 3)
    ran = search(tmp_path, None, *query, "--sheet=many.PNG", "-k7")
    assert (ran.err, len(ran.out.splitlines())) == (
        "The sheet shows the first 3 of 7\n4 pictures drawn on many.PNG\n",
        7,
    )
    assert (tmp_path / "few.PNG").read_bytes() == (tmp_path / "many.PNG").read_bytes()


@pytest.mark.usefixtures("images")
def test_nowhere_to_search_is_wrong_usage(tmp_path: Path) -> None:
    """The sentence names both places."""
    ran = cli_here("search", TEXT, cwd=tmp_path)
    assert (ran.code, "either --vectors FILE or --postgres URL" in ran.err) == (2, True)


@pytest.mark.usefixtures("images")
def test_a_search_does_not_wait_for_a_service_that_is_down(
    served: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person waits for it, where a job may wait an hour."""
    policies: list[RetryPolicy] = []

    def from_env(_environment: object, *, model_version: str, retry: RetryPolicy) -> AsyncVisionEmbedder:
        policies.append(retry)
        return AsyncVisionEmbedder(served.endpoint, "k", model_version=model_version, retry=retry)

    monkeypatch.setattr(AsyncVisionEmbedder, "from_env", from_env)
    assert search(tmp_path, served, TEXT).code == 0
    assert [policy.outage_limit_s for policy in policies] == [0]


@pytest.mark.usefixtures("images")
def test_a_condition_that_nothing_meets_costs_no_call(served: FakeService, tmp_path: Path) -> None:
    """It is counted before the query is embedded."""
    ran = search(tmp_path, served, TEXT, "--where", "year < 0")
    assert (ran.code, ran.out, ran.err, served.calls) == (0, "", "Nothing was found\n", [])


def test_an_empty_file_is_an_error_without_a_call(served: FakeService, tmp_path: Path) -> None:
    """Whoever searches in nothing is told what to give, and nothing is paid for."""
    (content,) = make_images(tmp_path, 1).values()
    write_merged(tmp_path / "m.parquet", np.array([vector_for(content)])[:0])
    for query in (TEXT, "00000-image.jpg"):
        ran = search(tmp_path, served, query, "--images=.", "--sheet=s.png")
        assert (ran.code, ran.out) == (2, "")
        assert "m.parquet holds no images: give the .parquet file" in ran.err
        assert not (tmp_path / "s.png").exists()
    assert served.calls == []


async def test_a_name_that_is_not_utf8_is_found_and_drawn(tmp_path: Path) -> None:
    """By its text, and by its bytes as a shell passes them to a process."""
    (content,) = make_images(tmp_path / "made", 1).values()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "caf\udce9.jpg").write_bytes(content)
    vectors = np.array([vector_for(b"a"), vector_for(b"b")])
    write_merged(tmp_path / "m.parquet", vectors, image_file=pa.array(["caf//e9.jpg", "../b.jpg"]))
    for query in ("caf//e9.jpg", "caf\udce9.jpg"):
        ran = await cli(
            *("search", query, "--vectors=m.parquet", "--images=images", "--sheet=s.png", "--json"),
            cwd=tmp_path,
        )
        assert found(ran) == ["../b.jpg"]


def test_values_of_any_kind_are_printed_as_json(tmp_path: Path) -> None:
    """Dates, decimals, bytes, what is no number, nothing; a column called score does not hide ours."""
    day, noon = dt.date(1872, 11, 13), dt.datetime(1872, 11, 13, 12, tzinfo=dt.UTC)
    columns = {
        "score": pa.array(["a", None]),
        "when": pa.array([noon, noon], pa.timestamp("ns", "UTC")),
        "day": pa.array([day, day]),
        "took": pa.array([dt.timedelta(hours=1)] * 2),
        "price": pa.array([1, 2], pa.decimal128(10, 2)),
        "digest": pa.array([b"\x00\xff"] * 2),
        "height": pa.array([float("nan"), float("nan")]),
        "width": pa.array([float("inf"), float("-inf")]),
        "tags": pa.array([["a", None], ["b"]]),
        "place": pa.array([{"lat": 1.5}, {"lat": None}]),
        "large": pa.array([2**64 - 1] * 2, pa.uint64()),
    }
    vectors = np.array([vector_for(b"a"), vector_for(b"b")])
    write_merged(tmp_path / "m.parquet", vectors, **columns)
    ran = search(tmp_path, None, "0.jpg", "--json")
    assert not {"NaN", "Infinity"} & set(re.findall(r"\w+", ran.out))
    (one,) = json.loads(ran.out)
    assert list(one)[:2] == ["image_file", "score"]
    assert isinstance(one["score"], float)
    assert (one["when"][:10], one["day"], one["took"]) == ("1872-11-13", "1872-11-13", "1:00:00")
    assert (one["digest"], float(one["price"]), one["large"]) == ("00ff", 2, 2**64 - 1)
    assert (one["height"], one["width"], one["tags"], one["place"]) == (None, None, ["b"], {"lat": None})


@pytest.mark.usefixtures("images")
def test_a_text_on_this_machine_is_told_which_words_the_emulator_knows(
    served: FakeService, tmp_path: Path
) -> None:
    """Once, on stderr, and not for an image; the words are the emulator's own."""
    assert set(search_command.EMULATOR_WORDS) == set(COLOUR_WORDS)
    assert search(tmp_path, served, TEXT).err.count("if it is the emulator, a text finds colours only") == 1
    assert "emulator" not in search(tmp_path, served, "00001-image.jpg").err

"""The benchmarks' own tools: none of these tests asserts a speed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image

import nginx
import pacing
import report
import tutorial
from common import answer_with, real_like_vectors, write_pictures
from fake_service import FakeService, error_reply, vector_for
from helpers import make_images

if TYPE_CHECKING:
    from pathlib import Path


def case(peer: str, in_flight: int, ratio: float) -> dict[str, object]:
    """Return a measured case of `throughput.py`."""
    return {
        "peer": peer,
        "input": "bytes",
        "scheme": "http",
        "in_flight": in_flight,
        "images_per_s": 1000 * ratio,
        "images_per_s_to_aiohttp": ratio,
    }


def test_a_goal_is_reached_only_if_all_cases_reach_it() -> None:
    """The worst and the best of ours stand in the table; the others' do not count."""
    cases = [case("stream_images", 32, 1.25), case("embed_images", 256, 0.9), case("httpx", 32, 0.1)]
    lines = report.what_counts({"throughput": cases}).splitlines()
    assert lines[2].endswith("| ≥ 1 × | 0.90 to 1.25 × | **no** |")
    assert report.what_counts({"throughput": cases[:1]}).splitlines()[2].endswith("| 1.25 × | yes |")


def test_what_was_not_measured_is_said_to_be() -> None:
    """No goal is missing because its figure is, and no table breaks."""
    lines = report.what_counts({}).splitlines()
    assert len(lines) == 2 + 16
    assert all(line.endswith("| not measured | – |") for line in lines[2:])
    for make in report.TABLES.values():
        assert "not measured" in make({})


def test_figures_become_a_table() -> None:
    """A line for each peer in a fixed order, a column for each load."""
    made = report.TABLES["speed-from-memory"](
        {"throughput": [case("stream_images", 32, 1.25), case("aiohttp", 32, 1)]}
    )
    assert made.splitlines() == [
        "| client | http, 32 | https, 32 | http, 256 | https, 256 |",
        "| --- | --: | --: | --: | --: |",
        "| hand-written `aiohttp` loop | 1,000 (1.00 ×) | – | – | – |",
        "| **`stream_images`** | 1,250 (1.25 ×) | – | – | – |",
    ]


def test_only_what_stands_between_the_markers_is_made_anew() -> None:
    """And making it again changes nothing."""
    results = {"imports": [{"statement": "import this", "ms": 12.3, "ratio": 0.5}]}
    page = "before\n<!-- table:imports -->\nold\n<!-- end -->\nafter\n"
    made = report.filled(page, results)
    assert made.startswith("before\n<!-- table:imports -->\n| statement |")
    assert made.endswith("| `import this` | 12 | 0.50 × |\n<!-- end -->\nafter\n")
    assert report.filled(made, results) == made


def test_the_pages_have_every_table_and_are_made_of_the_results() -> None:
    """Nobody edits figures by hand."""
    pages = [page.read_text() for page in report.PAGES]
    for name in report.TABLES:
        assert f"<!-- table:{name} -->" in "".join(pages)
    for page in pages:
        assert report.filled(page, json.loads(report.RESULTS.read_text())) == page


def test_both_ways_stand_side_by_side() -> None:
    """A case that only one way has is no comparison; the order is that of time and limit."""
    limit = {"kind": "fixed", "call_s": 0.2, "images": 200}
    cases = [
        {**limit, "way": "here", "rate": 10.0, "lost": 0, "seconds": 20.6},
        {**limit, "way": "tutorial", "rate": 10.0, "lost": 88, "seconds": 11.2},
        {**limit, "way": "tutorial", "rate": 30.0, "lost": 0, "seconds": 11.2},
    ]
    made = report.TABLES["tutorial-limits"]({"tutorial": {"limits": cases}}).splitlines()
    assert made[2:] == ["| 10 a second, fixed window | 0.2 s | 200 | 88 | 11 | 0 | 21 |"]


def pacing_case(limiter: str, *, share: float, late_ms: float = 0.0, refused: int = 0) -> dict[str, object]:
    """Return a measured case of `pacing.py`."""
    return {
        "mode": "known",
        "limiter": limiter,
        "late_ms": late_ms,
        "kind": "sliding",
        "rate": 30.0,
        "share": share,
        "refused": refused,
        "calls": 2000,
    }


def test_only_our_limiter_in_a_calm_loop_counts() -> None:
    """Other limiters, and loops that are late, are compared with it and are no goal of ours."""
    ours = [pacing_case("steady", share=0.991)]
    others = [
        pacing_case("steady", share=0.9, late_ms=10, refused=1),
        pacing_case("plain", share=0.45, refused=1000),
    ]
    assert report.what_counts({"pacing": ours + others}) == report.what_counts({"pacing": ours})
    assert report.TABLES["pacing"]({"pacing": ours + others}) == report.TABLES["pacing"]({"pacing": ours})


def test_limiters_stand_side_by_side() -> None:
    """A line for each limit, calm loops first; what was not measured is a dash."""
    cases = [
        pacing_case("fractional", share=0.79, late_ms=10),
        pacing_case("steady", share=0.991),
        pacing_case("plain", share=0.45, refused=1000),
    ]
    made = report.TABLES["limiters"]({"pacing": cases}).splitlines()
    assert made[2:] == [
        "| 30 | 99.1 %, 0 of 2,000 | – | 45.0 %, 1,000 of 2,000 |",
        "| 30, turns up to 10 ms late | – | 79.0 %, 0 of 2,000 | – |",
    ]


def test_a_pause_at_the_end_counts_as_unused() -> None:
    """Else a limiter that sends bursts and is paused between them would seem to use all of the limit."""
    steady = [pacing.Call(number / 10, accepted=True) for number in range(100)]
    assert pacing.share(steady, 10.0, 2.0, 10.0) == pytest.approx(1)
    assert pacing.share(steady, 10.0, 2.0, 18.0) == pytest.approx(0.5, abs=0.02)
    assert pacing.share([], 10.0, 2.0, 10.0) == 0


async def test_the_script_does_as_the_tutorial_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is left out without a second call; a second run begins anew."""
    images = make_images(tmp_path / "images", 4)
    tutorial.write_dataset(tmp_path / "images", tmp_path)
    monkeypatch.chdir(tmp_path)
    async with FakeService() as service:
        service.script.append(error_reply(429))
        await asyncio.to_thread(tutorial.script, service.endpoint, tmp_path / "images")
        assert tutorial.rows_in(tmp_path / "dataset_embeddings.csv") == 3
        await asyncio.to_thread(tutorial.script, service.endpoint, tmp_path / "images")
        assert len(service.calls) == 8
    table = pd.read_csv("dataset_embeddings.csv", sep="\t")
    assert list(table.columns) == ["image_file", "title", "vector"]
    for name, vector in zip(table["image_file"], table["vector"], strict=True):
        assert json.loads(vector) == vector_for(images[name]).tolist()


def test_nginx_takes_our_configuration(tmp_path: Path) -> None:
    """Where there is one."""
    try:
        command = nginx.command(tmp_path)
    except SystemExit:
        pytest.skip("there is no nginx")
    nginx.write_configuration(tmp_path)
    told = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_a_missing_nginx_is_said_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that installs it, and the exit code of wrong usage."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SystemExit) as stopped:
        nginx.command(tmp_path)
    assert stopped.value.code == 2
    assert "apt install nginx-light" in capsys.readouterr().err


def test_pictures_are_real_differ_and_are_as_large_as_told(tmp_path: Path) -> None:
    """Each is read as an image, and no two have the same content."""
    write_pictures(tmp_path / "images", 4)
    paths = list((tmp_path / "images").iterdir())
    assert len({path.read_bytes() for path in paths}) == 4
    for path in paths:
        assert 10_000 < path.stat().st_size < 20_000
        with Image.open(path) as image:
            image.load()


def test_the_answer_is_as_long_as_the_service_s() -> None:
    """1024 numbers in about 10.8 kB."""
    answer = answer_with(real_like_vectors(1)[0])
    assert len(json.loads(answer)["vector"]) == 1024
    assert 10_000 < len(answer) < 11_500

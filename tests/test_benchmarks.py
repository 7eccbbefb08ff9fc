"""The benchmarks' own tools: none of these tests asserts a speed."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import nginx
import report
from common import answer_with, real_like_vectors, write_pictures

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
    assert len(lines) == 2 + 15
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


def test_the_page_has_every_table_and_is_made_of_the_results() -> None:
    """Nobody edits figures by hand."""
    page = report.PAGE.read_text()
    for name in report.TABLES:
        assert f"<!-- table:{name} -->" in page
    assert report.filled(page, json.loads(report.RESULTS.read_text())) == page


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

"""The embed command: what it counts, what it says, and what its options reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from command_in_process import cli_here
from fake_service import error_reply
from helpers import make_images

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService

EMBED = ("embed", "images", "--checkpoint", "ck")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "90 images: 0 done, 0 failed before, 90 to do, up to 1 minute at 10 a second\n"),
        (("--requests-per-second=0.5",), ", 90 to do, up to 3 minutes at 0.5 a second\n"),
        (("--requests-per-second=auto",), ", 90 to do\n"),
    ],
)
def test_a_dry_run_says_how_long_it_would_take(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    """At a rate that is known."""
    make_images(tmp_path / "images", 90)
    assert cli_here(*EMBED, "--dry-run", *options, cwd=tmp_path).out.endswith(says)


def test_a_dry_run_counts_as_the_run_would(served: FakeService, tmp_path: Path) -> None:
    """Of the metadata only, failures apart, and again with --retry-failed."""
    names = list(make_images(tmp_path / "images", 4))
    (tmp_path / "images" / names[0]).write_bytes(b"")
    (tmp_path / "meta.csv").write_text("\n".join(["image_file", *names[:3], ""]))
    assert cli_here(*EMBED, cwd=tmp_path, service=served).code == 3
    counts = {}
    for options in ((), ("--metadata=meta.csv",), ("--metadata=meta.csv", "--retry-failed")):
        plan = json.loads(cli_here(*EMBED, "--dry-run", "--json", *options, cwd=tmp_path).out)
        counts[options] = plan["total"], plan["already_done"], plan["failed"], plan["to_do"]
    assert list(counts.values()) == [(4, 3, 1, 0), (3, 2, 1, 0), (3, 2, 0, 1)]
    ran = cli_here(*EMBED, "--dry-run", "--model-version=2022-04-11", cwd=tmp_path)
    assert ran.code == 6


def test_failures_are_listed_of_those_that_were_asked_for(served: FakeService, tmp_path: Path) -> None:
    """An earlier run's others are not."""
    names = list(make_images(tmp_path / "images", 3))
    for name in names[:2]:
        (tmp_path / "images" / name).write_bytes(b"")
    assert cli_here(*EMBED, cwd=tmp_path, service=served).code == 3
    (tmp_path / "meta.csv").write_text(f"image_file\n{names[0]}\n{names[2]}\n")
    ran = cli_here(*EMBED, "--metadata=meta.csv", cwd=tmp_path, service=served)
    assert (ran.code, names[0] in ran.err, names[1] in ran.err) == (3, True, False)
    assert ran.err.splitlines()[-1].startswith("1 failed; ck/failures.parquet lists them")


def test_a_folder_without_an_image_is_said_to_be_one(served: FakeService, tmp_path: Path) -> None:
    """With what would count as an image."""
    (tmp_path / "images").mkdir()
    ran = cli_here(*EMBED, cwd=tmp_path, service=served)
    assert (ran.code, "No images found in images; accepted are .bmp, .gif" in ran.err) == (0, True)


def test_calls_in_flight_are_as_many_as_are_asked_for(served: FakeService, tmp_path: Path) -> None:
    """One at a time has one connection."""
    make_images(tmp_path / "images", 20)
    served.latency_s = 0.01
    options = ("--requests-per-second=1000", "--max-in-flight=1")
    assert cli_here(*EMBED, *options, cwd=tmp_path, service=served).code == 0
    assert (len(served.calls), served.most_connections) == (20, 1)


def test_a_highest_rate_goes_with_auto_only(served: FakeService, tmp_path: Path) -> None:
    """It is no rate of its own, and auto is no bound."""
    make_images(tmp_path / "images", 2)
    ran = cli_here(*EMBED, "--max-requests-per-second=5", cwd=tmp_path, service=served)
    assert (ran.code, "auto" in ran.err) == (2, True)
    ran = cli_here(*EMBED, "--max-requests-per-second=auto", cwd=tmp_path, service=served)
    assert (ran.code, "'auto' is not a rate" in ran.err) == (2, True)
    assert served.calls == []
    options = ("--requests-per-second=auto", "--max-requests-per-second=5")
    assert cli_here(*EMBED, *options, cwd=tmp_path, service=served).code == 0


@pytest.mark.parametrize("rate", ["0.001", "1000000"])
def test_the_bounds_of_a_rate_are_rates(tmp_path: Path, rate: str) -> None:
    """What is beyond them is not."""
    (tmp_path / "images").mkdir()
    for beyond, code in (("", 0), ("1", 2)):
        text = f"{rate}{beyond}" if rate == "1000000" else f"{rate[:2]}{beyond and 0}{rate[2:]}"
        assert cli_here(*EMBED, "--dry-run", f"--requests-per-second={text}", cwd=tmp_path).code == code, text


def test_a_report_is_in_words_too(served: FakeService, tmp_path: Path) -> None:
    """How many of each, calls and retries."""
    make_images(tmp_path / "images", 3)
    served.script.append(error_reply(429, retry_after="0"))
    ran = cli_here(*EMBED, "--requests-per-second=1000", cwd=tmp_path, service=served)
    says = "3 images: 3 embedded now, 0 done before, 0 failed; 4 calls, 1 of them retries, in "
    assert (ran.code, ran.out.startswith(says)) == (0, True), ran.out


@pytest.mark.parametrize(
    "endpoint", ["https://me@a.cognitiveservices.azure.com", "http://example.org", "a.com"]
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_dry_run_refuses_the_address_that_the_run_would(
    tmp_path: Path, endpoint: str, options: tuple[str, ...]
) -> None:
    """In the same sentence; without an address it plans all the same."""
    make_images(tmp_path / "images", 1)
    ran = cli_here(*EMBED, *options, cwd=tmp_path, endpoint=endpoint)
    assert (ran.code, ran.err.startswith("Error: the endpoint")) == (2, True)
    assert cli_here(*EMBED, "--dry-run", cwd=tmp_path).code == 0


def test_many_failures_are_told_by_reason_first(served: FakeService, tmp_path: Path) -> None:
    """With how many each has; then five by name, or all with --verbose."""
    names = list(make_images(tmp_path / "images", 8))
    for name in names[:6]:
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "images" / names[6]).write_bytes(b"no image at all")
    for options, named in (((), 5), (("--verbose",), 7)):
        ran = cli_here(*EMBED, *options, cwd=tmp_path, service=served)
        told = [line for line in ran.err.splitlines() if " embedding: " not in line]
        assert ran.code == 3
        assert [line.split(":")[0] for line in told[:2]] == ["6 failed", "1 failed"], told
        assert len([line for line in told if line.startswith("  ")]) == named


def test_quiet_shows_failures_and_the_result_alone(served: FakeService, tmp_path: Path) -> None:
    """Nothing of a run in which all went well but its result."""
    names = list(make_images(tmp_path / "images", 3))
    ran = cli_here(*EMBED, "--quiet", cwd=tmp_path, service=served)
    assert (ran.code, ran.err, ran.out.startswith("3 images: 3 embedded now")) == (0, "", True)
    (tmp_path / "images" / names[0]).write_bytes(b"")
    ran = cli_here(*EMBED, "--quiet", cwd=tmp_path, service=served)
    assert (ran.code, len(ran.err.splitlines())) == (3, 2)


def test_a_highest_rate_without_auto_is_told_by_the_names_of_the_options(tmp_path: Path) -> None:
    """Not by those of the Python parameters."""
    ran = cli_here(*EMBED, "--max-requests-per-second=5", cwd=tmp_path, endpoint="http://127.0.0.1:1")
    assert "--max-requests-per-second works only with --requests-per-second=auto" in ran.err


def test_what_is_skipped_is_said_by_kind_in_the_plan_and_at_the_end(
    served: FakeService, tmp_path: Path
) -> None:
    """In words and as JSON; options say what is taken and what is left out."""
    make_images(tmp_path / "images", 2)
    make_images(tmp_path / "images" / ".hidden", 1)
    make_images(tmp_path / "images" / "drafts", 1)
    for name in ("a.heic", "b.heic", "c.CR2"):
        (tmp_path / "images" / name).touch()
    for options in (("--dry-run",), ()):
        ran = cli_here(*EMBED, *options, "--exclude=drafts", cwd=tmp_path, service=served)
        assert (ran.code, ran.out.startswith("2 images: ")) == (0, True)
        assert "Skipped: 2 .heic, " in ran.err
        assert all(kind in ran.err for kind in ("1 .cr2", "1 hidden folder", "1 excluded"))
    report = json.loads(cli_here(*EMBED, "--json", "--include-hidden", cwd=tmp_path, service=served).out)
    assert (report["total"], report["skipped"]) == (4, {".heic": 2, ".cr2": 1})
    assert cli_here(*EMBED, "--exclude=.hidden", "--exclude=drafts", cwd=tmp_path, service=served).code == 0
    assert len(pd.read_parquet(tmp_path / "ck" / "vectors")) == 4  # what is left out now is not lost
    assert cli_here(*EMBED, "--exclude=/", cwd=tmp_path, service=served).code == 2


_WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
_WITHOUT_PRIVILEGES += ["--inh-caps=-dac_override,-dac_read_search"]


def test_a_folder_that_may_not_be_read_is_named_and_the_run_ends_with_3(
    served: FakeService, tmp_path: Path
) -> None:
    """All else is done. Root may read everything, so it gives that up first."""
    make_images(tmp_path / "images", 2)
    (tmp_path / "images" / "lost+found").mkdir()
    (tmp_path / "images" / "lost+found").chmod(0)
    is_root = os.geteuid() == 0
    if is_root and shutil.which("setpriv") is None:
        pytest.skip("root reads every folder, and setpriv is not there to give that up")
    ran = subprocess.run(
        [*(_WITHOUT_PRIVILEGES if is_root else []), sys.executable, "-m", "semart_vectors", *EMBED],
        cwd=tmp_path,
        env={**os.environ, "VISION_ENDPOINT": served.endpoint, "VISION_KEY": "k"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert ran.stdout.startswith("2 images: 2 embedded now")
    assert ran.stderr.count("the folder lost+found cannot be read: Permission denied") == 1
    assert "1 folder could not be read: lost+found;" in ran.stderr


def test_images_that_are_named_and_not_there_are_said_by_the_plan_and_by_the_run(
    served: FakeService, tmp_path: Path
) -> None:
    """A plan counts them apart; a run says how many there are, and records each."""
    names = list(make_images(tmp_path / "images", 3))
    (tmp_path / "meta.csv").write_text("\n".join(["image_file", *names, "gone.jpg", "lost.jpg", ""]))
    ran = cli_here(*EMBED, "--metadata=meta.csv", "--dry-run", cwd=tmp_path)
    assert ran.out.startswith("5 images: 0 done, 0 failed before, 2 missing, 3 to do, up to 1 minute")
    ran = cli_here(*EMBED, "--metadata=meta.csv", cwd=tmp_path, service=served)
    assert (ran.code, len(served.calls)) == (3, 3)
    assert "2 of the 5 images named are not in images" in ran.err

"""The duplicates command as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from command_in_process import cli_here
from helpers import make_images
from merged import write_merged

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make six pictures, of which the second and third are like the first, and the last equals the fourth."""
    vectors = np.random.default_rng(0).normal(size=(6, 1024)).astype(np.float32)
    vectors[1:3] = vectors[0] + np.array([[0.2], [0.1]], np.float32) * vectors[1:3]
    vectors[5] = vectors[3]
    write_merged(tmp_path / "m.parquet", vectors, image_file=list(make_images(tmp_path / "images", 6)))
    return tmp_path


def test_each_line_is_a_picture_with_its_cosine_and_a_gap_ends_a_group(folder: Path) -> None:
    """Four digits; 1.0000 is kept for equal vectors."""
    ran = cli_here("duplicates", "m.parquet", cwd=folder)
    first, second = (group.splitlines() for group in ran.out.split("\n\n"))
    assert [len(first), len(second)] == [3, 2]
    assert [line.split("  ")[0] for line in second] == ["1.0000", "1.0000"]
    assert first[1].startswith("0.99")
    assert "5 of 6 pictures are in 2 groups of like ones" in ran.err
    assert ran.code == 0


def test_as_json_it_is_a_list_of_groups_of_images(folder: Path) -> None:
    """With full precision, and nothing else on stdout."""
    ran = cli_here("duplicates", "m.parquet", "--json", "--threshold", "1", cwd=folder)
    (group,) = json.loads(ran.out)
    assert list(group) == ["images"]
    assert [set(image) for image in group["images"]] == [{"image_file", "score"}] * 2
    assert [image["score"] for image in group["images"]] == [1.0, 1.0]


def test_no_duplicates_is_a_sentence_and_no_error(folder: Path) -> None:
    """JSON stays a list."""
    vectors = np.eye(3, 1024, dtype=np.float32)
    write_merged(folder / "m.parquet", vectors)
    ran = cli_here("duplicates", "m.parquet", "--json", cwd=folder)
    assert (ran.code, ran.out) == (0, "[]\n")
    assert "No two of 3 pictures have a cosine of 0.97 or more" in ran.err


def test_the_sheet_has_a_row_for_each_group_and_is_named(folder: Path) -> None:
    """What it wrote is said; where it cannot be written, that is said before the work."""
    ran = cli_here("duplicates", "m.parquet", "--sheet=s.png", "--images=images", cwd=folder)
    assert "5 pictures drawn on s.png" in ran.err
    with Image.open(folder / "s.png") as sheet:
        assert sheet.height > 2 * 248
    for wrong in (["--sheet=s.jpg", "--images=images"], ["--sheet=s.png"]):
        ran = cli_here("duplicates", "missing.parquet", *wrong, cwd=folder)
        assert (ran.code, "--sheet" in ran.err) == (2, True)


def test_a_checkpoint_will_do(served: FakeService, tmp_path: Path) -> None:
    """Its pictures need no metadata: two of four have the same content."""
    make_images(tmp_path / "images", 3)
    (tmp_path / "images" / "copy.jpg").write_bytes((tmp_path / "images" / "00001-image.jpg").read_bytes())
    assert cli_here("embed", "images", "--checkpoint=ck", cwd=tmp_path, service=served).code == 0
    (group,) = json.loads(cli_here("duplicates", "ck", "--json", cwd=tmp_path).out)
    assert {image["image_file"] for image in group["images"]} == {"00001-image.jpg", "copy.jpg"}

"""What status and merge say in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_in_process import cli_here
from helpers import make_images
from semart_vectors.checkpoint.store import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService


def embedded(folder: Path, service: FakeService, count: int) -> list[str]:
    """Embed some images in a folder, and return their names."""
    names = list(make_images(folder / "images", count))
    ran = cli_here("embed", "images", "--checkpoint=ck", cwd=folder, service=service)
    assert ran.code == 0
    return names


def test_status_says_how_far_a_job_is_and_whether_one_writes(served: FakeService, tmp_path: Path) -> None:
    """Done, failed, asked for; and that it is in use, as long as it is."""
    embedded(tmp_path, served, 3)
    says = "3 images done with model 2023-04-15, 0 failed; the last run covered 3"
    assert cli_here("status", "ck", cwd=tmp_path).out == f"{says}\n"
    with Checkpoint.open(tmp_path / "ck", model_version="2023-04-15"):
        assert cli_here("status", "ck", cwd=tmp_path).out == f"{says}; a job is writing to it now\n"


def test_merge_names_what_lacks_its_other_half(served: FakeService, tmp_path: Path) -> None:
    """Rows without a vector, and vectors without a row."""
    names = embedded(tmp_path, served, 8)
    (tmp_path / "meta.csv").write_text(f"image_file\n{names[0]}\nlost.jpg\n")
    ran = cli_here("merge", "meta.csv", "ck", "-o", "all.parquet", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "1 images with their vectors written to all.parquet\n")
    assert ran.err.splitlines() == [
        "1 rows of the metadata have no vector and were left out: lost.jpg",
        f"7 vectors have no row in the metadata and were left out: {', '.join(names[1:6])} and 2 more",
    ]

"""A merge without metadata: names, vectors and what is known of the pictures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from command_in_process import cli_here
from merged import vectors_of
from semart_vectors import Gallery, merge_vectors
from semart_vectors.errors import ConfigurationError
from written_checkpoints import checkpoint, entries

if TYPE_CHECKING:
    from pathlib import Path


def test_names_and_folders_are_what_a_checkpoint_alone_tells(tmp_path: Path) -> None:
    """In the order of the names, whatever order the vectors arrived in."""
    path = checkpoint(tmp_path / "ck", entries("b/2.webp", "b/c/1.JPG"), entries("a.png", seed=1))
    ran = cli_here("merge", "ck", "-o", "all.parquet", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    gallery = Gallery.open(tmp_path / "all.parquet")
    assert gallery.columns() == {
        "image_file": ["a.png", "b/2.webp", "b/c/1.JPG"],
        "folder": ["", "b", "b/c"],
        "format": ["png", "webp", "jpeg"],
    }
    assert gallery.vectors[1:].tobytes() == vectors_of(2).tobytes()
    assert merge_vectors(None, path, tmp_path / "all.csv").without_vector == ()


def test_the_files_add_size_and_camera_date(tmp_path: Path) -> None:
    """What a file does not say, or that is gone, is null; a broken one has its size all the same."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:31 18:02:11"
    Image.new("RGB", (40, 30)).save(tmp_path / "dated.jpg", exif=exif)
    Image.new("RGB", (20, 10)).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8")
    path = checkpoint(tmp_path / "ck", entries("dated.jpg", "plain.png", "broken.jpg", "gone.jpg"))
    assert cli_here("merge", path, "--images", ".", "-o", "all.parquet", cwd=tmp_path).code == 0
    rows = {row.pop("image_file"): row for row in _rows(tmp_path / "all.parquet")}
    size = (tmp_path / "dated.jpg").stat().st_size
    assert rows["dated.jpg"] == _known(size, 40, 30, datetime(2024, 5, 31, 18, 2, 11))  # noqa: DTZ001 - EXIF has no zone
    assert rows["plain.png"] == _known((tmp_path / "plain.png").stat().st_size, 20, 10, None)
    assert rows["broken.jpg"] == _known(2, None, None, None)
    assert rows["gone.jpg"] == _known(None, None, None, None)


def test_images_go_without_metadata_only(tmp_path: Path) -> None:
    """With a table its columns say what there is; a folder that is none, or no vectors, are told first."""
    path = checkpoint(tmp_path / "ck", entries("a.jpg"))
    pd.DataFrame({"image_file": ["a.jpg"]}).to_parquet(tmp_path / "m.parquet")
    ran = cli_here("merge", "m.parquet", "ck", "--images", ".", "-o", "all.parquet", cwd=tmp_path)
    assert (ran.code, "--images works only without METADATA" in ran.err) == (2, True)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        merge_vectors(None, path, tmp_path / "o.parquet", images_dir=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="holds no vectors yet"):
        merge_vectors(None, checkpoint(tmp_path / "empty"), tmp_path / "o.parquet")


def _rows(path: Path) -> list[dict[str, object]]:
    columns = ["image_file", "size_bytes", "width_px", "height_px", "taken"]
    rows: list[dict[str, object]] = pq.read_table(path, columns=columns).to_pylist()
    return rows


def _known(
    size: int | None, width: int | None, height: int | None, taken: datetime | None
) -> dict[str, object]:
    return {"size_bytes": size, "width_px": width, "height_px": height, "taken": taken}

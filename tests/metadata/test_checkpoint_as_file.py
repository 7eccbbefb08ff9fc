"""A checkpoint wherever a merged file is taken: its names and vectors once each, in mid-run too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from command_in_process import cli_here
from merged import query, vectors_of
from semart_vectors import Gallery
from semart_vectors.checkpoint.image_records import Failed
from semart_vectors.errors import CheckpointDamagedError, VectorFileError
from semart_vectors.metadata.export import export_vectors
from written_checkpoints import checkpoint, entries

if TYPE_CHECKING:
    from pathlib import Path


def test_a_checkpoint_is_searched_and_exported_like_a_merged_file(tmp_path: Path) -> None:
    """Its vectors bit for bit; of each picture the folder and the format that its name tells."""
    names = ["a/b/1.jpg", "a/2.PNG", "3.tif"]
    done = entries(*names)
    path = checkpoint(tmp_path / "ck", done[:2], done[2:])
    gallery = Gallery.open(path)
    assert gallery.columns() == {
        "image_file": names,
        "folder": ["a/b", "a", ""],
        "format": ["jpeg", "png", "tiff"],
    }
    assert gallery.vectors.tobytes() == vectors_of(3).tobytes()
    assert gallery.search(query(done[1].vector), k=1)[0].image_file == "a/2.PNG"
    assert export_vectors(path, tmp_path / "v.npy") == 3
    assert np.load(tmp_path / "v.npy").tobytes() == vectors_of(3).tobytes()


def test_of_a_running_job_each_name_is_read_once_with_its_newest_vector(tmp_path: Path) -> None:
    """What a journal holds counts before what a part holds of the same name, and so does a later part."""
    new, journalled = entries("b", seed=1), entries("c", "d", seed=2)
    gallery = Gallery.open(
        checkpoint(
            tmp_path / "ck", entries("a", "b", "c"), new, journal=[*journalled, Failed("e", "X", "x", 1, 0)]
        )
    )
    assert gallery.image_files == ["a", "b", "c", "d"]
    assert np.array_equal(gallery.embedding("b").vector, new[0].vector)
    assert np.array_equal(gallery.embedding("c").vector, journalled[0].vector)


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    """A changed byte ends a search with exit code 6, as it ends every other use of the checkpoint."""
    path = checkpoint(tmp_path / "ck", entries("a.jpg"))
    part = path / "vectors" / "part-000001.parquet"
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    with pytest.raises(CheckpointDamagedError, match="part-000001"):
        Gallery.open(path)
    assert cli_here("export", "ck", "-o", "v.npy", cwd=tmp_path).code == 6


@pytest.mark.parametrize("command", ["search", "map", "export", "load"])
def test_nothing_to_show_is_an_error_with_what_to_do(command: str, tmp_path: Path) -> None:
    """A checkpoint without a vector, and a folder that is no checkpoint, in every command that takes one."""
    empty = checkpoint(tmp_path / "ck")
    more = {
        "search": ["x.jpg", "--vectors"],
        "map": ["--images", ".", "-o", "m.png"],
        "export": ["-o", "v.npy"],
        "load": ["--postgres", "postgresql://127.0.0.1:9/none"],
    }[command]
    for path, says in (
        (empty, "holds no vectors yet: run `semart-vectors embed`"),
        (tmp_path, "no checkpoint"),
    ):
        arguments = [*more, str(path)] if command == "search" else [str(path), *more]
        ran = cli_here(command, *arguments, cwd=tmp_path)
        assert (ran.code, ran.out) == (2, "")
        assert says in ran.err


def test_a_folder_of_pictures_is_no_checkpoint(tmp_path: Path) -> None:
    """It is told so, rather than that it is damaged."""
    with pytest.raises(VectorFileError, match="no checkpoint: give one that"):
        Gallery.open(tmp_path)

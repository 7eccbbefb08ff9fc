"""Vectors as .npy, and their names beside them: equal to the merged file's, and never of two exports."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from command_line import cli
from merged import NAMES, merged, table_of, vectors_of
from semart_vectors import files
from semart_vectors.errors import ConfigurationError, VectorFileError
from semart_vectors.metadata import vector_file
from semart_vectors.metadata.export import export_vectors

if TYPE_CHECKING:
    from pathlib import Path


def names_in(path: Path) -> list[str]:
    """Read names as the documentation says."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_vectors_and_names_are_those_of_the_merged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, in its order, names with newlines too; blocks join without a seam."""
    monkeypatch.setattr(vector_file, "BLOCK_ROWS", 4)
    vectors = vectors_of(len(NAMES))
    (tmp_path / "out").mkdir()
    assert export_vectors(merged(tmp_path, vectors), tmp_path / "out" / "v.npy") == len(NAMES)
    read = np.load(tmp_path / "out" / "v.npy", mmap_mode="r")
    assert (read.dtype, read.shape, read.tobytes()) == (np.float32, (6, 1024), vectors.tobytes())
    assert names_in(tmp_path / "out" / "v.jsonl") == NAMES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["v.jsonl", "v.npy"]


def test_vectors_never_stand_beside_the_names_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends halfway leaves the earlier one whole; one that ends between its files, none."""
    path, output = merged(tmp_path, vectors_of(3)), tmp_path / "v.npy"
    export_vectors(path, output)
    before = output.read_bytes()
    other = merged(tmp_path, vectors_of(3, seed=1), table=table_of(NAMES[3:]))

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(vector_file.VectorFile, "blocks", cut)
        with pytest.raises(KeyboardInterrupt):
            export_vectors(other, output)
    assert (output.read_bytes(), names_in(tmp_path / "v.jsonl")) == (before, NAMES[:3])

    with monkeypatch.context() as patched:

        def stop(path: Path) -> None:
            if ".npy." in path.name:
                raise KeyboardInterrupt

        patched.setattr(files, "sync", stop)
        with pytest.raises(KeyboardInterrupt):
            export_vectors(other, output)
    assert (output.exists(), names_in(tmp_path / "v.jsonl")) == (False, NAMES[3:])


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    """Damage, other names, other files, no folder."""
    path = merged(tmp_path, vectors_of(3))
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "names.jsonl").mkdir()
    for output, reason in {
        "v.npz": "must end with .npy",
        "folder.npy": "folder.npy: it is a folder",
        "names.npy": "names.jsonl: it is a folder",
    }.items():
        with pytest.raises(ConfigurationError, match=re.escape(reason)):
            export_vectors(path, tmp_path / output)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(VectorFileError, match="cannot read"):
        export_vectors(path, tmp_path / "v.npy")
    assert not (tmp_path / "v.npy").exists()


async def test_export_from_the_command_line(tmp_path: Path) -> None:
    """It says what went where."""
    await asyncio.to_thread(merged, tmp_path, vectors_of(3))
    ran = await cli("export", "paintings.parquet", "-o", "v.npy", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "3 vectors written to v.npy, their names to v.jsonl\n")
    ran = await cli("export", "missing.parquet", "-o", "v.npy", cwd=tmp_path)
    assert (ran.code, "missing.parquet" in ran.err) == (2, True)

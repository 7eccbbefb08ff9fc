"""Vectors read back from parts by their content, for images that have a known content under a new name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semart_vectors.checkpoint.parquet import opened

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.records import Vector


class VectorReader:
    """Reads vectors by content; remembers the contents of the last part, and one row group of vectors."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._rows: dict[str, int] = {}
        self._group_ends = np.empty(0, np.int64)
        self._group = -1
        self._vectors: dict[str, tuple[Any, str]] = {}

    def read(self, path: Path, content_sha256: bytes) -> tuple[Vector, str] | None:
        """Return the vector of this very content, and its repairs; None if the part does not hold it.

        Raises:
            CheckpointDamagedError: the part, or the row group, is damaged.
            DiskError: it cannot be read.
        """
        if path != self._path:
            self._open(path)
        sha256 = content_sha256.hex()
        row = self._rows.get(sha256)
        if row is None:
            return None
        group = int(np.searchsorted(self._group_ends, row, side="right"))
        if group != self._group:
            self._read_group(path, group)
        found = self._vectors.get(sha256)  # not by its row: rows may have left the part since it was opened
        if found is None:
            return None
        vector: Vector = found[0].values.to_numpy()
        return vector, found[1]

    def forget(self) -> None:
        """Read anew next time: rows have left their parts."""
        self._path = None

    def _open(self, path: Path) -> None:
        self._path, self._group, self._vectors = None, -1, {}
        with opened(path) as part:
            contents = part.read(["content_sha256"], use_threads=False)["content_sha256"].to_pylist()
            sizes = [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]
        self._rows = {sha256: row for row, sha256 in enumerate(contents)}
        self._group_ends = np.cumsum(sizes)
        self._path = path

    def _read_group(self, path: Path, group: int) -> None:
        self._group, self._vectors = group, {}
        with opened(path) as part:
            if group < part.num_row_groups:
                columns = ["content_sha256", "vector", "repairs"]
                table = part.read_row_group(group, columns, use_threads=False).combine_chunks()
                contents, repairs = (table[name].to_pylist() for name in ("content_sha256", "repairs"))
                self._vectors = dict(zip(contents, zip(table["vector"], repairs, strict=True), strict=True))

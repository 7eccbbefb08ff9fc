"""Vectors as NumPy's own file, for programs that read no Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from semart_vectors.errors import MetadataError
from semart_vectors.files import write_aside
from semart_vectors.metadata.merged_file import open_paintings
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from os import PathLike


def export_vectors(paintings: str | PathLike[str], output: str | PathLike[str]) -> int:
    """Write the vectors of a merged file as ``.npy``, and beside it their names.

    ::

        vectors = np.load("vectors.npy", mmap_mode="r")
        names = [json.loads(line) for line in open("vectors.jsonl", encoding="utf-8")]

    Args:
        paintings: The Parquet file that `merge_vectors` wrote.
        output: A ``.npy`` file: float32, shape (n, 1024), in the order of the merged file. The names go
            beside it as ``.jsonl``: a line for each vector, a JSON string, since a name may hold a newline.

    Returns:
        How many vectors were written.

    Raises:
        MetadataError: the merged file cannot be used, or the output's name or folder.
        DiskError: the disk refused to write.
    """
    output = Path(output)
    if output.suffix != ".npy":
        raise MetadataError(f"{output}: the name must end with .npy")
    if not output.parent.is_dir():
        raise MetadataError(f"cannot write {output}: {output.parent} is not a folder; create it first")
    names_path = output.with_suffix(".jsonl")
    for path in (output, names_path):
        if path.is_dir():
            raise MetadataError(f"cannot write {path}: it is a folder")
    with (
        open_paintings(paintings) as source,
        write_aside(output) as aside,
        write_aside(names_path) as names_aside,
    ):
        with aside.open("wb") as vectors_file, names_aside.open("wb") as names_file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (source.rows, DIMENSION)}
            np.lib.format.write_array_header_1_0(vectors_file, header)
            for columns, vectors, _ in source.blocks():
                vectors_file.write(vectors.astype("<f4", copy=False).data)
                names = columns.column("image_file").to_pylist()
                names_file.writelines(orjson.dumps(name) + b"\n" for name in names)
        # Two files cannot be replaced at once: so vectors never stand beside the names of others.
        output.unlink(missing_ok=True)
    return source.rows

"""Vectors as NumPy's own file, for programs that do not read Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from semart_vectors.errors import ConfigurationError
from semart_vectors.files import write_aside
from semart_vectors.metadata.tables import check_is_writable
from semart_vectors.metadata.vector_file import VectorFile
from semart_vectors.records import DIMENSION

if TYPE_CHECKING:
    from os import PathLike


def export_vectors(path: str | PathLike[str], output: str | PathLike[str]) -> int:
    """Write the vectors of a merged file as ``.npy``, and the names of the images beside it.

    ::

        vectors = np.load("vectors.npy", mmap_mode="r")
        names = [json.loads(line) for line in open("vectors.jsonl", encoding="utf-8")]

    Args:
        path: The Parquet file that `merge_vectors` wrote.
        output: A ``.npy`` file: float32, shape (n, 1024), in the order of the merged file. The names go
            beside it as ``.jsonl``: for each vector a line with a JSON string, as a name may hold a newline.

    Returns:
        How many vectors were written.

    Raises:
        VectorFileError: the merged file cannot be used.
        ConfigurationError: the output has another suffix, or its folder does not exist.
        DiskError: the output cannot be written.
    """
    output = Path(output)
    if output.suffix != ".npy":
        raise ConfigurationError(f"{output}: the name must end with .npy")
    names_path = output.with_suffix(".jsonl")
    for target in (output, names_path):
        check_is_writable(target)
    with (
        VectorFile.open(path) as source,
        write_aside(output) as vectors_aside,
        write_aside(names_path) as names_aside,
    ):
        with vectors_aside.open("wb") as vectors_file, names_aside.open("wb") as names_file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (source.rows, DIMENSION)}
            np.lib.format.write_array_header_1_0(vectors_file, header)
            for columns, vectors, _ in source.blocks():
                vectors_file.write(vectors.astype("<f4", copy=False).data)
                names = columns.column("image_file").to_pylist()
                names_file.writelines(orjson.dumps(name) + b"\n" for name in names)
        # Two files cannot be replaced at once. Without this, new vectors could stand beside old names.
        output.unlink(missing_ok=True)
    return source.rows

"""Import the vectors of a `dataset_embeddings.csv` that the script of the SemArt tutorial wrote.

    VISION_ENDPOINT=… VISION_KEY=… python examples/tutorial_csv.py CSV IMAGES_FOLDER OUTPUT.parquet

The file does not say which model made its vectors, and vectors of two models cannot be compared. So both
models embed three of its paintings, six calls in all; the output is written if one gives the same vectors.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pandas as pd

from semart_vectors import AsyncVisionEmbedder, SemartVectorsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS = ("2022-04-11", "2023-04-15")
SAME = 0.9999
"""The cosine above which two vectors are of the same image; near-duplicates stay below."""


async def model_of(vectors: NDArray[np.float32], images: list[Path]) -> str:
    """Return the model that gives these vectors for these images."""
    for model in MODELS:
        async with AsyncVisionEmbedder.from_env(requests_per_second=5, model_version=model) as embedder:
            batch = await embedder.embed_images(images)
        batch.raise_for_failures()
        lengths = np.linalg.norm(batch.vectors, axis=1) * np.linalg.norm(vectors, axis=1)
        if (np.sum(batch.vectors * vectors, axis=1) / lengths > SAME).all():
            return model
    sys.exit("neither model gives these vectors: embed the paintings again")


def main(csv: Path, images: Path, output: Path) -> None:
    """Write a file as `merge_vectors` does, for `search`, `map`, `load` and `export`."""
    table = pd.read_csv(csv, sep="\t", dtype=str, keep_default_na=False)
    vectors = np.array([orjson.loads(numbers) for numbers in table.pop("vector")], np.float32)
    model = asyncio.run(model_of(vectors[:3], [images / name for name in table["image_file"][:3]]))
    table.assign(vector=list(vectors), model_version=model).to_parquet(output, index=False)
    print(f"{len(table)} paintings of model {model} in {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for argument in ("csv", "images", "output"):
        parser.add_argument(argument, type=Path)
    try:
        main(**vars(parser.parse_args()))
    except (SemartVectorsError, ExceptionGroup, OSError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

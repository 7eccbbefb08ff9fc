"""Embed all images in a folder, and save the vectors with their names as one NumPy file.

    VISION_ENDPOINT=… VISION_KEY=… python examples/embed_folder.py FOLDER OUTPUT.npz

It keeps all vectors in memory, which is fine for some thousand images; for more, see `resume.py`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from semart_vectors import AsyncVisionEmbedder, EmbeddingBatch
from semart_vectors.images.formats import SUFFIXES


async def embed(images: list[Path]) -> EmbeddingBatch:
    """Embed images at ten a second."""
    async with AsyncVisionEmbedder.from_env(requests_per_second=10) as embedder:
        return await embedder.embed_images(images)


def main(folder: Path, output: Path) -> None:
    """Embed the images of a folder, print which failed, and write the vectors of the others."""
    if not folder.is_dir():
        sys.exit(f"there is no folder {folder}")
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not images:
        sys.exit(f"no image is in {folder}; accepted are {', '.join(sorted(SUFFIXES))}")
    batch = asyncio.run(embed(images))
    for failure in batch.failures:
        print(f"{failure.source}: {failure.error}", file=sys.stderr)
    names = [str(Path(str(source)).relative_to(folder)) for source in batch.sources]
    np.savez(output, names=names, vectors=batch.vectors)
    print(f"{len(names)} vectors in {output}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

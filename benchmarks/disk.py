"""Bytes a vector in the checkpoint of a job, and whether every bit of it was kept.

    python benchmarks/disk.py [--quick] [--json FILE]

Vectors like the service's (exact in float16, of length 92), and real ones where they are available.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq

from common import ROOT, answer_with, options_parser, real_like_vectors, write_pictures, write_results
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob

REAL_VECTORS = ROOT.parent / "shared" / "data" / "azure_vectors" / "vectors.json"
"""Not part of the project."""

Vectors = np.ndarray[Any, np.dtype[np.float32]]


async def embed(folder: Path, checkpoint: Path, vectors: Vectors) -> dict[bytes, Vectors]:
    """Run a job whose service answers with these vectors in turn; return each by its image's hash."""
    given: dict[bytes, Vectors] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        vector = vectors[len(given)]
        given[hashlib.sha256(request.content).digest()] = vector
        return httpx.Response(200, content=answer_with(vector))

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        AsyncVisionEmbedder(
            "https://vision.example", "any", requests_per_second=None, http_client=client
        ) as embedder,
    ):
        await EmbeddingJob(embedder, folder, checkpoint=checkpoint, progress=False).run()
    return given


def measure(name: str, vectors: Vectors) -> dict[str, Any]:
    """Store vectors through a job, and compare them with what is on disk."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, checkpoint = Path(temporary, "images"), Path(temporary, "checkpoint")
        write_pictures(folder, len(vectors))
        given = asyncio.run(embed(folder, checkpoint, vectors))
        size = sum(part.stat().st_size for part in (checkpoint / "vectors").glob("*.parquet"))
        table = pq.read_table(checkpoint / "vectors", columns=["content_sha256", "vector"])
        stored = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 1024)
        keys = [
            bytes.fromhex(key) if isinstance(key, str) else key for key in table["content_sha256"].to_pylist()
        ]
        exact = len(keys) == len(vectors) and all(
            given[key].tobytes() == vector.tobytes() for key, vector in zip(keys, stored, strict=True)
        )
    return {
        "vectors": name,
        "count": len(vectors),
        "bytes_a_vector": size / len(vectors),
        "bit_exact": exact,
    }


def main() -> None:
    """Measure both kinds."""
    options = options_parser(__doc__).parse_args()
    results = [measure("like real ones", real_like_vectors(500 if options.quick else 4096))]
    if REAL_VECTORS.exists():
        real = np.array(list(json.loads(REAL_VECTORS.read_text()).values()), dtype=np.float32)
        results.append(measure("real", real))
    write_results(results, options.json)


if __name__ == "__main__":
    main()

"""Turn a collection of images into vectors: at the rate you pay for, resumable, nothing lost.

::

    async with AsyncVisionEmbedder(endpoint, key, requests_per_second=10) as embedder:
        batch = await embedder.embed_images(paths)

Everything is loaded when it is first asked for, so that ``import semart_vectors`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.checkpoint.check import check_checkpoint
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.errors import SemartVectorsError
    from semart_vectors.gallery import Gallery, Match
    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.job import EmbeddingJob
    from semart_vectors.metadata.merge import merge_vectors
    from semart_vectors.metadata.semart import clean_semart
    from semart_vectors.records import Embedding, EmbeddingBatch, EmbeddingFailure, JobReport, MergeReport

    __version__: str

__all__ = [
    "AsyncVisionEmbedder",
    "Embedding",
    "EmbeddingBatch",
    "EmbeddingFailure",
    "EmbeddingJob",
    "Gallery",
    "ImageRepair",
    "JobReport",
    "Match",
    "MergeReport",
    "RetryPolicy",
    "SemartVectorsError",
    "__version__",
    "check_checkpoint",
    "clean_semart",
    "merge_vectors",
]

_HOME = {
    "AsyncVisionEmbedder": "embedder",
    "Embedding": "records",
    "EmbeddingBatch": "records",
    "EmbeddingFailure": "records",
    "EmbeddingJob": "job",
    "Gallery": "gallery",
    "ImageRepair": "images.repair",
    "JobReport": "records",
    "Match": "gallery",
    "MergeReport": "records",
    "RetryPolicy": "calls.retry",
    "SemartVectorsError": "errors",
    "check_checkpoint": "checkpoint.check",
    "clean_semart": "metadata.semart",
    "merge_vectors": "metadata.merge",
}


_MODULES = frozenset(
    {"checkpoint", "embedder", "errors", "gallery", "images", "job", "map", "metadata", "postgres", "records"}
)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        return import_module("importlib.metadata").version("semart-vectors")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

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
    from semart_vectors._retry import RetryPolicy
    from semart_vectors.check import check_checkpoint
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.errors import SemartVectorsError
    from semart_vectors.gallery import Gallery, Match
    from semart_vectors.job import EmbeddingJob
    from semart_vectors.merge import merge_vectors
    from semart_vectors.records import Embedding, EmbeddingBatch, EmbeddingFailure, JobReport, MergeReport
    from semart_vectors.repairs import ImageRepair
    from semart_vectors.semart import clean_semart

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
    "ImageRepair": "repairs",
    "JobReport": "records",
    "Match": "gallery",
    "MergeReport": "records",
    "RetryPolicy": "_retry",
    "SemartVectorsError": "errors",
    "check_checkpoint": "check",
    "clean_semart": "semart",
    "merge_vectors": "merge",
}


_MODULES = frozenset(
    {
        *("errors", "export", "images", "map", "metadata", "names", "pictures", "postgres", "records"),
        *_HOME.values(),
    }
)


def __getattr__(name: str) -> object:
    if name in _MODULES and not name.startswith("_"):
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

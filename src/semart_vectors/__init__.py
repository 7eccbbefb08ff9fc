"""Turn a collection of images into vectors: at the rate you pay for, resumable, nothing lost.

::

    async with AsyncVisionEmbedder(endpoint, key, requests_per_second=10) as embedder:
        batch = await embedder.embed_images(paths)

Everything that a public signature takes or returns is importable from here, and is loaded when it is first
asked for, so that ``import semart_vectors`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semart_vectors.calls.aiohttp_transport import AiohttpTransport
    from semart_vectors.calls.connection import HttpClient
    from semart_vectors.calls.limiter import AdaptiveLimiter, SteadyLimiter
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.checkpoint.check import CheckReport, check_checkpoint
    from semart_vectors.checkpoint.failures import read_failures
    from semart_vectors.checkpoint.image_records import Failed
    from semart_vectors.checkpoint.status import CheckpointStatus, read_status
    from semart_vectors.duplicates import Duplicate, DuplicateGroup, find_duplicates
    from semart_vectors.embedder import AsyncVisionEmbedder, EmbedderOptions
    from semart_vectors.errors import (
        ApiError,
        AuthenticationError,
        BatchError,
        CheckpointDamagedError,
        CheckpointError,
        CheckpointInUseError,
        CheckpointMismatchError,
        ConfigurationError,
        DatabaseError,
        DiskError,
        EndpointError,
        InvalidInputError,
        ItemError,
        MetadataError,
        ModelMismatchError,
        OutOfResourcesError,
        QuotaExceededError,
        RateLimitError,
        RetriesExhaustedError,
        RunError,
        SemartVectorsError,
        ServiceUnavailableError,
        UnreadableImageError,
        VectorFileError,
    )
    from semart_vectors.gallery import Gallery, Match
    from semart_vectors.images.read_image import LoadedImage
    from semart_vectors.images.repair import ImageRepair, RepairedImage
    from semart_vectors.job import EmbeddingJob, JobPlan, plan_job
    from semart_vectors.map.draw import MapReport, draw_map
    from semart_vectors.metadata.export import export_vectors
    from semart_vectors.metadata.merge import merge_vectors
    from semart_vectors.metadata.semart import clean_semart
    from semart_vectors.metadata.tables import read_metadata, write_metadata
    from semart_vectors.pipeline.protocols import Embedder
    from semart_vectors.pipeline.prune import PruneReport, prune_checkpoint
    from semart_vectors.postgres.load import LoadReport, load_vectors
    from semart_vectors.postgres.search import PostgresGallery
    from semart_vectors.records import (
        Embedding,
        EmbeddingBatch,
        EmbeddingFailure,
        ImageSource,
        JobReport,
        MergeReport,
        Outcome,
        Vector,
    )
    from semart_vectors.streams.window import OutcomeStream

    __version__: str

_HOMES = {
    "calls.connection": "HttpClient",
    "calls.limiter": "AdaptiveLimiter SteadyLimiter",
    "calls.retry": "RetryPolicy",
    "calls.aiohttp_transport": "AiohttpTransport",
    "checkpoint.check": "CheckReport check_checkpoint",
    "checkpoint.image_records": "Failed",
    "checkpoint.failures": "read_failures",
    "checkpoint.status": "CheckpointStatus read_status",
    "duplicates": "Duplicate DuplicateGroup find_duplicates",
    "embedder": "AsyncVisionEmbedder EmbedderOptions",
    "errors": (
        "ApiError AuthenticationError BatchError CheckpointDamagedError CheckpointError CheckpointInUseError "
        "CheckpointMismatchError ConfigurationError DatabaseError DiskError EndpointError InvalidInputError "
        "ItemError MetadataError ModelMismatchError OutOfResourcesError QuotaExceededError RateLimitError "
        "RetriesExhaustedError RunError SemartVectorsError ServiceUnavailableError UnreadableImageError "
        "VectorFileError"
    ),
    "gallery": "Gallery Match",
    "images.read_image": "LoadedImage",
    "images.repair": "ImageRepair RepairedImage",
    "job": "EmbeddingJob JobPlan plan_job",
    "map.draw": "MapReport draw_map",
    "metadata.export": "export_vectors",
    "metadata.merge": "merge_vectors",
    "metadata.semart": "clean_semart",
    "metadata.tables": "read_metadata write_metadata",
    "pipeline.protocols": "Embedder",
    "pipeline.prune": "PruneReport prune_checkpoint",
    "postgres.load": "LoadReport load_vectors",
    "postgres.search": "PostgresGallery",
    "records": ("Embedding EmbeddingBatch EmbeddingFailure ImageSource JobReport MergeReport Outcome Vector"),
    "streams.window": "OutcomeStream",
}
"""The module of each name; those of the map and of PostgreSQL need their extras."""

_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AdaptiveLimiter",
    "AiohttpTransport",
    "ApiError",
    "AsyncVisionEmbedder",
    "AuthenticationError",
    "BatchError",
    "CheckReport",
    "CheckpointDamagedError",
    "CheckpointError",
    "CheckpointInUseError",
    "CheckpointMismatchError",
    "CheckpointStatus",
    "ConfigurationError",
    "DatabaseError",
    "DiskError",
    "Duplicate",
    "DuplicateGroup",
    "Embedder",
    "EmbedderOptions",
    "Embedding",
    "EmbeddingBatch",
    "EmbeddingFailure",
    "EmbeddingJob",
    "EndpointError",
    "Failed",
    "Gallery",
    "HttpClient",
    "ImageRepair",
    "ImageSource",
    "InvalidInputError",
    "ItemError",
    "JobPlan",
    "JobReport",
    "LoadReport",
    "LoadedImage",
    "MapReport",
    "Match",
    "MergeReport",
    "MetadataError",
    "ModelMismatchError",
    "OutOfResourcesError",
    "Outcome",
    "OutcomeStream",
    "PostgresGallery",
    "PruneReport",
    "QuotaExceededError",
    "RateLimitError",
    "RepairedImage",
    "RetriesExhaustedError",
    "RetryPolicy",
    "RunError",
    "SemartVectorsError",
    "ServiceUnavailableError",
    "SteadyLimiter",
    "UnreadableImageError",
    "Vector",
    "VectorFileError",
    "__version__",
    "check_checkpoint",
    "clean_semart",
    "draw_map",
    "export_vectors",
    "find_duplicates",
    "load_vectors",
    "merge_vectors",
    "plan_job",
    "prune_checkpoint",
    "read_failures",
    "read_metadata",
    "read_status",
    "write_metadata",
]

_PARTS = frozenset({name.partition(".")[0] for name in _HOMES} | {"search", "service"})


def __getattr__(name: str) -> object:
    if name in _PARTS:
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

"""A job as many tests run it: images in ``images``, the checkpoint in ``ck`` beside it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fake_service import vector_for
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, JobReport
from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.checkpoint.status import CheckpointStatus, read_status

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.checkpoint.image_records import Failed


async def run(embedder: AsyncVisionEmbedder, folder: Path, *, retry_failed: bool = False) -> JobReport:
    """Run a job over the images in `folder`, and check that its report adds up."""
    job = EmbeddingJob(embedder, folder / "images", checkpoint=folder / "ck", retry_failed=retry_failed)
    report = await job.run()
    assert report.embedded + report.already_done + report.failed == report.total
    return report


async def status(folder: Path) -> CheckpointStatus:
    """Tell how far the checkpoint is."""
    return await asyncio.to_thread(read_status, folder / "ck")


async def failures(folder: Path) -> list[Failed]:
    """List what the checkpoint says has failed."""
    return await asyncio.to_thread(read_failures, folder / "ck")


def check_vectors(folder: Path, images: dict[str, bytes]) -> None:
    """Check that exactly these images are done, each with its own vector, each once."""
    table = pd.read_parquet(folder / "ck" / "vectors")
    assert sorted(table["image_file"]) == sorted(images)
    for name, vector in zip(table["image_file"], table["vector"], strict=True):
        np.testing.assert_array_equal(vector, vector_for(images[name]))

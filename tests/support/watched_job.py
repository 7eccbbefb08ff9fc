"""A job that tells of itself while it runs: ``watched_job.py ENDPOINT IMAGES CHECKPOINT ROWS_A_PART``.

Each line is JSON: images done, and what the process holds at that moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, RetryPolicy
from semart_vectors.checkpoint import parts as checkpoint_module

LOOK_EVERY_S = 0.01
TIMES = 200
"""So often it tells of itself over all the images, at even distances, however fast they are done."""


async def main(endpoint: str, images_dir: str, checkpoint: str, rows_a_part: str) -> None:
    """Run the job without a rate, and tell of it again and again."""
    checkpoint_module.ROWS_A_PART = int(rows_a_part)
    retry = RetryPolicy(base_s=0.001, throttled_base_s=0.001, cap_s=0.01)
    async with AsyncVisionEmbedder(
        endpoint, "k", requests_per_second=None, max_in_flight=32, retry=retry
    ) as embedder:
        job = EmbeddingJob(embedder, images_dir, checkpoint=checkpoint, progress=False)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(job))
            await job.run()
            watching.cancel()
    _tell(job)


async def _watch(job: EmbeddingJob) -> None:
    told_at = 0
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if _done(job) >= told_at + job.report.total / TIMES:
            told_at = _done(job)
            _tell(job)


def _done(job: EmbeddingJob) -> int:
    return job.report.embedded + job.report.failed


def _tell(job: EmbeddingJob) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = {
        "done": _done(job),
        "mb": pages * os.sysconf("SC_PAGESIZE") / 1e6,
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a path for each would be files of its own
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
    }
    sys.stdout.write(json.dumps(held) + "\n")


asyncio.run(main(*sys.argv[1:]))

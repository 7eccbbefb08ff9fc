"""Embed a collection of any size, stop at any moment, and continue with the same command.

    VISION_ENDPOINT=… VISION_KEY=… python examples/resume.py FOLDER CHECKPOINT [SECONDS]

Ctrl-C, or the time limit SECONDS, stops it cleanly: calls under way are finished and recorded.
"""

from __future__ import annotations

import asyncio
import sys

from semart_vectors import AsyncVisionEmbedder, EmbeddingJob


async def main(folder: str, checkpoint: str, seconds: float | None) -> None:
    """Embed what is not done yet, for at most so many seconds."""
    async with AsyncVisionEmbedder.from_env(requests_per_second=20) as embedder:
        job = EmbeddingJob(embedder, folder, checkpoint=checkpoint)
        try:
            async with asyncio.timeout(seconds):
                await job.run()
        except TimeoutError:
            print("out of time; run the same command to continue")
    found = job.report
    print(
        f"{found.embedded} embedded now, {found.already_done} before, of {found.total}; {found.calls} calls"
    )


if __name__ == "__main__":
    _, folder, checkpoint, *seconds = sys.argv
    asyncio.run(main(folder, checkpoint, float(seconds[0]) if seconds else None))

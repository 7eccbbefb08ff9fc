"""A process that may open few files and connections goes on with fewer calls at once."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from fake_service import FakeService, vector_for
from helpers import make_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent


@pytest.mark.row(6)
@pytest.mark.parametrize("limit", [64, 40])
async def test_too_few_file_descriptors_slow_a_job_down_and_no_more(
    extent: Extent, score: Callable[[str], None], tmp_path: Path, limit: int
) -> None:
    """The command line with `ulimit -n`, asked for more calls at once than it may open connections."""
    count = extent.pick(quick=60, all=1_000)
    images = await asyncio.to_thread(make_images, tmp_path / "images", count)
    async with FakeService(latency_s=0.03) as service:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh",
            sys.executable, "-m", "semart_vectors", "embed", str(tmp_path / "images"),
            "--checkpoint", str(tmp_path / "c"), "--requests-per-second", "1000", "--max-in-flight", "64",
            env=os.environ | {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip  # as it would be typed
        told = (await process.communicate())[0].decode()
        most = service.most_connections
    assert process.returncode == 0, told
    assert "ulimit -n" in told
    assert sorted(service.paid) == sorted(images.values())
    table = await asyncio.to_thread(pd.read_parquet, tmp_path / "c" / "vectors")
    assert set(table["image_file"]) == set(images)
    for name, vector in zip(table["image_file"], table["vector"], strict=True):
        np.testing.assert_array_equal(vector, vector_for(images[name]))
    assert most < limit
    score(f"{count:,} of {count:,} with {limit} descriptors, {most} at once, none paid twice")


TAKEN_AWAY = """
import asyncio, resource, sys
import httpx
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder

async def main(endpoint, way, left, count):
    async with httpx.AsyncClient(trust_env=False) as client, AsyncVisionEmbedder(
        endpoint, "k", requests_per_second=None, max_in_flight=32, retry=QUICK,
        http_client=client if way == "httpx" else None,
    ) as embedder:
        await embedder.embed_image(jpeg(0))  # whatever is opened once is open
        probe = open("/dev/null")
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + left, 4096))
        probe.close()
        batch = await embedder.embed_images([jpeg(number) for number in range(count)])
        print(len(batch.sources), len(batch.failures), embedder.max_in_flight)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


async def run_with_few_left(endpoint: str, way: str, left: int, count: int) -> list[str]:
    """Embed images in a process from which descriptors are taken once it has begun; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKEN_AWAY, endpoint, way, str(left), str(count),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip  # one line for what is run
    told = (await process.communicate())[0].decode()
    return told.split()


@pytest.mark.row(6)
@pytest.mark.parametrize("way", ["aiohttp", "httpx"])
async def test_descriptors_that_others_take_meanwhile_are_done_without(
    score: Callable[[str], None], way: str
) -> None:
    """It is this machine's fault: no attempt, no failure, no outage."""
    async with FakeService(latency_s=0.05) as service:
        done, failed, in_flight = await run_with_few_left(service.endpoint, way, 8, 100)
        most = service.most_connections
    assert (int(done), int(failed), len(service.calls)) == (100, 0, 101)
    assert int(in_flight) <= most + 1
    assert most <= 10
    score(f"{way}: {done} of 100 after all but 8 were taken away, {in_flight} at once")

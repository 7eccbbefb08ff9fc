"""A long run among mixed faults: every image has its vector, and the process grows no further."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply
from outside import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

WATCHED_JOB = Path(__file__).parents[1] / "support" / "watched_job.py"
IN_FLIGHT, READERS = 32, 16
"""Calls under way at once, as in the watched job, and threads that read images."""
BYTES_AN_IMAGE = 100
"""What may be remembered of an image that is done."""
SOME_MB = 15
"""What may be held at one moment more than at another."""


@pytest.mark.row(25)
@pytest.mark.timeout(1800)
async def test_a_long_run_among_faults_stays_as_it_is(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """One call of a hundred goes wrong in one of five ways, and a few images are none."""
    count = extent.pick(quick=2_000, all=200_000)
    rows_a_part = extent.pick(quick="256", all="4096")
    faults = random.Random(25)  # noqa: S311 - the same faults each time
    answers = [
        *(error_reply(500), error_reply(503), error_reply(429, retry_after_ms="5")),
        *(Reply(cut=0), Reply(body=b"{" * 2000, cut=1000)),
    ]
    refused: set[bytes] = set()

    def answer(call: Call) -> Reply:
        if call.body in refused:
            return error_reply(400)
        return faults.choice(answers) if faults.random() < 0.01 else good_reply(call)

    async with FakeService(answer) as service:
        site = Site(tmp_path, service, count)
        names = list(site.images)
        refused |= {site.images[name] for name in names[7::1000]}
        for name in names[8::1000]:
            (tmp_path / "images" / name).write_bytes(b"no image")
        with (tmp_path / "told").open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, WATCHED_JOB, service.endpoint),
                *(tmp_path / "images", site.checkpoint, rows_a_part),
                stdout=told,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await process.wait()
        assert process.returncode == 0
        await asyncio.to_thread(site.check, failed=frozenset(names[7::1000] + names[8::1000]))
        assert site.paid_again == 0
        retries = len(service.calls) - len(service.paid) - len(refused)
    held = pd.DataFrame.from_records(
        [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    )
    first = held[(held["done"] > 0.1 * count) & (held["done"] <= 0.5 * count)]
    second = held[(held["done"] > 0.5 * count) & (held["done"] <= 0.98 * count)]
    grown_mb = second["mb"].max() - first["mb"].max()
    assert grown_mb <= SOME_MB + BYTES_AN_IMAGE * count / 2 / 1e6
    most = held[["files", "threads", "tasks"]].max()
    assert most["files"] <= IN_FLIGHT + READERS + 20
    assert most["threads"] <= READERS + 10
    assert most["tasks"] <= 2 * (IN_FLIGHT + READERS)
    score(
        f"{count:,} images, {retries:,} faults: 0 without vector, 0 paid again; memory {grown_mb:+.0f} MB "
        f"in the second half, on {first['mb'].max():.0f}; at most {most['files']} files, "
        f"{most['threads']} threads, {most['tasks']} tasks"
    )

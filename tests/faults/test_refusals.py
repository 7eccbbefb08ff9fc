"""Row 14: the service refuses everybody from some call on; the run stops, and the next one goes on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from command_line import embed
from fake_service import Call, FakeService, Reply, error_reply, good_reply
from helpers import QUICK, make_images
from jobs import check_vectors
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.errors import (
    AuthenticationError,
    EndpointError,
    ModelMismatchError,
    QuotaExceededError,
    RunError,
)
from semart_vectors.job import plan_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

IN_FLIGHT = 8
IMAGES = 60


def other_model(call: Call) -> Reply:
    """Answer with a vector of another model."""
    return Reply(body=good_reply(call).body.replace(b"2023-04-15", b"2022-04-11"))


def moved(status: int) -> Reply:
    """Answer with a redirect."""
    return Reply(status, headers={"location": "https://elsewhere.example/computervision"})


REFUSALS: dict[str, tuple[Callable[[Call], Reply], type[RunError], int]] = {
    "401": (lambda _: error_reply(401, "Access denied"), AuthenticationError, 4),
    "403": (lambda _: error_reply(403, "Not allowed"), AuthenticationError, 4),
    "quota": (lambda _: error_reply(403, "Out of call volume quota."), QuotaExceededError, 5),
    "404": (lambda _: error_reply(404, "Resource not found"), EndpointError, 2),
    "410": (lambda _: Reply(410), EndpointError, 2),
    "Gone": (lambda _: Reply(400, b'{"error": {"code": "Gone"}}'), EndpointError, 2),
    "301": (lambda _: moved(301), EndpointError, 2),
    "302": (lambda _: moved(302), EndpointError, 2),
    "307": (lambda _: moved(307), EndpointError, 2),
    "308": (lambda _: moved(308), EndpointError, 2),
    "other model": (other_model, ModelMismatchError, 6),
}
"""What is answered, what the run ends with, and the exit code of the command line."""


class Turning(FakeService):
    """A service that is good for some calls, and refuses all after them until it is healed."""

    def __init__(self, refusal: Callable[[Call], Reply], good_calls: int) -> None:
        super().__init__(self._turn, latency_s=0.003)
        self._refusal, self._good_calls = refusal, good_calls
        self.good: list[bytes] = []

    def _turn(self, call: Call) -> Reply:
        if len(self.calls) >= self._good_calls:
            return self._refusal(call)
        self.good.append(call.body)
        return good_reply(call)

    def heal(self) -> int:
        """Be good from now on; return how many calls came after the first refusal, that one included."""
        refused = len(self.calls) - len(self.good)
        self._good_calls = 1 << 30
        return refused


async def check_stopped(service: Turning, folder: Path) -> int:
    """Check what a run left that was refused, heal the service, and return the calls it refused."""
    plan = await plan_job(folder / "images", checkpoint=folder / "ck")
    assert (plan.total, plan.failed) == (IMAGES, 0)
    assert plan.already_done == len(service.good)  # all that was paid for is kept
    assert plan.already_done + plan.to_do == IMAGES
    assert await asyncio.to_thread(read_failures, folder / "ck") == []
    refused = service.heal()
    assert 1 <= refused <= IN_FLIGHT
    return refused


def check_finished(service: Turning, folder: Path, images: dict[str, bytes]) -> None:
    """Check that each image has its vector, and was paid for once."""
    assert Counter(service.good) == Counter(images.values())
    check_vectors(folder, images)


def open_embedder(service: FakeService) -> AsyncVisionEmbedder:
    """Make an embedder without a pace, and quick to try again."""
    return AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, max_in_flight=IN_FLIGHT, retry=QUICK
    )


@pytest.mark.row(14)
async def test_a_job_stops_and_the_next_one_goes_on(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Each refusal after a number of images, the first among them, and the last."""
    chance = random.Random(14)  # noqa: S311 - chance that can be repeated, no secret
    images = make_images(tmp_path / "images", IMAGES)
    runs = most = 0
    for what, (refusal, error, _) in REFUSALS.items():
        numbers = chance.sample(range(1, IMAGES - 1), 20)
        for good_calls in extent.pick(quick=numbers[:1], all=[0, *numbers, IMAGES - 1]):
            folder = tmp_path / f"{what} {good_calls}"
            folder.mkdir()
            (folder / "images").symlink_to(tmp_path / "images")
            async with Turning(refusal, good_calls) as service:
                async with open_embedder(service) as embedder:
                    job = EmbeddingJob(embedder, folder / "images", checkpoint=folder / "ck")
                    with pytest.raises(error):
                        await job.run()
                assert (job.report.embedded, job.report.failed) == (len(service.good), 0)
                most = max(most, await check_stopped(service, folder))
                async with open_embedder(service) as embedder:
                    report = await EmbeddingJob(embedder, folder / "images", checkpoint=folder / "ck").run()
                assert report.calls == report.embedded == IMAGES - report.already_done
            await asyncio.to_thread(check_finished, service, folder, images)
            runs += 1
    score(f"at most {most} calls of {IN_FLIGHT} in flight in {runs} runs, marked failed 0, paid again 0")


@pytest.mark.row(14)
async def test_the_command_line_says_which_it_was(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """By its exit code, and leaves what the next run needs."""
    images = make_images(tmp_path / "images", IMAGES)
    chosen = extent.pick(quick=["401", "quota", "other model"], all=list(REFUSALS))
    for what in chosen:
        refusal, _, code = REFUSALS[what]
        folder = tmp_path / what
        folder.mkdir()
        (folder / "images").symlink_to(tmp_path / "images")
        async with Turning(refusal, 20) as service:
            ran = await embed(folder, service, f"--max-in-flight={IN_FLIGHT}")
            assert (ran.code, ran.err.splitlines()[-1][:6]) == (code, "Error:")
            await check_stopped(service, folder)
            async with open_embedder(service) as embedder:
                await EmbeddingJob(embedder, folder / "images", checkpoint=folder / "ck").run()
        await asyncio.to_thread(check_finished, service, folder, images)
    score(f"exit codes right {len(chosen)} of {len(chosen)}")

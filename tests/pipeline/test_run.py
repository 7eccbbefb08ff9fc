"""One run: how it stops, and what it keeps when it does."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply
from helpers import QUICK, jpeg, make_images, tiny_jpegs, write_images
from jobs import check_vectors, failures, run, status
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.calls import health as _health
from semart_vectors.errors import AuthenticationError, OutOfResourcesError, ServiceUnavailableError
from semart_vectors.images import read_image as images_module, walk as walk_module
from semart_vectors.pipeline.image_loader import MAX_CHUNK, READ_AHEAD, ImageLoader, ReadImage
from semart_vectors.pipeline.job_images import JobImages

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_refused_key_stops_the_run_and_keeps_what_was_paid_for(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Nothing is called failed, nothing paid for is lost, and the next run finishes."""
    images = make_images(tmp_path / "images", 60)

    def answer(call: Call) -> Reply:
        return good_reply(call) if len(service.calls) < 20 else error_reply(401)

    service.answer = answer
    with pytest.raises(AuthenticationError):
        await run(embedder, tmp_path)
    found = await status(tmp_path)
    assert (found.done, found.failed) == (len(service.paid), 0)
    assert len(service.calls) <= 21 + embedder.max_in_flight
    service.answer = good_reply
    await run(embedder, tmp_path)
    check_vectors(tmp_path, images)
    assert len(service.paid) == 60


async def test_cancelling_loses_nothing_and_is_not_swallowed(tmp_path: Path) -> None:
    """What is under way when a job is cancelled is answered, recorded, and not paid for again."""
    images = make_images(tmp_path / "images", 60)
    async with (
        FakeService(latency_s=0.05) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=8, retry=QUICK
        ) as embedder,
    ):
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(run(embedder, tmp_path))
            await service.calls_reach(20)
            stopped.cancel()
        assert stopped.cancelled()
        paid = len(service.paid)
        assert (await status(tmp_path)).done == paid
        report = await run(embedder, tmp_path)
        assert (report.already_done, report.embedded) == (paid, 60 - paid)
    assert 0 < paid < 60
    assert Counter(service.paid) == Counter(images.values())
    check_vectors(tmp_path, images)


async def test_a_job_takes_no_task_for_each_image(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """However many images: a bounded number of tasks."""
    make_images(tmp_path / "images", 200)
    most = 0

    def answer(call: Call) -> Reply:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return good_reply(call)

    service.answer = answer
    await run(embedder, tmp_path)
    assert most < 60


async def test_a_job_holds_the_bytes_of_few_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no call is answered, nothing is read beyond what is in flight and the two windows before it."""
    images = {f"{number:04}.jpg": content for number, content in enumerate(tiny_jpegs(800))}
    await asyncio.to_thread(write_images, tmp_path / "images", images)
    read: list[str] = []
    answering = asyncio.Event()

    def read_one(loader: ImageLoader, name: str) -> ReadImage:
        read.append(name)
        return original(loader, name)

    async def answer(request: httpx.Request) -> httpx.Response:
        await answering.wait()
        return httpx.Response(200, content=good_reply(Call(0, "/", {}, request.content)).body)

    original = ImageLoader._read
    monkeypatch.setattr(ImageLoader, "_read", read_one)
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        AsyncVisionEmbedder(
            "https://a.example", "k", requests_per_second=None, max_in_flight=8, http_client=client
        ) as embedder,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(run(embedder, tmp_path))
        before = -1
        while not read or len(read) > before:
            before = len(read)
            await asyncio.sleep(0.2)
        # In flight; in the chunk at hand; read or being read, a chunk for each reader, and as many waiting.
        assert len(read) <= 8 + MAX_CHUNK * (1 + 2 * READ_AHEAD)
        answering.set()
        assert (await running).embedded == 800


async def test_an_outage_without_end_marks_no_image_as_failed(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops, and the same run finishes when the service is back."""
    monkeypatch.setattr(_health, "DOWN_AFTER_S", 0.05)
    images = make_images(tmp_path / "images", 60)
    policy = replace(QUICK, outage_limit_s=0.1)

    def answer(call: Call) -> Reply:
        return good_reply(call) if len(service.calls) < 20 else error_reply(503)

    service.answer = answer

    def new_embedder() -> AsyncVisionEmbedder:
        return AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=policy)

    async with new_embedder() as embedder:
        with pytest.raises(ServiceUnavailableError):
            await run(embedder, tmp_path)
    found = await status(tmp_path)
    assert (found.done, found.failed) == (20, 0)
    service.answer = good_reply
    async with new_embedder() as embedder:
        assert (await run(embedder, tmp_path)).embedded == 40
    check_vectors(tmp_path, images)


async def test_an_image_that_the_service_cannot_do_fails_alone(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """With others answered meanwhile, four failures in a row are the image's."""
    images = make_images(tmp_path / "images", 30)
    bad = images["00029-image.jpg"]
    service.answer = lambda call: error_reply(500) if call.body == bad else good_reply(call)
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.failed, report.retries) == (29, 1, 3)
    [failure] = await failures(tmp_path)
    assert (failure.error, failure.attempts) == ("RetriesExhaustedError", 4)


@pytest.mark.parametrize("leads_to", ["nowhere", "images"])
async def test_an_image_that_cannot_be_read_now_keeps_its_vector(
    embedder: AsyncVisionEmbedder, tmp_path: Path, leads_to: str
) -> None:
    """What was paid for is not given up because a file is out of reach, or no file, for a while."""
    images = make_images(tmp_path / "images", 3)
    await run(embedder, tmp_path)
    for name in images:
        (tmp_path / "images" / name).unlink()
        (tmp_path / "images" / name).symlink_to(tmp_path / leads_to)
    report = await run(embedder, tmp_path)
    assert (report.already_done, report.failed) == (3, 0)
    await asyncio.to_thread(check_vectors, tmp_path, images)


async def test_a_lack_of_descriptors_is_no_images_fault(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops with a sentence, and the next one finishes."""
    make_images(tmp_path / "images", 10)

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(images_module, "_read_regular_file", refuse)
        patch.setattr(images_module, "_DESCRIPTOR_WAIT_S", 0.1)
        with pytest.raises(OutOfResourcesError, match="ulimit"):
            await run(embedder, tmp_path)
    assert (await run(embedder, tmp_path)).embedded == 10


async def test_how_many_images_there_are_is_known_when_all_are_found(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """The report and the note for others say the same, at the end of every run."""
    make_images(tmp_path / "images", 70)
    assert (await run(embedder, tmp_path)).total == 70
    assert (await status(tmp_path)).asked_for == 70
    make_images(tmp_path / "images", 5, first=70)
    (tmp_path / "images" / "00000-image.jpg").write_bytes(jpeg(500))
    await asyncio.to_thread((tmp_path / "images" / "00001-image.jpg").unlink)
    report = await run(embedder, tmp_path)
    assert (report.total, report.embedded, report.already_done) == (74, 6, 68)
    assert (await status(tmp_path)).asked_for == 74
    assert len(service.calls) == 76


async def test_a_job_that_is_stopped_early_does_not_tell_a_wrong_number(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """It has counted all images, or it says nothing."""
    make_images(tmp_path / "images", 300)
    service.answer = lambda _: error_reply(401)
    with pytest.raises(AuthenticationError):
        await run(embedder, tmp_path)
    assert (await status(tmp_path)).asked_for in (None, 300)


async def test_a_run_that_is_cancelled_while_it_begins_leaves_the_checkpoint_free(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """Also when it is opened just then."""
    make_images(tmp_path / "images", 1)
    for moment in range(20):
        async with asyncio.TaskGroup() as group:
            begun = group.create_task(run(embedder, tmp_path))
            await asyncio.sleep(moment * 0.0005)
            begun.cancel()
        assert (await run(embedder, tmp_path)).total == 1


async def test_images_out_of_reach_are_named_in_the_log(
    embedder: AsyncVisionEmbedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One by its name, the others by their number, once the run is over."""
    images = make_images(tmp_path / "images", 3)
    await run(embedder, tmp_path)
    for name in images:
        (tmp_path / "images" / name).unlink()
        (tmp_path / "images" / name).symlink_to(tmp_path)
    await run(embedder, tmp_path)
    named, others = caplog.messages
    assert "keeps its vector although it cannot be read: " in named
    assert others == "2 more images cannot be read now and keep their vectors"


async def test_the_number_of_images_is_known_before_all_are_found(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted beside, once the first are on their way: a bar needs to know how much is left."""
    monkeypatch.setattr(walk_module, "NAMES_AT_A_TIME", 50)
    images = {f"{number:04}.jpg": content for number, content in enumerate(tiny_jpegs(600))}
    await asyncio.to_thread(write_images, tmp_path / "images", images)
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck")
    totals: list[int] = []

    def answer(call: Call) -> Reply:
        totals.append(job.report.total)
        return good_reply(call)

    service.answer = answer
    await job.run()
    read_ahead = 8 + MAX_CHUNK * (1 + 2 * READ_AHEAD)
    assert totals[600 - read_ahead - 100] == 600


async def test_a_timeout_that_nobody_set_ends_the_run(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for the moment to save what is there."""
    make_images(tmp_path / "images", 3)

    async def load(*_: object) -> None:
        raise TimeoutError("from within")

    monkeypatch.setattr(ImageLoader, "load", load)
    with pytest.raises(TimeoutError, match="from within"):
        await run(embedder, tmp_path)


async def test_nobody_counts_on_when_a_run_is_over(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk through millions of files would keep the process from ending."""
    make_images(tmp_path / "images", 3)
    has_ended = threading.Event()

    def count(source: JobImages) -> None:
        give_up_at = time.monotonic() + 5
        while source._is_counting and time.monotonic() < give_up_at:
            time.sleep(0.01)
        if not source._is_counting:
            has_ended.set()

    monkeypatch.setattr(JobImages, "count", count)
    assert (await run(embedder, tmp_path)).total == 3
    assert await asyncio.to_thread(has_ended.wait, 6)


async def test_the_number_of_images_is_noted_without_the_count(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the first pass has found all before they are counted, that is their number."""
    make_images(tmp_path / "images", 3)
    monkeypatch.setattr(JobImages, "count", lambda _: None)
    await run(embedder, tmp_path)
    assert (await status(tmp_path)).asked_for == 3

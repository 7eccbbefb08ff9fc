"""`EmbeddingJob` and `plan_job`: every image once, resumable at any moment, and the truth about each."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply
from helpers import QUICK, jpeg, make_images
from jobs import check_vectors, failures, run, status
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, JobReport
from semart_vectors.errors import (
    CheckpointInUseError,
    ConfigurationError,
)
from semart_vectors.job import JobPlan, plan_job

if TYPE_CHECKING:
    from pathlib import Path


async def test_every_image_is_embedded_once_and_a_second_run_makes_no_call(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Paths below the folder are relative and `/`-separated; other files are left alone."""
    images = make_images(tmp_path / "images", 30)
    below = make_images(tmp_path / "images" / "a" / "b", 5, first=30)
    images |= {f"a/b/{name}": content for name, content in below.items()}
    (tmp_path / "images" / "notes.txt").write_text("no image")
    first = await run(embedder, tmp_path)
    assert (first.total, first.embedded, first.calls, first.retries) == (35, 35, 35, 0)
    check_vectors(tmp_path, images)
    second = await run(embedder, tmp_path)
    assert (second.total, second.already_done, second.calls) == (35, 35, 0)
    assert Counter(service.paid) == Counter(images.values())


async def test_a_new_image_is_the_only_one_embedded(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """A resumed job does what came since."""
    images = make_images(tmp_path / "images", 5)
    await run(embedder, tmp_path)
    images |= make_images(tmp_path / "images", 1, first=5)
    assert (await run(embedder, tmp_path)).embedded == 1
    check_vectors(tmp_path, images)
    assert len(service.calls) == 6


async def test_a_changed_image_is_embedded_again(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Content decides, even when size and modification time are as before."""
    images = make_images(tmp_path / "images", 3)
    name = next(iter(images))
    await run(embedder, tmp_path)
    before = (tmp_path / "images" / name).stat()
    images[name] = images[name][:200] + bytes([images[name][200] ^ 1]) + images[name][201:]
    (tmp_path / "images" / name).write_bytes(images[name])
    os.utime(tmp_path / "images" / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.already_done) == (1, 2)
    check_vectors(tmp_path, images)
    assert len(service.calls) == 4


async def test_a_failed_image_is_named_with_its_reason_and_left_until_asked(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """A plain run does not try it again; `retry_failed` does, and it alone."""
    images = make_images(tmp_path / "images", 10)
    bad = images["00003-image.jpg"]
    service.answer = lambda call: error_reply(400, "bad image") if call.body == bad else good_reply(call)
    assert (await run(embedder, tmp_path)).failed == 1
    [failure] = await failures(tmp_path)
    assert (failure.image_file, failure.error, failure.attempts) == (
        "00003-image.jpg",
        "InvalidInputError",
        1,
    )
    assert "bad image" in failure.message
    service.answer = good_reply
    plain = await run(embedder, tmp_path)
    assert (plain.failed, plain.calls) == (1, 0)
    again = await run(embedder, tmp_path, retry_failed=True)
    assert (again.embedded, again.calls, again.failed) == (1, 1, 0)
    assert not await failures(tmp_path)
    check_vectors(tmp_path, images)


async def test_what_cannot_be_sent_costs_no_call_and_is_tried_when_mended(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Empty, cut and foreign files fail here, each with its reason, until they change."""
    images = make_images(tmp_path / "images", 4)
    names = list(images)
    for name, content in zip(names, [b"", jpeg(1)[:-100], b"<html>"], strict=False):
        (tmp_path / "images" / name).write_bytes(content)
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.failed, report.calls) == (1, 3, 1)
    reasons = {failure.image_file: failure.message for failure in await failures(tmp_path)}
    assert "empty" in reasons[names[0]]
    assert "cut" in reasons[names[1]]
    assert "not an image" in reasons[names[2]]
    make_images(tmp_path / "images", 3)
    assert (await run(embedder, tmp_path)).embedded == 3
    check_vectors(tmp_path, images)
    assert len(service.calls) == 4


async def test_only_the_images_asked_for(embedder: AsyncVisionEmbedder, tmp_path: Path) -> None:
    """A list of names is taken as it is; a missing one is a failure, a repeated one counts once."""
    images = make_images(tmp_path / "images", 5)
    names = [*list(images)[:2], "missing.jpg", next(iter(images))]
    report = await EmbeddingJob(
        embedder, tmp_path / "images", checkpoint=tmp_path / "ck", image_files=names
    ).run()
    assert (report.total, report.embedded, report.failed) == (3, 2, 1)
    [failure] = await failures(tmp_path)
    assert (failure.image_file, failure.error) == ("missing.jpg", "UnreadableImageError")


async def test_names_may_be_given_as_the_system_lists_them(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """Python has odd bytes in another form than the checkpoint; either names the image, and both once."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "caf\udce9.jpg").write_bytes(jpeg(1))
    given = ["caf\udce9.jpg", "caf//e9.jpg"]
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck", image_files=given)
    assert (await job.run()).total == 1
    check_vectors(tmp_path, {"caf//e9.jpg": jpeg(1)})
    assert (await run(embedder, tmp_path)).already_done == 1


async def test_two_jobs_never_write_to_one_checkpoint(tmp_path: Path) -> None:
    """The second leaves at once and has made no call."""
    make_images(tmp_path / "images", 3)
    arrived, leave = asyncio.Event(), asyncio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        arrived.set()
        await leave.wait()
        return httpx.Response(200, content=good_reply(Call(0, "/", {}, jpeg(0))).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        _on(client) as embedder,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(run(embedder, tmp_path))
        await arrived.wait()
        with pytest.raises(CheckpointInUseError):
            await run(embedder, tmp_path)
        leave.set()
    assert (await status(tmp_path)).done == 3


def _on(client: httpx.AsyncClient) -> AsyncVisionEmbedder:
    return AsyncVisionEmbedder("https://a.example", "k", requests_per_second=None, http_client=client)


async def test_a_missing_folder_is_said_before_anything_is_made(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """A mistyped folder leaves no checkpoint behind."""
    with pytest.raises(ConfigurationError, match="cannot list"):
        await run(embedder, tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a thread would tell no more


async def test_a_plan_makes_no_call_and_no_checkpoint(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """It says what a run would find."""
    make_images(tmp_path / "images", 4)
    plan = await plan_job(tmp_path / "images", checkpoint=tmp_path / "ck")
    assert (plan.total, plan.to_do) == (4, 4)
    assert not (tmp_path / "ck").exists()
    await run(embedder, tmp_path)
    make_images(tmp_path / "images", 1, first=4)
    plan = await plan_job(tmp_path / "images", checkpoint=tmp_path / "ck")
    assert (plan.total, plan.already_done, plan.to_do) == (5, 4, 1)
    assert len(service.calls) == 4


async def test_a_name_that_leads_out_of_the_folder_is_not_read(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """A table of metadata decides which images, never which files of the machine."""
    make_images(tmp_path / "images", 1)
    [outside] = make_images(tmp_path, 1)
    names = [f"../{outside}", str(tmp_path / outside)]
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck", image_files=names)
    assert (await job.run()).failed == 2
    assert not service.calls


async def test_a_plan_can_be_made_while_a_job_runs(tmp_path: Path) -> None:
    """It holds and changes nothing."""
    make_images(tmp_path / "images", 20)
    async with (
        FakeService(latency_s=0.05) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=2, retry=QUICK
        ) as embedder,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(run(embedder, tmp_path))
        await service.calls_reach(10)
        plan = await plan_job(tmp_path / "images", checkpoint=tmp_path / "ck")
        assert plan.already_done + plan.to_do == 20
        assert (await running).embedded == 20


async def test_a_report_is_all_zeros_before_the_first_run(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """It is live during a run, and stays as it is afterwards; the next run begins anew."""
    make_images(tmp_path / "images", 3)
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck")
    zeros = JobReport(total=0, embedded=0, already_done=0, failed=0, calls=0, retries=0, elapsed_s=0.0)
    await asyncio.sleep(0.01)
    assert job.report == zeros
    during: list[JobReport] = []

    def answer(call: Call) -> Reply:
        during.append(job.report)
        return good_reply(call)

    service.answer = answer
    first = await job.run()
    assert 0 < during[0].elapsed_s <= during[-1].elapsed_s < first.elapsed_s
    await asyncio.sleep(0.01)
    assert job.report == first
    second = await job.run()
    assert (first.embedded, second.embedded, second.already_done, second.calls) == (3, 0, 3, 0)
    assert job.report == second


async def test_the_time_of_a_run_that_could_not_begin_is_over(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """Its report grows no further."""
    job = EmbeddingJob(embedder, tmp_path / "missing", checkpoint=tmp_path / "ck")
    with pytest.raises(ConfigurationError):
        await job.run()
    report = job.report
    await asyncio.sleep(0.01)
    assert job.report == report


async def test_one_name_is_no_list_of_names(embedder: AsyncVisionEmbedder, tmp_path: Path) -> None:
    """It would be taken apart into letters."""
    with pytest.raises(TypeError, match="put it in a list"):
        EmbeddingJob(embedder, tmp_path, checkpoint=tmp_path / "ck", image_files="a.jpg")
    with pytest.raises(TypeError, match="put it in a list"):
        await plan_job(tmp_path, checkpoint=tmp_path / "ck", image_files="a.jpg")


async def test_a_plan_knows_what_failed_and_what_changed(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """Each image counts once, in a folder and in a list of names."""
    names = list(make_images(tmp_path / "images", 4))
    (tmp_path / "images" / names[0]).write_bytes(b"")
    await run(embedder, tmp_path)
    (tmp_path / "images" / names[1]).write_bytes(jpeg(7))
    for image_files in (None, names, [*names, *names]):
        for retry_failed in (False, True):
            plan = await plan_job(
                tmp_path / "images",
                checkpoint=tmp_path / "ck",
                image_files=image_files,
                retry_failed=retry_failed,
            )
            assert plan == JobPlan(
                total=4, already_done=2, failed=int(not retry_failed), to_do=1 + retry_failed
            )


@pytest.mark.parametrize(("progress", "is_shown"), [(True, True), (False, False), (None, False)])
async def test_a_progress_bar_is_shown_when_asked_for(
    embedder: AsyncVisionEmbedder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    progress: bool | None,  # noqa: FBT001 - pytest passes it by name
    is_shown: bool,  # noqa: FBT001 - as above
) -> None:
    """Left open, it is shown on a terminal only, which a test is not."""
    make_images(tmp_path / "images", 3)
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck", progress=progress)
    await job.run()
    assert ("embedding: 3 of 3 done, 0 failed" in capsys.readouterr().err) == is_shown

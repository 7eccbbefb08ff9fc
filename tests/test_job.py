"""`EmbeddingJob`: every image once, resumable at any moment, and the truth about each."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pandas as pd
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply, vector_for
from helpers import QUICK, jpeg, make_images
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, JobReport
from semart_vectors.calls import health as _health
from semart_vectors.checkpoint.journal import Journal, Record
from semart_vectors.checkpoint.store import (
    Checkpoint,
    CheckpointStatus,
    Done,
    Failed,
    read_failures,
    read_status,
)
from semart_vectors.errors import (
    AuthenticationError,
    CheckpointInUseError,
    ConfigurationError,
    DiskError,
    OutOfResourcesError,
    ServiceUnavailableError,
)
from semart_vectors.images import load as images_module
from semart_vectors.job import plan_job

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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


async def test_a_touched_or_copied_image_costs_nothing(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """A new time or a new disk is no new content."""
    images = make_images(tmp_path / "images", 3)
    await run(embedder, tmp_path)
    shutil.move(tmp_path / "images", tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "images", copy_function=shutil.copyfile)
    report = await run(embedder, tmp_path)
    assert (report.already_done, report.calls) == (3, 0)
    check_vectors(tmp_path, images)
    assert len(service.calls) == 3


async def test_the_same_content_under_many_names_is_paid_for_once(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """In one run, in a later one, and after a rename."""
    images = make_images(tmp_path / "images", 2)
    content = jpeg(0)
    twins = {f"twin-{number}.jpg": content for number in range(20)}
    for name in twins:
        (tmp_path / "images" / name).write_bytes(content)
    await run(embedder, tmp_path)
    assert len(service.calls) == 2
    (tmp_path / "images" / "twin-0.jpg").rename(tmp_path / "images" / "renamed.jpg")
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.calls) == (1, 0)
    check_vectors(tmp_path, images | twins | {"renamed.jpg": content})


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


async def _embed(service: FakeService, folder: Path, rate: int, in_flight: int) -> asyncio.subprocess.Process:
    """Start the command line as a user would."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "semart_vectors",
        "embed",
        str(folder / "images"),
        "--checkpoint",
        str(folder / "ck"),
        f"--requests-per-second={rate}",
        f"--max-in-flight={in_flight}",
        env={**os.environ, "VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


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


async def test_a_job_takes_no_task_and_no_bytes_for_each_image(
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


async def test_renumbered_files_keep_their_own_vectors_and_cost_nothing(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """One image is put in front, all others move up by a name: one call, each vector on its image."""
    before = make_images(tmp_path / "images", 400)
    await run(embedder, tmp_path)
    contents = [jpeg(1000), *before.values()]
    images = {f"{number:05}-image.jpg": content for number, content in enumerate(contents)}
    await asyncio.to_thread(_write, tmp_path / "images", images)
    report = await run(embedder, tmp_path)
    assert (report.embedded, report.calls) == (401, 1)
    await asyncio.to_thread(check_vectors, tmp_path, images)
    assert Counter(service.paid) == Counter(contents)


async def test_stopping_among_renumbered_files_costs_nothing_either(tmp_path: Path) -> None:
    """Vectors whose old names are taken, and whose new names were not reached, are known to the next run."""
    before = make_images(tmp_path / "images", 60)
    async with (
        FakeService(latency_s=0.02) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=4, retry=QUICK
        ) as embedder,
    ):
        await run(embedder, tmp_path)
        contents = [*map(jpeg, range(1000, 1020)), *before.values()]
        images = {f"{number:05}-image.jpg": content for number, content in enumerate(contents)}
        await asyncio.to_thread(_write, tmp_path / "images", images)
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(run(embedder, tmp_path))
            await service.calls_reach(70)
            stopped.cancel()
        await run(embedder, tmp_path)
        assert Counter(service.paid) == Counter(contents)
    await asyncio.to_thread(check_vectors, tmp_path, images)


async def test_an_image_that_was_met_half_copied_costs_nothing_when_it_is_whole(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """It has failed meanwhile, and its vector is known still."""
    images = make_images(tmp_path / "images", 2)
    await run(embedder, tmp_path)
    name, content = next(iter(images.items()))
    for part in (content[:-100], content):
        await asyncio.to_thread((tmp_path / "images" / name).write_bytes, part)
        report = await run(embedder, tmp_path)
    assert (report.embedded, report.failed, len(service.paid)) == (1, 0, 2)
    await asyncio.to_thread(check_vectors, tmp_path, images)


async def test_a_write_error_while_a_job_stops_loses_nothing_and_it_is_still_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way is taken all the same, and saved when the disk takes it again."""
    make_images(tmp_path / "images", 30)
    refusals = 0

    def refuse_once(checkpoint: Checkpoint, entries: list[Done | Failed]) -> None:
        nonlocal refusals
        if entries and refusals:
            refusals -= 1
            raise DiskError("cannot write")
        record(checkpoint, entries)

    record = Checkpoint.record
    monkeypatch.setattr(Checkpoint, "record", refuse_once)
    async with (
        FakeService(latency_s=0.25) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=4, retry=QUICK
        ) as embedder,
    ):
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(run(embedder, tmp_path))
            await service.calls_reach(10)
            refusals = 1
            stopped.cancel()
        assert stopped.cancelled()
        await run(embedder, tmp_path)
        assert len(service.paid) == 30


def _write(folder: Path, images: dict[str, bytes]) -> None:
    for name, content in images.items():
        (folder / name).write_bytes(content)


async def test_an_image_that_cannot_be_read_now_keeps_its_vector(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """What was paid for is not given up because a folder is out of reach for a while."""
    images = make_images(tmp_path / "images", 3)
    await run(embedder, tmp_path)
    for name in images:
        (tmp_path / "images" / name).unlink()
        (tmp_path / "images" / name).symlink_to(tmp_path / "nowhere")
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
        patch.setattr(images_module, "_SCARCE_FOR_S", 0.1)
        with pytest.raises(OutOfResourcesError, match="ulimit"):
            await run(embedder, tmp_path)
    assert (await run(embedder, tmp_path)).embedded == 10


async def test_a_full_disk_loses_nothing_that_there_is_room_for_again(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops, what is under way is answered, and one last attempt is made to keep it all."""
    make_images(tmp_path / "images", 60)
    append, refusals = Journal.append, iter([OSError(errno.ENOSPC, "No space left on device")])

    def full_once(journal: Journal, records: Iterable[Record]) -> None:
        if len(service.calls) > 20 and (refusal := next(refusals, None)) is not None:
            raise refusal
        append(journal, records)

    monkeypatch.setattr(Journal, "append", full_once)
    with pytest.raises(DiskError, match="No space left"):
        await run(embedder, tmp_path)
    paid = len(service.paid)
    assert (await status(tmp_path)).done == paid
    assert (await run(embedder, tmp_path)).embedded == 60 - paid


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


async def test_images_to_embed_are_handed_on_some_at_a_time(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """Never none, never more than 16, each once."""
    images = make_images(tmp_path / "images", 150)
    job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck")._new_run()
    async with AsyncExitStack() as closing:
        await job.open_checkpoint(closing)
        chunks = [names async for names in job._pending()]
    assert {1 <= len(names) <= 16 for names in chunks} == {True}
    assert [name for names in chunks for name in names] == sorted(images)


async def test_a_job_that_is_run_again_keeps_to_the_rate_of_the_run_before(tmp_path: Path) -> None:
    """Over ten runs, each ended after a call, no call is sent before the one step that each takes is over.

    Counted from before the first: a call arrives later than it is sent, and the next need not.
    """
    step_s = 0.4
    make_images(tmp_path / "images", 10)
    async with FakeService() as service:
        began_s = time.monotonic()
        for number in range(10):
            async with AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=1 / step_s) as embedder:
                job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck")
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(job.run())
                    await service.calls_reach(number + 1)
                    task.cancel()
    times = [call.arrived_s for call in service.calls]
    assert len(times) == 10
    assert all(at_s >= began_s + number * 0.95 * step_s for number, at_s in enumerate(times))


async def test_a_job_that_is_killed_has_left_its_pace_behind(tmp_path: Path) -> None:
    """At any moment the note is good for the calls that were sent, and one more that it could not know of."""
    step_s = 0.4
    make_images(tmp_path / "images", 4)
    checkpoint = Checkpoint(tmp_path / "ck", model_version="2023-04-15")
    async with (
        FakeService() as service,
        AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=1 / step_s) as embedder,
        asyncio.TaskGroup() as group,
    ):
        job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck")
        group.create_task(job.run())
        for number in range(1, 5):
            await service.calls_reach(number)
            arrived_s = service.calls[number - 1].arrived_s
            free_s = await asyncio.to_thread(checkpoint.calls_free_at) - time.time() + time.monotonic()
            assert arrived_s + 0.75 * step_s < free_s < service.calls[-1].arrived_s + 3 * step_s


@pytest.mark.parametrize(
    "note", ["", "{}", '{"calls_free_at": "soon"}', '{"calls_free_at": 1e300}', '{"calls_free_at": -1}']
)
async def test_a_note_that_makes_no_sense_holds_nobody_up_for_long(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    """Nor does a clock that was set back."""
    make_images(tmp_path / "images", 1)
    await run(embedder, tmp_path)
    (tmp_path / "ck" / "_pace.json").write_text(note)
    held: list[float] = []
    monkeypatch.setattr(embedder, "hold_calls", held.append)
    await run(embedder, tmp_path)
    assert 0 <= held[0] <= 120

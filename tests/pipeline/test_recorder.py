"""Outcomes into the checkpoint: what a disk refuses, and the rate that the next run keeps to."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from fake_service import MODEL, Call, FakeService, good_reply
from helpers import QUICK, jpeg, make_images
from jobs import failures, run, status
from pipeline_harness import Harness, answer
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob
from semart_vectors.checkpoint.journal import Journal, Record
from semart_vectors.checkpoint.store import Checkpoint, Done, Failed
from semart_vectors.errors import DiskError
from semart_vectors.pipeline import run as run_module

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


async def test_an_outcome_is_durable_while_others_are_awaited(tmp_path: Path) -> None:
    """Within a quarter of a second, also while a cancelled run drains: it may be killed at any moment."""
    make_images(tmp_path / "images", 6)
    held, arrived = asyncio.Event(), 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal arrived
        arrived += 1
        if arrived > 2:
            await (held.wait() if arrived > 4 else asyncio.sleep(1))
        return httpx.Response(200, content=good_reply(Call(0, "/", {}, request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        AsyncVisionEmbedder(
            "https://a.example", "k", requests_per_second=None, max_in_flight=6, http_client=client
        ) as embedder,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(run(embedder, tmp_path))
        await done_reaches(tmp_path, 2)
        running.cancel()
        await done_reaches(tmp_path, 4)
        assert not running.done()
        held.set()
    assert running.cancelled()
    assert (await status(tmp_path)).done == 6


async def done_reaches(folder: Path, count: int) -> None:
    """Wait until so many images are durable, and no more."""
    async with asyncio.timeout(20):
        while not (folder / "ck" / "_checkpoint.json").exists() or (await status(folder)).done < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await status(folder)).done == count


async def test_outcomes_are_saved_early_when_many_wait(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by their number, not by the time between two saves."""
    make_images(tmp_path / "images", 100)
    monkeypatch.setattr(run_module, "SAVE_EVERY_S", 60.0)
    saves: list[int] = []

    def record_and_count(checkpoint: Checkpoint, entries: list[Done | Failed]) -> None:
        saves.append(len(entries))
        record(checkpoint, entries)

    record = Checkpoint.record
    monkeypatch.setattr(Checkpoint, "record", record_and_count)
    await run(embedder, tmp_path)
    assert sum(saves) == 100
    assert max(saves) <= 64


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


async def test_a_write_error_loses_no_call_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is sent, and slow answers are waited for, to be saved when the disk takes them again."""
    make_images(tmp_path / "images", 30)
    record, refusals = Checkpoint.record, [DiskError("cannot write")]

    def refuse_once(checkpoint: Checkpoint, entries: list[Done | Failed]) -> None:
        if entries and refusals:
            raise refusals.pop()
        record(checkpoint, entries)

    monkeypatch.setattr(Checkpoint, "record", refuse_once)
    async with (
        FakeService(latency_s=0.4) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, max_in_flight=4, retry=QUICK
        ) as embedder,
    ):
        with pytest.raises(DiskError, match="cannot write"):
            await run(embedder, tmp_path)
        paid = len(service.paid)
        assert paid < 30
        assert (await status(tmp_path)).done == paid
        service.latency_s = 0
        await run(embedder, tmp_path)
        assert len(service.paid) == 30


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


async def test_a_run_in_trouble_is_not_complete(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was replaced before is kept, and a failure that may be the service's is not recorded."""
    [name] = make_images(tmp_path / "images", 1)
    await run(embedder, tmp_path)
    (tmp_path / "images" / name).write_bytes(jpeg(7))
    await run(embedder, tmp_path)
    kept = await asyncio.to_thread(replaced, tmp_path)
    make_images(tmp_path / "images", 3, first=1)
    answered, in_trouble = asyncio.Event(), threading.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.content == jpeg(1):
            answered.set()
            return httpx.Response(200, content=good_reply(Call(0, "/", {}, request.content)).body)
        await answered.wait()
        if request.content == jpeg(3):  # is under way when the disk refuses
            await asyncio.to_thread(in_trouble.wait, 10)
        return httpx.Response(500)

    def refuse_more(checkpoint: Checkpoint, entries: list[Done | Failed]) -> None:
        record(checkpoint, entries)
        if entries:
            checkpoint.trouble = DiskError("no room")
            checkpoint.on_trouble()
            in_trouble.set()

    record = Checkpoint.record
    monkeypatch.setattr(Checkpoint, "record", refuse_more)
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        AsyncVisionEmbedder(
            "https://a.example", "k", requests_per_second=None, retry=QUICK, http_client=client
        ) as on_client,
    ):
        with pytest.raises(DiskError, match="no room"):
            await run(on_client, tmp_path)
    assert await asyncio.to_thread(replaced, tmp_path) == kept != []
    assert not await failures(tmp_path)
    monkeypatch.setattr(Checkpoint, "record", record)
    assert (await run(embedder, tmp_path)).embedded == 2
    assert await asyncio.to_thread(replaced, tmp_path) == []


def replaced(folder: Path) -> list[str]:
    """List the files of what runs have replaced."""
    return sorted(path.name for path in (folder / "ck").glob("_replaced-*"))


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

    def noted() -> float:
        return Checkpoint.peek(tmp_path / "ck", model_version=MODEL).calls_free_at()

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
            free_s = await asyncio.to_thread(noted) - time.time() + time.monotonic()
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
    monkeypatch.setattr(embedder.limiter, "hold", held.append)
    await run(embedder, tmp_path)
    assert 0 <= held[0] <= 120


async def test_outcomes_are_saved_while_others_come_in(harness: Harness) -> None:
    """Nobody waits for a disk, until as many are unsaved as there is room for; then the room grows."""

    def is_full() -> bool:
        return harness.recorder.is_full

    harness.store.open_door.clear()
    images = await harness.send(*(f"{number}.jpg" for number in range(40)))
    for image in images[:10]:
        harness.outcomes.answered(answer(image))
    await harness.recorder.save_meanwhile()
    for image in images[10:25]:
        harness.outcomes.answered(answer(image))
    assert not is_full()
    await harness.recorder.save_meanwhile()
    assert (harness.progress.embedded, harness.store.recorded) == (0, [])
    harness.outcomes.answered(answer(images[25]))
    assert is_full()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(harness.recorder.save_meanwhile())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        harness.store.open_door.set()
    assert harness.progress.embedded == 10
    assert not is_full()
    assert await harness.saved() == [f"{number}.jpg" for number in range(26)]
    assert harness.store.rooms == [2 * (16 + 8), 2 * (32 + 8), 2 * (32 + 8)]


async def test_the_room_for_unsaved_outcomes_has_an_end(harness: Harness) -> None:
    """However fast the calls: 2,048 vectors are 8 MB."""
    for _ in range(10):
        for image in await harness.send(*(f"{number}.jpg" for number in range(2048))):
            harness.outcomes.answered(answer(image))
        assert harness.recorder.is_full
        await harness.recorder.save_meanwhile()
    await harness.saved()
    assert max(harness.store.rooms) == 2 * (2048 + 8)


async def test_many_images_of_one_content_are_recorded_a_few_thousand_at_a_time(harness: Harness) -> None:
    """They all come with one answer."""
    [image] = await harness.send(*(f"{number}.jpg" for number in range(5000)), content=b"same")
    harness.outcomes.answered(answer(image))
    await harness.saved()
    assert [len(entries) for entries in harness.store.recorded] == [2048, 2048, 904]


async def test_what_is_paid_for_is_saved_at_the_second_attempt(harness: Harness) -> None:
    """The error is raised all the same, and it was heard of at once."""
    heard: list[bool] = []
    harness.recorder.stop_on_trouble(lambda: heard.append(True))
    [image] = await harness.send("a.jpg")
    harness.outcomes.answered(answer(image))
    harness.store.refusals = [DiskError("full")]
    with pytest.raises(DiskError, match="full"):
        await harness.recorder.finish()
    await asyncio.sleep(0)
    assert (harness.store.names, harness.progress.embedded) == (["a.jpg"], 1)
    assert (heard, harness.recorder.in_trouble) == ([True], True)


async def test_what_was_not_saved_is_not_counted(harness: Harness) -> None:
    """Two refusals are the end."""
    [image] = await harness.send("a.jpg")
    harness.outcomes.answered(answer(image))
    harness.store.refusals = [DiskError("full"), DiskError("full")]
    with pytest.raises(DiskError):
        await harness.recorder.finish()
    assert (harness.store.names, harness.progress.embedded) == ([], 0)


async def test_trouble_of_a_disk_is_raised_before_the_first_call_and_after_a_save(harness: Harness) -> None:
    """Though what was recorded is durable, and counts."""
    [image] = await harness.send("a.jpg")
    harness.outcomes.answered(answer(image))
    harness.store.trouble = DiskError("no room")
    with pytest.raises(DiskError, match="no room"):
        await harness.recorder.begin()
    with pytest.raises(DiskError, match="no room"):
        await harness.recorder.finish()
    assert harness.progress.embedded == 1


@pytest.mark.parametrize(("free_at_in_s", "held_s"), [(-5, 0), (3, 3), (1e9, 120)])
async def test_a_run_waits_as_the_run_before_would_have(
    harness: Harness, free_at_in_s: float, held_s: float
) -> None:
    """Two minutes at most, should the clock have been set back."""
    harness.store.free_at = time.time() + free_at_in_s
    await harness.recorder.begin()
    assert harness.embedder.limiter.held == [pytest.approx(held_s, abs=0.5)]
    assert harness.embedder.limiter.unseen_s == [0.1]


async def test_the_rate_is_noted_where_it_holds_calls_back(harness: Harness) -> None:
    """Also while nothing is answered: a run that is killed leaves its note too."""
    await harness.recorder.begin()
    await harness.recorder.save_meanwhile()
    harness.embedder.limiter.free_in_s = 0.15
    await harness.recorder.save_meanwhile()
    await harness.saved()
    assert len(harness.store.noted) == 1
    assert harness.store.noted[-1] == pytest.approx(time.time() + 0.15, abs=0.1)
    harness.embedder.limiter.free_in_s = 7.0
    await harness.recorder.save_meanwhile()
    assert harness.embedder.limiter.unseen_s[-1] == 0.1
    await harness.saved()
    assert harness.embedder.limiter.unseen_s[-1] == 0.0
    assert len(harness.store.noted) == 3
    assert harness.store.noted[-1] == pytest.approx(time.time() + 7, abs=0.1)

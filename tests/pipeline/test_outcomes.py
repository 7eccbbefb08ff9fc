"""`Outcomes` and `Deduplication`: what is recorded of each image, and when."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fake_service import vector_for
from semart_vectors.checkpoint.store import Done, Failed
from semart_vectors.errors import InvalidInputError, RetriesExhaustedError

if TYPE_CHECKING:
    from collections.abc import Iterator


from pipeline_bench import Bench, answer, failure


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Set the parts up, with a thread for the store."""
    with ThreadPoolExecutor(1) as writer:
        built = Bench(writer)
        yield built
        built.store.open_door.set()


async def test_a_failure_of_the_service_is_an_images_own_once_another_was_answered(bench: Bench) -> None:
    """Until then it may be the beginning of an outage, and nothing is recorded."""
    first, second, third = await bench.send("a.jpg", "b.jpg", "c.jpg")
    bench.outcomes.answered(failure(first, RetriesExhaustedError("500")))
    bench.outcomes.answered(failure(second, RetriesExhaustedError("500")))
    assert await bench.saved() == []
    bench.outcomes.answered(answer(third))
    assert await bench.saved() == ["c.jpg", "a.jpg", "b.jpg"]
    bench.outcomes.answered(answer((await bench.send("d.jpg"))[0]))
    assert await bench.saved() == ["c.jpg", "a.jpg", "b.jpg", "d.jpg"]


async def test_a_refusal_is_an_answer(bench: Bench) -> None:
    """The service was there: what failed before was the image's fault."""
    first, second = await bench.send("a.jpg", "b.jpg")
    bench.outcomes.answered(failure(first, RetriesExhaustedError("500")))
    bench.outcomes.answered(failure(second, InvalidInputError("no image")))
    assert await bench.saved() == ["a.jpg", "b.jpg"]
    assert bench.store.recorded[0][1] == Failed("b.jpg", "InvalidInputError", "no image", 4, 1)
    assert (bench.progress.calls, bench.progress.retries, bench.progress.failed) == (8, 6, 2)


async def test_all_images_of_one_content_share_its_outcome(bench: Bench) -> None:
    """Whether it is a vector or a failure; after a failure the next name's is sent again."""
    for error in (None, InvalidInputError("no image")):
        sent = await bench.send("a.jpg", "b.jpg", content=b"same")
        sent += await bench.send("c.jpg", content=b"same")
        assert [image.image_file for image in sent] == ["a.jpg"]
        bench.outcomes.answered(answer(sent[0]) if error is None else failure(sent[0], error))
        assert (await bench.saved())[-3:] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (bench.progress.embedded, bench.progress.failed) == (3, 3)


async def test_a_content_that_came_in_just_now_is_not_sent_again(bench: Bench) -> None:
    """Before its vector is durable; afterwards it is the checkpoint that knows it, and memory lets it go."""
    [image] = await bench.send("a.jpg", content=b"same")
    bench.outcomes.answered(answer(image))
    assert await bench.send("b.jpg", content=b"same") == []
    assert await bench.saved() == ["a.jpg", "b.jpg"]
    assert bench.recorder.unsaved_vector(b"same") is None
    [done_a, done_b] = bench.store.recorded[0]
    assert isinstance(done_a, Done)
    assert isinstance(done_b, Done)
    np.testing.assert_array_equal(done_a.vector, done_b.vector)


async def test_a_known_content_has_its_vector_and_repairs_from_the_checkpoint(bench: Bench) -> None:
    """They are those of the image that was paid for."""
    bench.store.contents[b"known"] = (vector_for(b"known"), "orientation 6")
    assert await bench.send("a.jpg", content=b"known") == []
    await bench.saved()
    [[done]] = bench.store.recorded
    assert isinstance(done, Done)
    assert (done.image_file, done.repairs) == ("a.jpg", "orientation 6")


async def test_an_image_out_of_reach_keeps_its_vector_and_one_of_them_is_named(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """One that has none has failed, and so has one whose file is there and no image."""
    bench.store.with_vector = {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    for name in ("a.jpg", "b.jpg", "c.jpg", "new.jpg"):
        bench.outcomes.not_sent(Failed(name, "UnreadableImageError", "it cannot be read: gone", 0, 0))
    bench.outcomes.not_sent(Failed("d.jpg", "InvalidInputError", "it is empty", 0, 1))
    with caplog.at_level(logging.WARNING):
        bench.outcomes.log_unreadable()
    assert await bench.saved() == ["new.jpg", "d.jpg"]
    assert bench.progress.already_done == 3
    assert caplog.messages == [
        "a.jpg keeps its vector although it cannot be read: gone",
        "2 more images cannot be read now and keep their vectors",
    ]


async def test_one_image_out_of_reach_is_named_and_that_is_all(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """No number of further ones where there is none."""
    bench.store.with_vector = {"a.jpg"}
    bench.outcomes.not_sent(Failed("a.jpg", "UnreadableImageError", "it cannot be read: gone", 0, 0))
    bench.outcomes.log_unreadable()
    assert len(caplog.messages) == 1

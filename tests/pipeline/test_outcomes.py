"""`Outcomes` and `Deduplication`: what is recorded of each image, and when."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from fake_service import vector_for
from pipeline_harness import Harness, answer, failure
from semart_vectors.checkpoint.store import Done, Failed
from semart_vectors.errors import InvalidInputError, RetriesExhaustedError

if TYPE_CHECKING:
    import pytest


async def test_a_failure_of_the_service_is_an_images_own_once_another_was_answered(harness: Harness) -> None:
    """Until then it may be the beginning of an outage, and nothing is recorded."""
    first, second, third = await harness.send("a.jpg", "b.jpg", "c.jpg")
    harness.outcomes.answered(failure(first, RetriesExhaustedError("500")))
    harness.outcomes.answered(failure(second, RetriesExhaustedError("500")))
    assert await harness.saved() == []
    harness.outcomes.answered(answer(third))
    assert await harness.saved() == ["c.jpg", "a.jpg", "b.jpg"]
    harness.outcomes.answered(answer((await harness.send("d.jpg"))[0]))
    assert await harness.saved() == ["c.jpg", "a.jpg", "b.jpg", "d.jpg"]


async def test_a_refusal_is_an_answer(harness: Harness) -> None:
    """The service was there: what failed before was the image's fault."""
    first, second = await harness.send("a.jpg", "b.jpg")
    harness.outcomes.answered(failure(first, RetriesExhaustedError("500")))
    harness.outcomes.answered(failure(second, InvalidInputError("no image")))
    assert await harness.saved() == ["a.jpg", "b.jpg"]
    assert harness.store.recorded[0][1] == Failed("b.jpg", "InvalidInputError", "no image", 4, 1)
    assert (harness.progress.calls, harness.progress.retries, harness.progress.failed) == (8, 6, 2)


async def test_all_images_of_one_content_share_its_outcome(harness: Harness) -> None:
    """Whether it is a vector or a failure; after a failure the next name's is sent again."""
    for error in (None, InvalidInputError("no image")):
        sent = await harness.send("a.jpg", "b.jpg", content=b"same")
        sent += await harness.send("c.jpg", content=b"same")
        assert [image.image_file for image in sent] == ["a.jpg"]
        harness.outcomes.answered(answer(sent[0]) if error is None else failure(sent[0], error))
        assert (await harness.saved())[-3:] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (harness.progress.embedded, harness.progress.failed) == (3, 3)


async def test_a_content_that_came_in_just_now_is_not_sent_again(harness: Harness) -> None:
    """Before its vector is durable; afterwards it is the checkpoint that knows it, and memory lets it go."""
    [image] = await harness.send("a.jpg", content=b"same")
    harness.outcomes.answered(answer(image))
    assert await harness.send("b.jpg", content=b"same") == []
    assert await harness.saved() == ["a.jpg", "b.jpg"]
    assert harness.recorder.unsaved_vector(b"same") is None
    [done_a, done_b] = harness.store.recorded[0]
    assert isinstance(done_a, Done)
    assert isinstance(done_b, Done)
    np.testing.assert_array_equal(done_a.vector, done_b.vector)


async def test_a_known_content_has_its_vector_and_repairs_from_the_checkpoint(harness: Harness) -> None:
    """They are those of the image that was paid for."""
    harness.store.contents[b"known"] = (vector_for(b"known"), "orientation 6")
    assert await harness.send("a.jpg", content=b"known") == []
    await harness.saved()
    [[done]] = harness.store.recorded
    assert isinstance(done, Done)
    assert (done.image_file, done.repairs) == ("a.jpg", "orientation 6")


async def test_a_content_that_is_not_known_after_all_is_sent_once(harness: Harness) -> None:
    """The quick look may err; what it takes for known is looked for, and then sent as any other."""
    harness.store.contents[b"same"] = None
    assert [image.image_file for image in await harness.send("a.jpg", "b.jpg", content=b"same")] == ["a.jpg"]


async def test_an_image_out_of_reach_keeps_its_vector_and_one_of_them_is_named(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """One that has none has failed, and so has one whose file is there and no image."""
    harness.store.with_vector = {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    for name in ("a.jpg", "b.jpg", "c.jpg", "new.jpg"):
        harness.outcomes.not_sent(Failed(name, "UnreadableImageError", "it cannot be read: gone", 0, 0))
    harness.outcomes.not_sent(Failed("d.jpg", "InvalidInputError", "it is empty", 0, 1))
    with caplog.at_level(logging.WARNING):
        harness.outcomes.log_unreadable()
    assert await harness.saved() == ["new.jpg", "d.jpg"]
    assert harness.progress.already_done == 3
    assert caplog.messages == [
        "a.jpg keeps its vector although it cannot be read: gone",
        "2 more images cannot be read now and keep their vectors",
    ]


async def test_one_image_out_of_reach_is_named_and_that_is_all(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """No number of further ones where there is none."""
    harness.store.with_vector = {"a.jpg"}
    harness.outcomes.not_sent(Failed("a.jpg", "UnreadableImageError", "it cannot be read: gone", 0, 0))
    harness.outcomes.log_unreadable()
    assert len(caplog.messages) == 1

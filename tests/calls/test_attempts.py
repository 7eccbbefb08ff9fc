"""The loop of one call against a fake service: tried again, throttled, given up, short of descriptors."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from dataclasses import replace

import httpx
import numpy as np
import pytest

from fake_service import Call, FakeService, Reply, error_reply, good_reply, vector_for
from helpers import QUICK, jpeg
from semart_vectors import (
    AsyncVisionEmbedder,
    RetryPolicy,
)
from semart_vectors.calls import circuit_breaker as _breaker, health as _health
from semart_vectors.errors import (
    AuthenticationError,
    EndpointError,
    InvalidInputError,
    ModelMismatchError,
    OutOfResourcesError,
    QuotaExceededError,
    RateLimitError,
    RetriesExhaustedError,
    RunError,
    ServiceUnavailableError,
)
from virtual_clock import run_virtual


def _call(body: bytes) -> Call:
    return Call(0.0, "/", {}, body)


def _open(service: FakeService) -> AsyncVisionEmbedder:
    return AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, max_in_flight=8, retry=QUICK)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(
    embedder: AsyncVisionEmbedder, service: FakeService, status: int
) -> None:
    """A passing failure costs further attempts and nothing else."""
    service.script.extend([error_reply(status), error_reply(status)])
    embedding = await embedder.embed_image(jpeg(1))
    np.testing.assert_array_equal(embedding.vector, vector_for(jpeg(1)))
    assert embedding.attempts == len(service.calls) == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(cut=0),
        Reply(body=b"x" * 500, cut=100),
        Reply(body=b"<html>"),
        Reply(body=b"{}"),
        Reply(body=b""),
    ],
    ids=["reset", "cut", "page", "no vector", "nothing"],
)
async def test_an_answer_that_cannot_be_read_is_tried_again(
    embedder: AsyncVisionEmbedder, service: FakeService, reply: Reply
) -> None:
    """A broken connection and a broken body are not the image's fault."""
    service.script.append(reply)
    assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_retries_end(embedder: AsyncVisionEmbedder, service: FakeService) -> None:
    """After four failures the image has failed, and the error says what the last answer was."""
    service.answer = lambda _: error_reply(500, "broken", apim_request_id="12-34")
    with pytest.raises(RetriesExhaustedError, match=r"4 attempts.*broken") as caught:
        await embedder.embed_image(jpeg(1))
    error = caught.value
    assert error.attempts == len(service.calls) == 4
    assert (error.status_code, error.code, error.request_id) == (500, "500", "12-34")
    assert error.source == jpeg(1)


async def test_being_throttled_uses_up_time_not_attempts(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """An image survives more answers 429 than it has attempts."""
    service.script.extend(error_reply(429) for _ in range(10))
    assert (await embedder.embed_image(jpeg(1))).attempts == 11


async def test_being_throttled_has_an_end(service: FakeService) -> None:
    """When nobody was answered anything but 429 for too long, the run stops."""
    service.answer = lambda _: error_reply(429)
    policy = RetryPolicy(throttled_base_s=0.001, cap_s=0.001, throttled_limit_s=0.05)
    async with AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=policy) as embedder:
        with pytest.raises(ServiceUnavailableError, match="nothing but 429") as caught:
            await embedder.embed_image(jpeg(1))
    assert caught.value.status_code == 429


async def test_an_image_that_alone_is_throttled_for_too_long_has_failed(service: FakeService) -> None:
    """The others are answered meanwhile."""

    def answer(call: Call) -> Reply:
        return error_reply(429, retry_after="0.001") if call.body == jpeg(0) else good_reply(call)

    service.answer = answer
    policy = RetryPolicy(throttled_base_s=0.001, cap_s=0.001, throttled_limit_s=0.05)
    async with AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, max_in_flight=2, retry=policy
    ) as embedder:
        batch = await embedder.embed_images(jpeg(number) for number in range(10))
    [error] = [failure.error for failure in batch.failures]
    assert isinstance(error, RateLimitError)
    assert isinstance(error, RetriesExhaustedError)
    assert (error.status_code, error.retry_after_s) == (429, 0.001)
    assert error.attempts == service.statuses.count(429)
    assert len(batch.sources) == 9


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (error_reply(401, "Access denied"), AuthenticationError),
        (error_reply(403, "Not allowed"), AuthenticationError),
        (error_reply(403, "Out of call volume quota."), QuotaExceededError),
        (error_reply(404, "Resource not found"), EndpointError),
        (Reply(410, b'{"error": {"code": "Gone", "message": "deprecated"}}'), EndpointError),
        (Reply(307, headers={"location": "https://elsewhere.example/"}), EndpointError),
        (Reply(body=good_reply(_call(b"x")).body.replace(b"2023-04-15", b"2022-04-11")), ModelMismatchError),
    ],
)
async def test_what_concerns_all_images_ends_a_batch_and_keeps_what_was_paid_for(
    embedder: AsyncVisionEmbedder, service: FakeService, reply: Reply, error: type[RunError]
) -> None:
    """The run stops at once, no image is called failed, and the vectors that came are in the error."""

    def answer(call: Call) -> Reply:
        return good_reply(call) if len(service.calls) < 10 else reply

    service.answer = answer
    with pytest.raises(error) as caught:
        await embedder.embed_images(jpeg(number) for number in range(100))
    assert len(service.calls) <= 11 + embedder.max_in_flight
    assert caught.value.batch is not None
    assert len(caught.value.batch.sources) == len(service.paid) - (error is ModelMismatchError) * (
        len(service.calls) - 10
    )
    assert not caught.value.batch.failures


async def test_no_answer_ever_from_an_endpoint_means_a_wrong_endpoint() -> None:
    """A port where nobody listens ends the run; it does not fail image after image."""
    async with FakeService() as gone:
        endpoint = gone.endpoint
    async with AsyncVisionEmbedder(endpoint, "k", requests_per_second=None, retry=QUICK) as embedder:
        with pytest.raises(EndpointError, match="VISION_ENDPOINT"):
            await embedder.embed_images([jpeg(1), jpeg(2)])


async def test_each_attempt_has_a_limit_over_everything(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that accepts and never answers costs the attempts' time, no more."""
    service.answer = lambda _: Reply(hang=True)
    policy = RetryPolicy(base_s=0.001, attempt_timeout_s=0.05, outage_limit_s=0)
    monkeypatch.setattr(_health, "DOWN_AFTER_S", 0.1)
    async with AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=policy) as embedder:
        with pytest.raises(RetriesExhaustedError, match=r"within 0\.05 s"):
            await embedder.embed_image(jpeg(1))


async def test_an_answer_without_end_is_cut_off(embedder: AsyncVisionEmbedder, service: FakeService) -> None:
    """What is far longer than a vector is not read to its end."""
    service.script.append(Reply(body=b" " * 5_000_000))
    assert (await embedder.embed_image(jpeg(1))).attempts == 2


async def test_calls_under_way_are_bounded_over_all_who_share_an_embedder() -> None:
    """Two batches at once and a single image have no more calls under way than `max_in_flight`."""
    under_way = most = 0

    async def transport(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return httpx.Response(200, content=good_reply(_call(await request.aread())).body)

    client = httpx.AsyncClient(transport=httpx.MockTransport(transport))
    async with (
        client,
        AsyncVisionEmbedder(
            "https://a.example", "k", requests_per_second=None, max_in_flight=3, http_client=client
        ) as embedder,
        asyncio.TaskGroup() as group,
    ):
        for first in (0, 10):
            group.create_task(embedder.embed_images(jpeg(first + number) for number in range(10)))
        group.create_task(embedder.embed_image(jpeg(99)))
    assert 1 < most <= 3


async def test_an_outage_that_does_not_end_is_not_the_images_fault(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody is answered for too long, the run stops, and no image has failed."""
    monkeypatch.setattr(_health, "DOWN_AFTER_S", 0.05)

    def answer(call: Call) -> Reply:
        return good_reply(call) if len(service.calls) < 5 else error_reply(500, "out of order")

    service.answer = answer
    policy = replace(QUICK, outage_limit_s=0.1)
    async with AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, max_in_flight=8, retry=policy
    ) as embedder:
        with pytest.raises(ServiceUnavailableError, match="out of order") as caught:
            await embedder.embed_images(jpeg(number) for number in range(100))
    assert len(caught.value.batch.sources) == 5
    assert not caught.value.batch.failures


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("images", [1, 4, 7, 16])
async def test_a_service_that_never_answered_gets_four_attempts_of_an_image_at_the_most(
    service: FakeService, status: int, images: int
) -> None:
    """Where nobody wants to wait for the end of an outage."""
    service.answer = lambda _: error_reply(status, "out of order")
    policy = replace(QUICK, outage_limit_s=0)
    async with AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=policy) as embedder:
        try:
            batch = await embedder.embed_images(jpeg(number) for number in range(images))
        except ServiceUnavailableError:
            assert images == 16
        else:
            assert len(batch.failures) == images
    assert max(Counter(call.body for call in service.calls).values()) <= 4


@pytest.mark.parametrize("reply", [Reply(400), error_reply(400, "")], ids=["nothing", "no message"])
async def test_a_service_that_refuses_all_without_a_word_stops_the_run(
    embedder: AsyncVisionEmbedder, service: FakeService, reply: Reply
) -> None:
    """No image is to blame; a few that are refused so among others are."""
    service.answer = lambda _: reply
    with pytest.raises(EndpointError, match=r"refuses every image.*400.*VISION_ENDPOINT") as caught:
        await embedder.embed_images(jpeg(number) for number in range(100))
    assert caught.value.status_code == 400
    assert len(service.calls) <= 4 + embedder.max_in_flight


async def test_images_refused_without_a_word_among_others_have_failed(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """The service does look at images."""
    await embedder.embed_image(jpeg(100))
    service.answer = lambda _: Reply(400)
    assert len((await embedder.embed_images(jpeg(number) for number in range(20))).failures) == 20


def _through(client: httpx.AsyncClient, *, max_in_flight: int) -> AsyncVisionEmbedder:
    return AsyncVisionEmbedder(
        "https://a.example",
        "k",
        max_in_flight=max_in_flight,
        requests_per_second=None,
        retry=QUICK,
        http_client=client,
    )


def _lacks_descriptors(_: httpx.Request) -> httpx.Response:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    raise error


async def test_without_any_descriptor_the_run_stops() -> None:
    """After several tries with a single call in flight; no image has failed."""
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(_lacks_descriptors)) as client,
        _through(client, max_in_flight=3) as embedder,
    ):
        with pytest.raises(OutOfResourcesError, match="ulimit -n") as caught:
            await embedder.embed_images(jpeg(number) for number in range(10))
        assert not caught.value.batch.failures


async def test_a_lone_call_waits_for_a_descriptor() -> None:
    """What others took for a moment changes nothing for later."""
    lacking = iter(range(4))

    def transport(request: httpx.Request) -> httpx.Response:
        if next(lacking, None) is not None:
            return _lacks_descriptors(request)
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        AsyncVisionEmbedder("https://a.example", "k", retry=QUICK, http_client=client) as embedder,
    ):
        assert (await embedder.embed_image(jpeg(1))).attempts == 1
        assert embedder.max_in_flight == 16


async def test_who_is_cancelled_while_descriptors_lack_leaves_its_place_to_others() -> None:
    """It holds no slot while it waits for one; there are fewer, as there are fewer connections."""
    answers, held = iter([good_reply, None]), asyncio.Event()

    async def transport(request: httpx.Request) -> httpx.Response:
        if next(answers, good_reply) is None:
            return _lacks_descriptors(request)
        await held.wait()
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        _through(client, max_in_flight=2) as embedder,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(embedder.embed_image(jpeg(1)))
            short = group.create_task(embedder.embed_image(jpeg(2)))
            while embedder.max_in_flight == 2:  # noqa: ASYNC110 - some turns of the loop
                await asyncio.sleep(0)
            short.cancel()
            await asyncio.wait([short])
            assert embedder.max_in_flight == 1
            held.set()
        assert embedder._calls is not None
        assert embedder._calls._slots.borrowed_tokens == 0
        assert len((await embedder.embed_images(jpeg(number) for number in range(5))).sources) == 5


async def test_a_lone_call_outlasts_an_outage_and_only_then_takes_the_blame(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be its image; then the next is sent, and if that fails too, the service is down."""
    monkeypatch.setattr(_health, "DOWN_AFTER_S", 0.05)
    monkeypatch.setattr(_breaker, "PROBE_EVERY_S", 0.1)
    policy = replace(QUICK, outage_limit_s=0.3)
    bad = {jpeg(1), jpeg(3), jpeg(4)}
    service.answer = lambda call: error_reply(503, "busy") if call.body in bad else good_reply(call)
    async with AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, max_in_flight=1, retry=policy
    ) as embedder:
        with pytest.raises(ServiceUnavailableError, match="busy") as caught:
            await embedder.embed_images(jpeg(number) for number in range(6))
    assert [failure.source for failure in caught.value.batch.failures] == [jpeg(1), jpeg(3)]
    assert list(caught.value.batch.sources) == [jpeg(0), jpeg(2)]


def test_a_probe_that_is_told_to_wait_makes_the_next_one_wait() -> None:
    """A 429 does not end an outage, and its `Retry-After` holds."""
    sent: list[float] = []

    async def transport(request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        sent.append(now)
        if now < 30:
            return httpx.Response(503)
        if now < 60:
            return httpx.Response(429, headers={"retry-after": "100"})
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async def embed() -> int:
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
            AsyncVisionEmbedder("https://a.example", "k", max_in_flight=4, http_client=client) as embedder,
        ):
            return len((await embedder.embed_images(jpeg(number) for number in range(8))).sources)

    assert run_virtual(embed()) == 8
    probes = [time for time in sent if time > 30]
    assert probes[0] < 60
    assert probes[1] >= probes[0] + 100
    assert len(probes) == 9


async def test_closing_during_an_outage_ends_the_wait_for_it(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told that the embedder is closed."""
    monkeypatch.setattr(_health, "DOWN_AFTER_S", 0.0)
    service.answer = lambda _: error_reply(503)
    async with asyncio.TaskGroup() as group:
        async with _open(service) as embedder:
            waiting = group.create_task(_embed_one(embedder))
            assert embedder._calls is not None
            while not embedder._calls._breaker.is_open:  # noqa: ASYNC110 - a few calls
                await asyncio.sleep(0.001)
        assert "is closed" in await waiting


async def test_closing_under_a_call_ends_it_with_our_own_sentence() -> None:
    """Whoever still waits when the embedder is closed is told so."""
    async with FakeService(lambda _: Reply(hang=True)) as service, asyncio.TaskGroup() as group:
        async with _open(service) as embedder:
            waiting = group.create_task(_embed_one(embedder))
            await service.calls_reach(1)
        assert "is closed" in await waiting


async def _embed_one(embedder: AsyncVisionEmbedder) -> str:
    with pytest.raises(RuntimeError) as caught:
        await embedder.embed_image(jpeg(1))
    return str(caught.value)


async def test_fewer_calls_begin_where_descriptors_lack() -> None:
    """With eight in flight and two connections to be had, two go on at a time, and no image fails."""
    under_way = most = 0

    async def transport(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        if under_way == 2:
            return _lacks_descriptors(request)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        _through(client, max_in_flight=8) as embedder,
    ):
        batch = await embedder.embed_images(jpeg(number) for number in range(30))
        assert (len(batch.sources), most, embedder.max_in_flight) == (30, 2, 2)


async def test_a_refused_image_is_an_answer_of_the_service(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """So it is neither an outage nor tried again, and the error says what a program needs."""
    service.answer = lambda _: error_reply(400, "Image format is not valid.", apim_request_id="12-34")
    batch = await embedder.embed_images(jpeg(number) for number in range(20))
    assert len(batch.failures) == len(service.calls) == 20
    for failure in batch.failures:
        error = failure.error
        assert isinstance(error, InvalidInputError)
        assert (error.status_code, error.code, error.request_id) == (400, "400", "12-34")
        assert (error.attempts, error.source) == (1, failure.source)


async def test_a_lack_of_descriptors_takes_no_slot_while_some_are_free() -> None:
    """One call of three that finds no connection waits a while, and none is missing afterwards."""
    lacking = iter(range(2))

    async def transport(request: httpx.Request) -> httpx.Response:
        if next(lacking, None) is not None:
            return _lacks_descriptors(request)
        await asyncio.sleep(0.001)
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        _through(client, max_in_flight=8) as embedder,
    ):
        batch = await embedder.embed_images(jpeg(number) for number in range(3))
        assert (len(batch.sources), embedder.max_in_flight) == (3, 8)


async def test_an_answer_that_is_none_keeps_its_status_and_request_id(service: FakeService) -> None:
    """Support asks for them, whatever the answer was."""
    service.answer = lambda _: Reply(body=b"{}", headers={"apim-request-id": "12-34"})
    async with _open(service) as embedder:
        with pytest.raises(RetriesExhaustedError) as caught:
            await embedder.embed_image(jpeg(1))
    assert (caught.value.status_code, caught.value.request_id) == (200, "12-34")


async def test_an_attempt_without_an_answer_does_not_hide_the_answer_before(service: FakeService) -> None:
    """The last that the service said is told, although it said nothing in the end."""
    service.script.append(error_reply(500, "broken", apim_request_id="12-34"))
    service.answer = lambda _: Reply(cut=0)
    async with _open(service) as embedder:
        with pytest.raises(RetriesExhaustedError) as caught:
            await embedder.embed_image(jpeg(1))
    assert (caught.value.status_code, caught.value.request_id) == (500, "12-34")


async def test_closing_tells_those_who_wait_for_the_rate() -> None:
    """At once, and not when their turn would have come."""
    async with FakeService() as service, asyncio.timeout(30), asyncio.TaskGroup() as group:
        async with AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=0.001) as embedder:
            await embedder.embed_image(jpeg(1))
            waiting = group.create_task(_embed_one(embedder))
            for _ in range(5):
                await asyncio.sleep(0)
        assert "is closed" in await waiting

"""`AsyncVisionEmbedder` against a fake service on a real socket."""

from __future__ import annotations

import asyncio
import errno
import logging
import pickle
import traceback
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
import respx

from fake_service import Call, FakeService, Reply, error_reply, good_reply, vector_for
from helpers import QUICK, jpeg, make_images
from semart_vectors import (
    AsyncVisionEmbedder,
    Embedding,
    EmbeddingBatch,
    EmbeddingFailure,
    RetryPolicy,
    embedder as embedder_module,
)
from semart_vectors.calls import breaker as _breaker, health as _health
from semart_vectors.errors import (
    AuthenticationError,
    BatchError,
    ConfigurationError,
    EndpointError,
    InvalidInputError,
    ModelMismatchError,
    OutOfResourcesError,
    QuotaExceededError,
    RetriesExhaustedError,
    RunError,
    ServiceUnavailableError,
    UnreadableImageError,
)
from virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path


async def test_an_image_by_path_and_by_bytes_gets_its_vector(
    embedder: AsyncVisionEmbedder, tmp_path: Path
) -> None:
    """The vector is that of the bytes, float32, whole and read-only."""
    images = make_images(tmp_path, 1)
    [(name, content)] = images.items()
    by_path = await embedder.embed_image(tmp_path / name)
    by_bytes = await embedder.embed_image(content)
    for embedding in (by_path, by_bytes):
        assert embedding.vector.dtype == np.float32
        assert not embedding.vector.flags.writeable
        np.testing.assert_array_equal(embedding.vector, vector_for(content))
    assert by_path.source == tmp_path / name
    assert by_path.model_version == "2023-04-15"


async def test_the_request_is_that_of_the_general_availability_api(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """Path, versions, key and content type are as documented."""
    await embedder.embed_image(jpeg(1))
    await embedder.embed_text("a ship")
    image, text = service.calls
    query = "?api-version=2024-02-01&model-version=2023-04-15"
    assert image.target == f"/computervision/retrieval:vectorizeImage{query}"
    assert text.target == f"/computervision/retrieval:vectorizeText{query}"
    assert image.headers["ocp-apim-subscription-key"] == "a-key"
    assert (image.headers["content-type"], text.headers["content-type"]) == (
        "application/octet-stream",
        "application/json",
    )
    assert text.body == b'{"text":"a ship"}'


async def test_a_url_is_left_to_the_service(embedder: AsyncVisionEmbedder, service: FakeService) -> None:
    """An https:// address travels as JSON; http:// is refused here."""
    address = "https://example.org/a.jpg"
    assert (await embedder.embed_image(address)).source == address
    assert service.calls[0].body == b'{"url":"https://example.org/a.jpg"}'
    with pytest.raises(InvalidInputError):
        await embedder.embed_image("http://example.org/a.jpg")
    assert len(service.calls) == 1


async def test_a_batch_keeps_input_order_and_names_its_failures(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """One bad image is a value among the others, which are unaffected."""
    images = make_images(tmp_path, 20)
    (tmp_path / "00007-image.jpg").write_bytes(b"")
    paths = [tmp_path / name for name in images]
    batch = await embedder.embed_images(iter(paths))
    assert list(batch.sources) == [path for path in paths if path.name != "00007-image.jpg"]
    expected = [vector_for(content) for name, content in images.items() if name != "00007-image.jpg"]
    np.testing.assert_array_equal(batch.vectors, expected)
    [failure] = batch.failures
    assert (failure.source, type(failure.error)) == (paths[7], InvalidInputError)
    assert len(service.calls) == 19


async def test_a_stream_takes_an_async_iterable_of_any_length(embedder: AsyncVisionEmbedder) -> None:
    """Images are taken as they are needed, and leaving early ends it."""
    taken = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        while True:
            taken += 1
            yield jpeg(taken % 5)

    async with aclosing(endless()) as images, embedder.stream_images(images) as outcomes:
        seen = [await anext(outcomes) for _ in range(30)]
    assert all(isinstance(outcome, Embedding) for outcome in seen)
    assert taken <= 30 + 2 * embedder.max_in_flight + 1


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


def _call(body: bytes) -> Call:
    return Call(0.0, "/", {}, body)


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
    """After four failures the image has failed, with the last answer as the cause."""
    service.answer = lambda _: error_reply(500, "broken")
    with pytest.raises(RetriesExhaustedError, match=r"4 attempts.*broken") as caught:
        await embedder.embed_image(jpeg(1))
    assert caught.value.attempts == len(service.calls) == 4


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
        with pytest.raises(ServiceUnavailableError, match="nothing but refusals"):
            await embedder.embed_image(jpeg(1))


async def test_an_image_that_alone_is_throttled_for_too_long_has_failed(service: FakeService) -> None:
    """The others are answered meanwhile."""
    service.answer = lambda call: error_reply(429) if call.body == jpeg(0) else good_reply(call)
    policy = RetryPolicy(throttled_base_s=0.001, cap_s=0.001, throttled_limit_s=0.05)
    async with AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, max_in_flight=2, retry=policy
    ) as embedder:
        batch = await embedder.embed_images(jpeg(number) for number in range(10))
    assert [type(failure.error) for failure in batch.failures] == [RetriesExhaustedError]
    assert len(batch.sources) == 9


async def test_a_429_pauses_all_who_share_an_embedder(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """After a 429 to one, no call of any is sent before `Retry-After` is over.

    Those that were under way when it was read do arrive.
    """
    service.script.append(error_reply(429, retry_after="0.4"))
    batch = await embedder.embed_images(jpeg(number) for number in range(30))
    assert len(batch.sources) == 30
    refused_at = service.calls[0].arrived_s
    early = [call for call in service.calls if call.arrived_s < refused_at + 0.4]
    assert len(early) <= 2 * embedder.max_in_flight


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


async def test_stopping_a_stream_lets_calls_under_way_finish(tmp_path: Path) -> None:
    """After `stop` no call is sent, and every call that was sent brings its outcome."""
    paths = [tmp_path / name for name in make_images(tmp_path, 40)]
    async with FakeService(latency_s=0.05) as service, _open(service) as embedder:
        async with embedder.stream_images(paths) as outcomes:
            seen = [await anext(outcomes)]
            sent = len(service.calls)
            outcomes.stop()
            seen += [outcome async for outcome in outcomes]
        assert len(seen) == len(service.calls) <= sent + embedder.max_in_flight
        assert len(seen) < 40


def _open(service: FakeService) -> AsyncVisionEmbedder:
    return AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, max_in_flight=8, retry=QUICK)


async def test_a_callers_client_is_used_and_left_open() -> None:
    """A mock of respx sees the calls, and the client works on after the embedder is closed."""
    client = httpx.AsyncClient()
    with respx.mock(assert_all_called=False) as mock:
        route = mock.post(url__startswith="https://a.example/computervision/").mock(
            return_value=httpx.Response(200, content=good_reply(_call(jpeg(1))).body)
        )
        async with AsyncVisionEmbedder("https://a.example/", "k", http_client=client) as embedder:
            await embedder.embed_image(jpeg(1))
        assert route.call_count == 1
    assert not client.is_closed
    await client.aclose()


async def test_an_embedder_is_opened_once() -> None:
    """Use before, after and twice is a mistake that says so."""
    embedder = AsyncVisionEmbedder("https://a.example", "k")
    with pytest.raises(RuntimeError, match="is not open"):
        await embedder.embed_image(b"x")
    async with embedder:
        with pytest.raises(RuntimeError, match="open already"):
            await embedder.__aenter__()
    with pytest.raises(RuntimeError, match="is closed"):
        embedder.stream_images([])


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "a.example",
        "ftp://a.example",
        "http://a.example",
        "https://",
        "https://a.example?x=1",
        "http://127.0.0.1.evil.example",
    ],
)
def test_an_unusable_endpoint_is_refused_at_once(endpoint: str) -> None:
    """Before any call, and plain http only on this machine."""
    with pytest.raises(ConfigurationError):
        AsyncVisionEmbedder(endpoint, "k")


@pytest.mark.parametrize("key", [None, "", "  ", "with\nnewline", "schlüssel"])
def test_an_unusable_key_is_refused_and_not_shown(key: str | None) -> None:
    """The sentence names the variable, never the key."""
    with pytest.raises(ConfigurationError, match="VISION_KEY") as caught:
        AsyncVisionEmbedder("https://a.example", key)
    assert not key or not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1/"])
def test_plain_http_is_good_on_this_machine(endpoint: str) -> None:
    """The emulator needs no certificate; blanks around the key go."""
    assert "open" not in repr(AsyncVisionEmbedder(endpoint, " k "))


def test_the_environment_is_read_when_asked() -> None:
    """`from_env` names every variable that is missing."""
    with pytest.raises(ConfigurationError, match="VISION_ENDPOINT and VISION_KEY"):
        AsyncVisionEmbedder.from_env({})
    embedder = AsyncVisionEmbedder.from_env(
        {"VISION_ENDPOINT": "https://a.example/", "VISION_KEY": "k"}, max_in_flight=3
    )
    assert embedder.max_in_flight == 3


async def test_the_key_never_shows(caplog: pytest.LogCaptureFixture) -> None:
    """No repr, message or debug log holds it, not even when the service repeats it."""
    key = "s3cr3t-canary"
    caplog.set_level(logging.DEBUG)
    async with (
        FakeService(lambda _: error_reply(401, f"bad key {key}")) as service,
        AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None) as embedder,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await embedder.embed_image(jpeg(1))
    assert key not in repr(embedder) + repr(caught.value) + str(caught.value) + caplog.text


async def test_a_failure_says_what_it_is_of(embedder: AsyncVisionEmbedder, tmp_path: Path) -> None:
    """Missing files and foreign types are failures of one image, with their source."""

    def sources() -> Iterator[object]:
        yield tmp_path / "missing.jpg"
        yield 5

    batch = await embedder.embed_images(sources())  # type: ignore[arg-type] # 5 is the point
    missing, foreign = batch.failures
    assert isinstance(missing, EmbeddingFailure)
    assert isinstance(missing.error, UnreadableImageError)
    assert isinstance(foreign.error, InvalidInputError)
    assert (missing.source, foreign.source) == (tmp_path / "missing.jpg", 5)


async def test_a_failure_does_not_keep_the_images_bytes(
    embedder: AsyncVisionEmbedder, service: FakeService
) -> None:
    """Ten thousand failures are ten thousand sentences, not ten thousand images."""
    service.answer = lambda _: error_reply(500)
    batch = await embedder.embed_images([jpeg(1)])
    error: BaseException | None = batch.failures[0].error
    assert isinstance(error, RetriesExhaustedError)
    while error is not None:
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__


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


def _lacks_descriptors(_: httpx.Request) -> httpx.Response:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    raise error


async def test_without_any_descriptor_the_run_stops() -> None:
    """After several tries with a single call in flight; no image has failed."""
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(_lacks_descriptors)) as client,
        AsyncVisionEmbedder(
            "https://a.example",
            "k",
            max_in_flight=3,
            requests_per_second=None,
            retry=QUICK,
            http_client=client,
        ) as embedder,
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
    """The bound on calls in flight is as before."""
    answers, held = iter([good_reply, None]), asyncio.Event()

    async def transport(request: httpx.Request) -> httpx.Response:
        if next(answers, good_reply) is None:
            return _lacks_descriptors(request)
        await held.wait()
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        AsyncVisionEmbedder(
            "https://a.example",
            "k",
            max_in_flight=2,
            requests_per_second=None,
            retry=QUICK,
            http_client=client,
        ) as embedder,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(embedder.embed_image(jpeg(1)))
            short = group.create_task(embedder.embed_image(jpeg(2)))
            while embedder.max_in_flight == 2:  # noqa: ASYNC110 - some turns of the loop
                await asyncio.sleep(0)
            short.cancel()
            await asyncio.wait([short])
            assert embedder.max_in_flight == 2
            held.set()
        assert not embedder._slots.locked()
        assert len((await embedder.embed_images(jpeg(number) for number in range(5))).sources) == 5


@pytest.mark.parametrize(("free", "in_flight"), [(None, 64), (1000, 64), (60, 28), (0, 1)])
async def test_no_more_calls_begin_than_there_are_descriptors(
    monkeypatch: pytest.MonkeyPatch, free: int | None, in_flight: int
) -> None:
    """Some are left for all else."""
    monkeypatch.setattr(embedder_module, "free_descriptors", lambda: free)
    async with AsyncVisionEmbedder("https://a.example", "k", max_in_flight=64) as embedder:
        assert embedder.max_in_flight == in_flight


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
            while not embedder._breaker.is_open:  # noqa: ASYNC110 - a few calls
                await asyncio.sleep(0.001)
        assert "is closed" in await waiting


async def test_once_the_budget_of_retries_is_spent_few_are_sent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing fails for it."""
    under_way = most = 0
    failed: dict[bytes, int] = {}

    async def transport(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        tries = failed[request.content] = failed.get(request.content, 0) + 1
        if tries < 3:
            return httpx.Response(500)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return httpx.Response(200, content=good_reply(_call(request.content)).body)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(transport)) as client,
        AsyncVisionEmbedder(
            "https://a.example",
            "k",
            max_in_flight=16,
            requests_per_second=None,
            retry=QUICK,
            http_client=client,
        ) as embedder,
    ):
        monkeypatch.setattr(embedder._health, "affords_retry", lambda: False)
        batch = await embedder.embed_images(jpeg(number) for number in range(40))
    assert (len(batch.sources), most) == (40, 2)


async def test_a_proxy_never_sees_a_call_to_this_machine(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain http call through a proxy of the environment would show it the key."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with _open(service) as embedder:
        await embedder.embed_image(jpeg(1))
    assert len(service.calls) == 1


async def test_certificates_that_cannot_be_read_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variables to look at."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        await AsyncVisionEmbedder("https://a.example", "k").__aenter__()


def test_swapping_endpoint_and_key_does_not_show_the_key() -> None:
    """Whatever stands where the endpoint should be may be the key."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncVisionEmbedder("s3cr3t", "https://a.example")
    assert "s3cr3t" not in str(caught.value)


def test_an_unknown_model_is_refused_at_once() -> None:
    """It would fail every image."""
    with pytest.raises(ConfigurationError, match="2022-04-11"):
        AsyncVisionEmbedder("https://a.example", "k", model_version="2023-04-16")


async def test_one_path_is_not_many(embedder: AsyncVisionEmbedder) -> None:
    """A text is iterable, letter by letter; nobody means that."""
    with pytest.raises(TypeError, match="list"):
        await embedder.embed_images("a.jpg")
    with pytest.raises(TypeError, match="list"):
        embedder.stream_images(b"bytes")  # type: ignore[arg-type] # the point


async def test_a_stream_is_opened_before_it_is_iterated(embedder: AsyncVisionEmbedder) -> None:
    """Without `async with` there would be nothing to wait for."""
    stream = embedder.stream_images([])
    with pytest.raises(RuntimeError, match="async with"):
        await anext(stream)
    async with stream:
        pass
    with pytest.raises(RuntimeError, match="make a new one"):
        await stream.__aenter__()


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


async def test_an_error_names_its_image(embedder: AsyncVisionEmbedder, tmp_path: Path) -> None:
    """In a note, as a traceback shows it, alone and in a batch."""
    path = tmp_path / "missing.jpg"
    with pytest.raises(UnreadableImageError) as alone:
        await embedder.embed_image(path)
    batch = await embedder.embed_images([path])
    with pytest.raises(UnreadableImageError) as caught:
        _raise_one(batch)
    for error in (alone.value, caught.value):
        assert any("missing.jpg" in note for note in error.__notes__)


def _raise_one(batch: EmbeddingBatch) -> None:
    try:
        batch.raise_for_failures()
    except BatchError as group:
        raise group.exceptions[0] from None


@pytest.mark.parametrize("key", ["7", "vector", "e", "123"])
async def test_a_key_that_occurs_in_an_answer_does_no_harm(service: FakeService, key: str) -> None:
    """Only refusals are cleaned of it."""
    async with AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None) as embedder:
        np.testing.assert_array_equal((await embedder.embed_image(jpeg(1))).vector, vector_for(jpeg(1)))


async def test_tracebacks_with_variables_and_pickles_do_not_hold_the_key(service: FakeService) -> None:
    """Neither those of refusals nor those of broken connections."""
    key = "s3cr3t-canary"
    service.answer = lambda _: Reply(cut=10)
    async with AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None, retry=QUICK) as embedder:
        told = ""
        for answer in (lambda _: Reply(cut=10), lambda _: error_reply(401, apim_request_id=key)):
            service.answer = answer
            try:
                await embedder.embed_image(jpeg(1))
            except (RunError, RetriesExhaustedError) as error:
                told += "".join(
                    traceback.TracebackException.from_exception(error, capture_locals=True).format()
                )
        assert "embed_image" in told
        assert f"'{key}'" not in told.replace(f"key = '{key}'", "")  # this test's own variable
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(embedder)


async def test_a_clients_hook_that_raises_for_statuses_changes_nothing(service: FakeService) -> None:
    """A refused key still ends the run at once."""

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    service.answer = lambda _: error_reply(401)
    client = httpx.AsyncClient(event_hooks={"response": [raise_for_status]})
    async with client, AsyncVisionEmbedder(service.endpoint, "k", http_client=client) as embedder:
        with pytest.raises(AuthenticationError):
            await embedder.embed_image(jpeg(1))
    assert len(service.calls) == 1

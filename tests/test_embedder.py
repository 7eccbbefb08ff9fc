"""`AsyncVisionEmbedder` against a fake service on a real socket."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from aiolimiter import AsyncLimiter

from fake_service import Call, FakeService, Reply, error_reply, vector_for
from helpers import QUICK, jpeg, make_images
from semart_vectors import (
    AsyncVisionEmbedder,
    Embedding,
    EmbeddingBatch,
    EmbeddingFailure,
)
from semart_vectors.calls import file_descriptors
from semart_vectors.calls.limiter import AdaptiveLimiter, SteadyLimiter
from semart_vectors.errors import (
    BatchError,
    ConfigurationError,
    InvalidInputError,
    ItemError,
    RetriesExhaustedError,
    UnreadableImageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from pathlib import Path

    from semart_vectors.embedder import EmbedderOptions
    from semart_vectors.streams.window import OutcomeStream


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


def _call(body: bytes) -> Call:
    return Call(0.0, "/", {}, body)


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


async def test_an_embedder_is_opened_once() -> None:
    """Use before, after and twice is a mistake that says so."""
    embedder = AsyncVisionEmbedder("https://a.example", "k")
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: embedder.embed_image(jpeg(1)),
        lambda: embedder.embed_text("a ship"),
        lambda: embedder.embed_images([]),
        lambda: embedder.stream_images([]).__aenter__(),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="is not open"):
            await use()
    async with embedder:
        with pytest.raises(RuntimeError, match="open already"):
            await embedder.__aenter__()
    for use in uses:
        with pytest.raises(RuntimeError, match="is closed"):
            await use()


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "a.example",
        "ftp://a.example",
        "http://a.example",
        "https://",
        "https://a.example?x=1",
        "https://[a.example",
        "https://a.example:port",
        "http://127.0.0.1.evil.example",
    ],
)
def test_an_unusable_endpoint_is_refused_at_once(endpoint: str) -> None:
    """Before any call, and plain http only on this machine."""
    with pytest.raises(ConfigurationError):
        AsyncVisionEmbedder(endpoint, "k")


@pytest.mark.parametrize("endpoint", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1/"])
def test_plain_http_is_good_on_this_machine(endpoint: str) -> None:
    """The emulator needs no certificate."""
    embedder = AsyncVisionEmbedder(endpoint, "k")
    assert repr(embedder) == (
        f"<AsyncVisionEmbedder {endpoint.rstrip('/')}, model 2023-04-15, 10 requests/s, 16 in flight, new>"
    )


def test_the_environment_is_read_when_asked() -> None:
    """`from_env` names every variable that is missing."""
    with pytest.raises(ConfigurationError, match="VISION_ENDPOINT and VISION_KEY"):
        AsyncVisionEmbedder.from_env({})
    embedder = AsyncVisionEmbedder.from_env(
        {"VISION_ENDPOINT": "https://a.example/", "VISION_KEY": "k"}, max_in_flight=3
    )
    assert embedder.max_in_flight == 3


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


@pytest.mark.parametrize(("free", "in_flight"), [(None, 64), (1000, 64), (60, 28), (0, 1)])
async def test_no_more_calls_begin_than_there_are_descriptors(
    monkeypatch: pytest.MonkeyPatch, free: int | None, in_flight: int
) -> None:
    """Some are left for all else."""
    monkeypatch.setattr(file_descriptors, "free_descriptors", lambda: free)
    async with AsyncVisionEmbedder("https://a.example", "k", max_in_flight=64) as embedder:
        assert embedder.max_in_flight == in_flight


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


async def test_an_error_names_its_image(embedder: AsyncVisionEmbedder, tmp_path: Path) -> None:
    """In a note, as a traceback shows it, alone and in a batch."""
    path = tmp_path / "missing.jpg"
    with pytest.raises(UnreadableImageError) as alone:
        await embedder.embed_image(path)
    batch = await embedder.embed_images([path])
    with pytest.raises(UnreadableImageError) as caught:
        _raise_one(batch)
    for error in (alone.value, caught.value):
        assert str(error).count("missing.jpg") == 1


def _raise_one(batch: EmbeddingBatch) -> None:
    try:
        batch.raise_for_failures()
    except BatchError as group:
        raise group.exceptions[0] from None


async def test_an_error_has_its_source(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """The image or text as it was handed in, alone and in a batch."""
    path = tmp_path / "missing.jpg"
    with pytest.raises(ItemError) as alone:
        await embedder.embed_image(path)
    service.answer = lambda _: error_reply(400, "too many words")
    with pytest.raises(ItemError) as text:
        await embedder.embed_text("a ship")
    with pytest.raises(ItemError) as no_text:
        await embedder.embed_text(" ")
    [failure] = (await embedder.embed_images([path])).failures
    assert alone.value.source == failure.error.source == failure.source == path
    assert (text.value.source, no_text.value.source) == ("a ship", " ")


async def test_a_refused_image_is_named_in_its_error(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """Once, however often it is raised; of an address without what may be a secret."""
    (path := tmp_path / "a.jpg").write_bytes(jpeg(1))
    service.answer = lambda _: error_reply(400, "not nice")
    with pytest.raises(InvalidInputError, match=rf"^{path}: the service answered 400 \(not nice\)"):
        await embedder.embed_image(path)
    with pytest.raises(InvalidInputError, match=r"^https://a\.example/a\.jpg: the") as caught:
        await embedder.embed_image("https://a.example/a.jpg?sig=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", [["a", "b"], 5, None, b"a"])
async def test_what_is_no_text_is_refused_in_a_sentence(embedder: AsyncVisionEmbedder, text: Any) -> None:
    """As what is no image is."""
    with pytest.raises(InvalidInputError, match="a text is a str, not"):
        await embedder.embed_text(text)


async def test_what_is_in_use_can_be_seen(embedder: AsyncVisionEmbedder) -> None:
    """Limiter, client and bound are those of the embedder, and cannot be exchanged behind its back."""
    assert isinstance(embedder.limiter, AsyncLimiter)
    assert isinstance(embedder.http_client, httpx.AsyncClient)
    for name in ("max_in_flight", "http_client", "limiter"):
        with pytest.raises(AttributeError):
            setattr(embedder, name, None)


@pytest.mark.parametrize(
    ("options", "in_flight"),
    [
        ({}, 16),
        ({"requests_per_second": 30}, 30),
        ({"requests_per_second": 5000}, 1000),
        ({"requests_per_second": None}, 16),
        ({"requests_per_second": "auto"}, 256),
        ({"requests_per_second": "auto", "max_requests_per_second": 40}, 40),
        ({"limiter": AsyncLimiter(120, 1)}, 120),
        ({"limiter": SteadyLimiter(20, 60)}, 16),
        ({"limiter": AdaptiveLimiter()}, 256),
    ],
)
def test_as_many_calls_in_flight_as_keep_up_the_rate(options: EmbedderOptions, in_flight: int) -> None:
    """While each takes a second; or as many as are asked for."""
    assert AsyncVisionEmbedder("https://a.example", "k", **options).max_in_flight == in_flight
    options = {**options, "max_in_flight": 7}
    assert AsyncVisionEmbedder("https://a.example", "k", **options).max_in_flight == 7


def test_a_limiter_is_one_of_aiolimiter() -> None:
    """Anything else is refused at once."""
    with pytest.raises(ConfigurationError, match="SteadyLimiter"):
        AsyncVisionEmbedder("https://a.example", "k", limiter=asyncio.Semaphore(3))  # type: ignore[arg-type] # the point


@pytest.mark.parametrize("max_in_flight", [0, -1, 1.5, 16.0, "8", True])
def test_a_number_of_calls_is_a_whole_number_above_0(max_in_flight: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigurationError, match="max_in_flight"):
        AsyncVisionEmbedder("https://a.example", "k", max_in_flight=max_in_flight)


def test_a_limiter_and_another_rate_are_not_both_taken() -> None:
    """One of them would be ignored."""
    with pytest.raises(ConfigurationError, match="limiter"):
        AsyncVisionEmbedder("https://a.example", "k", limiter=SteadyLimiter(10), requests_per_second=20)


def test_a_plain_limiter_that_lets_nothing_through_is_refused() -> None:
    """A bucket that holds less than one call would never do so."""
    with pytest.raises(ConfigurationError, match="room for a whole call"):
        AsyncVisionEmbedder("https://a.example", "k", limiter=AsyncLimiter(0.5, 1))


async def test_a_stream_that_is_open_when_its_embedder_closes_ends() -> None:
    """With our own sentence, whether it reads files or waits for answers."""
    async with FakeService(lambda _: Reply(hang=True)) as service, AsyncExitStack() as opened:
        embedder = AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=QUICK)
        await opened.enter_async_context(embedder)
        async with (
            asyncio.timeout(30),
            embedder.stream_images(jpeg(number) for number in range(50)) as outcomes,
            asyncio.TaskGroup() as group,
        ):
            reading = group.create_task(_drain(outcomes))
            await service.calls_reach(1)
            await opened.aclose()
    assert "is closed" in reading.result()


async def _drain(outcomes: OutcomeStream[Embedding | EmbeddingFailure]) -> str:
    with pytest.raises(RuntimeError) as caught:
        async for _ in outcomes:
            pass
    return str(caught.value)


async def test_an_embedder_that_could_not_be_opened_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    embedder = AsyncVisionEmbedder("https://a.example", "k")
    with pytest.raises(ConfigurationError):
        await embedder.__aenter__()
    with pytest.raises(RuntimeError, match="is closed"):
        await embedder.embed_image(jpeg(1))

"""The contract of the service, as the emulator keeps it in process and on a port."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import sys
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from emulator_requests import GA, IMAGE, KEY, OCTETS, TEXT, picture
from semart_vectors.emulator import EmulatedService, Emulator, Settings, vectorizer
from semart_vectors.emulator.image_decoding import decode_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from semart_vectors.emulator.rate_limit import Tier

on_a_port = False


@pytest.fixture(autouse=True, params=[False, True], ids=["in process", "on a port"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in both ways: the contract does not depend on it."""
    monkeypatch.setattr(sys.modules[__name__], "on_a_port", request.param)


@asynccontextmanager
async def serve(
    service: EmulatedService, headers: dict[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the service, with a good key unless `headers` say otherwise."""
    emulator = Emulator()
    emulator._service = service
    async with AsyncExitStack() as stack:
        transport: httpx.AsyncBaseTransport = emulator.transport()
        if on_a_port:
            await stack.enter_async_context(emulator)
            transport = httpx.AsyncHTTPTransport()
        base_url = emulator.endpoint if on_a_port else "http://emulator"
        yield await stack.enter_async_context(
            httpx.AsyncClient(
                transport=transport,
                base_url=base_url,
                headers=KEY if headers is None else headers,
                params=GA,
            )
        )


async def post_image(body: bytes, **query: str) -> httpx.Response:
    """Send one picture to a service of its own."""
    async with serve(EmulatedService()) as client:
        return await client.post(IMAGE, params=GA | query, headers=OCTETS, content=body)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return the error in the envelope, which the header must repeat."""
    error: dict[str, Any] = response.json()["error"]
    assert response.headers["x-ms-error-code"] == error["code"]
    return error


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "image/jpeg", "image/png; x=1", "IMAGE/PNG"]
)
async def test_an_image_is_its_bytes_under_any_image_type(content_type: str) -> None:
    """Bytes are taken as octets or as any image type, and 1024 numbers come back with their model."""
    async with serve(EmulatedService()) as client:
        response = await client.post(IMAGE, headers={"content-type": content_type}, content=picture())
    assert response.status_code == 200
    assert response.headers["apim-request-id"]
    assert response.json()["modelVersion"] == "2023-04-15"
    assert len(response.json()["vector"]) == 1024


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO"])
async def test_every_documented_format_is_taken(image_format: str) -> None:
    """All eight formats of the documentation are decoded."""
    assert (await post_image(picture(image_format))).status_code == 200


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
async def test_a_cut_picture_is_refused(image_format: str) -> None:
    """A picture that ends too early is no picture."""
    whole = picture(image_format, (160, 120))
    error = error_of(await post_image(whole[: len(whole) * 2 // 3]))
    assert error["code"] == "InvalidRequest"
    assert error["message"] == "Image format is not valid."
    assert error["innererror"]["code"] == "InvalidImageFormat"


@pytest.mark.parametrize("body", [b"", b"\xff" * 20_971_521], ids=["empty", "too large"])
async def test_an_image_has_one_byte_to_twenty_mebibytes(body: bytes) -> None:
    """An empty or too large body is refused with the bound in the message."""
    response = await post_image(body)
    assert response.status_code == 400
    assert "zero or larger than 20971520 bytes" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("size", "status"), [((10, 40), 400), ((11, 11), 200), ((15_999, 11), 200), ((11, 16_000), 400)]
)
async def test_sides_are_more_than_10_and_less_than_16000(size: tuple[int, int], status: int) -> None:
    """Both bounds are themselves refused."""
    response = await post_image(picture(size=size))
    assert response.status_code == status
    if status == 400:
        assert "The image dimension is not allowed" in error_of(response)["message"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
async def test_every_pixel_mode_is_taken(mode: str) -> None:
    """Palettes, transparency and other modes are no reason for a refusal, and for no warning either."""
    file = io.BytesIO()
    Image.new("L", (30, 30), 99).convert(mode).save(file, "TIFF" if mode == "CMYK" else "PNG")
    assert (await post_image(file.getvalue())).status_code == 200


@pytest.mark.parametrize(
    ("path", "content_type", "body", "message"),
    [
        (IMAGE, "application/json", b'{"url": "https://x.test/a.jpg", "text": "a"}', "url is not accessible"),
        (IMAGE, "application/json", b'{"url": ""}', "url is not accessible"),
        (IMAGE, "application/json", b'{"link": "a"}', "JSON object with 'url'"),
        (IMAGE, "text/plain", b"a", "content type"),
        (IMAGE, "application/octet-stream", b"no picture", "format is not valid"),
        (TEXT, "application/json", b'{"text": " "}', "1 to 70 words"),
        (TEXT, "application/json", b'{"text": "%s"}' % (b"word " * 71), "1 to 70 words"),
        (TEXT, "application/json", b'{"text": 7}', "must be a string"),
        (TEXT, "application/json", b"[]", "JSON object with 'text'"),
        (TEXT, "application/json", b"{", "JSON object with 'text'"),
        (TEXT, "text/plain", b"a ship", "content type"),
    ],
)
async def test_what_cannot_be_understood_is_an_invalid_request(
    path: str, content_type: str, body: bytes, message: str
) -> None:
    """Wrong content is always 400 InvalidRequest, a wrong content type too."""
    async with serve(EmulatedService()) as client:
        response = await client.post(path, headers={"content-type": content_type}, content=body)
    assert response.status_code == 400
    assert error_of(response)["code"] == "InvalidRequest"
    assert message in error_of(response)["message"]


@pytest.mark.parametrize("text", ["ship", "word " * 70, "Schiff im Sturm, κύμα"])
async def test_a_text_of_1_to_70_words_has_a_vector_of_length_1(text: str) -> None:
    """Texts have float32 vectors of unit length."""
    async with serve(EmulatedService()) as client:
        response = await client.post(TEXT, json={"text": text})
    assert np.linalg.norm(response.json()["vector"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Ocp-Apim-Subscription-Key": ""},
        {"Ocp-Apim-Subscription-Key": "wrong"},
        {"Ocp-Apim-Subscription-Key": "good "},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic abc"},
    ],
    ids=str,
)
async def test_a_bad_key_is_refused_before_anything_else(headers: dict[str, str]) -> None:
    """Without the key even a path that is not there answers 401, in the service's own words."""
    if on_a_port and any(value.endswith(" ") for value in headers.values()):
        pytest.skip("on the wire no header ends with a blank")
    async with serve(EmulatedService(Settings(key="good")), headers) as client:
        response = await client.post("/nowhere", content=b"")
    assert response.status_code == 401
    assert error_of(response) == {
        "code": "401",
        "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide"
        " a valid key for an active subscription and use a correct regional API endpoint for your resource.",
    }


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("good", {"Ocp-Apim-Subscription-Key": "good"}),
        (None, {"Ocp-Apim-Subscription-Key": "whatever"}),
        ("good", {"Authorization": "Bearer token"}),
        ("good", {"Authorization": "bearer token"}),
    ],
)
async def test_the_key_or_any_bearer_token_is_good(key: str | None, headers: dict[str, str]) -> None:
    """The named key is good, any key when none is named, and any token."""
    async with serve(EmulatedService(Settings(key=key)), headers) as client:
        assert (await client.post(TEXT, json={"text": "ship"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "api_version", "status", "code"),
    [
        ("POST", "/computervision/retrieval:vectorizeVideo", "2024-02-01", 404, "404"),
        ("POST", "/", "2024-02-01", 404, "404"),
        ("GET", IMAGE, "2024-02-01", 404, "404"),
        ("POST", IMAGE, "2031-01-01", 404, "404"),
        ("POST", TEXT, "", 404, "404"),
        ("POST", IMAGE, "2023-02-01-preview", 410, "Gone"),
        ("POST", TEXT, "2022-10-12-preview", 410, "Gone"),
    ],
)
async def test_unknown_is_404_and_retired_is_gone(
    method: str, path: str, api_version: str, status: int, code: str
) -> None:
    """Unknown paths and versions answer 404, dead previews 410."""
    async with serve(EmulatedService()) as client:
        response = await client.request(method, path, params={"api-version": api_version})
    assert (response.status_code, error_of(response)["code"]) == (status, code)


async def test_models_differ_in_their_vectors_and_lengths() -> None:
    """The hyphenated parameter chooses the model; the camel one of the dead preview is not heard."""
    old, new, camel = [
        (await post_image(picture(), **query)).json()
        for query in ({"model-version": "2022-04-11"}, {}, {"modelVersion": "2022-04-11"})
    ]
    assert (old["modelVersion"], new["modelVersion"], camel) == ("2022-04-11", "2023-04-15", new)
    assert np.linalg.norm(old["vector"]) == pytest.approx(92.12, abs=0.02)
    assert np.linalg.norm(new["vector"]) == pytest.approx(1, abs=1e-3)
    assert abs(np.dot(old["vector"], new["vector"])) / 92.12 < 0.2
    assert (await post_image(picture(), **{"model-version": "2021-01-01"})).status_code == 400


async def test_numbers_are_float16_values_as_shortest_float32() -> None:
    """What is printed is exactly a float16, in no more digits than a float32 needs."""
    response = await post_image(picture(), **{"model-version": "2022-04-11"})
    numbers = np.array(response.json()["vector"], dtype=np.float32)
    assert np.array_equal(numbers, numbers.astype(np.float16).astype(np.float32))
    assert response.text.startswith('{"modelVersion":"2022-04-11","vector":[')
    assert len(response.content) < 11_500


@pytest.mark.parametrize(
    ("rate", "calls", "elapsed_s", "wait_s", "wait"),
    [(2, 2, 0.4, 1, "1 second."), (1 / 60, 1, 18.5, 42, "42 seconds.")],
)
async def test_a_call_beyond_the_rate_is_told_when_to_come_back(
    rate: float, calls: int, elapsed_s: float, wait_s: int, wait: str
) -> None:
    """A 429 names the wait, rounded up to whole seconds, in its sentence and in its header."""
    now = 0.0
    service = EmulatedService(Settings(requests_per_second=rate), clock=lambda: now)
    async with serve(service) as client:
        for _ in range(calls):
            assert (await client.post(TEXT, json={"text": "a"})).status_code == 200
        now = elapsed_s
        response = await client.post(IMAGE, headers=OCTETS, content=picture())
    assert (response.status_code, error_of(response)["code"]) == (429, "429")
    assert f"Please retry after {wait}" in error_of(response)["message"]
    assert response.headers["retry-after"] == str(wait_s)


@pytest.mark.parametrize(("tier", "calls", "wait_s"), [("F0", 20, 60), ("S1", 10, 1)])
async def test_a_tier_has_its_rate_and_its_words(tier: Tier, calls: int, wait_s: int) -> None:
    """The free tier is told to wait up to a minute and to pay, the standard tier a second."""
    async with serve(EmulatedService(Settings(tier=tier), clock=lambda: 0.0)) as client:
        answers = [await client.post(TEXT, json={"text": "a"}) for _ in range(calls + 1)]
    assert [answer.status_code for answer in answers] == [200] * calls + [429]
    message = error_of(answers[-1])["message"]
    assert f"ComputerVision {tier} pricing tier. Please retry after {wait_s} second" in message
    assert ("switch to a paid tier" in message) == (tier == "F0")


async def test_a_rate_of_its_own_goes_before_that_of_the_tier() -> None:
    """Limits are raised by ticket: the tier keeps its words, the rate is any number, counted in any way."""
    settings = Settings(tier="S1", requests_per_second=30, limit_kind="fixed")
    assert repr(settings.rate_limit(lambda: 0.0)) == "FixedWindow(30, 1.0)"


async def test_the_retry_after_header_can_be_left_out() -> None:
    """Without the header the sentence still says how long to wait."""
    service = EmulatedService(Settings(requests_per_second=1, retry_after=False), clock=lambda: 0.0)
    async with serve(service) as client:
        first, second = [await client.post(TEXT, json={"text": "a"}) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 429)
    assert "retry-after" not in second.headers
    assert "retry after 1 second." in error_of(second)["message"]


async def test_a_refused_picture_counts_against_the_rate_and_a_refused_key_does_not() -> None:
    """The gateway counts what it lets through, whatever the model makes of it."""
    service = EmulatedService(Settings(requests_per_second=1), clock=lambda: 0.0)
    async with serve(service, {}) as client:
        answers = [
            await client.post(IMAGE, headers=OCTETS | key, content=b"no picture") for key in ({}, KEY, KEY)
        ]
    assert [answer.status_code for answer in answers] == [401, 400, 429]


async def test_every_answer_has_an_id_of_its_own_and_the_date() -> None:
    """And does not say what serves it."""
    begun = dt.datetime.now(dt.UTC).replace(microsecond=0)
    async with serve(EmulatedService()) as client:
        answers = [await client.post(TEXT, json={"text": text}) for text in ("a", "")]
    assert len({answer.headers["apim-request-id"] for answer in answers}) == 2
    for answer in answers:
        assert parsedate_to_datetime(answer.headers["date"]) >= begun
        assert "server" not in answer.headers


async def test_no_more_images_are_decoded_at_once_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other threads are the client's."""
    lock, now, most = threading.Lock(), 0, 0

    def counted(body: bytes) -> Image.Image:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        image = decode_image(body)
        with lock:
            now -= 1
        return image

    monkeypatch.setattr(vectorizer, "decode_image", counted)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    body = picture(size=(400, 300))
    async with serve(EmulatedService()) as client, asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(client.post(IMAGE, headers=OCTETS, content=body))
    assert most == 1


async def test_no_image_is_decoded_for_an_emulator_that_closes() -> None:
    """Whoever still asks hears that the service is not available."""
    service = EmulatedService()
    async with serve(service) as client:
        service.closing.set()
        answers = [
            await client.post(IMAGE, headers=OCTETS, content=body) for body in (picture(), b"no picture")
        ]
    assert [error_of(answer)["code"] for answer in answers] == ["ServiceUnavailable"] * 2


async def test_a_call_takes_as_long_as_its_vector_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger says so, where there is no latency."""

    def slow(body: bytes) -> Image.Image:
        time.sleep(0.05)
        return decode_image(body)

    monkeypatch.setattr(vectorizer, "decode_image", slow)
    service = EmulatedService()
    async with serve(service) as client:
        await client.post(IMAGE, headers=OCTETS, content=picture())
    assert [call.duration_s >= 0.05 for call in service.ledger.calls] == [True]


async def test_the_ledger_has_every_call() -> None:
    """Each call is recorded with its answer, and `GET /calls` needs no key to sum them up."""
    service = EmulatedService(clock=lambda: 7.5)
    async with serve(service) as client:
        await client.post(TEXT, json={"text": "ship"})
        await client.post("/nowhere", content=b"abc")
        summary = await client.get("/calls", headers={"Ocp-Apim-Subscription-Key": ""})
    assert summary.json() == {"calls": 2, "by_status": {"200": 1, "404": 1}}
    text, nowhere = service.ledger.calls
    assert (text.operation, text.status, text.arrived_s) == ("vectorizeText", 200, 7.5)
    assert (nowhere.operation, nowhere.body_bytes) == ("/nowhere", 3)
    assert nowhere.body_sha256.startswith("ba7816bf")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Settings(latency_s=-1),
        lambda: Settings(latency_s=float("nan")),
        lambda: Settings(key=" "),
        lambda: Settings(tier="S9"),  # type: ignore[arg-type] # what a reader of a file may hand in
        lambda: Settings(limit_kind="leaky"),  # type: ignore[arg-type] # as above
        lambda: EmulatedService(Settings(requests_per_second=0)),
        lambda: EmulatedService(Settings(requests_per_second=float("inf"))),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Callable[[], object]) -> None:
    """A setting that no service could have is a ValueError at once."""
    with pytest.raises(ValueError, match=r"must|admits"):
        make()

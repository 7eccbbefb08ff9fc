"""The vision API as pure functions: every answer, odd or not, gets its one meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings, strategies as st

from semart_vectors.errors import (
    ApiError,
    AuthenticationError,
    EndpointError,
    InvalidInputError,
    ItemError,
    ModelMismatchError,
    QuotaExceededError,
    RunError,
)
from semart_vectors.service.azure import (
    MODEL_VERSION,
    image_request,
    image_url_request,
    read_vector,
    request_url,
    text_request,
)
from semart_vectors.service.messages import ServiceAnswer, ServiceRequest, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from semart_vectors.records import Vector

MEANINGS = (TransientError, ItemError, RunError)
NUMBERS: list[Any] = [number / 64 for number in range(1024)]
VECTORS = Path(__file__).parents[3] / "shared" / "data" / "azure_vectors" / "vectors.json"


def read(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Vector:
    """Read an answer to a call that asked for the usual model."""
    return read_vector(ServiceAnswer(status, headers or {}, body), model_version=MODEL_VERSION)


def answer(vector: object = NUMBERS, **fields: object) -> bytes:
    """Return the body of an answer, good unless told otherwise; a field that is None is left out."""
    content = {"modelVersion": MODEL_VERSION, "vector": vector} | fields
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


def envelope(code: str, message: str, **more: object) -> bytes:
    """Return an error as documented."""
    return json.dumps({"error": {"code": code, "message": message, **more}}).encode()


def but_one(number: object) -> list[Any]:
    """Return a vector whose last number is another."""
    return [*NUMBERS[:-1], number]


@pytest.mark.parametrize(
    ("request_", "operation", "content_type", "body"),
    [
        (image_request(b"\xff\xd8"), "vectorizeImage", "application/octet-stream", b"\xff\xd8"),
        (image_url_request("https://a/b"), "vectorizeImage", "application/json", b'{"url":"https://a/b"}'),
        (text_request('a "ship"\n'), "vectorizeText", "application/json", rb'{"text":"a \"ship\"\n"}'),
        (text_request("Öl"), "vectorizeText", "application/json", '{"text":"Öl"}'.encode()),
    ],
)
def test_requests_are_as_documented(
    request_: ServiceRequest, operation: str, content_type: str, body: bytes
) -> None:
    """One item a call: an image's bytes, or JSON with a url or a text, never both."""
    assert (request_.operation, request_.content_type, request_.body) == (operation, content_type, body)


@pytest.mark.parametrize("build", [text_request, image_url_request])
def test_a_text_that_is_no_unicode_is_refused(build: Callable[[str], ServiceRequest]) -> None:
    """Surrogate bytes, from a file's name or a broken table, concern this item only."""
    with pytest.raises(InvalidInputError):
        build("https://example.org/\udcff.jpg")


def test_the_address_names_operation_api_and_model() -> None:
    """The GA parameter is `model-version`, with a hyphen."""
    assert request_url("https://name.example", "vectorizeText", "2022-04-11") == (
        "https://name.example/computervision/retrieval:vectorizeText"
        "?api-version=2024-02-01&model-version=2022-04-11"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, envelope("InvalidRequest", "The image size is not allowed to be zero"), InvalidInputError),
        (400, envelope("InvalidRequest", "Image format is not valid.",
                       innererror={"code": "InvalidImageFormat", "message": "no"}), InvalidInputError),
        (400, envelope("InvalidRequest", "The provided image url is not accessible."), InvalidInputError),
        (400, envelope("InvalidRequest", "The image dimension is not allowed to be smaller than 10 and "
                       "larger than 16000"), InvalidInputError),
        (400, envelope("InvalidRequest", "This operation is not enabled in this region."), EndpointError),
        (413, b"", InvalidInputError),
        (415, b"", InvalidInputError),
        (422, b"", InvalidInputError),
        (401, envelope("401", "Access denied due to invalid subscription key"), AuthenticationError),
        (403, (b'{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in '
         b'1.02:03:04"}'), QuotaExceededError),
        (403, envelope("403", "Out of call volume quota."), QuotaExceededError),
        (403, envelope("PermissionDenied", "Principal does not have access"), AuthenticationError),
        (403, b"<html>", AuthenticationError),
        (404, envelope("404", "Resource not found"), EndpointError),
        (410, b"", EndpointError),
        (400, envelope("Gone", "Computer Vision 2023-02-01-preview has been deprecated."), EndpointError),
        (429, envelope("429", "have exceeded call rate limit. Please retry after 1 second."), TransientError),
    ],
)  # fmt: skip  # a row stays in sight
def test_a_refusal_means_what_its_table_says(status: int, body: bytes, kind: type[Exception]) -> None:
    """The item failed, the run is over, or the call may be tried again: each refusal is one of the three."""
    with pytest.raises(kind, match=str(status)) as caught:
        read(body, status)
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"{}", envelope("InternalServerError", "sorry")])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int, body: bytes) -> None:
    """Whatever the body looks like; only a 429 counts as "too fast"."""
    with pytest.raises(TransientError) as caught:
        read(body, status)
    assert (caught.value.is_throttled, caught.value.retry_after_s) == (False, None)


@pytest.mark.parametrize("status", [501, 505, 507, 509, 520, 522, 525, 530, 599])
def test_the_servers_own_failures_are_never_the_images_fault(status: int) -> None:
    """A gateway's odd 5xx must not mark a whole collection as refused for good."""
    with pytest.raises(TransientError):
        read(b"<html>", status)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_a_success_without_a_vector_is_tried_again(status: int) -> None:
    """What is no 200 holds no vector, but refuses nothing either."""
    with pytest.raises(TransientError):
        read(b"", status)


@pytest.mark.parametrize("status", [402, 405, 407])
def test_a_refusal_of_the_callers_way_stops_the_run(status: int) -> None:
    """Payment, method and proxy sign-in have nothing to do with one image."""
    with pytest.raises(RunError):
        read(b"", status)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_stops_the_run(status: int) -> None:
    """Following it could carry the key elsewhere."""
    with pytest.raises(EndpointError, match="redirect"):
        read(b"", status, {"location": "https://elsewhere.example"})


def test_too_fast_says_for_how_long() -> None:
    """A 429 brings the wait, from its headers or from its words."""
    body = envelope("429", "Please retry after 40 seconds.")
    for headers, seconds in (({}, 40.0), ({"retry-after": "7"}, 7.0)):
        with pytest.raises(TransientError) as caught:
            read(body, 429, headers)
        assert (caught.value.is_throttled, caught.value.retry_after_s) == (True, seconds)


@pytest.mark.parametrize("code", ["Gone", "x-ms-error-code"])
def test_a_retired_api_is_told_by_its_name(code: str) -> None:
    """In the envelope or in the header, whatever the status."""
    headers = {"x-ms-error-code": "Gone"} if code != "Gone" else {}
    with pytest.raises(EndpointError, match="retired"):
        read(envelope("Gone", "") if code == "Gone" else b"", 400, headers)


def test_an_error_names_the_services_words_and_the_request() -> None:
    """What support asks for stands in the message."""
    with pytest.raises(InvalidInputError, match=r"Image format is not valid\..*apim-request-id 12-34"):
        read(envelope("InvalidRequest", "Image format\n is not valid."), 400, {"apim-request-id": "12-34"})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 302, 405])
def test_an_error_carries_what_a_program_needs(status: int) -> None:
    """Status, the service's own code, and the request's id; None for what the answer does not say."""
    with pytest.raises(ApiError) as caught:
        read(envelope("Code7", "words"), status, {"apim-request-id": "12-34"})
    error = caught.value
    assert (error.status_code, error.code, error.request_id) == (status, "Code7", "12-34")
    with pytest.raises(ApiError) as caught:
        read(b"", status)
    assert (caught.value.status_code, caught.value.code, caught.value.request_id) == (status, None, None)


def test_a_failure_that_may_pass_carries_the_same() -> None:
    """For the error that it may end in."""
    with pytest.raises(TransientError) as caught:
        read(envelope("Code7", "words"), 500, {"apim-request-id": "12-34"})
    assert caught.value.attributes == {"status_code": 500, "code": "Code7", "request_id": "12-34"}


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"null", b"1", b'"text"', b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b"{" * 100_000,
        b'{"error": null}', b'{"error": []}', b'{"error": "text"}', b'{"error": {"error": {"code": 1}}}',
        b'{"error": {"code": null, "message": null}}', b'{"error": {"code": ["x"], "message": {"a": 1}}}',
        b'{"error": {"innererror": 1}}', b'{"error": {"innererror": {"message": 7}}}',
        b'{"statusCode": "no", "message": 1}', envelope("x", "word " * 200_000),
    ],
)  # fmt: skip  # a list of oddities
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_an_odd_body_changes_nothing(status: int, body: bytes) -> None:
    """No page, list or nest of errors crashes the reading, and no message floods the log."""
    with pytest.raises(MEANINGS) as caught:
        read(body, status)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html><body>Sign in</body></html>", b"{}", b"[]", answer()[:-1], answer()[:5000],
        answer(None), answer(NUMBERS[:-1]), answer([*NUMBERS, 0.5]), answer([]), answer("text"), answer({}),
        answer([NUMBERS]), answer(but_one(float("nan"))), answer(but_one(float("inf"))),
        answer().replace(b"0.015625", b"1e999"), answer(but_one(3.5e38)), answer(but_one(10**40)),
        answer(but_one("1")), *(answer(but_one(odd)) for odd in (None, True)), answer(but_one([1])),
        answer(but_one({})), answer(modelVersion=None), answer(modelVersion=20230415), answer() + b"x",
        json.dumps([json.loads(answer())]).encode(), json.dumps({"result": json.loads(answer())}).encode(),
    ],
)  # fmt: skip  # a list of oddities
def test_an_answer_that_is_none_is_asked_for_again(body: bytes) -> None:
    """A 200 without 1024 finite numbers and the name of a model is no answer."""
    with pytest.raises(TransientError):
        read(body)


@pytest.mark.parametrize("name", ["vector", "modelVersion", "v\\u0065ctor"])
def test_an_answer_that_says_two_things_is_none(name: str) -> None:
    """Of a name that stands twice, nobody can say which one holds."""
    other = [0.25] * 1024 if "ctor" in name else "2022-04-11"
    with pytest.raises(TransientError):
        read(f'{{"{name}": {json.dumps(other)}, '.encode() + answer()[1:])


@pytest.mark.parametrize("other", ["2022-04-11", "", "2023-04-15 "])
def test_another_model_stops_the_run(other: str) -> None:
    """Its vectors do not compare; the message names both."""
    with pytest.raises(ModelMismatchError, match=MODEL_VERSION):
        read(answer(modelVersion=other))


def test_the_order_of_fields_and_further_ones_do_not_matter() -> None:
    """The documentation disagrees with itself on the order."""
    reverse = {"usage": {"vector": 1}, "vector": NUMBERS, "modelVersion": MODEL_VERSION}
    np.testing.assert_array_equal(read(json.dumps(reverse).encode()), np.array(NUMBERS, np.float32))


def test_a_vector_is_read_only_float32() -> None:
    """It is shared by whoever gets it, so nobody changes it."""
    vector = read(answer([int(number) for number in NUMBERS]))
    assert vector.dtype == np.float32
    assert vector.shape == (1024,)
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


@given(st.lists(st.integers(0, 2**32 - 1), min_size=40, max_size=40))
@example([0x7F7FFFFF] * 40)  # together longer than any float32, each of them the largest
@settings(max_examples=60)
def test_every_float32_survives_bit_for_bit(patterns: list[int]) -> None:
    """Printed as the shortest float32 or as a float64, with its sign, exponent and all."""
    numbers = np.resize(np.array(patterns, np.uint32).view(np.float32), 1024)
    numbers[~np.isfinite(numbers)] = -0.0
    for texts in ([str(number) for number in numbers], [repr(float(number)) for number in numbers]):
        body = f'{{"modelVersion":"{MODEL_VERSION}","vector":[{",".join(texts)}]}}'.encode()
        assert read(body).tobytes() == numbers.tobytes()


@pytest.mark.skipif(not VECTORS.exists(), reason="the real vectors are not here")
def test_real_vectors_survive_bit_for_bit() -> None:
    """What the real service printed becomes the float32 it stands for."""
    for numbers in json.loads(VECTORS.read_bytes()).values():
        vector = read(answer(numbers))
        assert [float(str(number)) for number in vector] == numbers
        assert vector.tobytes() == np.array(numbers, np.float32).tobytes()


def meaning_of(body: bytes, status: int) -> type[object]:
    """Return the type of the vector, or of the error that the answer raises."""
    try:
        vector = read(body, status)
    except MEANINGS as error:
        return type(error)
    assert vector.shape == (1024,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    return type(vector)


def meaning_of_status(status: int) -> type[Exception]:
    """Return the error of an answer without a vector whose body says nothing."""
    if status < 300 or status in (408, 429) or status >= 500:
        return TransientError
    if status in (401, 403):
        return AuthenticationError
    if status < 400 or status in (402, 404, 405, 407, 410, 421):
        return EndpointError
    return InvalidInputError


@given(body=st.binary(max_size=200), status=st.integers(100, 599))
def test_any_bytes_mean_what_their_status_says(body: bytes, status: int) -> None:
    """Noise is never a vector, never a crash, and never another error."""
    assert meaning_of(body, status) is meaning_of_status(status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["error", "code", "message", "innererror", "statusCode", "vector", "modelVersion"])


@given(content=st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)), status=st.integers(100, 599))
def test_any_json_means_what_its_status_says(content: object, status: int) -> None:
    """Whatever stands under the names that are looked at, unless it is one of the words that count."""
    body = json.dumps(content).encode()
    assume(b"gone" not in body.lower())
    assume(b"quota" not in body.lower())
    assert meaning_of(body, status) is meaning_of_status(status)


@given(
    odd=JSON, place=st.integers(0, 1023), length=st.integers(1023, 1025), model=JSON | st.just(MODEL_VERSION)
)
@example(odd=1.4e154, place=0, length=1024, model=MODEL_VERSION)  # its square is infinite
def test_only_a_whole_answer_is_accepted(odd: object, place: int, length: int, model: object) -> None:
    """One odd thing in an answer, and it is none; told by the standard library's reading of it."""
    vector = [*NUMBERS, 0.5][:length]
    vector[min(place, length - 1)] = odd
    is_number = isinstance(odd, int | float) and not isinstance(odd, bool) and abs(odd) < 3.4e38
    is_vector = is_number and length == 1024
    expected: type[object] = np.ndarray if is_vector else TransientError
    if is_vector and model != MODEL_VERSION:
        expected = ModelMismatchError if isinstance(model, str) else TransientError
    assert meaning_of(answer(vector, modelVersion=model), 200) is expected

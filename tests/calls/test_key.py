"""The key is sent, and shown nowhere."""

from __future__ import annotations

import html
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest

from fake_service import FakeService, Reply, error_reply, vector_for
from helpers import QUICK, jpeg
from semart_vectors import (
    AsyncVisionEmbedder,
)
from semart_vectors.calls.key import Key
from semart_vectors.errors import (
    AuthenticationError,
    ConfigurationError,
    ItemError,
    RetriesExhaustedError,
    RunError,
)

if TYPE_CHECKING:
    from semart_vectors.embedder import EmbedderOptions


@pytest.mark.parametrize("key", [None, "", "  ", "with\nnewline", "schlüssel", "with-\udce9-in-it"])
def test_an_unusable_key_is_refused_and_not_shown(key: str | None) -> None:
    """The sentence names the variable, never the key."""
    with pytest.raises(ConfigurationError, match="VISION_KEY") as caught:
        AsyncVisionEmbedder("https://a.example", key)
    assert not key or not key.strip() or key not in str(caught.value)


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


def test_swapping_endpoint_and_key_does_not_show_the_key() -> None:
    """Whatever stands where the endpoint should be may be the key."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncVisionEmbedder("s3cr3t", "https://a.example")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("key", ["7", "vector", "e", "123"])
async def test_a_key_that_occurs_in_an_answer_does_no_harm(service: FakeService, key: str) -> None:
    """Only refusals are cleaned of it."""
    async with AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None) as embedder:
        np.testing.assert_array_equal((await embedder.embed_image(jpeg(1))).vector, vector_for(jpeg(1)))


def variables_of(error: BaseException) -> str:
    """Return the variables that error trackers show of an error and its causes, but for this module's own."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    told = [str(frame.locals) for frame in trace.stack if frame.filename != __file__]
    return " ".join(told) + (variables_of(error.__cause__) if error.__cause__ else "")


async def test_tracebacks_with_variables_and_pickles_do_not_hold_the_key(service: FakeService) -> None:
    """Neither those of refusals nor those of broken connections."""
    key = "s3cr3t-canary"
    service.answer = lambda _: Reply(cut=10)
    async with AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None, retry=QUICK) as embedder:
        told = ""
        other_model = json.dumps({"modelVersion": key, "vector": [0.5] * 1024}).encode()
        for answer in (
            lambda _: Reply(cut=10),
            lambda _: error_reply(401, apim_request_id=key),
            lambda _: Reply(200, other_model),
        ):
            service.answer = answer
            try:
                await embedder.embed_image(jpeg(1))
            except (RunError, RetriesExhaustedError) as error:
                told += variables_of(error)
        assert "attempts" in told
        assert key not in told
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(embedder)


async def test_blanks_around_the_key_do_not_go_out(service: FakeService) -> None:
    """A trailing one would give a 401."""
    async with AsyncVisionEmbedder(service.endpoint, " s3cr3t\n", requests_per_second=None) as embedder:
        await embedder.embed_image(jpeg(1))
    assert service.calls[0].headers["ocp-apim-subscription-key"] == "s3cr3t"


@pytest.mark.parametrize("key", ["plain-letters", 'quo"ted & <odd>', "slash\\key"])
def test_every_written_form_of_the_key_is_hidden(key: str) -> None:
    """As it is, and as Python, JSON, HTML and addresses escape it."""
    forms = [key, repr(key)[1:-1], json.dumps(key)[1:-1], html.escape(key), quote(key, safe="")]
    hidden = Key(key).hide(" ".join(forms))
    assert [form for form in forms if form in hidden] == []


def test_a_short_key_is_not_looked_for() -> None:
    """It would be found in sentences of ours."""
    assert Key("of").hide("a list of numbers") == "a list of numbers"


def test_a_key_has_no_repr_that_shows_it() -> None:
    """Neither it nor its text."""
    key = Key("s3cr3t-canary")
    assert "s3cr3t" not in f"{key!r} {key.value!r}"
    assert str(key.value) == "s3cr3t-canary"


@pytest.mark.parametrize("wrong", [{"model_version": "2020-01-01"}, {"max_in_flight": 0}])
def test_an_error_of_configuration_does_not_bring_the_key_along(wrong: EmbedderOptions) -> None:
    """Nor does its traceback with variables, which error trackers show."""
    key = "s3cr3t-canary"
    environ = {"VISION_ENDPOINT": "https://a.example", "VISION_KEY": key}
    try:
        AsyncVisionEmbedder.from_env(environ, **wrong)
    except ConfigurationError as error:
        told = variables_of(error)
    assert "a.example" in told
    assert key not in told


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_no_attribute_of_an_error_has_the_key(service: FakeService, status: int) -> None:
    """However the answer spelled it, in its body or its headers."""
    key = "s3cr3t-canary"
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in key)
    body = f'{{"error": {{"code": "{spelled}", "message": "{spelled}"}}}}'.encode()
    service.answer = lambda _: Reply(status, body, {"apim-request-id": key})
    async with AsyncVisionEmbedder(service.endpoint, key, requests_per_second=None, retry=QUICK) as embedder:
        with pytest.raises((ItemError, RunError)) as caught:
            await embedder.embed_image(jpeg(1))
    attributes = vars(caught.value)
    assert (attributes["status_code"], attributes["request_id"]) == (status, "***")
    assert key not in str(attributes)

"""Row 17: what comes instead of an answer is noticed, whatever it looks like."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fake_service import MODEL, FakeService, Reply, good_reply, vector_for
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder
from semart_vectors.errors import ModelMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

IMAGE = jpeg(17)
NUMBERS: list[Any] = [float(number) for number in vector_for(b"another")]
GOOD = json.dumps({"modelVersion": MODEL, "vector": NUMBERS})
LARGEST = float(np.finfo(np.float32).max)


def body(vector: object = NUMBERS, model: object = MODEL, **others: object) -> bytes:
    """Return an answer in JSON, or what looks like one."""
    return json.dumps({"modelVersion": model, "vector": vector, **others}).encode()


def but_one(text: str) -> bytes:
    """Return a good answer, but for its last number."""
    return (GOOD[: GOOD.rindex(",")] + f", {text}]}}").encode()


def meant_by(content: bytes) -> list[float] | None:
    """Return the numbers that an answer gives, read by the letter; None where it is no right answer."""

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in members}) < len(members):
            raise ValueError("a name stands there twice")
        return dict(members)

    def none(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        found = json.loads(content.decode(), object_pairs_hook=once, parse_constant=none)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("modelVersion") != MODEL:
        return None
    numbers = found.get("vector")
    if not isinstance(numbers, list) or len(numbers) != 1024:
        return None
    if not all(type(number) in (int, float) and abs(number) <= LARGEST for number in numbers):
        return None
    return [float(number) for number in numbers]


WRONG: dict[str, bytes] = {
    "a page": b"<!DOCTYPE html><html><body>Bad gateway</body></html>",
    "nothing": b"",
    "blanks": b" \r\n",
    "{}": b"{}",
    "[]": b"[]",
    "null": b"null",
    "a text": b'"vector"',
    "the vector alone": json.dumps(NUMBERS).encode(),
    "an error": b'{"error": {"code": "InternalServerError", "message": "sorry"}}',
    "an error beside": b'{"statusCode": 500, "message": "sorry"}',
    "1023 numbers": body(NUMBERS[:-1]),
    "1025 numbers": body([*NUMBERS, 1.0]),
    "no numbers": body([]),
    "the vector as a text": body(json.dumps(NUMBERS)),
    "the vector by name": body({str(number): value for number, value in enumerate(NUMBERS)}),
    "an array around it": body([NUMBERS]),
    "an array for each": body([[number] for number in NUMBERS]),
    "512 pairs": body([NUMBERS[at : at + 2] for at in range(0, 1024, 2)]),
    "an empty array within": body([*NUMBERS, []]),
    "texts": body([str(number) for number in NUMBERS]),
    **{f"one {text}": but_one(text) for text in (
        "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e39", "9" * 400, "null", "true", '"0.5"', "{}",
        "[0.5]", "", "0x10", "01", "+1", ".5", "1.", "1e", "--1", "1_0", "0.5 0.5", "0,5", "nan", "\u0661",
    )},
    "no model": json.dumps({"vector": NUMBERS}).encode(),
    "model null": body(model=None),
    "model a number": body(model=20230415),
    "model in an array": body(model=[MODEL]),
    "another model": body(model="2022-04-11"),
    "a blank after the model": body(model=MODEL + " "),
    "the model in other letters": body(model="２０２３-04-15"),
    "vector twice": f'{{"vector": [1, 2], {GOOD[1:]}'.encode(),
    "the same vector twice": f'{GOOD[:-1]}, "vector": {json.dumps(NUMBERS)}}}'.encode(),
    "model twice": f'{{"modelVersion": "2022-04-11", {GOOD[1:]}'.encode(),
    "model twice, escaped": f'{{"\\u006dodelVersion": "2022-04-11", {GOOD[1:]}'.encode(),
    "something else twice": f'{{"a": 1, "a": 2, {GOOD[1:]}'.encode(),
    "twice within": f'{{"a": {{"b": 1, "b": 2}}, {GOOD[1:]}'.encode(),
    "two answers": (GOOD + GOOD).encode(),
    "an answer and more": (GOOD + "x").encode(),
    "a comma too many": (GOOD[:-1] + ",}").encode(),
    "a comment": ("/* */" + GOOD).encode(),
    "quotes of the other kind": GOOD.replace('"', "'").encode(),
    "a BOM": b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": GOOD.encode("utf-16"),
    "Latin-1": ('{"é": 1, ' + GOOD[1:]).encode("latin-1"),
    "a zero byte after it": GOOD.encode() + b"\0",
    "deep": b'{"a": ' + b"[" * 100_000,
    "a callback": b"answer(" + GOOD.encode() + b")",
    "gzip that is not said": gzip.compress(GOOD.encode()),
    "an event stream": b"data: " + GOOD.encode() + b"\n\n",
    **{f"{length} of its bytes": GOOD.encode()[:length] for length in (1, 30, 500, -2, -1)},
}  # fmt: skip  # more of them to a line


GZIP = {"content-encoding": "gzip"}
PACKED = gzip.compress(GOOD.encode())
WRONG_ON_THE_WIRE: dict[str, Reply] = {
    "gzip that is none": Reply(body=GOOD.encode(), headers=GZIP),
    "gzip cut short": Reply(body=PACKED[:-20], headers=GZIP),
    "gzip with another byte": Reply(
        body=PACKED[:900] + bytes([PACKED[900] ^ 4]) + PACKED[901:], headers=GZIP
    ),
    "cut in the head": Reply(body=GOOD.encode(), cut=20),
    "cut in the body": Reply(body=GOOD.encode(), cut=5000),
    "shorter than said": Reply(body=GOOD.encode(), headers={"content-length": "99999"}, cut=10**6),
    "a length that is none": Reply(body=GOOD.encode(), headers={"content-length": "many"}, cut=10**6),
    "chunks that are none": Reply(body=GOOD.encode(), headers={"transfer-encoding": "chunked"}, cut=10**6),
    "no content": Reply(204),
    "a vector in a 202": Reply(202, GOOD.encode()),
    "a vector in a 500": Reply(500, GOOD.encode()),
}


async def accepted(embedder: AsyncVisionEmbedder, service: FakeService, reply: Reply) -> bytes | None:
    """Return the vector that an image gets by a reply; None where it is tried again, or ends the run."""
    service.script.append(reply)
    try:
        embedding = await embedder.embed_image(IMAGE)
    except ModelMismatchError:
        return None
    assert embedding.vector.shape == (1024,)
    if embedding.attempts == 1:
        return embedding.vector.tobytes()
    assert embedding.attempts == 2
    assert embedding.vector.tobytes() == vector_for(IMAGE).tobytes()
    return None


def open_embedder(service: FakeService, client: httpx.AsyncClient | None = None) -> AsyncVisionEmbedder:
    """Make an embedder that is quick to try again."""
    return AsyncVisionEmbedder(
        service.endpoint, "k", requests_per_second=None, retry=QUICK, http_client=client
    )


@pytest.mark.row(17)
async def test_what_is_no_answer_is_tried_again(score: Callable[[str], None]) -> None:
    """Over connections that stay open, ours and a caller's; then the image gets its own vector."""
    asked = 0
    async with AsyncExitStack() as opened:
        service = await opened.enter_async_context(FakeService(good_reply))
        client = await opened.enter_async_context(httpx.AsyncClient())
        for way in (None, client):
            embedder = await opened.enter_async_context(open_embedder(service, way))
            assert await accepted(embedder, service, Reply(body=GOOD.encode())) is not None
            for what, content in WRONG.items():
                assert meant_by(content) is None, what
                assert await accepted(embedder, service, Reply(body=content)) is None, what
            for what, reply in WRONG_ON_THE_WIRE.items():
                assert await accepted(embedder, service, reply) is None, what
            asked += len(WRONG) + len(WRONG_ON_THE_WIRE)
    score(f"0 of {asked} accepted")


TOKENS = [
    "NaN",
    "1e999",
    "-0",
    "null",
    '"1"',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"vector"',
    "2022-04-11",
    "\\",
    "é",
]
ODD = st.sampled_from([token.encode() for token in TOKENS]) | st.binary(min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Take a good answer, and replace some stretches of it."""
    content = GOOD.encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)) | st.integers(0, 60))
        length = draw(st.sampled_from([0, 0, 1, 2, 10, 1000]))
        content = content[:start] + draw(st.just(b"") | ODD) + content[start + length :]
    return content


@st.composite
def assembled(draw: st.DrawFn) -> bytes:
    """Put an answer together from parts, each of them good or not."""
    vector = [*NUMBERS, 0.5][: draw(st.sampled_from([1024, 1024, 1024, 1023, 1025, 0]))]
    for at in draw(st.lists(st.integers(0, 1023), max_size=2)):
        vector[at : at + 1] = [draw(JSON)]
    members = [("modelVersion", draw(st.just(MODEL) | JSON)), ("vector", vector)]
    members += draw(st.lists(st.tuples(st.sampled_from(["vector", "modelVersion", "a"]), JSON), max_size=1))
    return (
        "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members) + "}"
    ).encode()


BODIES = damaged() | assembled() | st.binary(max_size=50) | JSON.map(lambda odd: json.dumps(odd).encode())


@pytest.mark.row(17)
def test_any_body_is_an_answer_by_the_letter_or_none(extent: Extent, score: Callable[[str], None]) -> None:
    """What is accepted is what a strict reading of it says, number for number."""
    verdicts: list[bool] = []
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        service = runner.run(opened.enter_async_context(FakeService(good_reply)))
        embedder = runner.run(opened.enter_async_context(open_embedder(service)))

        @settings(max_examples=extent.pick(quick=100, all=1000))
        @given(BODIES)
        def check(content: bytes) -> None:
            got, meant = runner.run(accepted(embedder, service, Reply(body=content))), meant_by(content)
            verdicts.append(meant is None)
            if got is not None:
                assert meant is not None
                assert all(map(math.isfinite, meant))
                assert got == np.array(meant, np.float64).astype(np.float32).tobytes()

        try:
            check()
        finally:
            runner.run(opened.aclose())
    assert sum(verdicts) > len(verdicts) / 2
    score(f"0 of {sum(verdicts):,} made by chance, among {len(verdicts):,} bodies")

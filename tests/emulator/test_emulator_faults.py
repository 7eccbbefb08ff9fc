"""Faults to order, the same in process and on a port."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from emulator_requests import GA, IMAGE, KEY, TEXT
from semart_vectors.emulator import Emulator, Fault, Faults, Lognormal, Uniform
from semart_vectors.emulator.latency import Constant, parse_latency

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHIP = {"text": "ship"}
WAYS = pytest.mark.parametrize("way", ["in process", "on a port"])


@asynccontextmanager
async def served(emulator: Emulator, way: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the emulator, through a port or without."""
    if way == "in process":
        async with httpx.AsyncClient(
            transport=emulator.transport(), base_url="https://emulator", headers=KEY, params=GA
        ) as client:
            yield client
    else:
        async with (
            emulator,
            httpx.AsyncClient(base_url=emulator.endpoint, headers=KEY, params=GA) as client,
        ):
            yield client


async def struck(fault: Fault | str) -> httpx.Response:
    """Return the answer to one call with a fault."""
    emulator = Emulator()
    emulator.faults.next(1, fault)
    async with served(emulator, "in process") as client:
        return await client.post(TEXT, json=SHIP)


@WAYS
@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("reset", httpx.ReadError, 0),
        ("cut:0.5", httpx.RemoteProtocolError, 200),
        ("slow-headers:60", httpx.ReadTimeout, 200),
        ("drip:36000", httpx.ReadTimeout, 200),
    ],
)
async def test_an_answer_that_does_not_arrive_is_the_error_of_a_socket(
    way: str, fault: str, error: type[Exception], status: int
) -> None:
    """The client sees the same error with and without a port; the ledger has what was sent, and why."""
    emulator = Emulator()
    emulator.faults.next(1, fault)
    async with served(emulator, way) as client:
        # A busy machine must not make a timeout of what is none.
        patience_s = 0.3 if error is httpx.ReadTimeout else 30
        with pytest.raises(error):
            await client.post(TEXT, json=SHIP, timeout=patience_s)
        assert (await client.post(TEXT, json=SHIP)).status_code == 200
    assert [(call.status, call.fault) for call in emulator.calls] == [(status, fault), (200, None)]


@WAYS
async def test_a_dripping_body_is_whole_in_the_end(way: str) -> None:
    """Byte by byte, every byte arrives; a client whose patience is for each byte waits for all."""
    emulator = Emulator()
    emulator.faults.next(1, "drip:1.4")
    async with served(emulator, way) as client:
        slow, quick = [
            await client.post(TEXT, json=SHIP, timeout=httpx.Timeout(30, read=1)) for _ in range(2)
        ]
    assert slow.content == quick.content


async def test_no_fault_is_an_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Connections that end to order leave nothing in the log."""
    emulator = Emulator()
    async with served(emulator, "on a port") as client:
        for fault in ("reset", "cut:0", "cut:0.99"):
            emulator.faults.next(1, fault)
            with pytest.raises(httpx.TransportError):
                await client.post(TEXT, json=SHIP)
    assert not caplog.records


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "Access denied"),
        (403, "Out of call volume quota"),
        (404, "Resource not found"),
        (408, '"Timeout"'),
        (410, '"Gone"'),
        (429, "Please retry after 1 second."),
        (500, '"InternalServerError"'),
        (502, "<h1>502 Bad Gateway</h1>"),
        (503, '"ServiceUnavailable"'),
        (504, "<h1>504 Gateway Time-out</h1>"),
    ],
)
async def test_every_status_has_the_words_of_the_service(status: int, says: str) -> None:
    """A status to order has the body that the service sends with it."""
    response = await struck(str(status))
    assert (response.status_code, says in response.text) == (status, True)
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("raw", ["7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "1e9"])
async def test_a_retry_after_is_sent_as_it_is_ordered(raw: str) -> None:
    """Seconds, dates and junk."""
    assert (await struck(f"429:{raw}")).headers["retry-after"] == raw


async def test_a_wait_in_seconds_stands_in_the_message_too() -> None:
    """As the service says it."""
    assert "Please retry after 7 seconds." in (await struck("429:7")).text


async def test_no_content_is_sent_without_a_body() -> None:
    """With the headers that are ordered."""
    response = await struck(Fault("204", headers={"x-odd": "1"}))
    assert (response.status_code, response.content, response.headers["x-odd"]) == (204, b"", "1")


async def test_a_refusal_is_not_spoilt() -> None:
    """A vector that is not there cannot be wrong, and the ledger names no fault."""
    emulator = Emulator()
    emulator.faults.next(1, "nan")
    async with served(emulator, "in process") as client:
        response = await client.post(TEXT, json={"text": ""})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "InvalidRequest")
    assert [(call.status, call.fault) for call in emulator.calls] == [(400, None)]


async def test_what_is_sent_before_a_cut_arrives() -> None:
    """The share of the body that the fault names, and headers that promise all of it."""
    emulator = Emulator()
    emulator.faults.next(1, "cut:0.5")
    arrived, cut = b"", False
    async with served(emulator, "on a port") as client, client.stream("POST", TEXT, json=SHIP) as response:
        promised = int(response.headers["content-length"])
        try:
            async for part in response.aiter_raw():
                arrived += part
        except httpx.RemoteProtocolError:
            cut = True
    assert (cut, len(arrived)) == (True, promised // 2)


async def test_other_headers_and_addresses_can_be_ordered() -> None:
    """Milliseconds in headers of their own; a redirect leads where it is told, or to itself."""
    response = await struck(Fault("429", headers={"retry-after-ms": "250"}))
    assert response.headers["retry-after-ms"] == "250"
    assert (await struck("307:https://elsewhere.test/")).headers["location"] == "https://elsewhere.test/"
    assert "vectorizeText" in (await struck("307")).headers["location"]


async def test_good_answers_can_be_spoilt() -> None:
    """A 200 that is no vector, or not the right one."""
    good = (await struck("none")).json()["vector"]
    assert (await struck("html")).text.startswith("<html>")
    assert (await struck("empty")).content == b""
    with pytest.raises(json.JSONDecodeError):
        (await struck("not-json")).json()
    assert (await struck("length")).json()["vector"] == good[:1023]
    assert (await struck("length:1025")).json()["vector"] == [*good, good[0]]
    assert (await struck("nan")).text.startswith('{"modelVersion":"2023-04-15","vector":[NaN,')
    assert [float(number) for number in (await struck("strings")).json()["vector"]] == good
    assert (await struck("other-model")).json() == {"modelVersion": "2022-04-11", "vector": good}
    packed = await struck("gzip")
    assert (packed.headers["content-encoding"], packed.json()["vector"]) == ("gzip", good)


async def test_a_script_is_for_one_operation_or_all_and_in_order() -> None:
    """Orders are used up one after the other by the calls they are meant for."""
    emulator = Emulator()
    emulator.faults.next(2, "503", operation="vectorizeImage")
    emulator.faults.next(1, "none")
    emulator.faults.next(1, "500")
    async with served(emulator, "in process") as client:
        statuses = [(await client.post(path, json=SHIP)).status_code for path in (TEXT, IMAGE, TEXT, IMAGE)]
    assert statuses == [200, 503, 500, 503]
    assert emulator.faults.listed() == {"script": [], "by_chance": {}}


async def test_a_struck_call_counts_against_the_rate_and_a_refused_one_is_not_struck() -> None:
    """Faults come after key, path and rate; only what was let through uses up an order."""
    emulator = Emulator(requests_per_second=0.02)
    emulator.faults.next(2, "503")
    async with served(emulator, "in process") as client:
        await client.post(TEXT, json=SHIP, headers={"Ocp-Apim-Subscription-Key": " "})
        await client.post(TEXT, json=SHIP)
        await client.post(TEXT, json=SHIP)
    assert [(call.status, call.fault) for call in emulator.calls] == [
        (401, None),
        (503, "503"),
        (429, None),
    ]


def test_the_same_seed_tells_the_same_story() -> None:
    """Chance depends on the seed and the order of calls alone, whatever a script does in between."""

    def story(seed: int, scripted: int = 0) -> list[str]:
        faults = Faults({"503": 0.2, "reset": 0.1}, seed=seed)
        if scripted:
            faults.next(scripted, "none")
        return [str(faults.draw("vectorizeText")) for _ in range(1000)]

    assert story(1) == story(1) != story(2)
    assert story(1, scripted=5)[5:] == story(1)[5:]
    assert 150 < story(1).count("503") < 250
    assert 60 < story(1).count("reset") < 140


async def test_faults_are_ordered_over_http() -> None:
    """`POST` orders, `GET` lists, `DELETE` clears, without a key."""
    emulator = Emulator()
    async with served(emulator, "in process") as client:
        orders = [
            {"fault": "429:5", "times": 3, "operation": "vectorizeImage"},
            {"fault": "reset", "probability": 0.25},
            {"fault": "429", "times": 1, "headers": {"retry-after-ms": "9"}},
        ]
        for order in orders:
            assert (await client.post("/_emulator/faults", json=order)).status_code == 200
        listed = (await client.get("/_emulator/faults")).json()
        assert listed["script"][0] == {**orders[0], "headers": {}}
        assert listed["by_chance"] == {"reset": 0.25}
        cleared = (await client.delete("/_emulator/faults")).json()
        assert (cleared["script"], cleared["by_chance"]) == ([], {})
    assert emulator.calls == []


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "{}",
        '{"fault": "503"}',
        '{"fault": "no", "times": 1}',
        '{"fault": "503", "times": 0}',
        '{"fault": "503", "times": 1, "more": 2}',
        '{"fault": "503", "times": 1, "headers": []}',
    ],
)
async def test_an_order_that_means_nothing_is_answered_with_the_form(body: str) -> None:
    """What is wrong, and what an order looks like."""
    async with served(Emulator(), "in process") as client:
        response = await client.post("/_emulator/faults", content=body)
    assert response.status_code == 400
    assert '"times": 3' in response.json()["error"]


@pytest.mark.parametrize(
    "text", ["", "200", "600", "nonsense", "cut:2", "length:x", "length:-1", "html:x", "429:a\nb"]
)
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    """At once, and not at the first call."""
    with pytest.raises(ValueError, match=r"fault|bounds|value|header|float"):
        Emulator(faults={text: 0.1})


def test_probabilities_are_at_most_one_in_sum() -> None:
    """A call has one fault at most."""
    faults = Faults({"503": 0.6})
    faults.at_random(0.7, "503")
    with pytest.raises(ValueError, match="add up to 0 to 1"):
        faults.at_random(0.4, "reset")


@pytest.mark.parametrize(
    ("text", "latency"),
    [("0.2", Constant(0.2)), ("uniform:0.1,0.5", Uniform(0.1, 0.5)), ("lognormal:0.4,2", Lognormal(0.4, 2))],
)
def test_a_latency_is_read_from_text(text: str, latency: object) -> None:
    """A number, or a distribution with its parameters."""
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "-1", "nan", "uniform:1", "uniform:2,1", "lognormal:0,1", "gamma:1,2"])
def test_a_latency_that_is_none_is_refused(text: str) -> None:
    """Every parameter must make sense."""
    with pytest.raises(ValueError, match="a latency must"):
        parse_latency(text)


def test_distributions_have_the_quantiles_they_are_named_by() -> None:
    """The median and the p99 of a lognormal one, the bounds of a uniform one."""
    lognormal = Lognormal(0.4, 2)
    assert lognormal.quantile_s(0.5) == pytest.approx(0.4)
    assert lognormal.quantile_s(0.99) == pytest.approx(2)
    assert (Uniform(1, 3).quantile_s(0.25), Constant(7).quantile_s(0.9)) == (1.5, 7)


@dataclass
class Noted:
    """A latency of nothing that keeps what it was asked for."""

    shares: list[float] = field(default_factory=list)

    def quantile_s(self, share: float) -> float:
        """Return 0.0."""
        self.shares.append(share)
        return 0.0


async def test_the_same_seed_has_the_same_latencies() -> None:
    """Each call draws one in the order of their arrival, whatever becomes of it."""
    one, same, other = Noted(), Noted(), Noted()
    for noted, seed, fault in ((one, 1, "none"), (same, 1, "503"), (other, 2, "none")):
        emulator = Emulator(latency_s=noted, seed=seed)
        emulator.faults.next(2, fault)
        async with served(emulator, "in process") as client:
            for _ in range(4):
                await client.post(TEXT, json=SHIP)
    assert one.shares == same.shares != other.shares

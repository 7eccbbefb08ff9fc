"""The emulator on a real port, and as a command."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from semart_vectors.emulator import Emulator, Settings
from semart_vectors.emulator.command_line import emulator_command

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "/computervision/retrieval:vectorizeText?api-version=2024-02-01"
KEY = {"Ocp-Apim-Subscription-Key": "any"}
COMMAND = [sys.executable, "-m", "semart_vectors.emulator"]


def client_of(emulator: Emulator) -> httpx.AsyncClient:
    """Return a client with a good key."""
    return httpx.AsyncClient(base_url=emulator.endpoint, headers=KEY)


async def call(client: httpx.AsyncClient) -> int:
    """Embed a text and return the status of the answer."""
    return (await client.post(TEXT, json={"text": "ship"})).status_code


async def test_calls_at_once_share_one_limit() -> None:
    """Of many calls in an instant the rate goes through, and the ledger says so."""
    async with Emulator(requests_per_second=0.05) as emulator, client_of(emulator) as client:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(call(client)) for _ in range(20)]
        assert sorted(answer.result() for answer in answers) == [200] * 3 + [429] * 17
        assert len([made for made in emulator.calls if made.status == 200]) == 3


async def test_every_answer_takes_the_latency_at_least() -> None:
    """Computing the vector is part of it."""
    async with Emulator(latency_s=0.2) as emulator, client_of(emulator) as client:
        begun = time.monotonic()
        assert await call(client) == 200
        assert time.monotonic() - begun >= 0.2


async def test_calls_wait_side_by_side() -> None:
    """Ten calls are all in their latency before any of them is answered."""
    async with Emulator(latency_s=3600) as emulator, client_of(emulator) as client:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(call(client)) for _ in range(10)]
            async with asyncio.timeout(30):
                while len(emulator.calls) < 10:  # noqa: ASYNC110 - a call is in the ledger when its latency begins
                    await asyncio.sleep(0.01)
            assert not any(answer.done() for answer in answers)
            emulator._service.closing.set()
        assert [answer.result() for answer in answers] == [200] * 10


async def test_no_answer_waits_for_an_acknowledgement() -> None:
    """Nagle's algorithm is off: head and body of an answer leave at once, not 40 ms apart."""
    async with Emulator() as emulator, client_of(emulator) as client:
        await call(client)
        assert emulator._server is not None
        (connection,) = emulator._server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_leaving_answers_calls_under_way_and_waits_for_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call in its latency gets its answer early; idle connections hold nobody up; nothing is logged."""
    async with asyncio.TaskGroup() as tasks, Emulator(latency_s=3600) as emulator:
        decided = asyncio.Event()
        monkeypatch.setattr(emulator._service.ledger, "record", lambda _call: decided.set())
        client = client_of(emulator)
        answer = tasks.create_task(call(client))
        await decided.wait()
        idle = await asyncio.open_connection("127.0.0.1", httpx.URL(emulator.endpoint).port)
    assert answer.result() == 200
    assert await idle[0].read() == b""  # closed, though its keep-alive lasts 75 s
    idle[1].close()
    await client.aclose()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """The emulator wraps nothing and leaves no task behind."""

    async def fail() -> None:
        async with Emulator() as emulator, client_of(emulator) as client:
            assert await call(client) == 200
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_the_block_closes_the_port() -> None:
    """A cancelled block ends at once, and its port is free again."""
    emulator = Emulator()
    with pytest.raises(TimeoutError):
        async with emulator, asyncio.timeout(0):
            await asyncio.Event().wait()
    async with Emulator(port=httpx.URL(emulator.endpoint).port or 0) as next_one:
        assert next_one.endpoint == emulator.endpoint


async def test_cancelling_the_entry_leaves_no_port_open() -> None:
    """A block that is cancelled before it begins listens nowhere, so a fixed port can be tried again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for emulator in (Emulator(port=port), Emulator(port=port)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), emulator:
                pytest.fail("the block was entered")


async def test_a_client_that_goes_away_is_nobodys_error(caplog: pytest.LogCaptureFixture) -> None:
    """A request that is never finished is neither recorded nor logged."""
    async with Emulator() as emulator:
        _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(emulator.endpoint).port)
        head = f"POST {TEXT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with client_of(emulator) as client:
            assert await call(client) == 200
    assert len(emulator.calls) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_emulator_works_once() -> None:
    """There is no endpoint before the block and no second block."""
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="before"):
        _ = emulator.endpoint
    assert repr(emulator) == "Emulator(not started)"
    async with emulator:
        assert repr(emulator) == f"Emulator({emulator.endpoint})"
    with pytest.raises(RuntimeError, match="once"):
        async with emulator:
            pass


async def test_signal_handlers_stay_the_callers() -> None:
    """Serving in a block changes no signal handler of the process."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with Emulator():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_endpoint_and_ends_quietly(number: signal.Signals) -> None:
    """The first line is the endpoint, ready to be called; a signal ends it with 0 and not a word."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        assert httpx.get(f"{endpoint}/calls").json() == {"calls": 0, "by_status": {}}
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_one_sentence() -> None:
    """A port that cannot be used ends the command with 2 and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


async def test_the_command_takes_faults_latencies_and_recordings(tmp_path: Path) -> None:
    """Every option of the command reaches the service."""
    async with Emulator(key="good") as upstream:
        options = (
            *("--record", str(tmp_path), "--upstream", upstream.endpoint),
            *("--tier", "F0", "--limit-kind", "sliding", "--no-retry-after"),
            *("--latency-s", "uniform:0,0.01", "--fault", "429:soon=0.5", "--seed", "3"),
        )
        process = await asyncio.create_subprocess_exec(*COMMAND, *options, stdout=subprocess.PIPE)
        assert process.stdout is not None
        endpoint = (await process.stdout.readline()).decode().strip()
        async with httpx.AsyncClient(
            base_url=endpoint, headers={"Ocp-Apim-Subscription-Key": "good"}
        ) as client:
            answers = [await client.post(TEXT, json={"text": "ship"}) for _ in range(45)]
        process.terminate()
        assert await process.wait() == 0
    # 20 were let through, which seed 3 strikes 11 times; the other refusals, of the rate, name no wait.
    struck = [answer for answer in answers if answer.headers.get("retry-after") == "soon"]
    assert Counter(answer.status_code for answer in answers) == {200: 20 - len(struck), 429: 25 + len(struck)}
    assert len(struck) == 11
    assert sum("retry-after" in answer.headers for answer in answers) == 11
    assert len((tmp_path / "recordings.jsonl").read_bytes().splitlines()) == len(upstream.calls)


def test_the_command_has_every_setting_with_its_default() -> None:
    """Without an option it is the emulator of `Emulator()`."""
    options = emulator_command.make_context("emulator", []).params
    latency = options.pop("latency_s")
    assert (options.pop("port"), latency) == (0, Settings().latency())
    assert options == {
        each.name: getattr(Settings(), each.name) for each in fields(Settings) if each.name != "latency_s"
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "503"], "a fault must have the form 503=0.05, not '503'"),
        (["--fault", "nonsense=0.1"], "a fault must be a status or one of"),
        (["--fault", "503=2"], "the probabilities of all faults must add up to 0 to 1"),
        (["--latency-s", "-1"], "a latency must be zero or more"),
        (["--latency-s", "gamma:1"], "a latency must be like"),
        (["--record", "folder"], "record needs an upstream"),
        (["--replay", "nowhere"], "nowhere holds no recordings"),
        (["--record", "/dev/null/x", "--upstream", "https://a.test"], "/dev/null/x cannot be used: Not a"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_one_sentence(options: list[str], says: str) -> None:
    """The command ends with 2 and says what is wrong."""
    told = CliRunner().invoke(emulator_command, options)
    assert told.exit_code == 2
    assert says in told.output

"""Recording real answers, and replaying them to the last digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from emulator_requests import GA, IMAGE, OCTETS, TEXT, picture
from fake_service import FakeService, Reply
from semart_vectors.emulator import Emulator, RecordingsError

if TYPE_CHECKING:
    from semart_vectors.emulator.settings import Options

PHOTOGRAPHS = Path(__file__).parents[3] / "shared/data/azure_vectors"


def client_of(emulator: Emulator, key: str = "any") -> httpx.AsyncClient:
    """Return a client without a port between."""
    return httpx.AsyncClient(
        transport=emulator.transport(),
        base_url="https://emulator",
        headers={"Ocp-Apim-Subscription-Key": key},
        params=GA,
    )


async def both(emulator: Emulator, key: str = "any") -> list[bytes]:
    """Embed a picture and a text, and return the answers."""
    async with client_of(emulator, key) as client:
        image = await client.post(IMAGE, headers=OCTETS, content=picture())
        text = await client.post(TEXT, json={"text": "a ship, κύμα"})
    assert [image.status_code, text.status_code] == [200, 200]
    return [image.content, text.content]


async def recorded(folder: Path) -> list[bytes]:
    """Record a picture and a text from an upstream."""
    async with Emulator(key="secret") as upstream:
        return await both(Emulator(record=folder, upstream=upstream.endpoint), "secret")


async def test_what_was_recorded_is_replayed_bit_for_bit_and_the_key_is_not_kept(tmp_path: Path) -> None:
    """The digits of the numbers are those that came; the caller's key is in no file."""
    answers = await recorded(tmp_path / "new")
    assert await both(Emulator(replay=tmp_path / "new")) == answers
    assert b"secret" not in b"".join(file.read_bytes() for file in (tmp_path / "new").iterdir())


async def test_what_was_not_recorded_is_refused_clearly(tmp_path: Path) -> None:
    """A 400 names the hash and the model, and where it is there for another model."""
    await recorded(tmp_path)
    async with client_of(Emulator(replay=tmp_path)) as client:
        other = await client.post(IMAGE, headers=OCTETS, content=b"another")
        old = await client.post(TEXT, json={"text": "a ship, κύμα"}, params={"model-version": "2022-04-11"})
    assert (other.status_code, other.json()["error"]["code"]) == (400, "NotRecorded")
    assert "SHA-256 ae448ac86c4e8e4d" in other.json()["error"]["message"]
    assert old.json()["error"]["message"].endswith("it has one for model 2023-04-15.")


async def test_what_was_not_recorded_can_be_computed(tmp_path: Path) -> None:
    """On request, the gaps of a folder are filled as if there were none."""
    await recorded(tmp_path)
    (tmp_path / "recordings.jsonl").write_bytes((tmp_path / "recordings.jsonl").read_bytes()[:5000])
    assert await both(Emulator(replay=tmp_path, replay_else_compute=True)) == await both(Emulator())


async def test_closing_a_client_does_not_end_the_emulator(tmp_path: Path) -> None:
    """The next client finds it as the first one did, upstream and all."""
    async with Emulator() as upstream:
        emulator = Emulator(record=tmp_path, upstream=upstream.endpoint)
        assert await both(emulator) == await both(emulator)
    assert await both(Emulator(replay=tmp_path)) == await both(Emulator(replay=tmp_path))


async def test_what_is_replayed_is_not_asked_of_the_upstream(tmp_path: Path) -> None:
    """With the same folder to replay and to record, each answer is paid for once."""
    async with Emulator() as upstream:
        await both(Emulator(record=tmp_path, upstream=upstream.endpoint))
        await both(Emulator(replay=tmp_path, record=tmp_path, upstream=upstream.endpoint))
        assert len(upstream.calls) == 2


async def test_a_line_that_was_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    """A torn line is closed by the next recording, and skipped by the next replay."""
    answers = await recorded(tmp_path)
    file = tmp_path / "recordings.jsonl"
    file.write_bytes(file.read_bytes() + b'{"operation":"vectorizeImage","sha256":"00"')
    assert await recorded(tmp_path) == answers
    assert len(file.read_bytes().splitlines()) == 5
    assert await both(Emulator(replay=tmp_path)) == answers


async def test_a_refusal_of_the_upstream_comes_back_and_is_not_recorded(tmp_path: Path) -> None:
    """Status, message and advice are the upstream's; only a 200 is kept."""
    async with Emulator() as upstream:
        upstream.faults.next(1, "429:7")
        async with client_of(Emulator(record=tmp_path, upstream=upstream.endpoint)) as client:
            response = await client.post(IMAGE, headers=OCTETS, content=picture())
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert "exceeded call rate limit" in response.json()["error"]["message"]
    assert not (tmp_path / "recordings.jsonl").stat().st_size


async def test_an_upstream_that_is_not_there_is_a_bad_gateway() -> None:
    """Nobody listening is a 502 with one sentence."""
    async with Emulator() as gone:
        endpoint = gone.endpoint
    async with client_of(Emulator(upstream=endpoint)) as client:
        response = await client.post(TEXT, json={"text": "ship"})
    assert response.status_code == 502
    assert response.json()["error"]["message"] == "The upstream did not answer: ConnectError."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recordings.jsonl", b'{"operation":"vectorizeText","vector":[1]}\n'),
        ("recordings.jsonl", b'{"operation":"a","sha256":"b","model":"c","vector":["1"]}\n'),
        ("vectors.json", b"[]"),
        ("vectors.json", b'{"a.jpg": [[1]]}'),
        ("other", b""),
    ],
)
async def test_a_folder_that_holds_something_else_is_refused_at_the_start(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """What cannot be replayed shows before the first call."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingsError, match=r"is not a recording|JSON object of file names|holds no"):
        async with Emulator(replay=tmp_path):
            pytest.fail("it began")


@pytest.mark.parametrize(
    "options",
    [
        {"record": "folder"},
        {"replay_else_compute": True},
        {"replay": "folder", "replay_else_compute": True, "upstream": "https://example.com"},
        {"upstream": "http://example.com"},
        {"upstream": "http://127.0.0.1.example.com"},
        {"upstream": "nonsense"},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(options: Options) -> None:
    """No recording without an upstream, and no key over the network in clear."""
    with pytest.raises(ValueError, match=r"needs|must begin"):
        Emulator(**options)


async def test_of_several_recordings_of_one_input_the_last_counts(tmp_path: Path) -> None:
    """Whoever records again wants the new answer."""
    image, _ = await recorded(tmp_path)
    file = tmp_path / "recordings.jsonl"
    first = file.read_bytes().splitlines(keepends=True)[0]
    head = first.partition(b',"vector":')[0]
    file.write_bytes(first + head + b',"vector":[1.5]}\n')
    async with client_of(Emulator(replay=tmp_path)) as client:
        replayed = await client.post(IMAGE, headers=OCTETS, content=picture())
    assert image != replayed.content
    assert replayed.json()["vector"] == [1.5]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            b'{ "vector": [1.50,\n 2e-3 ], "modelVersion": "2023-04-15" }',
            b'"model":"2023-04-15","vector":[1.50,2e-3]}',
        ),
        (b'{"modelVersion": null, "vector": [1]}', b""),
        (b'{"vector": [1]}', b""),
        (b"no JSON", b""),
    ],
)
async def test_an_answer_is_recorded_on_one_line_and_only_with_a_model(
    tmp_path: Path, body: bytes, line: bytes
) -> None:
    """In the digits that came; the client gets it as it came."""
    async with FakeService(lambda _: Reply(body=body)) as upstream:
        async with client_of(Emulator(record=tmp_path, upstream=f"{upstream.endpoint}/")) as client:
            answer = await client.post(TEXT, json={"text": "ship"})
        assert upstream.calls[0].target.startswith("/computervision/")
    assert answer.content == body
    recordings = (tmp_path / "recordings.jsonl").read_bytes()
    assert recordings.count(b"\n") == bool(line)
    assert recordings.endswith(line + b"\n" if line else b"")


async def test_key_token_and_advice_are_passed_on() -> None:
    """To the upstream what admits the caller, to the caller when to come back."""
    advice = {"retry-after-ms": "250", "x-ms-retry-after-ms": "251", "apim-request-id": "an-id"}
    async with FakeService(lambda _: Reply(429, b"{}", advice)) as upstream:
        async with client_of(Emulator(upstream=upstream.endpoint)) as client:
            answer = await client.post(TEXT, json={"text": "a"}, headers={"Authorization": "Bearer token"})
        sent = upstream.calls[0].headers
    assert (sent["ocp-apim-subscription-key"], sent["authorization"]) == ("any", "Bearer token")
    assert {name: answer.headers[name] for name in advice} == advice


async def test_an_answer_that_cannot_be_recorded_is_not_passed_on(tmp_path: Path) -> None:
    """It would have to be paid for again; a disk that is full says so."""
    async with Emulator() as upstream:
        emulator = Emulator(record=tmp_path, upstream=upstream.endpoint)
        async with client_of(emulator) as client:
            await emulator._service.open()
            (tmp_path / "recordings.jsonl").unlink()
            (tmp_path / "recordings.jsonl").mkdir()
            answer = await client.post(TEXT, json={"text": "ship"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "RecordingFailed")
    assert "Is a directory" in answer.json()["error"]["message"]


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the real photographs are not on this machine")
async def test_the_real_photographs_have_their_real_vectors() -> None:
    """A collection of pictures and vectors is replayed to the bit, in its own digits."""
    file = (PHOTOGRAPHS / "vectors.json").read_bytes()
    async with client_of(Emulator(replay=PHOTOGRAPHS)) as client:
        for name, vector in json.loads(file).items():
            body = (PHOTOGRAPHS / "images" / name).read_bytes()
            response = await client.post(
                IMAGE, headers=OCTETS, params={"model-version": "2022-04-11"}, content=body
            )
            assert response.json() == {"modelVersion": "2022-04-11", "vector": vector}
            assert response.content.partition(b"[")[2][:-2] in file

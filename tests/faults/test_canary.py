"""Row 26: a random key, looked for in everything that we write, say, raise or send to others."""

from __future__ import annotations

import asyncio
import base64
import copy
import html
import json
import logging
import os
import pickle
import secrets
import traceback
import warnings
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
import trustme

from certificates import context_of
from command_line import end, start
from fake_service import Call, FakeService, Reply, good_reply
from helpers import jpeg, make_images
from recorders import PlainServer
from semart_vectors import AsyncVisionEmbedder, EmbeddingFailure, EmbeddingJob, RetryPolicy
from semart_vectors.errors import ConfigurationError, SemartVectorsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

HURRIED = RetryPolicy(
    max_attempts=2, base_s=0.001, throttled_base_s=0.001, cap_s=0.01, throttled_limit_s=0.01,
    retry_after_cap_s=0.01, attempt_timeout_s=0.3, outage_limit_s=0.0,
)  # fmt: skip  # in two lines


@dataclass(repr=False)
class Canary:
    """A key that was never seen before, and the search for it."""

    key: str = field(default_factory=lambda: f"k{secrets.token_hex(16)}")
    found: list[str] = field(default_factory=list)
    searched_bytes: int = 0

    def look_through(self, where: str, text: str | bytes) -> None:
        """Look for the key, as it is and as it is written in other places."""
        content = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
        self.searched_bytes += len(content)
        self.found += [f"{how}: {where}" for how, form in self.forms().items() if form.encode() in content]

    def forms(self) -> dict[str, str]:
        """Write the key in other ways; of base64 that part which does not depend on what is around it."""
        content = self.key.encode()
        return {
            "as it is": self.key,
            "as Python writes it": repr(self.key)[1:-1],
            "as JSON writes it": json.dumps(self.key)[1:-1],
            "as HTML writes it": html.escape(self.key),
            "percent-encoded": quote(self.key, safe=""),
            "in hex": content.hex(),
            **{f"in base64, from {at}": base64.b64encode(content[at : at + 12]).decode() for at in range(3)},
        }

    def look_through_error(self, where: str, error: BaseException) -> None:
        """Look through all that tools make of an error."""
        self.look_through(where, f"{error} {error!r} {getattr(error, '__notes__', '')} {vars(error)}")
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.look_through(f"traceback of {where}", "".join(told.format()))
        shown = pytest.ExceptionInfo.from_exception(error).getrepr(showlocals=True, style="long")
        self.look_through(f"pytest's traceback of {where}", str(shown))
        if isinstance(error, SemartVectorsError):
            self.look_through(f"pickle of {where}", pickle.dumps(error))
            self.look_through(f"copy of {where}", repr(copy.copy(error)))

    async def look_through_folder(self, folder: Path) -> None:
        """Look through every file."""
        for path in await asyncio.to_thread(lambda: sorted(folder.rglob("*"))):
            self.look_through(str(path), os.fsencode(path))
            if path.is_file():
                self.look_through(path.name, await asyncio.to_thread(path.read_bytes))


def echoes(key: str) -> dict[str, Callable[[Call], Reply]]:
    """Return answers of a service that tells everybody what it was told."""
    as_json = json.dumps(f"the key {key} is wrong")[1:-1]
    letter_by_letter = "".join(f"\\u{ord(letter):04x}" for letter in key)
    headers = {"apim-request-id": key, "x-ms-error-code": key, "www-authenticate": f'Key "{key}"'}
    envelope = '{{"error": {{"code": "{0}", "message": "{0}", "innererror": {{"message": "{0}"}}}}}}'
    bodies = {
        "as it is": envelope.format(f"the key {key} is wrong").encode(),
        "in JSON": envelope.format(as_json).encode(),
        "letter by letter": envelope.format(letter_by_letter).encode(),
        "after much else": envelope.format("x" * 480 + as_json).encode(),
        "in a page": f"<html>{html.escape(key)} {key}</html>".encode(),
    }
    answers: dict[str, Callable[[Call], Reply]] = {
        f"{status} {how}": lambda _, status=status, body=body: Reply(status, body, headers)  # type: ignore[misc] # bound here
        for status in (400, 401, 403, 404, 410, 413, 429, 503)
        for how, body in bodies.items()
    }
    wrong_model = {"modelVersion": key, "vector": [0.5] * 1024}
    return answers | {
        "another model": lambda _: Reply(200, json.dumps(wrong_model).encode(), headers),
        "no vector": lambda _: Reply(200, bodies["as it is"], headers),
        "too long": lambda _: Reply(200, key.encode() * 100_000, headers),
        "a redirect": lambda _: Reply(307, b"", {**headers, "location": f"https://a.example/{quote(key)}"}),
        "a wait": lambda _: Reply(429, b"", {**headers, "retry-after": key, "date": key}),
        "a broken header": lambda _: Reply(200, b"", {"content-length": key, "x y": key}),
        "a broken length": lambda _: Reply(200, b"", {"content-length": f"1, {key}"}),
        "a broken packing": lambda _: Reply(200, key.encode(), {**headers, "content-encoding": "gzip"}),
        "broken chunks": lambda _: Reply(200, key.encode(), {**headers, "transfer-encoding": "chunked"}),
        "a cut": lambda call: Reply(200, good_reply(call).body, headers, cut=3000),
        "nothing": lambda _: Reply(hang=True),
    }


async def fail(canary: Canary, what: str, embedder: AsyncVisionEmbedder) -> None:
    """Ask for an image in every way, also for less time than it takes, and look through what comes."""
    try:
        await embedder.embed_image(jpeg(1))
    except SemartVectorsError as error:
        canary.look_through_error(what, error)
    try:
        batch = await embedder.embed_images([jpeg(1), jpeg(2)])
        batch.raise_for_failures()
    except (SemartVectorsError, ExceptionGroup) as error:
        canary.look_through_error(f"{what}, in a batch", error)
    try:
        async with asyncio.timeout(0.001):
            await embedder.embed_text("a ship")
    except (SemartVectorsError, TimeoutError) as error:
        canary.look_through_error(f"{what}, out of time", error)
    canary.look_through(
        f"repr with {what}",
        f"{embedder!r} {embedder} {vars(embedder)} {vars(embedder._calls)} {vars(embedder._connection)}",
    )
    with pytest.raises(TypeError) as caught:
        pickle.dumps(embedder)
    canary.look_through_error("an embedder that is pickled", caught.value)


ODD = "k'\"&%=+/ <>\\{}~" + secrets.token_hex(12)


@pytest.mark.row(26)
@pytest.mark.parametrize("canary", [Canary(), Canary(ODD)], ids=["usual letters", "odd letters"])
async def test_nothing_that_goes_wrong_shows_the_key(
    canary: Canary, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    extent: Extent, score: Callable[[str], None],
) -> None:  # fmt: skip  # in one line
    """Refusals that repeat it, broken answers, cancelled calls, wrong places: with all logs at DEBUG."""
    caplog.set_level(logging.DEBUG)
    faults = 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with AsyncExitStack() as opened:
            service = await opened.enter_async_context(FakeService())
            client = await opened.enter_async_context(httpx.AsyncClient())
            stranger = await opened.enter_async_context(
                FakeService(tls=context_of(trustme.CA().issue_cert("127.0.0.1")))
            )
            proxy = await opened.enter_async_context(PlainServer(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
            gone = FakeService()
            async with gone:
                pass
            for way in (None, client):
                for what, answer in list(echoes(canary.key).items())[:: extent.pick(quick=29, all=1)]:
                    service.answer = answer
                    async with open_embedder(service.endpoint, canary, way) as embedder:
                        await fail(canary, what, embedder)
                    faults += 1
                for endpoint in (gone.endpoint, stranger.endpoint, "https://a.invalid"):
                    async with open_embedder(endpoint, canary, way) as embedder:
                        await fail(canary, endpoint, embedder)
                    faults += 1
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with open_embedder("https://a.example", canary, None) as embedder:
                await fail(canary, "proxy", embedder)
    assert b"CONNECT a.example:443" in proxy.raw
    canary.look_through("what the proxy got", bytes(proxy.raw))
    canary.look_through("warnings", " ".join(str(warning.message) for warning in warned))
    canary.look_through("logs", told_by_us(caplog))
    assert canary.found == []
    aside = "a key of odd letters" if canary.key == ODD else "httpcore's own DEBUG log of what it got aside"
    megabytes = canary.searched_bytes / 1e6
    score(f"0 in {megabytes:.0f} MB of errors, tracebacks and logs of {faults} faults, {aside}")


def open_embedder(endpoint: str, canary: Canary, client: httpx.AsyncClient | None) -> AsyncVisionEmbedder:
    """Make an embedder that gives up soon."""
    return AsyncVisionEmbedder(
        endpoint, canary.key, requests_per_second=None, retry=HURRIED, http_client=client
    )


def told_by_us(caplog: pytest.LogCaptureFixture) -> str:
    """Return all logs, but for what httpcore tells of the headers that a caller's client got."""
    return "\n".join(
        f"{record.name} {record.getMessage()} {record.args} {record.exc_text}"
        for record in caplog.records
        if not (record.name == "httpcore.http11" and "receive_response_headers" in record.getMessage())
    )


@pytest.mark.row(26)
def test_a_key_in_the_wrong_place_is_not_shown(score: Callable[[str], None]) -> None:
    """As the endpoint, within it, with letters that no key has: the sentence does not repeat it."""
    canary = Canary()
    key = canary.key
    places = [
        (key, "https://a.example"), (f"https://{key}@a.example", key), (f"https://u:{key}@a.example", key),
        (f"ftp://a.example/{key}@", key), (f"//{key}@a.example", key), ("http://a.example", key),
        ("https://a.example", f"{key}\n{key}"), ("https://a.example", f"{key}é"), ("", key),
        (f"https://a.example?key={key}", key), (f"https://a.example#{key}", key),
        (f"http://a.example/{key}", key), (f"https://a.example:{key}", key),
    ]  # fmt: skip  # more of them to a line
    for number in range(len(places)):
        refuse(canary, places, number)
    assert canary.found == []
    score(f"nor in {len(places)} refusals of a key in the wrong place")


def refuse(canary: Canary, places: list[tuple[str, str]], number: int) -> None:
    """Look through the error of an unusable configuration; of its traceback only our frames."""
    try:
        AsyncVisionEmbedder(*places[number])
    except ConfigurationError as error:
        canary.look_through(f"place {number}", f"{error} {error!r} {vars(error)}")
        canary.look_through(f"pickle of place {number}", pickle.dumps(error))
    else:
        pytest.fail(f"place {number} was accepted")


@pytest.mark.row(26)
async def test_a_job_writes_no_key(tmp_path: Path, score: Callable[[str], None]) -> None:
    """Not in its checkpoint with failures that repeat it, its report, or what it is shown as."""
    canary = Canary()
    make_images(tmp_path / "images", 30)
    refusals = echoes(canary.key)

    def answer(call: Call) -> Reply:
        odd = ["400 as it is", "400 in JSON", "400 letter by letter", "413 in a page", "503 in JSON"]
        number = len(service.calls)
        return refusals[odd[number // 3 % 5]](call) if number % 3 == 0 else good_reply(call)

    async with FakeService(answer) as service:
        async with open_embedder(service.endpoint, canary, None) as embedder:
            job = EmbeddingJob(embedder, tmp_path / "images", checkpoint=tmp_path / "ck", progress=False)
            report = await job.run()
            async with embedder.stream_images([jpeg(number) for number in range(20)]) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, EmbeddingFailure):
                        canary.look_through("a failure", repr(outcome))
        canary.look_through("the job", f"{job!r} {vars(job)} {report!r}")
    assert report.failed > 3
    await canary.look_through_folder(tmp_path / "ck")
    assert canary.found == []
    score(f"nor in {canary.searched_bytes / 1e3:,.0f} kB of a job with {report.failed} failures")


DEBUG_ALL = """
import logging, sys, warnings
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
warnings.simplefilter("always")
"""


@pytest.mark.row(26)
async def test_the_command_line_shows_no_key(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Not in its output with all logs, its files, or the list of processes; from a .env file or not."""
    canary = Canary(f"k'&%{secrets.token_hex(16)}")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DEBUG_ALL)
    images = make_images(tmp_path / "images", 20)
    (tmp_path / "meta.csv").write_text(
        "\n".join(["image_file\ttitle", *(f"{name}\tx" for name in images), ""])
    )
    refusals = echoes(canary.key)
    runs: list[tuple[Callable[[Call], Reply], list[str], int]] = [
        (refusals["401 in JSON"], ["embed", "images", "--checkpoint", "out/a"], 4),
        (refusals["403 letter by letter"], ["embed", "images", "--checkpoint", "out/b"], 4),
        (refusals["400 in JSON"], ["embed", "images", "--checkpoint", "out/c"], 3),
        (refusals["another model"], ["embed", "images", "--checkpoint", "out/d"], 6),
        (good_reply, ["embed", "images", "--checkpoint", "out/e", "--requests-per-second", "100"], 0),
        (good_reply, ["merge", "meta.csv", "out/e", "-o", "out/all.parquet"], 0),
    ]
    (tmp_path / "out").mkdir()
    async with FakeService() as service:
        for number, (answer, arguments, code) in list(enumerate(runs))[extent.pick(quick=3, all=0) :]:
            service.answer = answer
            env = {"PYTHONPATH": str(tmp_path / "site"), "PYTHONASYNCIODEBUG": "1"}
            variables = {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": canary.key}
            if number % 2:
                lines = [f'{name}="{value}"\n' for name, value in variables.items()]
                await asyncio.to_thread((tmp_path / ".env").write_text, "".join(lines))
            else:
                env |= variables
            process = await start(*arguments, cwd=tmp_path, env=env)
            cmdline = Path(f"/proc/{process.pid}/cmdline")
            canary.look_through("the list of processes", await asyncio.to_thread(cmdline.read_bytes))
            ran = await end(process)
            canary.look_through(f"output of run {number}", ran.out + ran.err)
            assert ran.code == code, ran.err
            if arguments[0] == "embed":
                assert "DEBUG:" in ran.err
        keys = {call.headers["ocp-apim-subscription-key"] for call in service.calls}
        assert keys == {canary.key}
    await canary.look_through_folder(tmp_path / "out")
    assert canary.found == []
    score(f"nor in {canary.searched_bytes / 1e3:,.0f} kB of commands, their logs and files")

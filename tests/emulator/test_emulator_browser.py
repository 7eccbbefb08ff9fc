"""The emulator's page in a real browser."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import httpx

from chromium import needs_chromium, opened
from helpers import jpeg
from semart_vectors.emulator import Emulator, ServedCall

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

IMAGE = "/computervision/retrieval:vectorizeImage?api-version=2024-02-01"
KEY = {"Ocp-Apim-Subscription-Key": "any", "content-type": "image/jpeg"}

pytestmark = needs_chromium


def text_of(page: str, identifier: str) -> str:
    """Return the text of an element without elements in it."""
    (found,) = re.findall(rf'<[^>]*\bid="{identifier}"[^>]*>([^<]*)<', page)
    return html.unescape(str(found))


def texts_of(page: str, identifiers: str) -> dict[str, str]:
    """Return the texts of some elements."""
    return {identifier: text_of(page, identifier) for identifier in identifiers.split()}


async def send(emulator: Emulator, *bodies: bytes, path: str = IMAGE) -> list[int]:
    """Send images one after the other."""
    async with httpx.AsyncClient(base_url=emulator.endpoint, headers=KEY) as client:
        return [(await client.post(path, content=body)).status_code for body in bodies]


async def test_it_shows_what_was_asked_and_answered(tmp_path: Path) -> None:
    """Settings, totals, the chart, the table and the images are those of the calls; looking adds none."""
    async with Emulator(requests_per_second=0.05, latency_s=0.01) as emulator:
        assert (
            await send(emulator, jpeg(1), jpeg(2), b"none", *[jpeg(3)] * 4) == [200] * 2 + [400] + [429] * 4
        )
        page, said = await opened(emulator.endpoint, tmp_path)
        assert len(emulator.calls) == 7
    shown = texts_of(page, "state endpoint limit latency key total answered throttled failed")
    assert shown == {
        "state": "Live",
        "endpoint": emulator.endpoint,
        "limit": "3 a minute",
        "latency": "10 ms",
        "key": "any",
        "total": "7",
        "answered": "2",
        "throttled": "4",
        "failed": "1",
    }
    assert "2 calls were answered, 4 refused with 429, and 1 failed otherwise" in page
    assert {*re.findall(r'<rect class="(\w+)"', page)} == {"answered", "throttled", "failed"}
    assert re.findall(r"</i>(\d+)</td>", page) == ["429"] * 4 + ["400", "200", "200"]
    assert re.findall(r'alt="Image (\w+)"', page) == [call.body_sha256[:8] for call in emulator.calls[1::-1]]
    assert said == []


async def test_it_goes_on_without_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that are made while it is open appear by themselves."""
    async with Emulator() as emulator:
        ledger = emulator._service.ledger
        report = ledger.report

        def report_and_go_on(*, after: int | None, limit: int) -> dict[str, object]:
            told = report(after=after, limit=limit)
            ledger.record(ServedCall(operation="late", status=200, body_sha256="", body_bytes=0, arrived_s=0))
            return told

        monkeypatch.setattr(ledger, "report", report_and_go_on)
        page, said = await opened(emulator.endpoint, tmp_path)
    assert int(text_of(page, "total")) > 1
    assert ">late</td>" in page
    assert said == []


async def test_a_fault_has_its_name(tmp_path: Path) -> None:
    """It stands beside the status; where it is the status, it is not said twice, and no answer has none."""
    async with Emulator() as emulator:
        for status, fault in ((200, "cut"), (503, "503:7"), (0, "reset")):
            emulator._service.ledger.record(
                ServedCall(
                    operation="a", status=status, body_sha256="", body_bytes=0, arrived_s=0, fault=fault
                )
            )
        page, _ = await opened(emulator.endpoint, tmp_path)
    assert re.findall(r"</i>(\d*)<em[^>]*>(\w+)</em>", page) == [
        ("", "reset"),
        ("503", "injected"),
        ("200", "cut"),
    ]


async def test_it_says_how_to_begin(tmp_path: Path) -> None:
    """Without a call there are no empty tables, but a command with its own address."""
    async with Emulator() as emulator:
        page, said = await opened(emulator.endpoint, tmp_path)
    assert f"'{emulator.endpoint}/computervision/retrieval:vectorizeImage?" in text_of(page, "example")
    assert '<main id="main" hidden' in page
    assert said == []


async def test_what_it_shows_is_text_and_never_markup(tmp_path: Path) -> None:
    """A path that is a script is a name like any other."""
    evil = "/<img src=x onerror=document.title='evil'>"
    async with Emulator() as emulator:
        assert await send(emulator, b"", path=evil) == [404]
        page, said = await opened(emulator.endpoint, tmp_path)
    assert "&lt;img src=x onerror" in page
    assert "<img src=x" not in page
    assert "<title>evil" not in page
    assert said == []

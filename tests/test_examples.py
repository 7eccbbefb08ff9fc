"""The examples, as a reader runs them, against the emulator."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from helpers import jpeg, make_images
from semart_vectors.emulator import Emulator

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

pytestmark = pytest.mark.timeout(120)


async def run_example(name: str, *arguments: str | Path, endpoint: str) -> str:
    """Run an example to its end, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *map(str, arguments),
        env={**os.environ, "VISION_ENDPOINT": endpoint, "VISION_KEY": "any"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_a_folder_becomes_one_file(tmp_path: Path) -> None:
    """`embed_folder.py` writes names and vectors side by side."""
    images = make_images(tmp_path / "images", 5)
    async with Emulator() as emulator:
        await run_example(
            "embed_folder.py", tmp_path / "images", tmp_path / "all.npz", endpoint=emulator.endpoint
        )
    with np.load(tmp_path / "all.npz") as found:
        assert found["names"].tolist() == list(images)
        assert found["vectors"].shape == (5, 1024)


async def test_a_job_is_stopped_and_resumed(tmp_path: Path) -> None:
    """`resume.py` goes on where it stopped and pays for nothing twice."""
    make_images(tmp_path / "images", 50)
    arguments = ("resume.py", tmp_path / "images", tmp_path / "ck")
    async with Emulator() as emulator:
        assert "out of time" in await run_example(*arguments, "1", endpoint=emulator.endpoint)
        assert 0 < len(emulator.calls) < 50
        assert "of 50" in await run_example(*arguments, endpoint=emulator.endpoint)
        assert len(emulator.calls) == 50


async def test_a_service_shares_one_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`service.py` answers images and texts, and says what is wrong with an image."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    async with Emulator() as emulator:
        monkeypatch.setenv("VISION_ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("VISION_KEY", "any")
        example = importlib.import_module("service")
        app, lifespan = example.app, example.lifespan
        transport = httpx.ASGITransport(app=app)
        async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            image = await client.post("/image", content=jpeg(1))
            text = await client.post("/text", content=b"a ship in a storm")
            broken = await client.post("/image", content=jpeg(1)[:-50])
    assert [len(answer.json()["vector"]) for answer in (image, text)] == [1024, 1024]
    assert (broken.status_code, "cut" in broken.json()["error"]) == (422, True)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_screen(example: Path) -> None:
    """Under sixty lines each."""
    assert len(example.read_text().splitlines()) < 60

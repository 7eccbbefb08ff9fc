"""The examples, as a reader runs them, against the emulator."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import SHARED_DATA, jpeg, make_images
from semart_vectors import AsyncVisionEmbedder, EmbeddingBatch, Gallery
from semart_vectors.emulator import Emulator
from semart_vectors.metadata.export import export_vectors
from semart_vectors.metadata.semart import clean_semart

if TYPE_CHECKING:
    from postgres_server import Server
    from semart_vectors.demo.sample import Sample

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


async def start_example(
    name: str, *arguments: str | Path, endpoint: str | None = None, cwd: Path | None = None
) -> asyncio.subprocess.Process:
    """Start an example, with a service or without."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("VISION_")}
    if endpoint is not None:
        env |= {"VISION_ENDPOINT": endpoint, "VISION_KEY": "any"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name), *map(str, arguments)),
        env=env,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run_example(
    name: str,
    *arguments: str | Path,
    endpoint: str | None = None,
    cwd: Path | None = None,
    code: int = 0,
) -> str:
    """Run an example to its end, and return what it prints."""
    process = await start_example(name, *arguments, endpoint=endpoint, cwd=cwd)
    out, err = await process.communicate()
    assert process.returncode == code, err.decode()
    return (out + err).decode()


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
    make_images(tmp_path / "images", 30)
    arguments = ("resume.py", tmp_path / "images", tmp_path / "ck")
    async with Emulator() as emulator:
        assert "out of time" in await run_example(*arguments, "1", endpoint=emulator.endpoint)
        assert 0 < len(emulator.calls) < 30
        assert "of 30" in await run_example(*arguments, endpoint=emulator.endpoint)
        assert len(emulator.calls) == 30


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


@pytest.mark.usefixtures("server")  # where none can be started, the example cannot either
async def test_the_tutorial_is_stopped_and_goes_on_to_its_last_step(
    tmp_path: Path, made_sample: Sample
) -> None:
    """`semart_tutorial.py` brings all it needs (here its paintings are at hand); no call is paid twice."""
    await asyncio.to_thread(shutil.copytree, made_sample.directory, tmp_path / "semart-tutorial" / "SemArt")
    process = await start_example("semart_tutorial.py", cwd=tmp_path)
    assert process.stdout is not None
    told = (await process.stdout.readuntil(b"embedded\n")).decode()
    assert "185 rows in SemArt: 164 + 10 + 11" in told
    assert "147 paintings by 9 artists in dataset.csv" in told
    assert "stopped half-way" in told
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert err.decode() == "stopped; run the same command to continue\n"

    [embedded] = re.findall(r"with (\d+) embedded", told)

    told = await run_example("semart_tutorial.py", cwd=tmp_path)
    before, after = map(int, re.findall(r"(\d+) were done before, (\d+) followed", told)[0])
    assert before >= int(embedded)
    assert before + after == 147
    assert "147 paintings, 0 failed" in told
    assert "bytes in paintings.parquet, 0 missing" in told
    assert "bytes in dataset_embeddings.csv, 0 missing" in told
    assert "147 rows in the table semart_tutorial_hnsw" in told
    assert re.search(r"no index: 100.0% of the 12 nearest", told)
    with Image.open(tmp_path / "semart-tutorial" / "found.png") as sheet:
        assert min(sheet.size) > 1000


@pytest.mark.skipif(not (SHARED_DATA / "semart").is_dir(), reason="SemArt's licence keeps its tables out")
def test_the_tutorial_takes_the_real_tables(tmp_path: Path, server: Server) -> None:
    """Those of validation, which alone are here, with made-up pictures and a database of the reader's."""
    table = (SHARED_DATA / "semart" / "semart_val.csv").read_bytes()
    semart = tmp_path / "SemArt"
    (semart / "images").mkdir(parents=True)
    (semart / "semart_val.csv").write_bytes(table)
    for number, name in enumerate(clean_semart(semart)["image_file"]):
        (semart / "images" / name).write_bytes(jpeg(number))
    arguments = ("semart_tutorial.py", semart, "--postgres", server.url())
    told = asyncio.run(run_example(*arguments, cwd=tmp_path))
    stored = server.ask("SELECT count(*), count(DISTINCT author) FROM semart_tutorial_ivfflat")
    assert "1,069 rows in" in told
    assert "37 paintings by 2 artists" in told
    assert stored == [(37, 2)]


@pytest.mark.parametrize("model", ["2022-04-11", "2023-04-15"])
def test_vectors_of_the_tutorial_are_taken_over_with_their_model(
    tmp_path: Path,
    model: str,
    vision_emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`tutorial_csv.py` finds out which it was, and refuses vectors that no model gives."""
    images, csv, output = tmp_path / "images", tmp_path / "dataset_embeddings.csv", tmp_path / "p.parquet"
    names = list(make_images(images, 5))
    monkeypatch.setenv("VISION_ENDPOINT", vision_emulator.endpoint)
    monkeypatch.setenv("VISION_KEY", "any")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("tutorial_csv")

    async def embedded() -> EmbeddingBatch:
        async with AsyncVisionEmbedder.from_env(requests_per_second=None, model_version=model) as embedder:
            return await embedder.embed_images([images / name for name in names])

    batch = asyncio.run(embedded())
    table = pd.DataFrame({"image_file": names, "title": "NA", "vector": map(str, batch.vectors.tolist())})
    table.to_csv(csv, sep="\t", index=False)
    example.main(csv, images, output)
    assert f"5 paintings of model {model}" in capsys.readouterr().out
    gallery = Gallery.open(output)
    assert (gallery.model_version, gallery.columns()["title"]) == (model, ["NA"] * 5)
    np.testing.assert_array_equal(gallery.vectors, batch.vectors)
    assert export_vectors(output, tmp_path / "vectors.npy") == 5

    table.assign(vector=[*table["vector"][1:], table["vector"][0]]).to_csv(csv, sep="\t", index=False)
    with pytest.raises(SystemExit, match="embed the paintings again"):
        example.main(csv, images, output)


async def test_the_script_that_takes_over_vectors_says_in_a_sentence_what_is_missing(tmp_path: Path) -> None:
    """`tutorial_csv.py` as a command: no traceback."""
    told = await run_example("tutorial_csv.py", tmp_path / "no.csv", tmp_path, tmp_path / "p.parquet", code=1)
    assert told.startswith("FileNotFoundError: ")
    assert len(told.splitlines()) == 1


async def test_a_folder_that_is_not_there_or_has_no_image_is_no_success(tmp_path: Path) -> None:
    """`embed_folder.py` says which, without a call."""
    told = await run_example("embed_folder.py", tmp_path / "absent", tmp_path / "all.npz", code=1)
    assert told == f"there is no folder {tmp_path / 'absent'}\n"
    told = await run_example("embed_folder.py", tmp_path, tmp_path / "all.npz", code=1)
    assert told.startswith(f"no image is in {tmp_path}; accepted are .bmp")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_screen(example: Path) -> None:
    """Under sixty lines each, but for the tutorial, which is eight pages of a series."""
    most = 235 if example.name == "semart_tutorial.py" else 60
    assert len(example.read_text().splitlines()) < most

"""The main job from the first step to the last, on a made-up collection and the emulated service."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from shlex import quote
from shutil import rmtree, which
from typing import TYPE_CHECKING

import click

from semart_vectors.demo.sample import make_sample
from semart_vectors.embedder import AsyncVisionEmbedder
from semart_vectors.emulator import Emulator
from semart_vectors.errors import ConfigurationError
from semart_vectors.gallery import Gallery
from semart_vectors.job import EmbeddingJob
from semart_vectors.metadata.merge import merge_vectors
from semart_vectors.metadata.semart import clean_semart
from semart_vectors.metadata.tables import write_metadata
from semart_vectors.search.contact_sheet import contact_sheet
from semart_vectors.search.query import embed_query
from semart_vectors.search.results import result_row

if TYPE_CHECKING:
    import pandas as pd

    from semart_vectors.records import JobReport
    from semart_vectors.search.contact_sheet import SheetRow

LIMIT = 25.0
"""Calls a second that the emulated resource allows."""

RATE = 24.0
"""Calls a second that the job makes: client and service share one process here, and delay each other."""

LATENCY_S = 0.2
"""About what a call to the real service takes at its best."""

NEIGHBOURS = 6

_WORD = "red"
_TYPES = ("portrait", "interior", "landscape", "mythological")
_EXPLANATION = (
    "On the left the query, beside it those whose vectors are nearest. "
    "The stand-in's know colours and edges, and twelve words for colours."
)

_PORT = 8765
"""That of the pages about the emulator."""


async def run_demo(directory: Path) -> None:
    """Clean, embed, be interrupted, resume, merge, and search; say so line by line."""
    metadata, checkpoint = directory / "metadata.parquet", directory / "embeddings"
    paintings, sheet = directory / "paintings.parquet", directory / "neighbours.png"
    await asyncio.to_thread(_begin_anew, directory, checkpoint)

    _say("1. A collection in the form of SemArt, painted on the spot")
    sample = await asyncio.to_thread(make_sample, directory / "SemArt")
    _tell(f"{sample.n_images} paintings and {sample.n_rows} rows in three tables: {sample.directory}")

    _say("2. Clean the tables as the SemArt tutorial does")
    table = await asyncio.to_thread(clean_semart, sample.directory)
    await asyncio.to_thread(write_metadata, table, metadata)
    _tell(f"{len(table)} paintings by {table['author'].nunique()} artists are left: {metadata}")

    _say(f"3. Embed them at {RATE:g} calls a second; a local stand-in of the service allows {LIMIT:g}")
    async with Emulator(requests_per_second=LIMIT, latency_s=LATENCY_S) as emulator:
        await _embed(emulator, table, sample.images_dir, checkpoint)

        _say("4. Put each vector beside its metadata")
        merged = await asyncio.to_thread(merge_vectors, metadata, checkpoint, paintings)
        _tell(f"{merged.rows} paintings with 1024 numbers each: {paintings}")

        _say("5. Search: by a picture that is not among them, by a word, and by some of the paintings")
        gallery = await asyncio.to_thread(Gallery.open, paintings)
        queries = await asyncio.to_thread(_queries, table, sample.images_dir)
        rows = await _search(emulator, gallery, queries, sample.images_dir)
        await asyncio.to_thread(
            contact_sheet, rows, sheet, title="What a search finds", explanation=_EXPLANATION
        )
        _tell(f"look at {sheet}")

    _say("Search on")
    for line in _commands(paintings, sample.images_dir, queries):
        _tell(line)


async def _embed(emulator: Emulator, table: pd.DataFrame, images_dir: Path, checkpoint: Path) -> None:
    """Run the job to the middle, and again to the end."""
    async with AsyncVisionEmbedder(emulator.endpoint, "any key", requests_per_second=RATE) as embedder:
        job = EmbeddingJob(
            embedder, images_dir, checkpoint=checkpoint, image_files=table["image_file"], progress=True
        )
        first = await _run_halfway(job, len(table))
        _tell(f"stopped on purpose with {first.embedded} done; now the same job again, which goes on there")
        second = await job.run()
    refused = sum(call.status != 200 for call in emulator.calls)  # noqa: PLR2004 - the status is its own name
    _tell(
        f"{second.already_done} were done, {second.embedded} followed, {second.failed} failed; "
        f"{len(emulator.calls)} calls, {refused} refused (two paintings have the same bytes: one call)"
    )


def _begin_anew(directory: Path, checkpoint: Path) -> None:
    """Take a folder that is new, or an earlier demo's, whose checkpoint goes; touch no other."""
    mark = directory / ".made-by-semart-vectors-demo"
    directory.mkdir(parents=True, exist_ok=True)
    if not mark.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} holds files of yours: name a new or empty folder for the demo")
    mark.touch()
    if checkpoint.exists():
        rmtree(checkpoint)


async def _run_halfway(job: EmbeddingJob, total: int) -> JobReport:
    """Run a job and interrupt it in the middle, as Ctrl-C would."""
    try:
        async with asyncio.timeout(total / RATE / 2):
            return await job.run()
    except TimeoutError:
        return job.report


def _queries(table: pd.DataFrame, images_dir: Path) -> list[str]:
    """Return what is searched for: a file, a word, and the first painting of each of some types."""
    known = set(table["image_file"])
    stranger = min(path for path in images_dir.iterdir() if path.name not in known)
    first = table.drop_duplicates("type").set_index("type")["image_file"]
    return [str(stranger), _WORD, *first[list(_TYPES)]]


async def _search(
    emulator: Emulator, gallery: Gallery, queries: list[str], images_dir: Path
) -> list[SheetRow]:
    """Search as the command does."""

    def open_embedder(model_version: str) -> AsyncVisionEmbedder:
        return AsyncVisionEmbedder(emulator.endpoint, "any key", model_version=model_version)

    rows = []
    for each in queries:
        query = await embed_query(each, gallery, open_embedder)
        matches = await asyncio.to_thread(
            gallery.search, query.embedding, k=NEIGHBOURS, exclude=query.exclude
        )
        rows.append(result_row(query, matches, images_dir))
    return rows


def _commands(paintings: Path, images_dir: Path, queries: list[str]) -> list[str]:
    """Say how to go on by oneself."""
    us = _as_started()
    file, _, *names = queries
    places = (paintings, images_dir, paintings.with_name("search.png"))
    vectors, images, sheet = (quote(str(place)) for place in places)
    search = f"--vectors {vectors} --images {images} --sheet {sheet}"
    return [
        f"{us} map {vectors} --images {images} -o {quote(str(paintings.with_name('map.html')))}",
        f"{us} search {names[-1]} {search}",
        "That one's vector is at hand. To search by a file or by words, start the stand-in of the service,",
        f"{us} emulator --port {_PORT}",
        "and in another window:",
        f"export VISION_ENDPOINT=http://127.0.0.1:{_PORT} VISION_KEY=any",
        f"{us} search {quote(file)} {search}",
    ]


def _as_started() -> str:
    """Return what starts this program from the same folder again."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{quote(sys.executable)} -m semart_vectors"
    return program.name if which(program.name) == str(program) else quote(str(program))


def _say(headline: str) -> None:
    click.secho(headline, bold=True)


def _tell(line: str) -> None:
    click.echo(f"   {line}")

"""The demo: every step from tables and images to a search, on a generated collection and the emulator."""

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

LIMIT = 50.0
"""The rate limit of the emulated resource, in calls a second."""

RATE = 48.0
"""The rate of the job, a little lower, because client and service delay each other in one process."""

LATENCY_S = 0.2
"""About the time of a fast call to the real service."""

NEIGHBOURS = 6

_WORD = "red"
_TYPES = ("portrait", "interior", "landscape", "mythological")
_EXPLANATION = (
    "On the left the query, beside it the paintings with the nearest vectors. "
    "The emulator's vectors know colours and edges, and twelve words for colours."
)

_PORT = 8765
"""The port in the documentation of the emulator."""


async def run_demo(directory: Path) -> None:
    """Clean, embed, stop half-way, resume, merge and search, and print each step.

    Raises:
        ConfigurationError: the folder holds files that no demo made.
    """
    metadata, checkpoint = directory / "metadata.parquet", directory / "embeddings"
    paintings, sheet = directory / "paintings.parquet", directory / "neighbours.png"
    await asyncio.to_thread(_prepare_folder, directory, checkpoint)

    _headline("1. Paint a small collection in the form of SemArt")
    sample = await asyncio.to_thread(make_sample, directory / "SemArt")
    _say(f"{sample.n_images} paintings and {sample.n_rows} rows in three tables: {sample.directory}")

    _headline("2. Clean the tables as the SemArt tutorial does")
    table = await asyncio.to_thread(clean_semart, sample.directory)
    await asyncio.to_thread(write_metadata, table, metadata)
    _say(f"{len(table)} paintings by {table['author'].nunique()} artists are left: {metadata}")

    _headline(f"3. Embed them at {RATE:g} calls a second; the local emulator of the service allows {LIMIT:g}")
    async with Emulator(requests_per_second=LIMIT, latency_s=LATENCY_S) as emulator:
        await _embed(emulator, table, sample.images_dir, checkpoint)

        _headline("4. Merge the vectors with the metadata")
        merged = await asyncio.to_thread(merge_vectors, metadata, checkpoint, paintings)
        _say(f"{merged.rows} paintings with 1024 numbers each: {paintings}")

        _headline(
            "5. Search by an image from outside the collection, by a word, and by some of the paintings"
        )
        gallery = await asyncio.to_thread(Gallery.open, paintings)
        queries = await asyncio.to_thread(_queries, table, sample.images_dir)
        rows = await _search(emulator, gallery, queries, sample.images_dir)
        await asyncio.to_thread(contact_sheet, rows, sheet, title="Search results", explanation=_EXPLANATION)
        _say(f"the results are drawn on {sheet}")

    _headline("Try it yourself")
    for line in _commands(paintings, sample.images_dir, queries):
        _say(line)


async def _embed(emulator: Emulator, table: pd.DataFrame, images_dir: Path, checkpoint: Path) -> None:
    """Run the job half-way, and again to the end."""
    async with AsyncVisionEmbedder(emulator.endpoint, "any key", requests_per_second=RATE) as embedder:
        job = EmbeddingJob(
            embedder, images_dir, checkpoint=checkpoint, image_files=table["image_file"], progress=True
        )
        first = await _run_halfway(job, len(table))
        _say(f"stopped on purpose with {first.embedded} done; the same job, run again, continues from there")
        second = await job.run()
    refused = sum(call.status != 200 for call in emulator.calls)  # noqa: PLR2004 - the status is its own name
    _say(
        f"{second.already_done} were done before, {second.embedded} followed, {second.failed} failed; "
        f"{len(emulator.calls)} calls, {refused} refused (two paintings are identical, so they need one call)"
    )


def _prepare_folder(directory: Path, checkpoint: Path) -> None:
    """Make the folder, or reuse that of an earlier demo without its checkpoint; refuse any other."""
    mark = directory / ".made-by-semart-vectors-demo"
    directory.mkdir(parents=True, exist_ok=True)
    if not mark.exists() and any(directory.iterdir()):
        raise ConfigurationError(
            f"{directory} already holds other files: choose a new or empty folder for the demo"
        )
    mark.touch()
    if checkpoint.exists():
        rmtree(checkpoint)


async def _run_halfway(job: EmbeddingJob, total: int) -> JobReport:
    """Run a job and cancel it half-way, as Ctrl-C would."""
    try:
        async with asyncio.timeout(total / RATE / 2):
            return await job.run()
    except TimeoutError:
        return job.report


def _queries(table: pd.DataFrame, images_dir: Path) -> list[str]:
    """Return the queries: a file, a word, and the first painting of each of some types."""
    known = set(table["image_file"])
    outsider = min(path for path in images_dir.iterdir() if path.name not in known)
    first = table.drop_duplicates("type").set_index("type")["image_file"]
    return [str(outsider), _WORD, *first[list(_TYPES)]]


async def _search(
    emulator: Emulator, gallery: Gallery, queries: list[str], images_dir: Path
) -> list[SheetRow]:
    """Search as the `search` command does, and return the rows of the sheet."""

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
    """Return command lines with which to continue."""
    program = _as_started()
    file, _, *names = queries
    places = (paintings, images_dir, paintings.with_name("search.png"))
    vectors, images, sheet = (quote(str(place)) for place in places)
    search = f"--vectors {vectors} --images {images} --sheet {sheet}"
    return [
        f"{program} map {vectors} --images {images} -o {quote(str(paintings.with_name('map.html')))}",
        f"{program} search {names[-1]} {search}",
        "That search needs no call. To search by a file or by words, start the emulator of the service:",
        f"{program} emulator --port {_PORT}",
        "and in another terminal:",
        f"export VISION_ENDPOINT=http://127.0.0.1:{_PORT} VISION_KEY=any",
        f"{program} search {quote(file)} {search}",
    ]


def _as_started() -> str:
    """Return the command that starts this program again from the same folder."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{quote(sys.executable)} -m semart_vectors"
    return program.name if which(program.name) == str(program) else quote(str(program))


def _headline(headline: str) -> None:
    click.secho(headline, bold=True)


def _say(line: str) -> None:
    click.echo(f"   {line}")

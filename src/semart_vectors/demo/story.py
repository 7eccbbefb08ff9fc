"""The main job from the first step to the last, on a made-up collection and the emulated service."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import click

from semart_vectors.demo.sample import make_sample
from semart_vectors.embedder import AsyncVisionEmbedder
from semart_vectors.emulator import Emulator
from semart_vectors.errors import ConfigurationError
from semart_vectors.gallery import Gallery
from semart_vectors.job import EmbeddingJob
from semart_vectors.merge import merge_vectors
from semart_vectors.metadata import write_metadata
from semart_vectors.pictures import Panel, SheetRow, contact_sheet
from semart_vectors.semart import clean_semart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from semart_vectors.records import JobReport

LIMIT = 25.0
"""Calls a second that the emulated resource allows."""

RATE = 24.0
"""Calls a second that the job makes: client and service share one process here, and delay each other."""

LATENCY_S = 0.2
"""About what a call to the real service takes at its best."""

NEIGHBOURS = 5


async def run_demo(directory: Path) -> None:
    """Clean, embed, be interrupted, resume, merge, and draw what stands near what; say so line by line."""
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
        async with AsyncVisionEmbedder(emulator.endpoint, "any key", requests_per_second=RATE) as embedder:
            job = EmbeddingJob(
                embedder,
                sample.images_dir,
                checkpoint=checkpoint,
                image_files=table["image_file"],
                progress=True,
            )
            first = await _run_halfway(job, len(table))
            _tell(
                f"stopped on purpose with {first.embedded} done; now the same job again, which goes on there"
            )
            second = await job.run()
        refused = sum(call.status != 200 for call in emulator.calls)  # noqa: PLR2004 - the status is its own name
        _tell(
            f"{second.already_done} were done, {second.embedded} followed, {second.failed} failed; "
            f"{len(emulator.calls)} calls, {refused} refused (two paintings have the same bytes: one call)"
        )

    _say("4. Put each vector beside its metadata")
    merged = await asyncio.to_thread(merge_vectors, metadata, checkpoint, paintings)
    _tell(f"{merged.rows} paintings with 1024 numbers each: {paintings}")

    _say("5. Draw some paintings with those whose vectors are nearest")
    await asyncio.to_thread(_draw_neighbours, table, paintings, sample.images_dir, sheet)
    _tell(f"look at {sheet}")


def _begin_anew(directory: Path, checkpoint: Path) -> None:
    """Take a folder that is new, or an earlier demo's, whose checkpoint goes; touch no other."""
    mark = directory / ".made-by-semart-vectors-demo"
    directory.mkdir(parents=True, exist_ok=True)
    if not mark.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} holds files of yours: name a new or empty folder for the demo")
    mark.touch()
    if checkpoint.exists():
        shutil.rmtree(checkpoint)


async def _run_halfway(job: EmbeddingJob, total: int) -> JobReport:
    """Run a job and interrupt it in the middle, as Ctrl-C would."""
    try:
        async with asyncio.timeout(total / RATE / 2):
            return await job.run()
    except TimeoutError:
        return job.report


def _draw_neighbours(table: pd.DataFrame, paintings: Path, images_dir: Path, sheet: Path) -> None:
    """Draw the first painting of each type beside its nearest neighbours by cosine."""
    gallery = Gallery.open(paintings)

    def panel(image_file: str, painting: Mapping[Any, Any], score: float | None = None) -> Panel:
        detail = f"{painting['author']} · {painting['type']}"
        return Panel(images_dir / image_file, painting["title"], detail, score)

    rows = []
    for query in table.drop_duplicates("type").to_dict("records"):
        name = query["image_file"]
        nearest = gallery.search(gallery.embedding(name), k=NEIGHBOURS, leave_out=name)
        neighbours = [panel(each.image_file, each.metadata, each.score) for each in nearest]
        rows.append(SheetRow(panel(name, query), neighbours))
    contact_sheet(rows, sheet, title="Paintings and their nearest neighbours")


def _say(headline: str) -> None:
    click.secho(headline, bold=True)


def _tell(line: str) -> None:
    click.echo(f"   {line}")

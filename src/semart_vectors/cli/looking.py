"""The commands that look at a collection, or carry it to where others look at it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import click
import orjson

from semart_vectors.cli.options import AS_JSON, DIRECTORY, FILE, TABLE
from semart_vectors.cli.output import first_few, print_result, say
from semart_vectors.cli.running import environment, extra, run_in_loop

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.gallery import Gallery, Match
    from semart_vectors.postgres import PostgresGallery
    from semart_vectors.search.query import Query

_ON_A_SHEET = 240
"""Paintings that a person still looks at, and a viewer of pictures still opens."""


@click.command()
@click.argument("query")
@click.option("--vectors", type=FILE, help="The .parquet file that merge wrote.")
@click.option("--postgres", metavar="URL", help="Or the database that load filled.")
@TABLE
@click.option("-k", type=click.IntRange(min=1), default=12, show_default=True, help="How many to find.")
@click.option("--where", metavar="SQL", help="Only those whose columns meet this, as \"type = 'portrait'\".")
@click.option("--images", type=DIRECTORY, help="The folder of the images, for the sheet.")
@click.option("--sheet", type=FILE, help="Draw what was found as this PNG.")
@AS_JSON
def search(  # noqa: PLR0917 - click passes them all by name
    query: str,
    vectors: Path | None,
    postgres: str | None,
    table: str,
    k: int,
    where: str | None,
    images: Path | None,
    sheet: Path | None,
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Find the paintings that are nearest to QUERY.

    It is an image file, or one's https:// address, or the name of one of the paintings, or else a text.
    """
    from semart_vectors.search.query import embed_query
    from semart_vectors.search.results import caption

    if sheet is not None:
        _check_sheet(sheet, images)
    with _open_gallery(vectors, postgres, table) as gallery:
        wanted, matches = None, []
        # Before the call that a query may cost: is there anything to find? What is empty has no model.
        if gallery.model_version if where is None else gallery.count(where):
            wanted = run_in_loop(embed_query(query, gallery, _open_embedder))
            matches = gallery.search(wanted.embedding, k=k, where=where, exclude=wanted.exclude)
    if as_json:
        say(orjson.dumps([_as_found(match) for match in matches], default=_jsonable))
    for match in matches if not as_json else ():
        told = [f"{match.score:.4f}", *caption(match.metadata), match.image_file]
        say("  ".join(text for text in told if text))
    if not matches:
        say("Nothing was found", err=True)
    if wanted is not None and sheet is not None and images is not None:
        _draw_found(wanted, matches, images, sheet)


@click.command("map")
@click.argument("paintings", type=FILE)
@click.option(
    "--images", "images_dir", type=DIRECTORY, required=True, help="The folder that holds their images."
)
@click.option(
    "-o", "--output", type=FILE, required=True, help="An .html page to click through, or a .png sheet."
)
@click.option(
    "--colour-by",
    metavar="COLUMN",
    help="What colours a page's paintings; type, school or timeframe unless given.",
)
@click.option("--title", default="A map of the collection", show_default=True, help="The headline.")
def map_command(paintings: Path, images_dir: Path, output: Path, colour_by: str | None, title: str) -> None:
    """Draw the whole collection so that near paintings stand together."""
    with extra("map"):
        from semart_vectors.map import draw_map

    report = draw_map(paintings, images_dir, output, colour_by=colour_by, title=title)
    of = "" if report.drawn == report.total else f" of {report.total:,}, taken evenly,"
    say(f"{report.drawn:,} paintings{of} drawn on {output}")
    if report.unreadable:
        say(
            f"{len(report.unreadable):,} have no readable picture in {images_dir} and are grey: "
            f"{first_few(report.unreadable)}",
            err=True,
        )


@click.command()
@click.argument("paintings", type=FILE)
@click.option(
    "--postgres",
    metavar="URL",
    required=True,
    help="postgresql://user@host/database; PGPASSWORD or ~/.pgpass keeps its password out of sight.",
)
@TABLE
@click.option(
    "--index", type=click.Choice(["hnsw", "ivfflat"]), help="Find neighbours without a look at all rows."
)
@click.option("--half", is_flag=True, help="Keep 16 bits of each number.")
@click.option("--replace", is_flag=True, help="Drop the table first, with what it holds.")
@AS_JSON
def load(  # noqa: PLR0917 - click passes them all by name
    paintings: Path,
    postgres: str,
    table: str,
    index: Literal["hnsw", "ivfflat"] | None,
    half: bool,  # noqa: FBT001 - as above
    replace: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Load a merged file into a table of PostgreSQL, for pgvector; again, to bring it up to date."""
    with extra("pgvector"):
        from semart_vectors.postgres import load_vectors

    report = load_vectors(paintings, postgres, table=table, index=index, half=half, replace=replace)
    print_result(
        report,
        f"{report.rows:,} paintings in {table}: {report.inserted:,} inserted, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged",
        as_json=as_json,
    )


@click.command()
@click.argument("paintings", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="A .npy file; the names go beside it.")
def export(paintings: Path, output: Path) -> None:
    """Write the vectors of a merged file as .npy, and their names as .jsonl."""
    from semart_vectors.metadata.export import export_vectors

    rows = export_vectors(paintings, output)
    say(f"{rows:,} vectors written to {output}, their names to {output.with_suffix('.jsonl')}")


def _open_gallery(
    vectors: Path | None, postgres: str | None, table: str
) -> AbstractContextManager[Gallery | PostgresGallery]:
    if vectors is not None and postgres is None:
        from semart_vectors.gallery import Gallery

        return nullcontext(Gallery.open(vectors))
    if postgres is not None and vectors is None:
        with extra("pgvector"):
            from semart_vectors.postgres import PostgresGallery

        return PostgresGallery.open(postgres, table=table)
    raise click.UsageError("--vectors FILE says where to search, or --postgres URL")


def _open_embedder(model_version: str) -> AsyncVisionEmbedder:
    """Make one for a single call that somebody waits for: a service that is down is told at once."""
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder

    return AsyncVisionEmbedder.from_env(
        environment(), model_version=model_version, retry=RetryPolicy(outage_limit_s=0)
    )


def _as_found(match: Match) -> dict[str, Any]:
    ours = {"image_file": match.image_file, "score": match.score}
    return {**ours, **match.metadata, **ours}  # ours stand first, and win


def _jsonable(value: object) -> str:
    """Write what JSON has no form for: bytes in hexadecimal digits, all else as its text."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _check_sheet(sheet: Path, images: Path | None) -> None:
    """Refuse what would fail, or do harm, once the query is paid for."""
    if images is None:
        raise click.UsageError("--sheet needs --images: the folder that the names are relative to")
    is_other = os.path.lexists(sheet) and not os.path.isfile(sheet)  # noqa: PTH113 - says no where one may not look
    if sheet.suffix.lower() != ".png" or is_other:
        raise click.UsageError(f"--sheet writes a PNG: {sheet} is no name of one")
    if not os.path.isdir(sheet.parent):  # noqa: PTH112 - as above
        raise click.UsageError(f"--sheet: there is no folder {sheet.parent}; create it first")


def _draw_found(query: Query, matches: list[Match], images: Path, sheet: Path) -> None:
    from semart_vectors.search.contact_sheet import contact_sheet
    from semart_vectors.search.results import result_row

    if len(matches) > _ON_A_SHEET:
        say(f"The sheet has the first {_ON_A_SHEET} of {len(matches):,}", err=True)
    row = result_row(query, matches[:_ON_A_SHEET], images)
    contact_sheet([row], sheet, title="The nearest paintings")

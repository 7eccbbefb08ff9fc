"""The `search` command."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import orjson

from semart_vectors.cli.environment import environment
from semart_vectors.cli.event_loop import run_in_loop
from semart_vectors.cli.extras import extra
from semart_vectors.cli.options import AS_JSON, TABLE, VECTORS
from semart_vectors.cli.output import say
from semart_vectors.cli.sheet import IMAGES, SHEET, check_sheet, draw_sheet

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.gallery import Gallery, Match
    from semart_vectors.postgres import PostgresGallery
    from semart_vectors.search.query import Query

_MAX_ON_SHEET = 240
"""Images on a sheet: as many as a person still looks at, and an image viewer still opens."""

EMULATOR_WORDS = (
    *("red", "orange", "yellow", "golden", "brown", "green"),
    *("turquoise", "blue", "purple", "pink", "white", "black"),
)
"""The words that the emulator knows; importing them from it would import its web server."""


@click.command()
@click.argument("query")
@click.option("--vectors", type=VECTORS, help="The .parquet file that merge wrote, or a checkpoint.")
@click.option("--postgres", metavar="URL", help="Or the database that load filled.")
@TABLE
@click.option(
    "-k", type=click.IntRange(min=1), metavar="N", default=12, show_default=True, help="How many to find."
)
@click.option("--where", metavar="SQL", help="Search only rows that meet this, as \"type = 'portrait'\".")
@IMAGES
@SHEET
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
    """Find the images that are nearest to QUERY.

    QUERY is an image file, the https:// address of an image, the name of an image in the collection, or a
    text.
    """
    from semart_vectors.search.query import embed_query
    from semart_vectors.search.results import caption

    if sheet is not None:
        check_sheet(sheet, images)
    variables = environment()
    open_embedder = partial(_open_embedder, variables)  # read here, because a file would block the loop
    with _open_gallery(vectors, postgres, table) as gallery:
        wanted, matches = None, []
        # Asked before the query is paid for: is there anything to find? An empty collection has no model.
        if gallery.model_version if where is None else gallery.count(where):
            wanted = run_in_loop(embed_query(query, gallery, open_embedder))
            matches = gallery.search(wanted.embedding, k=k, where=where, exclude=wanted.exclude)
    if as_json:
        say(orjson.dumps([_as_json(match) for match in matches], default=_json_default))
    for match in matches if not as_json else ():
        columns = [f"{match.score:.4f}", *caption(match.metadata), match.image_file]
        say("  ".join(text for text in columns if text))
    if not matches:
        say("Nothing was found", err=True)
    if wanted is not None and wanted.kind == "text":
        _note_emulator(variables.get("VISION_ENDPOINT", ""))
    if wanted is not None and sheet is not None and images is not None:
        _draw_results(wanted, matches, images, sheet)


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
    raise click.UsageError("say where to search: either --vectors FILE or --postgres URL")


def _open_embedder(variables: dict[str, str], model_version: str) -> AsyncVisionEmbedder:
    """Make an embedder for one call that somebody waits for: if the service is down, it fails at once."""
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder

    return AsyncVisionEmbedder.from_env(
        variables, model_version=model_version, retry=RetryPolicy(outage_limit_s=0)
    )


def _note_emulator(endpoint: str) -> None:
    """Say what words mean to the emulator, if it may be what answered: Azure is on no loopback address."""
    from semart_vectors.calls.endpoint import is_this_machine, split_address

    parts = split_address(endpoint.strip())
    if parts is not None and is_this_machine(parts.hostname or ""):
        say(
            "The endpoint is on this machine: if it is the emulator, a text finds colours only. "
            f"Its words are {', '.join(EMULATOR_WORDS)}",
            err=True,
        )


def _as_json(match: Match) -> dict[str, Any]:
    ours = {"image_file": match.image_file, "score": match.score}
    return {**ours, **match.metadata, **ours}  # twice: ours come first, and no column replaces their values


def _json_default(value: object) -> str:
    """Convert a value that JSON has no form for: bytes to hexadecimal digits, anything else to its text."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _draw_results(query: Query, matches: list[Match], images: Path, sheet: Path) -> None:
    from semart_vectors.search.results import result_row

    if len(matches) > _MAX_ON_SHEET:
        say(f"The sheet shows the first {_MAX_ON_SHEET} of {len(matches):,}", err=True)
    row = result_row(query, matches[:_MAX_ON_SHEET], images)
    draw_sheet([row], sheet, title="The nearest pictures")

"""The `load` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from semart_vectors.cli.extras import extra
from semart_vectors.cli.options import AS_JSON, TABLE, VECTORS
from semart_vectors.cli.output import print_result

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("vectors", type=VECTORS)
@click.option(
    "--postgres",
    metavar="URL",
    required=True,
    help="postgresql://user@host/database; keep the password in PGPASSWORD or ~/.pgpass, where no process"
    " list shows it.",
)
@TABLE
@click.option(
    "--index",
    type=click.Choice(["hnsw", "ivfflat"]),
    help="Build an index, so that a search reads fewer rows.",
)
@click.option("--half", is_flag=True, help="Store each number in 16 bits.")
@click.option("--replace", is_flag=True, help="Drop the table and its rows first.")
@AS_JSON
def load(  # noqa: PLR0917 - click passes them all by name
    vectors: Path,
    postgres: str,
    table: str,
    index: Literal["hnsw", "ivfflat"] | None,
    half: bool,  # noqa: FBT001 - as above
    replace: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Load a merged file, or a checkpoint, into a PostgreSQL table for pgvector, or update the table.

    VECTORS is the .parquet file that merge wrote, or a checkpoint.
    """
    with extra("pgvector"):
        from semart_vectors.postgres import load_vectors

    report = load_vectors(vectors, postgres, table=table, index=index, half=half, replace=replace)
    print_result(
        report,
        f"{report.rows:,} rows in {table}: {report.inserted:,} inserted, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged",
        as_json=as_json,
    )

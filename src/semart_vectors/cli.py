"""The command line: arguments to objects, one event loop, an exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import os
import signal
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import click
import dotenv
import orjson
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from semart_vectors import errors

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from _typeshed import DataclassInstance

    from semart_vectors._query import Query
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.gallery import Match
    from semart_vectors.records import JobReport
    from semart_vectors.repairs import ImageRepair

ResultT = TypeVar("ResultT")

USAGE, SOME_FAILED, DAMAGED, DISK, DATABASE, INTERRUPTED = 2, 3, 6, 8, 9, 130

EXIT_CODES: dict[type[errors.SemartVectorsError], int] = {
    errors.ConfigurationError: USAGE,
    errors.MetadataError: USAGE,
    errors.UnreadableImageError: USAGE,  # the query's, as is the next: in a job an image's failure is a value
    errors.InvalidInputError: USAGE,
    errors.EndpointError: USAGE,
    errors.ServiceUnavailableError: 1,
    errors.OutOfResourcesError: DISK,
    errors.AuthenticationError: 4,
    errors.QuotaExceededError: 5,
    errors.ModelMismatchError: DAMAGED,
    errors.CheckpointInUseError: 7,
    errors.CheckpointDiskError: DISK,
    errors.DatabaseError: DATABASE,
    errors.CheckpointError: DAMAGED,  # after the kinds of it above
}

_NAMED = 5
"""Names that a message gives of many."""

_LEAST_RATE, _MOST_RATE = 0.001, 1_000_000

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_OUTPUT = click.option(
    "-o", "--output", type=_FILE, required=True, help="A .parquet file, or .csv/.tsv in TAB form."
)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _rate(_: click.Context, parameter: click.Parameter, value: str | None) -> float | Literal["auto"] | None:
    if value is None or (value == "auto" and parameter.name == "requests_per_second"):
        return value  # type: ignore[return-value] # it is one of these two
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise click.BadParameter(f"{value!r} is no number of calls a second")
    return rate


def _time_for(calls: int, requests_per_second: float | Literal["auto"]) -> str:
    if requests_per_second == "auto":
        return ""
    minutes = math.ceil(calls / requests_per_second / 60)
    return f", up to {minutes:,} minutes at {requests_per_second:g} a second"


class _Commands(click.Group):
    """The commands in the order a newcomer needs them, the emulator's own among them."""

    _ORDER = (
        "demo",
        "clean",
        "embed",
        "status",
        "check",
        "merge",
        "search",
        "map",
        "load",
        "export",
        "emulator",
    )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Name the commands."""
        return list(self._ORDER)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command; the emulator's brings a web server with it, so it is imported when asked for."""
        if cmd_name != "emulator":
            return super().get_command(ctx, cmd_name)
        try:
            from semart_vectors.emulator.command import emulator_command
        except ModuleNotFoundError as error:
            raise _missing_extra(error) from error
        return emulator_command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="semart-vectors")
def cli() -> None:
    """Turn a collection of paintings into vectors through Azure AI Vision.

    Endpoint and key come from VISION_ENDPOINT and VISION_KEY, or from a .env file in the working directory.
    """


@cli.command()
@click.argument("directory", type=_DIRECTORY, default=Path("semart-demo"))
def demo(directory: Path) -> None:
    """Do the whole main job on a made-up collection and a local stand-in of the service."""
    try:
        from semart_vectors.demo.story import run_demo
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    _run(run_demo(directory))


@cli.command()
@click.argument("dataset_dir", type=_DIRECTORY)
@_OUTPUT
@click.option(
    "--more-than",
    type=click.IntRange(min=0),
    default=15,
    show_default=True,
    metavar="N",
    help="Keep authors with more than N paintings.",
)
def clean(dataset_dir: Path, output: Path, more_than: int) -> None:
    """Clean the tables of SemArt into one."""
    from semart_vectors.metadata import write_metadata
    from semart_vectors.semart import clean_semart

    table = clean_semart(dataset_dir, more_than=more_than)
    write_metadata(table, output)
    _say(f"{len(table):,} paintings by {table['author'].nunique():,} authors written to {output}")
    if table.empty:
        _say("No author has as many paintings: lower --more-than", err=True)


@cli.command()
@click.argument("images_dir", type=_DIRECTORY)
@click.option("--checkpoint", type=_DIRECTORY, required=True, help="The folder that records what is done.")
@click.option("--metadata", type=_FILE, help="Embed only the image_file's of this table.")
@click.option(
    "--requests-per-second",
    callback=_rate,
    default="10",
    show_default=True,
    help="The limit of your resource; the free tier's 20 a minute is 0.333; auto finds it.",
)
@click.option(
    "--max-requests-per-second",
    callback=_rate,
    help="What auto never exceeds.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    help="Calls under way at once; as many as the rate takes unless given.",
)
@click.option(
    "--model-version",
    type=click.Choice(["2023-04-15", "2022-04-11"]),
    default="2023-04-15",
    show_default=True,
    help="Vectors of two models do not compare.",
)
@click.option(
    "--outage-limit",
    type=click.FloatRange(min=0, max=1e9),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a service that is down.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in earlier runs.")
@click.option(
    "--repair-images",
    is_flag=True,
    help="Mend what needs it first: orientation, CMYK, 16 bits, animations, sides and files too large.",
)
@click.option(
    "--max-side",
    type=click.IntRange(11, 15_999),
    metavar="PIXELS",
    help="Scale down what has a longer side; with --repair-images.",
)
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and make no call.")
@_AS_JSON
def embed(  # noqa: PLR0917 - click passes them all by name
    images_dir: Path,
    checkpoint: Path,
    metadata: Path | None,
    requests_per_second: float | Literal["auto"],
    max_requests_per_second: float | None,
    max_in_flight: int | None,
    model_version: str,
    outage_limit: float,
    retry_failed: bool,  # noqa: FBT001 - as above
    repair_images: bool,  # noqa: FBT001 - as above
    max_side: int | None,
    dry_run: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Embed the images below a folder, or go on where the last run stopped."""
    from semart_vectors._retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.images import SUFFIXES
    from semart_vectors.job import EmbeddingJob, plan_job
    from semart_vectors.semart import find_images_dir

    if max_side is not None and not repair_images:
        raise click.UsageError("--max-side goes with --repair-images")
    image_files = None if metadata is None else _image_files(metadata)
    if images_dir.name.lower() == "images" and not images_dir.exists():
        images_dir = find_images_dir(images_dir.parent)  # the archive says Images, the tutorial images
    if dry_run:
        plan = _run(
            plan_job(
                images_dir,
                checkpoint=checkpoint,
                model_version=model_version,
                image_files=image_files,
                retry_failed=retry_failed,
            )
        )
        _print(
            plan,
            f"{plan.total:,} images: {plan.already_done:,} done, {plan.failed:,} failed before, "
            f"{plan.to_do:,} to do{_time_for(plan.to_do, requests_per_second)}",
            as_json=as_json,
        )
        return

    embedder = AsyncVisionEmbedder.from_env(
        _environment(),
        requests_per_second=requests_per_second,
        max_requests_per_second=max_requests_per_second,
        max_in_flight=max_in_flight,
        model_version=model_version,
        retry=RetryPolicy(outage_limit_s=outage_limit),
    )
    job = EmbeddingJob(
        embedder,
        images_dir,
        checkpoint=checkpoint,
        image_files=image_files,
        retry_failed=retry_failed,
        repair=_repair(max_side) if repair_images else None,
        progress=True,
    )

    async def run() -> JobReport:
        async with embedder:
            return await job.run()

    try:
        report = _run(run())
    except KeyboardInterrupt:
        report = job.report
        done = report.embedded + report.already_done
        _stop(
            f"Interrupted: {done:,} of {report.total:,} images are done; the same command goes on",
            INTERRUPTED,
        )
    _print(report, _told(report), as_json=as_json)
    if not report.total:
        _say(f"There is no image in {images_dir}: {', '.join(sorted(SUFFIXES))} count", err=True)
    if report.failed:
        _tell_failures(checkpoint, report.failed, image_files)
        sys.exit(SOME_FAILED)


@cli.command()
@click.argument("directory", type=_DIRECTORY)
@_AS_JSON
def status(directory: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Say how far a checkpoint is, also while a job writes to it."""
    from semart_vectors.checkpoint import read_status

    found = read_status(directory)
    parts = [f"{found.done:,} images done with model {found.model_version}, {found.failed:,} failed"]
    if found.asked_for is not None:
        parts.append(f"the last job was asked for {found.asked_for:,}")
    if found.in_use:
        parts.append("a job is writing to it at this moment")
    _print(found, "; ".join(parts), as_json=as_json)


@cli.command()
@click.argument("directory", type=_DIRECTORY)
@click.option(
    "--repair", is_flag=True, help="Set aside what is damaged, so that embed does those images again."
)
@_AS_JSON
def check(directory: Path, repair: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes them by name
    """Compare every stored byte of a checkpoint with its checksum."""
    from semart_vectors.check import check_checkpoint

    report = check_checkpoint(directory, repair=repair)
    found = f"{len(report.damaged):,} damaged" if report.damaged else "all whole"
    _print(
        report,
        f"{report.files:,} files, {report.bytes:,} bytes, {report.vectors:,} vectors: {found}",
        as_json=as_json,
    )
    for damage in report.damaged:
        _say(_printable(damage), err=True)
    if report.damaged and repair:
        _say(f"{directory / '_damaged'} has what was damaged; `semart-vectors embed` goes on", err=True)
    elif report.damaged:
        sys.exit(DAMAGED)


@cli.command()
@click.argument("metadata", type=_FILE)
@click.argument("checkpoint_dir", type=_DIRECTORY)
@_OUTPUT
@_AS_JSON
def merge(metadata: Path, checkpoint_dir: Path, output: Path, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Put each painting's vector beside its metadata."""
    from semart_vectors.merge import merge_vectors

    report = merge_vectors(metadata, checkpoint_dir, output)
    _print(report, f"{report.rows:,} paintings with their vectors written to {output}", as_json=as_json)
    for names, what in (
        (report.without_vector, "rows of the metadata have no vector and were left out"),
        (report.without_metadata, "vectors have no row in the metadata and were left out"),
    ):
        if names:
            _say(f"{len(names):,} {what}: {_first_few(names)}", err=True)


@cli.command("map")
@click.argument("paintings", type=_FILE)
@click.option(
    "--images", "images_dir", type=_DIRECTORY, required=True, help="The folder that holds their images."
)
@click.option(
    "-o", "--output", type=_FILE, required=True, help="An .html page to click through, or a .png sheet."
)
@click.option(
    "--colour-by",
    metavar="COLUMN",
    help="What colours a page's paintings; type, school or timeframe unless given.",
)
@click.option("--title", default="A map of the collection", show_default=True, help="The headline.")
def map_command(paintings: Path, images_dir: Path, output: Path, colour_by: str | None, title: str) -> None:
    """Draw the whole collection so that near paintings stand together."""
    try:
        from semart_vectors.map import MOST, draw_map
    except ModuleNotFoundError as error:
        raise _missing_extra(error, "map") from error
    from semart_vectors.gallery import Gallery

    gallery = Gallery.open(paintings)
    drawn = min(len(gallery), MOST)
    _say(f"Placing {drawn:,} paintings", err=True)
    with tqdm(total=drawn, unit="img", desc="pictures", disable=None) as bar:
        report = draw_map(
            gallery, images_dir, output, colour_by=colour_by, title=title, on_picture=bar.update
        )
    of = "" if report.paintings == report.total else f" of {report.total:,}, taken evenly,"
    _say(f"{report.paintings:,} paintings{of} drawn on {output}")
    if report.without_picture:
        _say(
            f"{len(report.without_picture):,} have no readable picture in {images_dir} and are grey: "
            f"{_first_few(report.without_picture)}",
            err=True,
        )


@cli.command()
@click.argument("query")
@click.option("--vectors", type=_FILE, required=True, help="The .parquet file that merge wrote.")
@click.option("-k", type=click.IntRange(min=1), default=12, show_default=True, help="How many to find.")
@click.option("--where", metavar="SQL", help="Only those whose columns meet this, as \"type = 'portrait'\".")
@click.option("--images", type=_DIRECTORY, help="The folder of the images, for the sheet.")
@click.option("--sheet", type=_FILE, help="Draw what was found as this PNG.")
@_AS_JSON
def search(  # noqa: PLR0917 - click passes them all by name
    query: str,
    vectors: Path,
    k: int,
    where: str | None,
    images: Path | None,
    sheet: Path | None,
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Find the paintings that are nearest to QUERY.

    It is an image file, or the name of one of the paintings, or else a text.
    """
    from semart_vectors._query import embed_query
    from semart_vectors.gallery import Gallery

    if sheet is not None and images is None:
        raise click.UsageError("--sheet needs --images: the folder that the names are relative to")
    gallery = Gallery.open(vectors)
    wanted = _run(embed_query(query, gallery, _open_embedder))
    matches = gallery.search(wanted.embedding, k=k, where=where, leave_out=wanted.leave_out)
    if sheet is not None and images is not None:
        _draw_found(wanted, matches, images, sheet)
    if as_json:
        _say(orjson.dumps([_as_found(match) for match in matches], default=str))
        return
    for match in matches:
        told = [f"{match.score:.4f}", *_title_and_author(match.metadata), match.image_file]
        _say("  ".join(text for text in told if text))
    if not matches:
        _say("Nothing was found", err=True)


@cli.command()
@click.argument("paintings", type=_FILE)
@click.option(
    "--postgres",
    metavar="URL",
    required=True,
    help="postgresql://user@host/database; PGPASSWORD or ~/.pgpass keeps its password out of sight.",
)
@click.option("--table", default="paintings", show_default=True, help="NAME or SCHEMA.NAME.")
@click.option(
    "--index", type=click.Choice(["hnsw", "ivfflat"]), help="Find neighbours without a look at all rows."
)
@click.option("--half", is_flag=True, help="Keep 16 bits of each number.")
@click.option("--replace", is_flag=True, help="Drop the table first, with what it holds.")
@_AS_JSON
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
    try:
        from semart_vectors.postgres import load_vectors
    except ImportError as error:  # psycopg raises it bare where it finds no libpq
        raise _missing_extra(error, "pgvector") from error

    report = load_vectors(paintings, postgres, table=table, index=index, half=half, replace=replace)
    _print(
        report,
        f"{report.rows:,} paintings in {table}: {report.inserted:,} inserted, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged",
        as_json=as_json,
    )


@cli.command()
@click.argument("paintings", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="A .npy file; the names go beside it.")
def export(paintings: Path, output: Path) -> None:
    """Write the vectors of a merged file as .npy, and their names as .jsonl."""
    from semart_vectors.export import export_vectors

    rows = export_vectors(paintings, output)
    _say(f"{rows:,} vectors written to {output}, their names to {output.with_suffix('.jsonl')}")


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    log = logging.StreamHandler()
    log.setFormatter(_PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[log], level=logging.WARNING)
    logging.getLogger("semart_vectors").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module="PIL")  # what a picture's metadata lack does not matter here
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except errors.SemartVectorsError as error:
        _stop(f"Error: {error}", _exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        _stop("Interrupted", INTERRUPTED)
    except OSError as error:
        _stop(f"Error: cannot print the result: {error.strerror}", DISK)
    sys.exit(0)


def _run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run to the end in an event loop; Ctrl-C and SIGTERM cancel it once, and end in KeyboardInterrupt."""

    async def cancelled_by_sigterm() -> ResultT:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    try:
        # On a terminal a warning stands above the progress bar, not in it.
        with logging_redirect_tqdm() if sys.stderr and sys.stderr.isatty() else nullcontext():
            return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _environment() -> dict[str, str]:
    """Return the environment, with what the .env file has of the two variables where they are not set."""
    environment = dict(os.environ)
    if not {"VISION_ENDPOINT", "VISION_KEY"} <= environment.keys():
        try:
            found = dotenv.dotenv_values(".env")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.ConfigurationError(
                f"cannot read .env: {error}; it must be UTF-8 text that you may read"
            ) from error
        for name, value in found.items():
            environment.setdefault(name, value or "")
    return environment


def _image_files(metadata: Path) -> list[str]:
    from semart_vectors.metadata import read_metadata

    names: list[str] = read_metadata(metadata)["image_file"].tolist()
    return names


def _repair(max_side_px: int | None) -> ImageRepair:
    from semart_vectors.repairs import ImageRepair

    return ImageRepair() if max_side_px is None else ImageRepair(max_side_px=max_side_px)


def _open_embedder(model_version: str) -> AsyncVisionEmbedder:
    """Make one for a single call that somebody waits for: a service that is down is told at once."""
    from semart_vectors._retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder

    return AsyncVisionEmbedder.from_env(
        _environment(), model_version=model_version, retry=RetryPolicy(outage_limit_s=0)
    )


def _as_found(match: Match) -> dict[str, Any]:
    ours = {"image_file": match.image_file, "score": match.score}
    return {**ours, **match.metadata, **ours}  # ours stand first, and win


def _title_and_author(metadata: Mapping[str, Any]) -> list[str]:
    return ["" if metadata.get(name) is None else str(metadata[name]) for name in ("title", "author")]


def _draw_found(query: Query, matches: list[Match], images: Path, sheet: Path) -> None:
    from semart_vectors.names import to_path
    from semart_vectors.pictures import Panel, SheetRow, contact_sheet

    def image(name: str) -> Path | None:
        try:
            return images / to_path(name)
        except errors.UnreadableImageError:  # a name that leads out of the folder has no picture in it
            return None

    found = []
    for match in matches:
        title, author = _title_and_author(match.metadata)
        found.append(Panel(image(match.image_file), title or match.image_file, author, match.score))
    asked = {
        "file": Panel(Path(query.text), Path(query.text).name, "the query, a picture"),
        "painting": Panel(image(query.text), query.text, "the query, one of the paintings"),
        "words": Panel(None, query.text, "the query, in words"),
    }[query.kind]
    contact_sheet(
        [SheetRow(asked, found)],
        sheet,
        title="The nearest paintings",
        explanation="On the left the query; beside it those whose vectors are nearest, "
        "with the cosine of the angle between.",
    )


def _exit_code(error: errors.SemartVectorsError) -> int:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def _told(report: JobReport) -> str:
    return (
        f"{report.total:,} images: {report.embedded:,} embedded now, {report.already_done:,} done before, "
        f"{report.failed:,} failed; {report.calls:,} calls, {report.retries:,} of them retries, "
        f"in {report.elapsed_s:.1f} s"
    )


def _tell_failures(checkpoint: Path, count: int, asked_for: list[str] | None) -> None:
    from semart_vectors.checkpoint import read_failures

    names = None if asked_for is None else set(asked_for)
    failures = [each for each in read_failures(checkpoint) if names is None or each.image_file in names]
    for failure in failures[:_NAMED]:
        _say(f"  {failure.image_file}: {failure.message}", err=True)
    _say(
        f"{count:,} failed; {checkpoint / 'failures.parquet'} names them, --retry-failed tries them again",
        err=True,
    )


def _first_few(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _printable(text: str) -> str:
    """Escape what a file's name could do to a terminal, and what it cannot show."""
    encoding = (sys.stderr and sys.stderr.encoding) or "ascii"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _PrintableFormatter(logging.Formatter):
    """Warnings name files too."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line, without what follows it of a traceback."""
        return _printable(super().formatMessage(record))


def _print(result: DataclassInstance, text: str, *, as_json: bool) -> None:
    _say(orjson.dumps(dataclasses.asdict(result)) if as_json else text)


def _say(message: str | bytes, *, err: bool = False) -> None:
    """Print a line: a text so that no name in it does harm, or JSON, which is UTF-8 everywhere."""
    try:
        click.echo(_printable(message) if isinstance(message, str) else message, err=err)
    except BrokenPipeError:  # whoever reads us has seen enough; that changes nothing of what was done
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())


class _MissingExtraError(click.ClickException):
    exit_code = USAGE


def _missing_extra(error: ImportError, extra: str = "emulator") -> click.ClickException:
    return _MissingExtraError(
        f"{error.name or extra} is not installed: pip install 'semart-vectors[{extra}]'"
    )


def _stop(sentence: str, code: int) -> NoReturn:
    _say(sentence, err=True)
    sys.exit(code)

"""The command line: arguments to objects, one event loop, an exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import dotenv
import orjson
from tqdm.contrib.logging import logging_redirect_tqdm

from semart_vectors import errors

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from semart_vectors.records import JobReport, MergeReport

ResultT = TypeVar("ResultT")

USAGE, SOME_FAILED, INTERRUPTED = 2, 3, 130

EXIT_CODES: dict[type[errors.SemartVectorsError], int] = {
    errors.ConfigurationError: USAGE,
    errors.MetadataError: USAGE,
    errors.EndpointError: USAGE,
    errors.ItemError: SOME_FAILED,
    errors.AuthenticationError: 4,
    errors.QuotaExceededError: 5,
    errors.ModelMismatchError: 6,
    errors.CheckpointInUseError: 7,
    errors.CheckpointDiskError: 8,
    errors.CheckpointError: 6,  # after the kinds of it above
}

_NAMED = 5
"""Names that a message gives of many."""

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class _Commands(click.Group):
    """The commands in the order a newcomer needs them, the emulator's own among them."""

    _ORDER = ("demo", "clean", "embed", "status", "merge", "emulator")

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
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet file, or .csv/.tsv in TAB form.")
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
    click.echo(f"{len(table):,} paintings by {table['author'].nunique():,} authors written to {output}")


@cli.command()
@click.argument("images_dir", type=_DIRECTORY)
@click.option("--checkpoint", type=_DIRECTORY, required=True, help="The folder that records what is done.")
@click.option("--metadata", type=_FILE, help="Embed only the image_file's of this table.")
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="The limit of your resource; the free tier's 20 a minute is 0.333.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Calls under way at once.",
)
@click.option(
    "--model-version",
    type=click.Choice(["2023-04-15", "2022-04-11"]),
    default="2023-04-15",
    show_default=True,
    help="Vectors of two models do not compare.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in earlier runs.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and make no call.")
@_AS_JSON
def embed(  # noqa: PLR0917 - click passes them all by name
    images_dir: Path,
    checkpoint: Path,
    metadata: Path | None,
    requests_per_second: float,
    max_in_flight: int,
    model_version: str,
    retry_failed: bool,  # noqa: FBT001 - as above
    dry_run: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Embed the images below a folder, or go on where the last run stopped."""
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.job import EmbeddingJob, plan_job

    image_files = None if metadata is None else _image_files(metadata)
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
        duration = timedelta(seconds=round(plan.to_do / requests_per_second))
        _print(
            plan,
            f"{plan.total:,} images: {plan.already_done:,} done, {plan.failed:,} failed before, "
            f"{plan.to_do:,} to do, which takes {duration} h at {requests_per_second:g} a second",
            as_json=as_json,
        )
        return

    embedder = AsyncVisionEmbedder.from_env(
        {**_dotenv(), **os.environ},
        requests_per_second=requests_per_second,
        max_in_flight=max_in_flight,
        model_version=model_version,
    )
    job = EmbeddingJob(
        embedder,
        images_dir,
        checkpoint=checkpoint,
        image_files=image_files,
        retry_failed=retry_failed,
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
    if report.failed:
        _tell_failures(checkpoint, report.failed)
        sys.exit(SOME_FAILED)


@cli.command()
@click.argument("directory", type=_DIRECTORY)
@_AS_JSON
def status(directory: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Say how far a checkpoint is, also while a job writes to it."""
    from semart_vectors.checkpoint import read_status

    found = read_status(directory)
    asked_for = "" if found.asked_for is None else f" of {found.asked_for:,}"
    lines = [
        f"{found.done:,}{asked_for} images done with model {found.model_version}, {found.failed:,} failed"
    ]
    if found.in_use:
        lines.append("a job is writing to it at this moment")
    _print(found, "; ".join(lines), as_json=as_json)


@cli.command()
@click.argument("metadata", type=_FILE)
@click.argument("checkpoint_dir", type=_DIRECTORY)
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet file, or .csv/.tsv in TAB form.")
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
            click.echo(f"{len(names):,} {what}: {_first_few(names)}", err=True)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except errors.SemartVectorsError as error:
        _stop(f"Error: {error}", _exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        _stop("Interrupted", INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run to the end in an event loop; Ctrl-C and SIGTERM cancel it once, and end in KeyboardInterrupt."""

    async def cancelled_by_sigterm() -> ResultT:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    warnings.filterwarnings("ignore", module="PIL")  # what a picture's metadata lack does not matter here
    try:
        with logging_redirect_tqdm():  # a warning stands above the progress bar, not in it
            return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv.dotenv_values(".env").items() if value is not None}


def _image_files(metadata: Path) -> list[str]:
    from semart_vectors.metadata import read_metadata

    names: list[str] = read_metadata(metadata)["image_file"].tolist()
    return names


def _exit_code(error: errors.SemartVectorsError) -> int:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def _told(report: JobReport) -> str:
    return (
        f"{report.total:,} images: {report.embedded:,} embedded now, {report.already_done:,} done before, "
        f"{report.failed:,} failed; {report.calls:,} calls, {report.retries:,} of them retries, "
        f"in {report.elapsed_s:.1f} s"
    )


def _tell_failures(checkpoint: Path, count: int) -> None:
    from semart_vectors.checkpoint import read_failures

    failures = read_failures(checkpoint)
    for failure in failures[:_NAMED]:
        click.echo(f"  {failure.image_file}: {failure.message}", err=True)
    click.echo(
        f"{count:,} failed; {checkpoint / 'failures.parquet'} names them, --retry-failed tries them again",
        err=True,
    )


def _first_few(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _print(result: JobReport | MergeReport | Any, text: str, *, as_json: bool) -> None:
    click.echo(orjson.dumps(dataclasses.asdict(result)) if as_json else text)


def _missing_extra(error: ModuleNotFoundError) -> click.ClickException:
    missing = click.UsageError(f"{error.name} is not installed: pip install 'semart-vectors[emulator]'")
    missing.ctx = None
    return missing


def _stop(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

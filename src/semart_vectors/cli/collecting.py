"""The commands that make vectors of a collection."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from semart_vectors.cli.exit_codes import DAMAGED, INTERRUPTED, SOME_FAILED
from semart_vectors.cli.options import AS_JSON, DIRECTORY, FILE, OUTPUT, rate
from semart_vectors.cli.output import NAMED, first_few, print_result, printable, say, stop
from semart_vectors.cli.running import environment, extra, run_in_loop

if TYPE_CHECKING:
    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.records import JobReport


@click.command()
@click.argument("directory", type=DIRECTORY, default=Path("semart-demo"))
def demo(directory: Path) -> None:
    """Do the whole main job on a made-up collection and a local stand-in of the service."""
    with extra("emulator"):
        from semart_vectors.demo.story import run_demo

    run_in_loop(run_demo(directory))


@click.command()
@click.argument("dataset_dir", type=DIRECTORY)
@OUTPUT
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
    from semart_vectors.metadata.semart import clean_semart
    from semart_vectors.metadata.tables import write_metadata

    table = clean_semart(dataset_dir, more_than=more_than)
    write_metadata(table, output)
    say(f"{len(table):,} paintings by {table['author'].nunique():,} authors written to {output}")
    if table.empty:
        say("No author has as many paintings: lower --more-than", err=True)


@click.command()
@click.argument("images_dir", type=DIRECTORY)
@click.option("--checkpoint", type=DIRECTORY, required=True, help="The folder that records what is done.")
@click.option("--metadata", type=FILE, help="Embed only the image_file's of this table.")
@click.option(
    "--requests-per-second",
    callback=rate,
    default="10",
    show_default=True,
    help="The limit of your resource; the free tier's 20 a minute is 0.333; auto finds it.",
)
@click.option(
    "--max-requests-per-second",
    callback=rate,
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
@AS_JSON
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
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.images.walk import SUFFIXES
    from semart_vectors.job import EmbeddingJob, plan_job
    from semart_vectors.metadata.semart import find_images_dir

    if max_side is not None and not repair_images:
        raise click.UsageError("--max-side goes with --repair-images")
    image_files = None if metadata is None else _image_files(metadata)
    if images_dir.name.lower() == "images" and not images_dir.exists():
        images_dir = find_images_dir(images_dir.parent)  # the archive says Images, the tutorial images
    if dry_run:
        plan = run_in_loop(
            plan_job(
                images_dir,
                checkpoint=checkpoint,
                model_version=model_version,
                image_files=image_files,
                retry_failed=retry_failed,
            )
        )
        print_result(
            plan,
            f"{plan.total:,} images: {plan.already_done:,} done, {plan.failed:,} failed before, "
            f"{plan.to_do:,} to do{_time_for(plan.to_do, requests_per_second)}",
            as_json=as_json,
        )
        return

    embedder = AsyncVisionEmbedder.from_env(
        environment(),
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
        report = run_in_loop(run())
    except KeyboardInterrupt:
        report = job.report
        done = report.embedded + report.already_done
        stop(
            f"Interrupted: {done:,} of {report.total:,} images are done; the same command goes on",
            INTERRUPTED,
        )
    print_result(report, _told(report), as_json=as_json)
    if not report.total:
        say(f"There is no image in {images_dir}: {', '.join(sorted(SUFFIXES))} count", err=True)
    if report.failed:
        _tell_failures(checkpoint, report.failed, image_files)
        sys.exit(SOME_FAILED)


@click.command()
@click.argument("directory", type=DIRECTORY)
@AS_JSON
def status(directory: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Say how far a checkpoint is, also while a job writes to it."""
    from semart_vectors.checkpoint.status import read_status

    found = read_status(directory)
    parts = [f"{found.done:,} images done with model {found.model_version}, {found.failed:,} failed"]
    if found.asked_for is not None:
        parts.append(f"the last job was asked for {found.asked_for:,}")
    if found.in_use:
        parts.append("a job is writing to it at this moment")
    print_result(found, "; ".join(parts), as_json=as_json)


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option(
    "--repair", is_flag=True, help="Set aside what is damaged, so that embed does those images again."
)
@AS_JSON
def check(directory: Path, repair: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes them by name
    """Compare every stored byte of a checkpoint with its checksum."""
    from semart_vectors.checkpoint.check import check_checkpoint

    report = check_checkpoint(directory, repair=repair)
    found = f"{len(report.damaged):,} damaged" if report.damaged else "all whole"
    print_result(
        report,
        f"{report.files:,} files, {report.bytes:,} bytes, {report.vectors:,} vectors: {found}",
        as_json=as_json,
    )
    for damage in report.damaged:
        say(printable(damage), err=True)
    if report.damaged and repair:
        say(f"{directory / '_damaged'} has what was damaged; `semart-vectors embed` goes on", err=True)
    elif report.damaged:
        sys.exit(DAMAGED)


@click.command()
@click.argument("metadata", type=FILE)
@click.argument("checkpoint_dir", type=DIRECTORY)
@OUTPUT
@AS_JSON
def merge(metadata: Path, checkpoint_dir: Path, output: Path, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Put each painting's vector beside its metadata."""
    from semart_vectors.metadata.merge import merge_vectors

    report = merge_vectors(metadata, checkpoint_dir, output)
    print_result(report, f"{report.rows:,} paintings with their vectors written to {output}", as_json=as_json)
    for names, what in (
        (report.without_vector, "rows of the metadata have no vector and were left out"),
        (report.without_metadata, "vectors have no row in the metadata and were left out"),
    ):
        if names:
            say(f"{len(names):,} {what}: {first_few(names)}", err=True)


def _image_files(metadata: Path) -> list[str]:
    from semart_vectors.metadata.tables import read_metadata

    names: list[str] = read_metadata(metadata)["image_file"].tolist()
    return names


def _repair(max_side_px: int | None) -> ImageRepair:
    from semart_vectors.images.repair import ImageRepair

    return ImageRepair() if max_side_px is None else ImageRepair(max_side_px=max_side_px)


def _time_for(calls: int, requests_per_second: float | Literal["auto"]) -> str:
    if requests_per_second == "auto":
        return ""
    minutes = math.ceil(calls / requests_per_second / 60)
    return f", up to {minutes:,} minutes at {requests_per_second:g} a second"


def _told(report: JobReport) -> str:
    return (
        f"{report.total:,} images: {report.embedded:,} embedded now, {report.already_done:,} done before, "
        f"{report.failed:,} failed; {report.calls:,} calls, {report.retries:,} of them retries, "
        f"in {report.elapsed_s:.1f} s"
    )


def _tell_failures(checkpoint: Path, count: int, asked_for: list[str] | None) -> None:
    from semart_vectors.checkpoint.failures import read_failures

    names = None if asked_for is None else set(asked_for)
    failures = [each for each in read_failures(checkpoint) if names is None or each.image_file in names]
    for failure in failures[:NAMED]:
        say(f"  {failure.image_file}: {failure.message}", err=True)
    say(
        f"{count:,} failed; {checkpoint / 'failures.parquet'} names them, --retry-failed tries them again",
        err=True,
    )

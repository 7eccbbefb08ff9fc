"""The `embed` command."""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from typing import TYPE_CHECKING, Literal

import click

from semart_vectors.cli.environment import environment
from semart_vectors.cli.event_loop import run_in_loop
from semart_vectors.cli.exit_codes import SOME_FAILED, interruption_code
from semart_vectors.cli.options import AS_JSON, DIRECTORY, FILE, NAME_COLUMN, rate
from semart_vectors.cli.output import NAMED, first_few, print_result, say, stop

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.images.repair import ImageRepair
    from semart_vectors.job import JobPlan
    from semart_vectors.records import JobReport

_KINDS = 20
"""How many kinds of skipped files a message lists at most."""


@click.command()
@click.argument("images_dir", type=DIRECTORY)
@click.option("--checkpoint", type=DIRECTORY, required=True, help="The folder that records what is done.")
@click.option("--metadata", type=FILE, help="Embed only the images in this table's image_file column.")
@NAME_COLUMN
@click.option(
    "--requests-per-second",
    callback=rate,
    metavar="RATE",
    default="10",
    show_default=True,
    help="The limit of your resource; 0.333 for the free tier (20 a minute); auto finds the limit.",
)
@click.option(
    "--max-requests-per-second",
    callback=rate,
    metavar="RATE",
    help="The highest rate that auto may reach.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    metavar="N",
    help="Calls under way at once; by default as many as the rate needs.",
)
@click.option(
    "--model-version",
    type=click.Choice(["2023-04-15", "2022-04-11"]),
    default="2023-04-15",
    show_default=True,
    help="Vectors of different models cannot be compared.",
)
@click.option(
    "--outage-limit",
    type=click.FloatRange(min=0, max=1e9),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a service that is down.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files and folders, such as '*.png', drafts or 2019/raw; may be given several times.",
)
@click.option(
    "--include-hidden", is_flag=True, help="Take hidden files and folders too, and those of systems (@eaDir)."
)
@click.option("--follow-links", is_flag=True, help="Go through linked folders too, each once.")
@click.option("--retry-failed", is_flag=True, help="Try again the images that failed in earlier runs.")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace vectors even if most images of the checkpoint have another content now.",
)
@click.option(
    "--repair-images",
    is_flag=True,
    help="Convert images that need it: rotated, CMYK, 16-bit, animated, or too large.",
)
@click.option(
    "--max-side",
    type=click.IntRange(11, 15_999),
    metavar="PIXELS",
    help="Scale down images with a longer side; needs --repair-images.",
)
@click.option("--dry-run", is_flag=True, help="Count what there is to do, and make no call.")
@click.option("--quiet", is_flag=True, help="Show no progress; only warnings, failures and the result.")
@click.option("--verbose", is_flag=True, help=f"Name every image that failed, not only {NAMED} of them.")
@AS_JSON
def embed(  # noqa: PLR0917 - click passes them all by name
    images_dir: Path,
    checkpoint: Path,
    metadata: Path | None,
    name_column: str,
    requests_per_second: float | Literal["auto"],
    max_requests_per_second: float | None,
    max_in_flight: int | None,
    model_version: str,
    outage_limit: float,
    exclude: tuple[str, ...],
    include_hidden: bool,  # noqa: FBT001 - click passes it by name
    follow_links: bool,  # noqa: FBT001 - as above
    retry_failed: bool,  # noqa: FBT001 - as above
    replace: bool,  # noqa: FBT001 - as above
    repair_images: bool,  # noqa: FBT001 - as above
    max_side: int | None,
    dry_run: bool,  # noqa: FBT001 - as above
    quiet: bool,  # noqa: FBT001 - as above
    verbose: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Embed the images in a folder, or continue where the last run stopped."""
    from semart_vectors.calls.retry import RetryPolicy
    from semart_vectors.embedder import AsyncVisionEmbedder
    from semart_vectors.images.formats import SUFFIXES
    from semart_vectors.job import EmbeddingJob, plan_job

    if quiet:
        logging.getLogger("semart_vectors").setLevel(logging.WARNING)
    if max_requests_per_second is not None and requests_per_second != "auto":
        raise click.UsageError("--max-requests-per-second works only with --requests-per-second=auto")
    if max_side is not None and not repair_images:
        raise click.UsageError("--max-side works only with --repair-images")
    image_files = None if metadata is None else _image_files(metadata, name_column)
    images_dir = _existing(images_dir)
    if dry_run:
        _check_endpoint(environment())
        plan = run_in_loop(
            plan_job(
                images_dir,
                checkpoint=checkpoint,
                model_version=model_version,
                image_files=image_files,
                include_hidden=include_hidden,
                follow_links=follow_links,
                exclude=exclude,
                retry_failed=retry_failed,
            )
        )
        missing = f"{plan.missing:,} missing, " if plan.missing else ""
        print_result(
            plan,
            f"{plan.total:,} images: {plan.already_done:,} done, {plan.failed:,} failed before, {missing}"
            f"{plan.to_do:,} to do{_time_for(plan.to_do, requests_per_second)}",
            as_json=as_json,
        )
        _say_skipped(plan)
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
        include_hidden=include_hidden,
        follow_links=follow_links,
        exclude=exclude,
        retry_failed=retry_failed,
        replace=replace,
        repair=_repair(max_side) if repair_images else None,
        progress=not quiet,
    )

    async def run() -> JobReport:
        async with embedder:
            return await job.run()

    try:
        report = run_in_loop(run())
    except KeyboardInterrupt as interruption:
        report = job.report
        done = report.embedded + report.already_done
        stop(
            f"Interrupted: {done:,} of {report.total:,} images are done; run the same command to continue",
            interruption_code(interruption),
        )
    print_result(report, _summary(report), as_json=as_json)
    _say_skipped(report)
    if not report.total:
        say(f"No images found in {images_dir}; accepted are {', '.join(sorted(SUFFIXES))}", err=True)
    if report.failed:
        _say_failures(checkpoint, report.failed, image_files, at_most=None if verbose else NAMED)
    if report.failed or report.unreadable_folders:
        sys.exit(SOME_FAILED)


def _existing(images_dir: Path) -> Path:
    """Return the folder, also where the archive says Images and the tutorial images."""
    if images_dir.name.lower() != "images" or images_dir.exists():
        return images_dir
    from semart_vectors.metadata.semart import find_images_dir  # which loads pandas

    return find_images_dir(images_dir.parent)


def _check_endpoint(variables: dict[str, str]) -> None:
    """Refuse an endpoint that the run itself would refuse; a plan needs none."""
    from semart_vectors.calls.endpoint import checked_endpoint
    from semart_vectors.calls.key import Key

    if endpoint := variables.get("VISION_ENDPOINT", "").strip():
        checked_endpoint(endpoint, Key(variables.get("VISION_KEY")))


def _image_files(metadata: Path, name_column: str) -> list[str]:
    from semart_vectors.metadata.tables import read_table

    names: list[str] = read_table(metadata, name_column, names_only=True).column(0).to_pylist()
    return names


def _repair(max_side_px: int | None) -> ImageRepair:
    from semart_vectors.images.repair import ImageRepair

    return ImageRepair() if max_side_px is None else ImageRepair(max_side_px=max_side_px)


def _time_for(calls: int, requests_per_second: float | Literal["auto"]) -> str:
    if requests_per_second == "auto" or not calls:
        return ""
    minutes = math.ceil(calls / requests_per_second / 60)
    unit = "minute" if minutes == 1 else "minutes"
    return f", up to {minutes:,} {unit} at {requests_per_second:g} a second"


def _summary(report: JobReport) -> str:
    replaced = f" ({report.replaced:,} in place of another content's vector)" if report.replaced else ""
    return (
        f"{report.total:,} images: {report.embedded:,} embedded now{replaced}, "
        f"{report.already_done:,} done before, {report.failed:,} failed; "
        f"{report.calls:,} calls, {report.retries:,} of them retries, in {report.elapsed_s:.1f} s"
    )


def _say_skipped(found: JobReport | JobPlan) -> None:
    if found.skipped:
        kinds = tuple(f"{count:,} {kind}" for kind, count in found.skipped.items())
        say(f"Skipped: {first_few(kinds, _KINDS)}", err=True)
    if found.unreadable_folders:
        count, names = len(found.unreadable_folders), first_few(found.unreadable_folders)
        say(
            f"{count:,} {'folder' if count == 1 else 'folders'} could not be read: {names}; "
            "make them readable and run again, or leave them out with --exclude",
            err=True,
        )


def _say_failures(
    checkpoint: Path, count: int, image_files: list[str] | None, *, at_most: int | None
) -> None:
    from semart_vectors.checkpoint.failures import read_failures

    names = None if image_files is None else set(image_files)
    failures = [each for each in read_failures(checkpoint) if names is None or each.image_file in names]
    if len(failures) > NAMED:
        for reason, times in Counter(failure.message for failure in failures).most_common(NAMED):
            say(f"{times:,} failed: {reason}", err=True)
    for failure in failures[:at_most]:
        say(f"  {failure.image_file}: {failure.message}", err=True)
    say(
        f"{count:,} failed; {checkpoint / 'failures.parquet'} lists them, --retry-failed tries them again",
        err=True,
    )

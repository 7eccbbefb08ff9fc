"""The `emulator` command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semart_vectors.emulator.faults import KINDS, Fault
from semart_vectors.emulator.latency import parse_latency
from semart_vectors.emulator.rate_limit import LIMITS, TIERS
from semart_vectors.emulator.recordings import RecordingsError
from semart_vectors.emulator.server import HOST, Emulator

if TYPE_CHECKING:
    from typing import Unpack

    from semart_vectors.emulator.settings import Options


_FOLDER = click.Path(file_okay=False, path_type=Path)


def _read_fault(text: str) -> tuple[str, float]:
    fault, equals, probability = text.rpartition("=")
    if not equals:
        raise ValueError(f"a fault must have the form 503=0.05, not {text!r}")
    return str(Fault.parse(fault)), float(probability)


_READ_FAULT = click.types.FuncParamType(_read_fault)
_READ_LATENCY = click.types.FuncParamType(parse_latency)


@click.command("emulator")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=0,
    show_default=True,
    help="0 takes a free port.",
)
@click.option(
    "--key", metavar="KEY", help="The only accepted key; without it every key that is not empty is accepted."
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="The rate limit; without it the limit of the tier, if any.",
)
@click.option(
    "--tier", type=click.Choice(list(TIERS)), help="A pricing tier: its rate limit, and its wording of a 429."
)
@click.option(
    "--limit-kind",
    type=click.Choice(list(LIMITS)),
    default="sliding",
    show_default=True,
    help="How the rate is counted.",
)
@click.option(
    "--retry-after/--no-retry-after",
    default=True,
    help="Whether a 429 has a Retry-After header; by default it has.",
)
@click.option(
    "--latency-s",
    type=_READ_LATENCY,
    metavar="SECONDS|DISTRIBUTION",
    default="0",
    show_default=True,
    help="The minimum time from a request to its answer, or a distribution: uniform:LOW,HIGH or"
    " lognormal:MEDIAN,P99.",
)
@click.option("--vector-first", is_flag=True, help="Put the vector before the model in answers.")
@click.option(
    "--fault",
    "faults",
    type=_READ_FAULT,
    multiple=True,
    callback=lambda _context, _parameter, pairs: dict(pairs),
    metavar="FAULT=PROBABILITY",
    help=f"What goes wrong by chance; may be given several times. A status, or one of {', '.join(KINDS)}.",
)
@click.option(
    "--seed", type=int, metavar="N", default=0, show_default=True, help="The seed of all random choices."
)
@click.option("--replay", type=_FOLDER, help="Answer from the recordings in this folder.")
@click.option(
    "--replay-else-compute",
    is_flag=True,
    help="Compute a vector for what is not recorded, instead of refusing it.",
)
@click.option("--record", type=_FOLDER, help="Add the answers of the upstream to this folder.")
@click.option(
    "--upstream",
    metavar="URL",
    help="The endpoint of the real service, which is asked for what is not replayed.",
)
def emulator_command(port: int, **settings: Unpack[Options]) -> None:
    """Run a local emulator of the service until Ctrl-C. The first line of output is its endpoint.

    Open the endpoint in a browser to watch the calls.
    """
    try:
        emulator = Emulator(port=port, **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_serve(emulator, port))


class _UnusableError(click.ClickException):
    exit_code = 2


async def _serve(emulator: Emulator, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(emulator)
        except RecordingsError as error:
            raise _UnusableError(str(error)) from error
        except OSError as error:
            if error.filename is not None:
                raise _UnusableError(f"{error.filename} cannot be used: {error.strerror}.") from error
            raise _UnusableError(
                f"Port {port} of {HOST} cannot be used ({error.strerror}):"
                " choose another --port, or 0 for a free one."
            ) from error
        click.echo(emulator.endpoint)
        await stop.wait()

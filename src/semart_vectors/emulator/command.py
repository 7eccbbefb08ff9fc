"""The ``emulator`` command."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import click

from semart_vectors.emulator.server import HOST, Emulator


@click.command("emulator")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one."
)
@click.option("--key", help="The only good key; without it every key that is not empty is good.")
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="The rate limit; without it there is none.",
)
@click.option(
    "--latency-s",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="The least time from a request to its answer.",
)
def emulator_command(port: int, key: str | None, requests_per_second: float | None, latency_s: float) -> None:
    """Run a local stand-in of the service until Ctrl-C; its endpoint is the first line it prints.

    Open the endpoint in a browser to watch it.
    """
    try:
        emulator = Emulator(port=port, key=key, requests_per_second=requests_per_second, latency_s=latency_s)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_serve(emulator, port))


class _PortError(click.ClickException):
    exit_code = 2


async def _serve(emulator: Emulator, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(emulator)
        except OSError as error:
            raise _PortError(
                f"Port {port} of {HOST} cannot be used ({error.strerror}):"
                " choose another --port, or 0 for a free one."
            ) from error
        click.echo(emulator.endpoint)
        await stop.wait()

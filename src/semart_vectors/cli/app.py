"""The list of commands, and how the program starts and ends."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from typing import NoReturn

import click

from semart_vectors import errors
from semart_vectors.cli.check import check
from semart_vectors.cli.clean import clean
from semart_vectors.cli.demo import demo
from semart_vectors.cli.duplicates import duplicates
from semart_vectors.cli.embed import embed
from semart_vectors.cli.event_loop import terminate
from semart_vectors.cli.exit_codes import DISK, exit_code, interruption_code
from semart_vectors.cli.export import export
from semart_vectors.cli.load import load
from semart_vectors.cli.map import map_command
from semart_vectors.cli.merge import merge
from semart_vectors.cli.output import PrintableFormatter, stop
from semart_vectors.cli.prune import prune
from semart_vectors.cli.search import search
from semart_vectors.cli.status import status


class Commands(click.Group):
    """The commands in the order in which a newcomer needs them, `emulator` last."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of all commands."""
        return [*self.commands, "emulator"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; `emulator` is imported only when asked for, because it imports a web server."""
        if cmd_name != "emulator":
            return super().get_command(ctx, cmd_name)
        from semart_vectors.emulator.command_line import emulator_command

        return emulator_command


@click.group(
    cls=Commands,
    commands=[
        demo,
        clean,
        embed,
        status,
        check,
        prune,
        merge,
        search,
        duplicates,
        map_command,
        load,
        export,
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="semart-vectors")
def cli() -> None:
    """Turn a collection of images into vectors through Azure AI Vision.

    Endpoint and key come from VISION_ENDPOINT and VISION_KEY, or from a .env file in the working directory.
    """


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    log = logging.StreamHandler()
    log.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[log], level=logging.WARNING)
    logging.getLogger("semart_vectors").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, terminate)
    warnings.filterwarnings("ignore", module="PIL")  # about metadata of images, which nothing here uses
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except errors.SemartVectorsError as error:
        stop(f"Error: {error}", exit_code(error))
    except (KeyboardInterrupt, click.Abort) as interruption:
        stop("Interrupted", interruption_code(interruption))
    except OSError as error:
        subject = f"{error.filename}" if error.filename else "cannot print the result"
        stop(f"Error: {subject}: {error.strerror}", DISK)
    sys.exit(0)

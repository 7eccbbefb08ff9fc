"""The commands together: arguments to objects, one event loop, an exit code."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from typing import NoReturn

import click

from semart_vectors import errors
from semart_vectors.cli.collecting import check, clean, demo, embed, merge, status
from semart_vectors.cli.exit_codes import DISK, INTERRUPTED, exit_code
from semart_vectors.cli.looking import export, load, map_command, search
from semart_vectors.cli.output import PrintableFormatter, stop
from semart_vectors.cli.running import extra


class Commands(click.Group):
    """The commands in the order a newcomer needs them, the emulator's own last."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Name the commands."""
        return [*self.commands, "emulator"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command; the emulator's brings a web server with it, so it is imported when asked for."""
        if cmd_name != "emulator":
            return super().get_command(ctx, cmd_name)
        with extra("emulator"):
            from semart_vectors.emulator.command import emulator_command
        return emulator_command


@click.group(
    cls=Commands,
    commands=[demo, clean, embed, status, check, merge, search, map_command, load, export],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="semart-vectors")
def cli() -> None:
    """Turn a collection of paintings into vectors through Azure AI Vision.

    Endpoint and key come from VISION_ENDPOINT and VISION_KEY, or from a .env file in the working directory.
    """


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    log = logging.StreamHandler()
    log.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[log], level=logging.WARNING)
    logging.getLogger("semart_vectors").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing half written stays behind
    warnings.filterwarnings("ignore", module="PIL")  # what a picture's metadata lack does not matter here
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except errors.SemartVectorsError as error:
        stop(f"Error: {error}", exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        stop("Interrupted", INTERRUPTED)
    except OSError as error:
        what = f"{error.filename}" if error.filename else "cannot print the result"
        stop(f"Error: {what}: {error.strerror}", DISK)
    sys.exit(0)

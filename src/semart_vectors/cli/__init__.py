"""The command line: arguments to objects, one event loop, an exit code."""

from semart_vectors.cli.app import cli, main
from semart_vectors.cli.exit_codes import EXIT_CODES

__all__ = ["EXIT_CODES", "cli", "main"]

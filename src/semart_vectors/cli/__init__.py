"""The command line: one file for each command, and what all commands share."""

from semart_vectors.cli.app import cli, main
from semart_vectors.cli.exit_codes import EXIT_CODES

__all__ = ["EXIT_CODES", "cli", "main"]

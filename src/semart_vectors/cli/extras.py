"""What to say where an optional dependency is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from semart_vectors.cli.exit_codes import USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator


class _MissingExtraError(click.ClickException):
    exit_code = USAGE  # as for a UsageError, but without the lines about usage


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Name the extra to install where an import inside the block fails.

    Raises:
        click.ClickException: the import failed.
    """
    try:
        yield
    except ImportError as error:  # without a name where psycopg finds no libpq
        raise _MissingExtraError(
            f"{error.name or name} is not installed: pip install 'semart-vectors[{name}]'"
        ) from error

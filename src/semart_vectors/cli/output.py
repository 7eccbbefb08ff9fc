"""How a command prints: results to stdout, messages to stderr, names escaped for the terminal."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import orjson

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


NAMED = 5
"""How many names a message lists at most."""


def say(message: str | bytes, *, err: bool = False) -> None:
    """Print a line: text, escaped for the terminal, or JSON as bytes, which is UTF-8 everywhere."""
    try:
        click.echo(printable(message) if isinstance(message, str) else message, err=err)
    except BrokenPipeError:  # the reader closed the pipe; the work is done all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())


def print_result(result: DataclassInstance, text: str, *, as_json: bool) -> None:
    """Print a result, as text or as JSON."""
    say(orjson.dumps(dataclasses.asdict(result)) if as_json else text)


def stop(sentence: str, code: int) -> NoReturn:
    """Print a sentence to stderr and exit with a code."""
    say(sentence, err=True)
    sys.exit(code)


def first_few(names: tuple[str, ...], count: int = NAMED) -> str:
    """List the first names, and how many more there are."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more:,} more" if more > 0 else "")


def printable(text: str) -> str:
    """Escape control characters, and characters that the terminal cannot show."""
    encoding = (sys.stderr and sys.stderr.encoding) or "ascii"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class PrintableFormatter(logging.Formatter):
    """A formatter that escapes file names in log messages too."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the message, escaped."""
        return printable(super().formatMessage(record))

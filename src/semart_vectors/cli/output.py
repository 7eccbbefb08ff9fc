"""What a command says: safe for a terminal, on the stream where it belongs."""

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
"""Names that a message gives of many."""


def say(message: str | bytes, *, err: bool = False) -> None:
    """Print a line: a text so that no name in it does harm, or JSON, which is UTF-8 everywhere."""
    try:
        click.echo(printable(message) if isinstance(message, str) else message, err=err)
    except BrokenPipeError:  # whoever reads us has seen enough; that changes nothing of what was done
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())


def print_result(result: DataclassInstance, text: str, *, as_json: bool) -> None:
    """Print a result, in words or as JSON."""
    say(orjson.dumps(dataclasses.asdict(result)) if as_json else text)


def stop(sentence: str, code: int) -> NoReturn:
    """End with a sentence and an exit code."""
    say(sentence, err=True)
    sys.exit(code)


def first_few(names: tuple[str, ...]) -> str:
    """List names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def printable(text: str) -> str:
    """Escape what a file's name could do to a terminal, and what it cannot show."""
    encoding = (sys.stderr and sys.stderr.encoding) or "ascii"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class PrintableFormatter(logging.Formatter):
    """Warnings name files too."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line, without what follows it of a traceback."""
        return printable(super().formatMessage(record))

"""The `demo` command."""

from __future__ import annotations

from pathlib import Path

import click

from semart_vectors.cli.event_loop import run_in_loop
from semart_vectors.cli.options import DIRECTORY


@click.command()
@click.argument("directory", type=DIRECTORY, default=Path("semart-demo"))
def demo(directory: Path) -> None:
    """Run every step on a small generated collection and a local emulator of the service."""
    from semart_vectors.demo.walkthrough import run_demo

    run_in_loop(run_demo(directory))

"""What is said where an extra is not installed."""

from __future__ import annotations

import click
import pytest

from semart_vectors.cli.extras import extra


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ModuleNotFoundError("no", name="bokeh"),
            "bokeh is not installed: pip install 'semart-vectors[map]'",
        ),
        (ImportError("no libpq"), "map is not installed: pip install 'semart-vectors[map]'"),
    ],
)
def test_a_missing_extra_is_named_with_what_lacks(error: ImportError, says: str) -> None:
    """In one sentence, with the exit code of wrong usage."""
    with pytest.raises(click.ClickException) as told, extra("map"):
        raise error
    assert (told.value.message, told.value.exit_code) == (says, 2)

"""A gallery with its page, for all tests of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from map_galleries import HEADLINE, in_groups, make_gallery, make_gallery_page, some_columns

if TYPE_CHECKING:
    from pathlib import Path

    from semart_vectors.gallery import Gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """Make a gallery of twelve, and a page of it that holds what could do harm."""
    made = make_gallery(tmp_path, in_groups(3, 4), **some_columns(12))
    make_gallery_page(tmp_path, made, HEADLINE)
    return made

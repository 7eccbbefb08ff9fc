"""Galleries to draw maps of, with texts in them that could do harm to a page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from semart_vectors.gallery import Gallery
from semart_vectors.images.names import to_text
from semart_vectors.map import draw_map

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADLINE = (
    """</script><script>window.evil = 1</script><!--<script><b onclick="window.evil=1"><img src=x onerror="""
    """'window.evil=1'>"&amp;\\u003c $$x$$ %%title%% {safe} \N{HORSE} \u05e9\u05dc\u05d5\u05dd \u202e"""
    + "very long " * 300
    + "end"
)


EVIL = HEADLINE + "\0\x1b[1m\u2028"


def in_groups(groups: int, each: int, *, spread_by: float = 0.6) -> NDArray[np.float32]:
    """Return vectors around a few directions, group after group, of different lengths."""
    dice = np.random.default_rng(7)
    middles = np.repeat(dice.normal(size=(groups, 1024)), each, axis=0)
    vectors = middles + spread_by * dice.normal(size=middles.shape)
    return (vectors * dice.uniform(0.5, 20, (len(vectors), 1))).astype(np.float32)


def make_gallery(
    folder: Path, vectors: NDArray[np.float32], first: str = "000.png", /, **columns: list[str]
) -> Gallery:
    """Write a merged file with an image of a colour of its own for each vector, and open it."""
    (folder / "images").mkdir()
    files = [first, *(f"{number:03}.png" for number in range(1, len(vectors)))]
    for number, name in enumerate(files):
        Image.new("RGB", (40, 40), (number, 255 - number, 60)).save(folder / "images" / name)
    names = [to_text(name) for name in files]
    stored = pa.FixedSizeListArray.from_arrays(vectors.ravel(), 1024)
    models = ["2023-04-15"] * len(vectors)
    table = pa.table({"image_file": names, **columns, "vector": stored, "model_version": models})
    pq.write_table(table, folder / "paintings.parquet")
    return Gallery.open(folder / "paintings.parquet")


def some_columns(count: int) -> dict[str, list[str]]:
    """Return titles, authors and types; the first title is as bad as can be."""
    return {
        "title": [EVIL, *(f"Title {number}" for number in range(1, count))],
        "author": [f"Author {number}" for number in range(count)],
        "type": [EVIL if number % 2 else "portrait" for number in range(count)],
        "description": [EVIL] * count,
    }


def known_of(page: str) -> dict[str, Any]:
    """Read the data of a page as its script does."""
    (known,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(known)
    return found


def make_gallery_page(folder: Path, gallery: Gallery, title: str) -> str:
    """Draw a page and return it."""
    draw_map(gallery, folder / "images", folder / "map.html", title=title)
    return (folder / "map.html").read_text()

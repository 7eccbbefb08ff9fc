"""The map as one HTML page: its data, and the script that draws them."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import math
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from semart_vectors.files import write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from PIL import Image

    from semart_vectors.map.layout import Rows, Vectors
    from semart_vectors.map.paintings import Painting

# To be told from one another, on a light ground and on a dark one.
_COLOURS = (
    *("#3f7cbf", "#d0573c", "#5b9a58", "#d9a02f", "#8a63bd", "#33a3a1", "#b8417f", "#94714a", "#e58f7c"),
    *("#5f7c94", "#93ad4c", "#b08bbb", "#6f9be0", "#bd6a17", "#2b8f68", "#dd6fb0", "#7673ae", "#b5a26a"),
)
_OTHERS = "#9d978d"

_PICTURES_BYTES = 22_500_000
"""Room for all pictures, 30 MB as text: it is shared out, so that few are large and thousands are small."""

_BYTES_A_PIXEL = 0.2
"""What a WebP of quality 60 takes at such sizes; a photograph takes 0.19, a plain picture less."""

_SMALLEST, _LARGEST, _QUALITY = 64, 400, 60


def side_px(count: int) -> int:
    """Return the side of the square that each of so many pictures must fit into."""
    fits = math.sqrt(_PICTURES_BYTES / (_BYTES_A_PIXEL * max(1, count)))
    return max(_SMALLEST, min(_LARGEST, int(fits)))


def as_text(picture: Image.Image) -> str:
    """Return a picture as a page holds it: WebP, in base64."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY)
    return base64.b64encode(file.getvalue()).decode()


def write_page(
    paintings: Sequence[Painting],
    places: Vectors,
    near: tuple[Rows, Vectors],
    pictures: Iterable[str | None],
    output: Path,
    *,
    title: str,
    explanation: str,
) -> list[int]:
    """Write a page that loads nothing: its own policy forbids it to, and allows its own script alone.

    Returns:
        Which of the pictures are None: they are grey.
    """
    held = list(pictures)
    rows, cosines = near
    x, y = (places * (1000 / np.abs(places).max(initial=1e-9))).T  # so that three decimals tell all
    groups, numbers = _groups(paintings)
    known = {
        "x": _rounded(x),
        "y": _rounded(y),
        "title": [each.title for each in paintings],
        "author": [each.author for each in paintings],
        "group": numbers,
        "groups": groups,
        "details": [each.details for each in paintings],
        "neighbours": rows.tolist(),
        "cosines": [_rounded(each) for each in cosines],
        "picture": held,
    }
    script = _part("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Texts go into the page as JSON without any "<", which alone could end it.
    parts = {
        "title": html.escape(title.encode(errors="replace").decode()),
        "explanation": html.escape(explanation),
        "hash": f"sha256-{digest}",
        "known": orjson.dumps(known).decode().replace("<", "\\u003c"),
        "script": script,
    }
    frame = _part("page.html").split("%%")
    page = "".join(parts[part] if number % 2 else part for number, part in enumerate(frame))
    with write_aside(output) as aside:
        aside.write_bytes(page.encode())
    return [number for number, picture in enumerate(held) if picture is None]


def _part(name: str) -> str:
    return (files("semart_vectors.map") / name).read_text("utf-8")


def _groups(paintings: Sequence[Painting]) -> tuple[list[dict[str, Any]], list[int]]:
    """Give each of the largest groups a colour, and all others, if there are any, one together.

    Returns:
        The groups, the largest first, and the number of each painting's among them.
    """
    sizes = Counter(each.group for each in paintings).most_common()
    number_of = {name: min(number, len(_COLOURS)) for number, (name, _) in enumerate(sizes)}
    groups: list[dict[str, Any]] = [
        {"name": name, "colour": colour, "count": count}
        for (name, count), colour in zip(sizes, _COLOURS, strict=False)
    ]
    if rest := sizes[len(_COLOURS) :]:
        count = sum(count for _, count in rest)
        groups.append({"name": f"{len(rest):,} others", "colour": _OTHERS, "count": count})
    return groups, [number_of[each.group] for each in paintings]


def _rounded(numbers: Vectors) -> list[float]:
    return [round(number, 3) for number in numbers.tolist()]

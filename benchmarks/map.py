"""How long a map takes, and how much of the neighbourhoods it keeps, for several angles of t-SNE.

    python benchmarks/map.py [--quick] [--json PATH]

Makes up two collections: one in tight groups, one that is a cloud. Each is placed once at every angle, in one
thread as always, and compared with the nearest in all 1,024 directions: which share of the ten nearest are
among the ten nearest on the map, and the trustworthiness of 3,000. Then a page of the first is drawn, with
photograph-like pictures of 320 by 240.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from sklearn.manifold import trustworthiness

from common import MODEL, options_parser, write_pictures, write_results
from semart_vectors import Gallery
from semart_vectors.map import draw_map, layout

if TYPE_CHECKING:
    from semart_vectors.map.layout import Vectors

ANGLES = (0.5, 0.8, layout.ANGLE)
SEMART, COMPARED, NEAREST = 11_206, 3_000, 10


def in_groups(count: int) -> Vectors:
    """Return vectors of a dozen types, within them of some hundred painters and subjects."""
    dice = np.random.default_rng(5)
    said = np.zeros((count, 60))
    for groups, weight in ((12, 1.0), (350, 0.7), (900, 0.5), (count, 0.45)):
        said += weight * dice.normal(size=(groups, 60))[dice.integers(groups, size=count)]
    directions = dice.normal(size=(60, 1024)) * np.linspace(1.5, 0.3, 60)[:, None]
    common = 1.2 * dice.normal(size=1024)
    return (common + said @ directions + 0.9 * dice.normal(size=(count, 1024))).astype(np.float32)


def in_a_cloud(count: int) -> Vectors:
    """Return vectors that differ in 30 directions, more in some than in others, and in noise."""
    dice = np.random.default_rng(11)
    said = dice.normal(size=(count, 30)) * np.linspace(1.6, 0.3, 30)
    common = dice.normal(size=1024)
    noise = dice.normal(size=(count, 1024))
    return (common + said @ dice.normal(size=(30, 1024)) + noise).astype(np.float32)


def kept_of(vectors: Vectors, places: Vectors) -> dict[str, float]:
    """Return how much of the neighbourhoods is kept."""
    near, _ = layout.neighbours(vectors, NEAREST)
    on_map = np.array(
        [np.argpartition(((places - place) ** 2).sum(axis=1), NEAREST)[: NEAREST + 1] for place in places]
    )
    kept = np.mean([np.isin(all_of, some).sum() for all_of, some in zip(near, on_map, strict=True)]) / NEAREST
    some = np.random.default_rng(0).permutation(len(vectors))[:COMPARED]
    trust = trustworthiness(vectors[some], places[some], n_neighbors=NEAREST, metric="cosine")
    return {"kept": float(kept), "trustworthiness": float(trust)}


def draw(vectors: Vectors) -> dict[str, float]:
    """Draw a page, and return its time and size."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pictures(folder / "images", len(vectors))
        names = [f"{number:08}.jpg" for number in range(len(vectors))]
        gallery = Gallery(pa.table({"image_file": names}), vectors, MODEL)
        begun = time.perf_counter()
        draw_map(gallery, folder / "images", folder / "map.html")
        return {"s": time.perf_counter() - begun, "mb": (folder / "map.html").stat().st_size / 1e6}


def main() -> None:
    """Measure both collections at every angle, and a page."""
    options = options_parser(__doc__).parse_args()
    count = 2_000 if options.quick else SEMART
    results: dict[str, Any] = {}
    for name, vectors in (("groups", in_groups(count)), ("cloud", in_a_cloud(count))):
        for angle in ANGLES:
            layout.ANGLE = angle
            begun = time.perf_counter()
            places = layout.positions_of(vectors)
            place_s = time.perf_counter() - begun
            results[f"{name}, angle {angle}"] = {"place_s": place_s, **kept_of(vectors, places)}
    results["page"] = draw(in_groups(count))
    write_results(results, options.json)


if __name__ == "__main__":
    main()

"""Where paintings stand: near one another where their vectors are alike, and where their neighbours are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

try:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the map needs scikit-learn, which is not installed: pip install 'semart-vectors[map]'",
        name="scikit-learn",
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.int64]

# As is usual with t-SNE: the directions that hold nearly all that the vectors say, and its own perplexity.
_COMPONENTS, _PERPLEXITY, _FEWEST = 50, 30, 8

ANGLE = 1.0
"""How coarsely t-SNE sees what is far away: 0.5, its own, takes twice as long for hardly more."""

FREE = 1.5
"""Cells for each painting: so much room that groups and the gaps between them keep their shape."""

_BLOCK_ROWS = 1024


def place(vectors: Vectors) -> Vectors:
    """Find a place on a plane for each vector, so that those at small angles stand together.

    By principal components, then t-SNE from a fixed start and in one thread: the same vectors get the same
    places. A few have no neighbourhoods to keep, and get their first two components.

    Returns:
        float32, shape (n, 2), each column around 0.
    """
    count = len(vectors)
    alike = _unit(vectors)
    if count < 2 or np.ptp(alike, axis=0).max() < np.finfo(np.float32).eps:  # noqa: PLR2004 - one has no distance
        return np.zeros((count, 2), np.float32)
    few = count < _FEWEST
    with threadpool_limits(1):  # sums of several threads are rounded in the order in which they end
        components = PCA(2 if few else min(_COMPONENTS, count), svd_solver="covariance_eigh")
        places = components.fit_transform(alike)
        if not few:
            perplexity = min(_PERPLEXITY, (count - 1) / 3)
            tsne = TSNE(2, perplexity=perplexity, angle=ANGLE, init="pca", random_state=0)
            places = tsne.fit_transform(places)
    return np.asarray(places - places.mean(axis=0), np.float32)


def neighbours(vectors: Vectors, k: int) -> tuple[Rows, Vectors]:
    """Find the k nearest others of each vector, nearest first: their rows, and the cosines.

    They are what `Gallery.search` finds; all at once, a block of vectors takes as long as a few alone.
    """
    alike = _unit(vectors)
    k = max(0, min(k, len(alike) - 1))
    rows = np.empty((len(alike), k), np.int64)
    cosines = np.empty((len(alike), k), np.float32)
    for start in range(0, len(alike) if k else 0, _BLOCK_ROWS):
        scores = alike[start : start + _BLOCK_ROWS] @ alike.T
        within = np.arange(len(scores))
        scores[within, start + within] = -np.inf
        best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        rows[start : start + _BLOCK_ROWS] = best
        cosines[start : start + _BLOCK_ROWS] = np.take_along_axis(scores, best, axis=1)
    return rows, cosines


def snap(places: Vectors) -> Rows:
    """Give each place a cell of a grid to itself: the nearest that is free, from the middle outwards.

    Returns:
        shape (n, 2): column and row, both from 0.
    """
    count = len(places)
    if not count:
        return np.zeros((0, 2), np.int64)
    extent = np.maximum(np.ptp(places, axis=0), 1e-6)
    wide, high = np.clip(extent / extent.max(), 0.5, 1)  # also a line gets room for both directions
    inner = math.sqrt(FREE * count * wide / high)
    inner_size = np.ceil([inner, FREE * count / inner])
    margin = math.ceil(0.2 * inner_size.max())  # a group at the edge may grow beyond it
    columns, lines = (inner_size.astype(int) + 2 * margin).tolist()
    inside = (places - places.min(axis=0)) / extent * (inner_size - 1) + margin
    across, down = (axis.ravel() for axis in np.meshgrid(np.arange(columns), np.arange(lines)))
    across, down = across.astype(np.float32), down.astype(np.float32)
    middle = np.array([columns - 1, lines - 1]) / 2
    cells = np.empty(count, np.int64)
    taken = np.zeros(columns * lines, np.float32)
    for each in np.argsort(np.hypot(*(inside - middle).T), kind="stable"):
        x, y = inside[each].astype(np.float32)
        cells[each] = cell = np.argmin((across - x) ** 2 + (down - y) ** 2 + taken)
        taken[cell] = np.inf
    used = np.stack([cells % columns, cells // columns], axis=1)
    return np.asarray(used - used.min(axis=0))


def _unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions; one without length stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)

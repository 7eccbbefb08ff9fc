"""Positions on the map: images with similar vectors are near one another; and the neighbours of each."""

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

# Usual for t-SNE: 50 principal components hold nearly all of the variance, and 30 is its default perplexity.
_COMPONENTS, _PERPLEXITY, _MIN_FOR_TSNE = 50, 30, 8

ANGLE = 1.0
"""How coarsely t-SNE treats distant points: its default, 0.5, takes twice as long for hardly more."""

CELLS_PER_IMAGE = 1.5
"""With free cells between them, groups keep their shape, and so do the gaps."""

_BLOCK_ROWS = 1024


def positions_of(vectors: Vectors) -> Vectors:
    """Find a position on a plane for each vector, so that vectors at small angles are near one another.

    Principal components come first, then t-SNE from a fixed start and in one thread, so that the same vectors
    get the same positions. Fewer than eight vectors get their first two components.

    Args:
        vectors: float32, shape (n, 1024), of any length.

    Returns:
        float32, shape (n, 2), the mean of each column 0.
    """
    count = len(vectors)
    unit = _unit(vectors)
    if count < 2 or np.ptp(unit, axis=0).max() < np.finfo(np.float32).eps:  # noqa: PLR2004 - one has no distance
        return np.zeros((count, 2), np.float32)
    few = count < _MIN_FOR_TSNE
    with threadpool_limits(1):  # several threads would round sums in the order in which they end
        components = PCA(2 if few else min(_COMPONENTS, count), svd_solver="covariance_eigh")
        positions = components.fit_transform(unit)
        if not few:
            perplexity = min(_PERPLEXITY, (count - 1) / 3)
            tsne = TSNE(2, perplexity=perplexity, angle=ANGLE, init="pca", random_state=0)
            positions = tsne.fit_transform(positions)
    return np.asarray(positions - positions.mean(axis=0), np.float32)


def neighbours(vectors: Vectors, k: int) -> tuple[Rows, Vectors]:
    """Find the k nearest other vectors of each vector: what `Gallery.search` finds, for all at once.

    Returns:
        Their rows, int64, and their cosines, float32, both of shape (n, k), nearest first; k is smaller if
        there are not so many vectors.
    """
    unit = _unit(vectors)
    k = max(0, min(k, len(unit) - 1))
    rows = np.empty((len(unit), k), np.int64)
    cosines = np.empty((len(unit), k), np.float32)
    for start in range(0, len(unit) if k else 0, _BLOCK_ROWS):
        scores = unit[start : start + _BLOCK_ROWS] @ unit.T
        within = np.arange(len(scores))
        scores[within, start + within] = -np.inf
        best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        rows[start : start + _BLOCK_ROWS] = best
        cosines[start : start + _BLOCK_ROWS] = np.take_along_axis(scores, best, axis=1)
    return rows, cosines


def snap_to_grid(positions: Vectors) -> Rows:
    """Give each position a grid cell of its own: the nearest that is free, beginning in the middle.

    Returns:
        int64, shape (n, 2): column and row, both counted from 0.
    """
    count = len(positions)
    if not count:
        return np.zeros((0, 2), np.int64)
    extent = np.maximum(np.ptp(positions, axis=0), 1e-6)
    wide, high = np.clip(extent / extent.max(), 0.5, 1)  # even a line gets room in both directions
    inner = math.sqrt(CELLS_PER_IMAGE * count * wide / high)
    inner_size = np.ceil([inner, CELLS_PER_IMAGE * count / inner])
    margin = math.ceil(0.2 * inner_size.max())  # groups at the edge may need more room
    columns, lines = (inner_size.astype(int) + 2 * margin).tolist()
    inside = (positions - positions.min(axis=0)) / extent * (inner_size - 1) + margin
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
    """Return the vectors scaled to length 1; one of length 0 stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)

"""`find_duplicates`: groups of pictures that are equal or nearly so, by the cosine of their vectors.

Groups are made as in leader clustering: each picture, in the order of the file, joins the nearest of the
groups so far whose first picture it resembles, or begins one. Every picture of a group thus resembles its
first; no chain of small steps joins pictures that are unlike. And a picture is compared with the first of
each group only, so a thousand copies of one cost a thousand comparisons, not a million.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from tqdm import tqdm

from semart_vectors.errors import ConfigurationError
from semart_vectors.gallery import Gallery

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.int64]

DEFAULT_THRESHOLD = 0.97
"""Our choice for "nearly one picture"; what suits a collection is found by looking at its groups."""

_BLOCK_ROWS = 1024
_FIRST_BLOCK_ROWS = 8192
"""Pictures compared in one step, and firsts of groups that they are compared with: together about 70 MB."""

_SAMPLE_ROWS = 8192
_AXES = 63

_ROUNDING = 1e-5
"""More than float32 loses in a cosine of unit vectors; what is this close is looked at in float64."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture of a group."""

    image_file: str
    """Its name, written as `semart_vectors.images.names` describes."""
    score: float
    """Cosine similarity to the first picture of its group; exactly 1.0 if their vectors are equal."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Pictures that are equal to one, or nearly so."""

    images: tuple[Duplicate, ...]
    """Two or more: first the one that comes first in the file, then the others, nearest first."""


def find_duplicates(
    vectors: Gallery | str | PathLike[str],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    progress: bool | None = None,
) -> tuple[DuplicateGroup, ...]:
    """Find the groups of pictures whose vectors are equal or nearly so.

    Every picture of a group has at least the cosine `threshold` to the group's first picture; two others of
    it may be further apart. A picture is in one group at most: that whose first it is nearest to. The same
    file gives the same groups. It blocks; beside the gallery it needs about 100 MB, and 0.3 kB a picture.

    Args:
        vectors: The pictures with their vectors: a `Gallery`, or the path of what `Gallery.open` opens.
        threshold: The least cosine similarity, above 0 and at most 1; 1 finds equal vectors only.
        progress: Whether to show a progress bar on stderr; None shows it on a terminal, after two seconds.

    Returns:
        The groups, in the order of their first pictures in the file; none if no two pictures are alike.

    Raises:
        ConfigurationError: the threshold is out of range.
        VectorFileError: the file of vectors cannot be used.
        DiskError: the disk failed, or there is no room for the temporary file.
    """
    if not 0 < threshold <= 1:
        raise ConfigurationError(f"the threshold must be a cosine above 0 and at most 1, not {threshold}")
    gallery = vectors if isinstance(vectors, Gallery) else Gallery.open(vectors)
    groups = _Groups(gallery.vectors, threshold)
    with tqdm(
        total=len(gallery),
        unit="img",
        desc="compared",
        delay=2,
        disable=None if progress is None else not progress,
    ) as bar:
        for start in range(0, len(gallery), _BLOCK_ROWS):
            bar.update(groups.add(start))
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(groups.first_of != np.arange(len(gallery))).tolist():
        members.setdefault(int(groups.first_of[row]), []).append(row)
    names = gallery.image_files if members else []
    return tuple(
        DuplicateGroup(
            (
                Duplicate(names[first], 1.0),
                *(
                    Duplicate(names[row], float(groups.score[row]))
                    for row in sorted(members[first], key=lambda row: (-groups.score[row], row))
                ),
            )
        )
        for first in sorted(members)
    )


class _Groups:
    """The groups so far: which picture is the first of each, and what each picture has joined."""

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        self.first_of = np.arange(len(vectors))
        """For each picture the row of its group's first; its own if it is one."""
        self.score = np.ones(len(vectors))
        """For each picture its cosine to that first."""
        self._vectors = vectors
        self._threshold = threshold
        self._axes = _main_axes(vectors)
        self._firsts = np.empty(len(vectors), np.int64)
        self._outlines = np.empty((len(vectors), self._axes.shape[1] + 1), np.float32)
        self._count = 0

    def add(self, start: int) -> int:
        """Put a block of pictures into groups; return how many."""
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(self._vectors)))
        units = _unit(self._vectors[rows])
        outlines = _outlines(units, self._axes)
        nearest, cosine = self._nearest_firsts(units, outlines)
        within = units @ units.T
        may_join = (cosine >= self._threshold - _ROUNDING) | (
            np.tril(within, -1) >= self._threshold - _ROUNDING
        ).any(axis=1)
        is_first = ~may_join
        for place in np.flatnonzero(may_join).tolist():
            # Of the pictures before it in this block, only those that began a group count.
            here = np.where(is_first[:place], within[place, :place], -np.inf)
            best = int(here.argmax()) if place else 0
            first = rows[best] if place and here[best] > cosine[place] else nearest[place]
            score = _exact_cosine(self._vectors[rows[place]], self._vectors[first])
            if score >= self._threshold:
                self.first_of[rows[place]], self.score[rows[place]] = first, score
            else:
                is_first[place] = True
        new = rows[is_first]
        self._firsts[self._count : self._count + len(new)] = new
        self._outlines[self._count : self._count + len(new)] = outlines[is_first]
        self._count += len(new)
        return len(rows)

    def _nearest_firsts(self, units: Vectors, outlines: Vectors) -> tuple[Rows, Vectors]:
        """Return the nearest of the firsts so far, and its cosine; -1 where none is near enough."""
        nearest = np.zeros(len(units), np.int64)
        cosine = np.full(len(units), -1, np.float32)
        for start in range(0, self._count, _FIRST_BLOCK_ROWS):
            end = min(start + _FIRST_BLOCK_ROWS, self._count)
            near = outlines @ self._outlines[start:end].T >= self._threshold - _ROUNDING
            places = np.flatnonzero(near.any(axis=1))
            if not len(places):
                continue
            firsts = self._firsts[start:end][near.any(axis=0)]
            cosines = units[places] @ _unit(self._vectors[firsts]).T
            best = cosines.argmax(axis=1)
            highest = cosines[np.arange(len(places)), best]
            better = highest > cosine[places]
            nearest[places[better]] = firsts[best[better]]
            cosine[places[better]] = highest[better]
        return nearest, cosine


def _main_axes(vectors: Vectors) -> Vectors:
    """Return 63 orthonormal directions, shape (1024, 63): along them lies most of a sample of the vectors."""
    step = max(1, len(vectors) // _SAMPLE_ROWS)
    sample = _unit(vectors[::step][:_SAMPLE_ROWS])
    _, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(axes[:, -_AXES:], np.float32)


def _outlines(units: Vectors, axes: Vectors) -> Vectors:
    """Return 64 numbers of each vector whose products are never below the cosine of two vectors.

    They are the vector along the axes, and the length of all the rest of it: by Cauchy and Schwarz, the
    product of two rests is at most that of their lengths. So a product of 64 numbers rules out nearly all
    pairs, and only what is left is compared in full.
    """
    along = units @ axes
    rest = np.einsum("ij,ij->i", units, units) - np.einsum("ij,ij->i", along, along)
    return np.column_stack([along, np.sqrt(np.maximum(rest, 0) + _ROUNDING)])  # never too short by rounding


def _unit(vectors: Vectors) -> Vectors:
    """Return the vectors scaled to length 1; one of length 0 stays as it is."""
    # In float64: in float32 the squares of small numbers are 0, those of large ones infinite.
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    lengths = np.sqrt(squares).clip(_TINY)
    return np.asarray(vectors / lengths[:, np.newaxis], np.float32)


def _exact_cosine(one: Vectors, other: Vectors) -> float:
    """Return a cosine in float64; exactly 1 for equal vectors, which rounding may part."""
    if np.array_equal(one, other):
        return 1.0 if one.any() else 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    cosine = float(a @ b) / math.sqrt(max(float(a @ a) * float(b @ b), _TINY))
    return min(cosine, math.nextafter(1, 0))

"""Ridge regression from one space of vectors to another, in closed form.

W = (X'X + λ I)^-1 X'Y on centred X (n, d) and Y (n, e) (Hoerl & Kennard 1970). With fewer pairs than
components W = X'(XX' + λ I)^-1 Y is the same map, and the smaller system. X'X or XX' serves every λ; each λ
takes one solution of the system, a fraction of the time that a decomposition into eigenvectors takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors, normalized

Doubles = npt.NDArray[np.float64]
BLOCK = 8192  # pairs summed up at a time


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map with its centres.

    Attributes:
        source: (d,) float32, the mean of the vectors that it was fitted on.
        target: (e,) float32, the mean of the vectors that it was fitted to.
        weights: (d, e) float32.
    """

    source: Vectors
    target: Vectors
    weights: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        """Map vectors of unit length, (n, d) float32, to directions from `target`: (n, e) of unit length."""
        mapped = (vectors - self.source) @ self.weights  # (n, d) (d, e) -> (n, e)
        return normalized(np.asarray(mapped, np.float32))


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over pairs of vectors x (d,) and y (e,); those of other pairs are added or taken away.

    Attributes:
        count: how many pairs.
        source: (d,) float64, the sum of x.
        target: (e,) float64, the sum of y.
        gram: (d, d) float64, the sum of xx'.
        cross: (d, e) float64, the sum of xy'.
    """

    count: int
    source: Doubles
    target: Doubles
    gram: Doubles
    cross: Doubles

    @classmethod
    def of(cls, source: Vectors, target: Vectors) -> Sums:
        """Sum up pairs of vectors, (n, d) and (n, e)."""
        (count, wide), deep = source.shape, target.shape[1]
        sums = cls(0, np.zeros(wide), np.zeros(deep), np.zeros((wide, wide)), np.zeros((wide, deep)))
        for start in range(0, count, BLOCK):
            x, y = (np.asarray(each[start : start + BLOCK], np.float64) for each in (source, target))
            sums += cls(len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y)  # (d, b) (b, d or e)
        return sums

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(one + its for one, its in zip(self._parts, other._parts, strict=True)))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(one - its for one, its in zip(self._parts, other._parts, strict=True)))

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.count, self.source, self.target, self.gram, self.cross


class Fit:
    """The regression over pairs of vectors; the map of any strength takes one solution of a linear system."""

    def __init__(self, source: Doubles, target: Doubles, gram: Doubles, right: Doubles) -> None:
        """Take what the system is made of; see `of` and `from_sums`.

        Args:
            source: (d,) the mean of x.
            target: (e,) the mean of y.
            gram: (d, d) X'X, centred; (n, n) XX' with fewer pairs than components.
            right: (d, e) X'Y, or (n, e) Y, likewise.
        """
        self._source, self._target, self._gram, self._right = source, target, gram, right
        self._left: Doubles | None = None  # X' (d, n) with fewer pairs than components

    @classmethod
    def of(cls, source: Vectors, target: Vectors) -> Fit:
        """Return the regression from vectors of unit length (n, d) to others (n, e)."""
        if len(source) >= source.shape[1]:
            return cls.from_sums(Sums.of(source, target))
        centre, other = source.mean(0, dtype=np.float64), target.mean(0, dtype=np.float64)
        x = source - centre  # (n, d)
        fit = cls(centre, other, x @ x.T, target - other)
        fit._left = x.T
        return fit

    @classmethod
    def from_sums(cls, sums: Sums) -> Fit:
        """Return the regression over summed pairs, at least as many as x has components."""
        source, target = sums.source / sums.count, sums.target / sums.count
        gram = sums.gram - np.outer(sums.source, source)  # (d,) (d,) -> (d, d)
        return cls(source, target, gram, sums.cross - np.outer(sums.source, target))

    def ridge(self, strength: float) -> Ridge:
        """Return the map of the strength λ > 0."""
        system = self._gram.copy()
        system.flat[:: len(system) + 1] += strength
        solved = np.linalg.solve(system, self._right)
        weights = solved if self._left is None else self._left @ solved  # (d, e)
        return Ridge(*(np.asarray(part, np.float32) for part in (self._source, self._target, weights)))

"""Ridge regression from one space of vectors to another, in closed form.

W = (X'X + λ I)^-1 X'Y on centred X (n, d) and Y (n, e) (Hoerl & Kennard 1970). With fewer pairs than
components W = X'(XX' + λ I)^-1 Y is the same map, and the smaller system. X'X or XX' serves every λ; each λ
takes one solution of the system, a fraction of the time that a decomposition into eigenvectors takes.
"""

from __future__ import annotations

from dataclasses import dataclass

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


class Fit:
    """Pairs of vectors, summed up so that the map of any strength takes one solution of a linear system."""

    def __init__(self, source: Vectors, target: Vectors) -> None:
        """Sum up pairs of vectors.

        Args:
            source: (n, d), of unit length.
            target: (n, e), of unit length.
        """
        (count, wide), deep = source.shape, target.shape[1]
        self._source, self._target = source.mean(0, dtype=np.float64), target.mean(0, dtype=np.float64)
        self._left: Doubles | None = None  # X' (d, n) with fewer pairs than components
        if count < wide:
            x, self._right = source - self._source, target - self._target  # (n, d), (n, e)
            self._left, self._gram = x.T, x @ x.T
            return
        self._gram, self._right = np.zeros((wide, wide)), np.zeros((wide, deep))
        for start in range(0, count, BLOCK):
            part = slice(start, start + BLOCK)
            x = source[part] - self._source
            self._gram += x.T @ x
            self._right += x.T @ (target[part] - self._target)  # (d, b) (b, e) -> (d, e)

    def ridge(self, strength: float) -> Ridge:
        """Return the map of the strength λ > 0."""
        system = self._gram.copy()
        system.flat[:: len(system) + 1] += strength
        solved = np.linalg.solve(system, self._right)
        weights = solved if self._left is None else self._left @ solved  # (d, e)
        return Ridge(*(np.asarray(part, np.float32) for part in (self._source, self._target, weights)))

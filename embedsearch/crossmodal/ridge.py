"""Ridge regression from one space of vectors to another, in closed form.

W = (X'X + λ I)^-1 X'Y on centred X (n, d) and Y (n, e) (Hoerl & Kennard 1970). One decomposition serves every
λ: of X'X where there are more pairs than components, else of XX', as W = X'(XX' + λ I)^-1 Y is the same map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors, normalized

Doubles = npt.NDArray[np.float64]


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
    """Decomposed pairs of vectors, from which the map of any strength follows at once."""

    def __init__(self, source: Vectors, target: Vectors) -> None:
        """Decompose pairs of vectors.

        Args:
            source: (n, d), of unit length.
            target: (n, e), of unit length.
        """
        x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
        self._source, self._target = x.mean(0), y.mean(0)
        x, y = x - self._source, y - self._target
        self._wide = x.shape[0] < x.shape[1]
        values, vectors = np.linalg.eigh(x @ x.T if self._wide else x.T @ x)
        self._values = np.maximum(values, 0)
        # W = left diag(1 / (s + λ)) right
        self._left: Doubles = x.T @ vectors if self._wide else vectors
        self._right: Doubles = vectors.T @ (y if self._wide else x.T @ y)

    def ridge(self, strength: float) -> Ridge:
        """Return the map of the strength λ > 0."""
        weights = (self._left / (self._values + strength)) @ self._right  # (d, r) (r, e) -> (d, e)
        return Ridge(*(np.asarray(part, np.float32) for part in (self._source, self._target, weights)))

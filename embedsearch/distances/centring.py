"""Vectors less the mean of an index, and the main directions in which they differ.

The vectors of one model have a large part in common, which every cosine counts. An index may subtract the
mean m of its unit vectors u = v / |v| before it compares them: its cosine distance is that of u - m. It may
keep the `dim` directions B along which these differ most: centred principal components (Pearson 1901).
What is stored is v' = B (v - |v| m), which has the direction of B (u - m); from it v follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_arrays
from embedsearch.distances.metric import Vectors, normalized

LEAST_ITEMS = 200  # fewer do not tell a mean: two items less their mean are opposites
MOST_ITEMS = 100_000  # that are fitted to, spread evenly
MOST_NUMBERS = 4096  # of a vector whose main directions are looked for: the matrix has their square
LEAST_SPREAD = 1e-6  # of unit vectors; those that differ less are the same but for rounding
BLOCK = 4096  # vectors read at a time


@dataclass(frozen=True, eq=False)
class Centring:
    """What is done to the vectors of a model before an index compares them.

    Attributes:
        mean: (D,) float32, the mean m of unit vectors.
        basis: (N, D) float32, orthonormal directions, the widest first; None for all that is left.
        items: number of vectors that both were fitted to.
        explained: share (0 to 1) of the vectors' variance that lies along `basis`.
    """

    mean: Vectors
    basis: Vectors | None
    items: int
    explained: float

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the mean and the basis, 64 hex digits."""
        digest = hashlib.sha256(self.mean.tobytes())
        digest.update(b"" if self.basis is None else self.basis.tobytes())
        return digest.hexdigest()

    @property
    def dimension(self) -> int:
        """Numbers in a vector that was centred."""
        return len(self.mean) if self.basis is None else len(self.basis)

    def apply(self, vectors: Vectors) -> Vectors:
        """Centre vectors as the model gives them: (n, D) -> (n, N) float32."""
        vectors = np.asarray(vectors, np.float32)
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)  # float32 can't hold all of them
        return self.apply_to_parts(vectors, np.sqrt(squares).astype(np.float32)[:, None])

    def apply_to_parts(self, parts: Vectors, lengths: Vectors | float) -> Vectors:
        """Centre vectors of which a mean is a vector of the model, so that the same mean of them is centred.

        Args:
            parts: (n, D) float32.
            lengths: of that vector: (n, 1), or one number.

        Returns:
            (n, N) float32.
        """
        return self.turned(parts - lengths * self.mean)

    def turned(self, differences: Vectors) -> Vectors:
        """Turn differences of two vectors, which have no mean to subtract: (n, D) -> (n, N) float32."""
        return differences if self.basis is None else differences @ self.basis.T

    def restore(self, vectors: Vectors) -> Vectors:
        """Undo `apply`: (n, N) -> (n, D) float32; what lies outside `basis` is lost.

        The length s of the vector v = v' + s m is the positive solution of |v' + s m| = s.
        """
        vectors = np.asarray(vectors, np.float32)
        apart = vectors if self.basis is None else vectors @ self.basis  # (n, N) -> (n, D)
        squares = np.einsum("nd,nd->n", apart, apart, dtype=np.float64)
        along = apart.astype(np.float64) @ self.mean
        left = 1 - float(self.mean.astype(np.float64) @ self.mean)  # of s^2, over 0
        lengths = (along + np.sqrt(along**2 + left * squares)) / left
        return np.asarray(apart + lengths[:, None] * self.mean, np.float32)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        basis = np.empty((0, len(self.mean)), np.float32) if self.basis is None else self.basis
        items, explained = np.int64(self.items), np.float64(self.explained)
        np.savez(path, mean=self.mean, basis=basis, items=items, explained=explained)

    @classmethod
    def load(cls, path: Path) -> Centring:
        """Read what `save` wrote."""
        arrays = load_arrays(path)
        basis = arrays["basis"] if len(arrays["basis"]) else None
        return cls(arrays["mean"], basis, int(arrays["items"]), float(arrays["explained"]))


def fingerprint_of(centring: Centring | None) -> str:
    """Return the fingerprint of a centring; empty for none."""
    return "" if centring is None else centring.fingerprint


def fit(vectors: Vectors, dim: int = 0) -> Centring | None:
    """Fit the mean of vectors, and the directions along which they differ most.

    Args:
        vectors: (n, D) float32 or float16, which may be memory-mapped; they are read in blocks.
        dim: how many directions, at most `MOST_NUMBERS`; 0 for the mean alone.

    Returns:
        None for fewer than `LEAST_ITEMS` vectors, or than `dim`, and where all are the same.
    """
    count, numbers = vectors.shape
    if count < max(LEAST_ITEMS, dim):
        return None
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_ITEMS)).astype(np.int64))
    total = np.zeros(numbers)
    for block in _unit_blocks(vectors, rows):
        total += block.sum(0, dtype=np.float64)
    mean = total / len(rows)
    spread = 1 - float(mean @ mean)  # the mean squared distance of unit vectors from their mean
    if spread <= LEAST_SPREAD:
        return None
    kept = mean.astype(np.float32)
    if not dim:
        return Centring(kept, None, len(rows), 1.0)
    covariance = np.zeros((numbers, numbers))
    for block in _unit_blocks(vectors, rows):
        apart = block - kept
        covariance += apart.T @ apart  # (D, n) (n, D) -> (D, D)
    variances, directions = np.linalg.eigh(covariance)  # ascending; (D,), (D, D) in columns
    basis = np.ascontiguousarray(directions[:, ::-1][:, :dim].T, np.float32)  # (D, D) -> (N, D)
    explained = float(variances[::-1][:dim].sum() / variances.sum())
    return Centring(kept, basis, len(rows), min(explained, 1.0))


def _unit_blocks(vectors: Vectors, rows: npt.NDArray[np.int64]) -> Iterator[Vectors]:
    for start in range(0, len(rows), BLOCK):
        yield normalized(np.asarray(vectors[rows[start : start + BLOCK]], np.float32))

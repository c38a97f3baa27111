"""Groups of near vectors: k-means, by FAISS."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from embedsearch.backends import Rows, taking
from embedsearch.backends.flat import BLOCK, ready, taken
from embedsearch.distances.metric import Metric, Vectors

ROUNDS, TRIES = 25, 3
Labels = npt.NDArray[np.int16]


def centroids(
    vectors: Vectors, rows: Rows, metric: Metric, count: int, start: Vectors | None = None, seed: int = 0
) -> Vectors:
    """Find the centres of `count` groups of vectors (Lloyd 1982; of unit vectors for cosine).

    Args:
        vectors: (n, d) float32 or float16, raw.
        rows: (m,) the rows to learn from, at least `count`.
        metric: which distance; for ip the groups are those of l2.
        count: the number of groups.
        start: (count, d) centres to start from, so that groups keep their numbers; None for random rows.
        seed: of the random rows.

    Returns:
        (count, d) float32.
    """
    means = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=ROUNDS,
        nredo=TRIES if start is None else 1,
        spherical=metric is Metric.COSINE,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    means.train(taken(taking(vectors), rows, metric), init_centroids=start)
    return np.asarray(means.centroids, np.float32)


def assign(vectors: Vectors, metric: Metric, centres: Vectors) -> Labels:
    """Return for each of (n, d) raw vectors which of `centres` (k, d) is nearest: (n,) int16."""
    labels = np.empty(len(vectors), np.int16)
    sizes = np.einsum("kd,kd->k", centres, centres) / 2  # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2)
    for at in range(0, len(vectors), BLOCK):
        part = ready(vectors[at : at + BLOCK], metric)
        labels[at : at + BLOCK] = np.argmax(part @ centres.T - sizes, axis=1)  # (b, d) (d, k) -> (b,)
    return labels

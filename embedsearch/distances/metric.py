"""Distances, defined once. Smaller always means more related.

cosine   1 - u.v / (|u| |v|)        in [0, 2]
l2       |u - v|                    in [0, inf), not squared
ip       -(u.v)                     unbounded
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class Metric(StrEnum):
    """Which distance an index was built for."""

    COSINE = "cosine"
    L2 = "l2"
    IP = "ip"


def normalized(vectors: Vectors) -> Vectors:
    """Return `vectors` (n, d) float32 scaled to unit length; a zero vector stays zero."""
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # (n, d) -> (n,)
    return np.asarray(vectors / np.where(norms > 0, norms, 1)[:, None], dtype=np.float32)


def distances(a: Vectors, b: Vectors, metric: Metric) -> Vectors:
    """Return the distance of every row of `a` to every row of `b`, computed exactly.

    Args:
        a: (n, d) float32.
        b: (m, d) float32.
        metric: which distance.

    Returns:
        (n, m) float32, smaller is more related.
    """
    if metric is Metric.COSINE:
        return from_similarity(normalized(a) @ normalized(b).T, metric)  # (n, d) (d, m) -> (n, m)
    if metric is Metric.IP:
        return from_similarity(a @ b.T, metric)
    # The difference itself, not |a|^2 + |b|^2 - 2ab, which loses half the digits for near vectors.
    return np.stack([np.linalg.norm(row - b, axis=1) for row in a]).astype(np.float32)


def similarity(distance: float, metric: Metric) -> float:
    """Return a distance as a similarity: larger is more related.

    Returns:
        cosine: 1 - distance, the cosine in [-1, 1]. ip: the inner product. l2: 1 / (1 + distance), in (0, 1].
    """
    if metric is Metric.L2:
        return 1 / (1 + distance)
    return 1 - distance if metric is Metric.COSINE else 0.0 - distance  # no -0.0


def from_similarity(products: Vectors, metric: Metric) -> Vectors:
    """Turn inner products (of unit vectors for cosine) into the distance; not for l2."""
    return np.clip(1 - products, 0, 2) if metric is Metric.COSINE else -products

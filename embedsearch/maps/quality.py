"""How honest a map is: which share of an item's nearest neighbours are still its nearest on the map."""

from __future__ import annotations

import numpy as np

from embedsearch.backends import Backend, Rows, taking
from embedsearch.backends.flat import blocks, rank, scan
from embedsearch.distances.metric import Metric, Vectors

NEIGHBOURS = 10
SPARE = 32  # candidates on the map, which FAISS finds in float32 by |a|^2 + |b|^2 - 2ab, ranked again exactly
BLOCK = 1024  # points at a time


def preserved(backend: Backend, vectors: Vectors, points: Vectors, rows: Rows) -> Vectors:
    """Return for some items which share of their 10 nearest neighbours lie among their 10 nearest on the map.

    A neighbour counts when it is no farther on the map than the 10th nearest point there, so that points that
    lie on each other count alike. Of n items with fewer than 10 others, all others are neighbours.

    Args:
        backend: the index, which finds the neighbours; the item itself is none.
        vectors: (n, d) float32 or float16, raw.
        points: (n, 2) float32, the map.
        rows: (m,) the items to measure.

    Returns:
        (m,) float32 in [0, 1]; 1 where there is no other item.
    """
    k = min(NEIGHBOURS, len(points) - 1)
    if k < 1:
        return np.ones(len(rows), np.float32)
    none = np.empty(0, np.int64)
    take = taking(points)
    shares = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        own = rows[start : start + BLOCK]
        _, found = backend.search(np.asarray(vectors[own], np.float32), k + 1)  # (b, k + 1)
        others = (found != own[:, None]) & (found >= 0)
        others &= np.cumsum(others, axis=1) <= k  # itself may not be found among many identical items
        _, near = scan(points[own], blocks(len(points), None, none), take, Metric.L2, min(SPARE, len(points)))
        far, _ = rank(points[own], near, take, Metric.L2)  # itself among them, at 0
        limit = far[:, k]
        to = np.linalg.norm(points[np.maximum(found, 0)] - points[own][:, None], axis=2)  # -> (b, k + 1)
        kept = others & (to <= limit[:, None] * np.float32(1 + 1e-6))
        shares[start : start + BLOCK] = kept.sum(1) / np.maximum(others.sum(1), 1)
    return shares

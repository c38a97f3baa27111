"""Exact comparison with stored vectors: of candidates, of a few allowed rows, of all in blocks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np

from embedsearch.backends import Mask, Rows
from embedsearch.distances.metric import Metric, Vectors, from_similarity, normalized

BLOCK = 16_384  # rows at a time
CACHED = 2**19  # numbers: candidates ranked together stay in the processor's cache


def faiss_metric(metric: Metric) -> int:
    """Return what FAISS compares by; cosine is the inner product of unit vectors."""
    return int(faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT)


def ready(vectors: Vectors, metric: Metric) -> Vectors:
    """Return vectors (n, d) as the index compares them: float32, of unit length for cosine."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return normalized(vectors) if metric is Metric.COSINE else vectors


def taken(vectors: Vectors, rows: Rows, metric: Metric) -> Vectors:
    """Return some rows of raw vectors as the index compares them, (m, d) float32."""
    part = np.take(vectors, rows, axis=0).astype(np.float32, copy=False)
    if metric is Metric.COSINE:
        norms = np.sqrt(np.einsum("nd,nd->n", part, part))  # (m, d) -> (m,)
        part /= np.where(norms > 0, norms, 1)[:, None]  # in place: it is a copy already
    return part


def to_distances(values: Vectors, metric: Metric) -> Vectors:
    """Turn what FAISS returns into distances."""
    if metric is Metric.L2:
        return np.sqrt(np.maximum(values, 0))  # FAISS returns squares
    return from_similarity(values, metric)


def selector(allow: Mask) -> Any:
    """Return what tells FAISS which of (n,) vectors may be found."""
    return faiss.IDSelectorBitmap(np.packbits(allow, bitorder="little"))


def rank(queries: Vectors, candidates: Rows, vectors: Vectors, metric: Metric) -> tuple[Vectors, Rows]:
    """Sort each query's candidates by their exact distance.

    Args:
        queries: (q, d) float32, ready.
        candidates: (q, r) rows of `vectors`; -1 for none, which comes last at an infinite distance.
        vectors: (n, d) raw.
        metric: which distance.

    Returns:
        Distances (q, r) float32, ascending, and rows (q, r).
    """
    far = np.empty(candidates.shape, np.float32)

    together = max(1, CACHED // max(1, candidates.shape[1] * vectors.shape[1]))

    def measure(start: int) -> None:
        part = slice(start, start + together)
        far[part] = _to_candidates(queries[part], np.maximum(candidates[part], 0), vectors, metric)

    if len(queries) <= together:
        measure(0)
    else:  # reading and multiplying let other threads run
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(measure, range(0, len(queries), together)))
    far[candidates < 0] = np.inf
    order = np.argsort(far, axis=1, kind="stable")
    return np.take_along_axis(far, order, 1), np.take_along_axis(candidates, order, 1)


def _to_candidates(queries: Vectors, rows: Rows, vectors: Vectors, metric: Metric) -> Vectors:
    """Return the distances of each query to its own `rows` (q, r), in their order: (q, r) float32."""
    found = np.take(vectors, rows.ravel(), axis=0).astype(np.float32, copy=False)
    found = found.reshape(*rows.shape, -1)  # (q r, d) -> (q, r, d)
    if metric is Metric.L2:
        far: Vectors = np.linalg.norm(found - queries[:, None], axis=2)  # (q, r, d) -> (q, r)
        return far
    products = (found @ queries[:, :, None])[:, :, 0]  # (q, r, d) (q, d, 1) -> (q, r)
    if metric is Metric.COSINE:
        norms = np.sqrt(np.einsum("qrd,qrd->qr", found, found))
        products /= np.where(norms > 0, norms, 1)
    return from_similarity(products, metric)


def scan(queries: Vectors, rows: Rows, vectors: Vectors, metric: Metric, k: int) -> tuple[Vectors, Rows]:
    """Compare queries with every one of `rows`, block by block.

    Args:
        queries: (q, d) float32, ready.
        rows: (m,) rows of `vectors` to compare with, at least k.
        vectors: (n, d) raw.
        metric: which distance.
        k: how many neighbours.

    Returns:
        Distances (q, k) float32, ascending, and rows (q, k).
    """
    best = np.full((len(queries), k), np.inf, np.float32)
    which = np.full((len(queries), k), -1, np.int64)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        part = taken(vectors, block, metric)
        values, at = faiss.knn(queries, part, min(k, len(part)), faiss_metric(metric))
        best = np.concatenate([best, to_distances(values, metric)], 1)
        which = np.concatenate([which, block[at]], 1)
        nearest = np.argsort(best, axis=1, kind="stable")[:, :k]
        best, which = np.take_along_axis(best, nearest, 1), np.take_along_axis(which, nearest, 1)
    return best, which

"""Exact comparison with vectors: of a query's candidates, and of all rows that may be found, in blocks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import faiss
import numpy as np

from embedsearch.backends import Filter, Mask, Rows, Stored, Take
from embedsearch.backends.threads import one_thread
from embedsearch.distances.metric import Metric, Vectors, from_similarity, normalized

T = TypeVar("T")
BLOCK = 16_384  # rows at a time
CACHED = 2**19  # numbers: candidates ranked together stay in the processor's cache
TOGETHER = 4  # blocks whose rows are listed ahead for the threads that compare them
PIECE = 2**16  # numbers: rows that are copied to be compared with one query stay near the processor
ROUNDING = 1e-6  # cosines of raw vectors, divided by their lengths, differ by less from those of unit vectors


def faiss_metric(metric: Metric) -> int:
    """Return what FAISS compares by; cosine is the inner product of unit vectors."""
    return int(faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT)


def ready(vectors: Vectors, metric: Metric) -> Vectors:
    """Return vectors (n, d) as the index compares them: float32, of unit length for cosine."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return normalized(vectors) if metric is Metric.COSINE else vectors


def ahead(read: Callable[[int], T], starts: Iterable[int]) -> Iterator[T]:
    """Yield what `read` returns for each start; the next one is read in a thread while the caller has one."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as reader:
        coming: deque[Future[T]] = deque()
        for start in starts:
            coming.append(reader.submit(read, start))
            if len(coming) > 1:
                yield coming.popleft().result()
        for last in coming:
            yield last.result()


def taken(take: Take, rows: Rows, metric: Metric) -> Vectors:
    """Return some vectors as the index compares them, (m, d) float32: of unit length for cosine."""
    part = take(rows)
    if metric is Metric.COSINE:
        norms = np.sqrt(np.einsum("nd,nd->n", part, part))  # (m, d) -> (m,)
        part /= np.where(norms > 0, norms, 1)[:, None]  # in place: it is a copy already
    return part


def to_distances(values: Vectors, metric: Metric) -> Vectors:
    """Turn what FAISS returns into distances."""
    if metric is Metric.L2:
        return np.sqrt(np.maximum(values, 0))  # FAISS returns squares
    return from_similarity(values, metric)


def once(rows: Sequence[int]) -> Rows:
    """Return rows ascending, each once, (n,); there are mostly none."""
    return np.unique(np.asarray(rows, np.int64)) if len(rows) else np.empty(0, np.int64)


def findable(count: int, filter: Filter | None, exclude: Rows) -> int:
    """Return how many of `count` rows a search may find; `exclude` holds each row once."""
    if filter is None:
        return count - len(exclude)
    return filter.count - int(np.count_nonzero(filter.mask[exclude]))


def blocks(count: int, filter: Filter | None, exclude: Rows) -> Iterator[Rows]:
    """Yield the rows that a search may find, ascending, `BLOCK` at a time.

    Args:
        count: the number of rows.
        filter: which of them may be found; None for all.
        exclude: rows left out, ascending, each once.
    """
    allowed = None if filter is None else filter.rows
    gaps = exclude if allowed is None or not len(exclude) else np.flatnonzero(np.isin(allowed, exclude))
    total = (count if allowed is None else len(allowed)) - len(gaps)
    for start in range(0, total, BLOCK):
        rows = np.arange(start, min(start + BLOCK, total))
        for gap in gaps.tolist():  # ascending, so each moves what lies behind it
            rows += rows >= gap
        yield rows if allowed is None else allowed[rows]


def bitmap(mask: Mask) -> Any:
    """Return the FAISS selector of the rows that are True in (n,) truth values."""
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def without(chosen: Any, exclude: Rows) -> Any:
    """Return the FAISS selector of what `chosen` selects, less `exclude`.

    Args:
        chosen: a selector; None for all.
        exclude: numbers left out; the selector takes memory for these alone.
    """
    if not len(exclude):
        return chosen
    others = faiss.IDSelectorNot(faiss.IDSelectorBatch(exclude))
    return others if chosen is None else faiss.IDSelectorAnd(chosen, others)


def nothing(queries: Vectors) -> tuple[Vectors, Rows]:
    """Return the distances and rows of a search that may find no row: (q, 0) each."""
    return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)


def rank(queries: Vectors, candidates: Rows, take: Take, metric: Metric) -> tuple[Vectors, Rows]:
    """Sort each query's candidates by their exact distance.

    Args:
        queries: (q, d) float32, ready.
        candidates: (q, r) rows; -1 for none, which comes last at an infinite distance.
        take: gives the raw vectors of rows.
        metric: which distance.

    Returns:
        Distances (q, r) float32, ascending, and rows (q, r).
    """
    far = np.empty(candidates.shape, np.float32)
    together = max(1, CACHED // max(1, candidates.shape[1] * queries.shape[1]))

    def measure(start: int) -> None:
        part = slice(start, start + together)
        far[part] = _to_candidates(queries[part], np.maximum(candidates[part], 0), take, metric)

    if len(queries) <= together:
        measure(0)
    else:  # reading and multiplying let other threads run
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(measure, range(0, len(queries), together)))
    far[candidates < 0] = np.inf
    order = np.argsort(far, axis=1, kind="stable")
    if len(queries) == 1:  # a third of the time
        return far[:, order[0]], candidates[:, order[0]]
    return np.take_along_axis(far, order, 1), np.take_along_axis(candidates, order, 1)


def _to_candidates(queries: Vectors, rows: Rows, take: Take, metric: Metric) -> Vectors:
    """Return the distances of each query to its own `rows` (q, r), in their order: (q, r) float32."""
    found = take(rows.ravel()).reshape(*rows.shape, -1)  # (q r, d) -> (q, r, d)
    if metric is Metric.L2:
        far: Vectors = np.linalg.norm(found - queries[:, None], axis=2)  # (q, r, d) -> (q, r)
        return far
    products = (found @ queries[:, :, None])[:, :, 0]  # (q, r, d) (q, d, 1) -> (q, r)
    if metric is Metric.COSINE:
        norms = np.sqrt(np.einsum("qrd,qrd->qr", found, found))
        products /= np.where(norms > 0, norms, 1)
    return from_similarity(products, metric)


def scan(
    queries: Vectors, blocks: Iterable[Rows], take: Take, metric: Metric, k: int
) -> tuple[Vectors, Rows]:
    """Compare queries with every row of some blocks.

    Args:
        queries: (q, d) float32, ready.
        blocks: the rows to compare with, a part at a time; at least k together.
        take: gives the raw vectors of rows.
        metric: which distance.
        k: how many neighbours.

    Returns:
        Distances (q, k) float32, ascending, and rows (q, k).
    """
    if len(queries) == 1:
        return _scan_one(queries[0], blocks, take, metric, k)
    best = np.full((len(queries), k), np.inf, np.float32)
    which = np.full((len(queries), k), -1, np.int64)
    for block in blocks:
        part = taken(take, block, metric)
        values, at = faiss.knn(queries, part, min(k, len(part)), faiss_metric(metric))
        best = np.concatenate([best, to_distances(values, metric)], 1)
        which = np.concatenate([which, block[at]], 1)
        nearest = np.argsort(best, axis=1, kind="stable")[:, :k]
        best, which = np.take_along_axis(best, nearest, 1), np.take_along_axis(which, nearest, 1)
    return best, which


def _scan_one(
    query: Vectors, blocks: Iterable[Rows], take: Take, metric: Metric, k: int
) -> tuple[Vectors, Rows]:
    """Compare one query (d,) with every row of some blocks; see `scan`. Blocks are shared among threads.

    The nearest by cosine are compared again as unit vectors, so that they have the digits of other searches.
    """
    margin = ROUNDING if metric is Metric.COSINE else 0

    def nearest(rows: Rows) -> tuple[Vectors, Rows]:
        far = _far(query, rows, take, metric)
        if k >= len(rows):
            return far, rows
        near = np.flatnonzero(far <= np.partition(far, k - 1)[k - 1] + margin)
        return far[near], rows[near]

    coming = iter(blocks)
    found = [nearest(next(coming))]
    if some := list(islice(coming, TOGETHER)):
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            while some:
                found.extend(threads.map(nearest, some))
                some = list(islice(coming, TOGETHER))
    far, rows = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if metric is Metric.COSINE:
        rows = rows[far <= np.partition(far, k - 1)[k - 1] + margin]
        values, at = faiss.knn(query[None], taken(take, rows, metric), len(rows), faiss_metric(metric))
        far, rows = to_distances(values[0], metric), rows[at[0]]
    order = np.lexsort((rows, far))[:k]
    return far[None, order], rows[None, order]


def _far(query: Vectors, rows: Rows, take: Take, metric: Metric) -> Vectors:
    """Return the distances of (d,) to (m,) rows, (m,) float32.

    FAISS reads float32 where it is; other vectors are copied in pieces that stay in the cache.
    """
    if isinstance(take, Stored) and take.vectors.dtype == np.float32 and take.vectors.flags.c_contiguous:
        values = _compared(query, take.vectors, rows, metric)
        if metric is Metric.COSINE:
            values /= take.lengths(rows)
        return to_distances(values, metric)
    step = max(1, PIECE // len(query))
    parts = (taken(take, rows[start : start + step], metric) for start in range(0, len(rows), step))
    compared = [_compared(query, part, np.arange(len(part)), metric) for part in parts]
    return to_distances(np.concatenate([np.empty(0, np.float32), *compared]), metric)


def _compared(query: Vectors, vectors: Vectors, rows: Rows, metric: Metric) -> Vectors:
    """Return what FAISS compares (d,) and the rows (m,) of (n, d) by, (m,) float32, in the calling thread."""
    values = np.empty(len(rows), np.float32)
    compare = faiss.fvec_L2sqr_by_idx if metric is Metric.L2 else faiss.fvec_inner_products_by_idx
    with one_thread():
        compare(*map(faiss.swig_ptr, (values, query, vectors, rows)), len(query), 1, len(rows))
    return values

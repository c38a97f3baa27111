"""Search parameters that reach a wanted recall, found with queries that the index does not hold.

Under a filter an approximate index misses more, as most of what it visits may not be found. So there are
parameters for several shares of allowed rows. Where it is as fast, each query is compared with all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Mask, Rows, taking
from embedsearch.backends.facts import Step
from embedsearch.backends.flat import BLOCK, scan
from embedsearch.distances.metric import Metric, Vectors

K = 10  # recall@10
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
MAX_QUERIES, QUERY_SHARE = 1000, 0.02
TIMED = 100  # single queries
MOST_TIMES = 4  # the efSearch, or nprobe, of a larger rerank_k
SURE = 1.645  # standard errors by which the measured recall exceeds the wanted one: 95 percent, one-sided

# (queries (q, d), efSearch or nprobe, rerank_k, allowed) -> distances (q, K) float32, ascending, infinite
# where nothing was found
Trial = Callable[[Vectors, int, int, Mask | None], Vectors]


def hold_out(count: int, seed: int = 0) -> Rows:
    """Return rows, ascending, that are the queries to tune with, and are added to the index after that."""
    wanted = min(MAX_QUERIES, int(count * QUERY_SHARE))
    return np.sort(np.random.default_rng(seed).choice(count, wanted, replace=False))


def masks(count: int, seed: int = 1) -> Iterator[tuple[float, Mask | None]]:
    """Yield each share with a random mask of as many rows, (n,) of truth values; None for all.

    The rows of a smaller share are among the rows of a larger one.
    """
    draw = np.random.default_rng(seed).random(count, dtype=np.float32)
    for share in SHARES:
        yield share, None if share == 1 else draw < share


def truth(queries: Vectors, vectors: Vectors, allowed: Sequence[Mask], metric: Metric) -> list[Vectors]:
    """Return the exact distances of each query's 10 nearest rows under each mask, (q, 10) float32 each.

    The vectors are read once, in blocks. Distances are infinite where fewer than 10 rows are allowed.
    """
    nearest = [np.full((len(queries), K), np.inf, np.float32) for _ in allowed]
    for start in range(0, len(vectors), BLOCK):
        part = np.asarray(vectors[start : start + BLOCK])
        for number, mask in enumerate(allowed):
            kept = part[mask[start : start + BLOCK]]
            if len(kept):
                far, _ = scan(queries, [np.arange(len(kept))], taking(kept), metric, min(K, len(kept)))
                nearest[number] = np.sort(np.concatenate([nearest[number], far], 1), axis=1)[:, :K]
    return nearest


def recall(found: Vectors, exact: Vectors) -> tuple[float, float]:
    """Return recall@10 and its standard error.

    A hit counts if it is no farther than the exact 10th neighbour, so that ties count alike.

    Args:
        found: distances (q, 10) float32.
        exact: the same by exact search; infinite where there are fewer neighbours.
    """
    exists = np.isfinite(exact)
    last = np.where(exists, exact, -np.inf).max(1, keepdims=True)  # (q, 10) -> (q, 1)
    near = found <= last + 1e-6 + 1e-6 * np.abs(last)
    share = np.minimum(near.sum(1) / np.maximum(exists.sum(1), 1), 1)
    return float(share.mean()), float(share.std() / np.sqrt(len(share)))


def tune(
    trial: Trial,
    queries: Vectors,
    vectors: Vectors,
    indexed: Mask,
    metric: Metric,
    wanted: float,
    ef_or_nprobes: Sequence[int],
    rerank_ks: Sequence[int],
) -> list[Step]:
    """Find the fastest parameters that reach the wanted recall, for each share where they beat exact search.

    Args:
        trial: searches the index.
        queries: (q, d) float32, ready; none of them is in the index.
        vectors: (n, d) raw.
        indexed: (n,) which of them the index holds.
        metric: which distance.
        wanted: recall@10.
        ef_or_nprobes: values of efSearch, or of nprobe, to try, ascending.
        rerank_ks: values of rerank_k to try, ascending.

    Returns:
        Steps by falling share. The first is for all rows; where no parameters reach the recall, it holds the
        largest. Below the last share, exact search is faster, or it alone reaches the recall.
    """
    shares = list(masks(len(vectors)))
    exact = truth(
        queries, vectors, [indexed if mask is None else indexed & mask for _, mask in shares], metric
    )
    scanned = _scan_seconds(queries, vectors, metric)
    steps: list[Step] = []
    for (share, mask), nearest in zip(shares, exact, strict=True):
        found = _fastest(
            trial,
            queries,
            nearest,
            mask,
            share,
            wanted,
            ef_or_nprobes,
            [steps[0].rerank_k] if steps else rerank_ks,
        )
        if found is None and steps:
            break
        if found is None:
            steps.append(_tried(trial, queries, nearest, mask, share, ef_or_nprobes[-1], rerank_ks[-1])[0])
            continue
        seconds, step = found
        if steps and seconds > scanned * share * len(vectors):
            break
        steps.append(step)
    return steps


def _fastest(
    trial: Trial,
    queries: Vectors,
    nearest: Vectors,
    mask: Mask | None,
    share: float,
    wanted: float,
    ef_or_nprobes: Sequence[int],
    rerank_ks: Sequence[int],
) -> tuple[float, Step] | None:
    """Return the fastest step that surely reaches the wanted recall, and its seconds for a single query.

    A smaller rerank_k never needs a smaller efSearch or nprobe, and is no faster with one several times as
    large. The time of a query falls with rerank_k as less is visited, then rises as more is ranked again. So
    the middle rerank_k is tried first; larger ones as long as they are faster, or where the recall is not
    reached; then smaller ones, within the bounds that it sets. None if no step reaches the recall.
    """
    order = sorted(rerank_ks)
    middle = len(order) // 2

    def timed(rerank_k: int, bounded: Sequence[int]) -> tuple[float, Step] | None:
        step = _least(trial, queries, nearest, mask, share, wanted, bounded, rerank_k)
        return (min(_together(trial, queries, step, mask) for _ in range(2)), step) if step else None

    best: tuple[float, Step] | None = None
    bounded = list(ef_or_nprobes)
    for rerank_k in order[middle:]:
        found = timed(rerank_k, bounded)
        if found is not None and best is not None and found[0] >= best[0]:
            break
        if found is not None:
            best = found
            bounded = [each for each in ef_or_nprobes if each <= found[1].ef_or_nprobe]
    last = best[1] if best else None
    for rerank_k in reversed(order[:middle]):
        if last is None or last.rerank_k > order[middle]:
            break  # the middle one does not reach the recall, or is slower than a larger one
        least = last.ef_or_nprobe
        found = timed(rerank_k, [each for each in ef_or_nprobes if least <= each <= MOST_TIMES * least])
        if found is None:
            break
        last = found[1]
        best = min(best or found, found, key=lambda each: each[0])
    return (_seconds(trial, queries, best[1], mask), best[1]) if best else None


def _least(
    trial: Trial,
    queries: Vectors,
    nearest: Vectors,
    mask: Mask | None,
    share: float,
    wanted: float,
    ef_or_nprobes: Sequence[int],
    rerank_k: int,
) -> Step | None:
    """Return the step of the least efSearch or nprobe that surely reaches the wanted recall, by halving."""
    best: Step | None = None
    low, high = 0, len(ef_or_nprobes)
    while low < high:
        middle = (low + high) // 2
        step, error = _tried(trial, queries, nearest, mask, share, ef_or_nprobes[middle], rerank_k)
        if step.recall - SURE * error >= wanted:
            best, high = step, middle
        else:
            low = middle + 1
    return best


def _tried(
    trial: Trial,
    queries: Vectors,
    nearest: Vectors,
    mask: Mask | None,
    share: float,
    ef_or_nprobe: int,
    rerank_k: int,
) -> tuple[Step, float]:
    reached, error = recall(trial(queries, ef_or_nprobe, rerank_k, mask), nearest)
    return Step(share, ef_or_nprobe, rerank_k, round(reached, 4)), error


def _together(trial: Trial, queries: Vectors, step: Step, mask: Mask | None) -> float:
    """Return the seconds of all queries in one call, which vary less than those of a single query."""
    started = time.perf_counter()
    trial(queries, step.ef_or_nprobe, step.rerank_k, mask)
    return time.perf_counter() - started


def _seconds(trial: Trial, queries: Vectors, step: Step, mask: Mask | None) -> float:
    """Return the seconds of one query: the lower quartile, which other work on the machine disturbs least."""
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        trial(query[None], step.ef_or_nprobe, step.rerank_k, mask)
        spent.append(time.perf_counter() - started)
    return float(np.percentile(spent, 25))


def _scan_seconds(queries: Vectors, vectors: Vectors, metric: Metric) -> float:
    """Return the seconds that a comparison of one query with one allowed row takes."""
    rows: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(vectors) - 1, 5000).astype(np.int64))
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        scan(query[None], [rows], taking(vectors), metric, min(K, len(rows)))
        spent.append(time.perf_counter() - started)
    return float(np.percentile(spent, 25)) / len(rows)

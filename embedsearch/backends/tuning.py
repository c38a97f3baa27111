"""Search parameters for a wanted recall, found on queries that the index does not hold.

Filters make an approximate index miss more: what it visits is mostly not allowed. So parameters are found for
several shares of allowed rows, and where comparing with every allowed row is as fast, that is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Mask, Rows
from embedsearch.backends.facts import Step
from embedsearch.backends.flat import BLOCK, scan
from embedsearch.distances.metric import Metric, Vectors

K = 10  # recall@10
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
MAX_QUERIES, QUERY_SHARE = 1000, 0.02
TIMED = 100  # single queries
MOST_TIMES = 4  # the effort of a greater depth
SURE = 1.645  # standard errors that the measured recall stands above the wanted one: 95 percent, one-sided


# (queries (q, d), effort, depth, allowed) -> distances (q, K) float32, ascending, infinite where none was
# found
Trial = Callable[[Vectors, int, int, Mask | None], Vectors]


def hold_out(count: int, seed: int = 0) -> Rows:
    """Return the rows that are kept out of the index until it is tuned with them as queries, ascending."""
    wanted = min(MAX_QUERIES, int(count * QUERY_SHARE))
    return np.sort(np.random.default_rng(seed).choice(count, wanted, replace=False))


def masks(count: int, seed: int = 1) -> Iterator[tuple[float, Mask | None]]:
    """Yield each share with rows chosen at random, (n,) of truth values; None for all.

    The rows of a small share are among those of a larger one.
    """
    draw = np.random.default_rng(seed).random(count, dtype=np.float32)
    for share in SHARES:
        yield share, None if share == 1 else draw < share


def truth(queries: Vectors, vectors: Vectors, allowed: Sequence[Mask], metric: Metric) -> list[Vectors]:
    """Return the exact distances of each query's 10 nearest under each mask, (q, 10) float32 each.

    The vectors are read once, in blocks. Fewer than 10 allowed rows leave infinite distances.
    """
    nearest = [np.full((len(queries), K), np.inf, np.float32) for _ in allowed]
    for start in range(0, len(vectors), BLOCK):
        part = np.asarray(vectors[start : start + BLOCK])
        for number, mask in enumerate(allowed):
            kept = part[mask[start : start + BLOCK]]
            if len(kept):
                far, _ = scan(queries, np.arange(len(kept)), kept, metric, min(K, len(kept)))
                nearest[number] = np.sort(np.concatenate([nearest[number], far], 1), axis=1)[:, :K]
    return nearest


def recall(found: Vectors, exact: Vectors) -> tuple[float, float]:
    """Return recall@10 and its standard error.

    A hit counts when it is no farther than the exact 10th neighbour, so that ties count alike.

    Args:
        found: distances (q, 10) float32.
        exact: the same of exact search; infinite beyond what exists.
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
    efforts: Sequence[int],
    depths: Sequence[int],
) -> list[Step]:
    """Find the fastest parameters that reach the wanted recall, for each share where they beat comparing all.

    Args:
        trial: searches the index.
        queries: (q, d) float32, ready; none of them is in the index.
        vectors: (n, d) raw.
        indexed: (n,) which of them the index holds.
        metric: which distance.
        wanted: recall@10.
        efforts: what may be tried, ascending.
        depths: the same.

    Returns:
        Steps by falling share. The first is for all rows, and the best there is where none reaches the
        recall. Below the last share, comparing with every allowed row is faster or alone exact enough.
    """
    shares = list(masks(len(vectors)))
    exact = truth(
        queries, vectors, [indexed if mask is None else indexed & mask for _, mask in shares], metric
    )
    scanned = _scan_seconds(queries, vectors, metric)
    steps: list[Step] = []
    for (share, mask), nearest in zip(shares, exact, strict=True):
        found = _fastest(
            trial, queries, nearest, mask, share, wanted, efforts, [steps[0].depth] if steps else depths
        )
        if found is None and steps:
            break
        if found is None:
            steps.append(_tried(trial, queries, nearest, mask, share, efforts[-1], depths[-1])[0])
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
    efforts: Sequence[int],
    depths: Sequence[int],
) -> tuple[float, Step] | None:
    """Return the step that surely has the wanted recall and answers all queries soonest; None where none has.

    Returned with it are the seconds of one query asked alone.

    A smaller depth needs no smaller effort, and one of several times the effort is no faster: so the deepest
    is tried first, and bounds the others.
    """
    best: tuple[float, Step] | None = None
    bounded = list(efforts)
    for depth in sorted(depths, reverse=True):
        step = _least_effort(trial, queries, nearest, mask, share, wanted, bounded, depth)
        if step is None:
            break
        spent = min(_together(trial, queries, step, mask) for _ in range(2))
        best = min(best or (spent, step), (spent, step), key=lambda each: each[0])
        bounded = [effort for effort in efforts if step.effort <= effort <= MOST_TIMES * step.effort]
    return (_seconds(trial, queries, best[1], mask), best[1]) if best else None


def _least_effort(
    trial: Trial,
    queries: Vectors,
    nearest: Vectors,
    mask: Mask | None,
    share: float,
    wanted: float,
    efforts: Sequence[int],
    depth: int,
) -> Step | None:
    """Return the step of the least effort whose recall is surely the wanted one, by halving the list."""
    best: Step | None = None
    low, high = 0, len(efforts)
    while low < high:
        middle = (low + high) // 2
        step, error = _tried(trial, queries, nearest, mask, share, efforts[middle], depth)
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
    effort: int,
    depth: int,
) -> tuple[Step, float]:
    reached, error = recall(trial(queries, effort, depth, mask), nearest)
    return Step(share, effort, depth, round(reached, 4)), error


def _together(trial: Trial, queries: Vectors, step: Step, mask: Mask | None) -> float:
    """Return the time of all queries in one call, which is more even than that of one."""
    started = time.perf_counter()
    trial(queries, step.effort, step.depth, mask)
    return time.perf_counter() - started


def _seconds(trial: Trial, queries: Vectors, step: Step, mask: Mask | None) -> float:
    """Return the time of one query: the lower quartile, which other work on the machine disturbs least."""
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        trial(query[None], step.effort, step.depth, mask)
        spent.append(time.perf_counter() - started)
    return float(np.percentile(spent, 25))


def _scan_seconds(queries: Vectors, vectors: Vectors, metric: Metric) -> float:
    """Return how long comparing one query with one allowed row takes."""
    rows: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(vectors) - 1, 5000).astype(np.int64))
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        scan(query[None], rows, vectors, metric, min(K, len(rows)))
        spent.append(time.perf_counter() - started)
    return float(np.percentile(spent, 25)) / len(rows)

"""Search parameters that reach a wanted recall, found with queries that the index does not hold.

Under a filter an approximate index misses more, as most of what it visits may not be found. So there are
parameters for several shares of allowed rows. Where it is as fast, each query is compared with all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Mask, Rows, taking
from embedsearch.backends.facts import Step
from embedsearch.backends.flat import ahead, scan, taken, to_distances
from embedsearch.distances.metric import Metric, Vectors

K = 10  # recall@10
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
MAX_QUERIES, QUERY_SHARE = 1000, 0.02
FEW_QUERIES, FEW_SHARE = 400, 0.1  # of small indexes: 80 queries of 4,000 rows left recalls of 0.90 to 0.93
MOST_PAIRS, SURE_QUERIES = 250_000_000, 250  # above so many pairs of a query and a row, fewer queries serve
TOGETHER = 4096  # rows that are compared with all queries together: what comes of it stays in the cache
TIMED = 40  # single queries
MOST_TIMES = 4  # the efSearch, or nprobe, of a larger rerank_k
SURE = 1.645  # standard errors by which the measured recall exceeds the wanted one: 95 percent, one-sided

# (queries (q, d), efSearch or nprobe, rerank_k, allowed) -> distances (q, K) float32, ascending, infinite
# where nothing was found
Trial = Callable[[Vectors, int, int, Mask | None], Vectors]


def hold_out(count: int, seed: int = 0) -> Rows:
    """Return rows, ascending, that are the queries to tune with, and are added to the index after that."""
    enough = max(int(count * QUERY_SHARE), min(FEW_QUERIES, int(count * FEW_SHARE)))
    wanted = min(MAX_QUERIES, max(MOST_PAIRS // max(count, 1), SURE_QUERIES), enough)
    return np.sort(np.random.default_rng(seed).choice(count, wanted, replace=False))


def draws(count: int, seed: int = 1) -> Vectors:
    """Return a random number from 0 to 1 for each row, (n,) float32; a share has the rows below it."""
    return np.random.default_rng(seed).random(count, dtype=np.float32)


def masks(count: int) -> Iterator[tuple[float, Mask | None]]:
    """Yield each share with a random mask of as many rows, (n,) of truth values; None for all.

    The rows of a smaller share are among the rows of a larger one.
    """
    draw = draws(count)
    for share in SHARES:
        yield share, None if share == 1 else draw < share


class Nearest:
    """The exact distances of queries to their 10 nearest rows under masks; rows are taken in part by part."""

    def __init__(self, queries: Vectors, masks: int, metric: Metric) -> None:
        """Begin.

        Args:
            queries: (q, d) float32, ready.
            masks: how many there are.
            metric: which distance.
        """
        # negated inner products; for l2 squared distances, less the query's own square: the least are nearest
        self._nearest = [np.full((len(queries), K), np.inf, np.float32) for _ in range(masks)]
        self._queries, self._metric = queries, metric
        self._towards = np.float32(-2 if metric is Metric.L2 else -1) * queries
        self._held = np.empty((len(queries), TOGETHER), np.float32)

    def take(self, part: Vectors, masks: Sequence[Mask]) -> None:
        """Compare each query with each row, once, whatever the number of masks.

        Args:
            part: (b, d) float32, ready.
            masks: of these rows, (b,) of truth values; each allows some of the rows of the one before it.
        """
        for start in range(0, len(part), TOGETHER):
            self._take(part[start : start + TOGETHER], [mask[start : start + TOGETHER] for mask in masks])

    def _take(self, part: Vectors, masks: Sequence[Mask]) -> None:
        depth = np.sum(masks, axis=0)  # (m, b) -> (b,)
        ends = [int(np.count_nonzero(depth > number)) for number in range(len(masks))]
        part = part[np.argsort(-depth, kind="stable")[: ends[0]]]  # the deepest first
        far = np.matmul(self._towards, part.T, out=self._held[:, : ends[0]])  # (q, d) (d, b) -> (q, b)
        if self._metric is Metric.L2:
            far += np.einsum("bd,bd->b", part, part)
        here, start = np.full(len(far), np.inf, np.float32), 0  # the nearest under a mask, (q,)
        for least, end in zip(reversed(self._nearest), reversed(ends), strict=True):  # from the deepest on
            if end > start:
                np.minimum(here, far[:, start:end].min(1), out=here)
                start = end
            closer = np.flatnonzero(here < least[:, -1])
            both = np.concatenate([least[closer], far[closer, :end]], 1)
            least[closer] = np.sort(np.partition(both, K - 1, axis=1)[:, :K], axis=1)

    def distances(self) -> list[Vectors]:
        """Return the distances under each mask, (q, 10) float32 each; infinite where fewer rows are there."""
        if self._metric is Metric.L2:
            squares = np.einsum("qd,qd->q", self._queries, self._queries)[:, None]
            return [to_distances(least + squares, self._metric) for least in self._nearest]
        return [
            np.where(np.isinf(least), least, to_distances(-least, self._metric)) for least in self._nearest
        ]


def truth(queries: Vectors, vectors: Vectors, allowed: Sequence[Mask], metric: Metric) -> list[Vectors]:
    """Return the exact distances of each query's 10 nearest rows under each mask, (q, 10) float32 each.

    Args:
        queries: (q, d) float32, ready.
        vectors: (n, d) raw.
        allowed: masks of rows, (n,) of truth values; each allows some of the rows of the one before it.
        metric: which distance.
    """
    nearest, vectors_of = Nearest(queries, len(allowed), metric), taking(vectors)

    def read(start: int) -> tuple[Rows, Vectors]:
        rows = start + np.flatnonzero(allowed[0][start : start + TOGETHER])
        return rows, taken(vectors_of, rows, metric)

    for rows, part in ahead(read, range(0, len(vectors), TOGETHER)):
        nearest.take(part, [mask[rows] for mask in allowed])
    return nearest.distances()


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
    exact: Sequence[Vectors],
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
        exact: (q, 10) float32 each, the exact distances among each share (see `masks`) of the indexed rows.
        metric: which distance.
        wanted: recall@10.
        ef_or_nprobes: values of efSearch, or of nprobe, to try, ascending.
        rerank_ks: values of rerank_k to try, ascending.

    Returns:
        Steps by falling share. The first is for all rows; where no parameters reach the recall, it holds the
        largest. Below the last share, exact search is faster, or it alone reaches the recall.
    """
    scanned = _scan_seconds(queries, vectors, metric)
    steps: list[Step] = []
    for trials in _by_share(trial, queries, len(vectors), exact, wanted):
        if not steps:
            found = _fastest(trials, ef_or_nprobes, rerank_ks)
            steps.append((found or trials.run(ef_or_nprobes[-1], rerank_ks[-1])).step)
            continue
        # the smaller the share, the more is visited
        more = [each for each in ef_or_nprobes if each >= steps[-1].ef_or_nprobe]
        found = trials.least(more, steps[0].rerank_k)
        if found is None or trials.single(found.step) > scanned * trials.share * len(vectors):
            break
        steps.append(found.step)
    return steps


def tune_each(
    trial: Trial,
    queries: Vectors,
    vectors: Vectors,
    indexed: Mask,
    metric: Metric,
    wanted: float,
    efs: Sequence[int],
) -> list[Step]:
    """Find the least efSearch that reaches the wanted recall for each share, for hits that are not re-ranked.

    Args:
        trial: searches the index.
        queries: (q, d) float32, ready; none of them is in the index.
        vectors: (n, d) raw.
        indexed: (n,) which of them the index holds.
        metric: which distance.
        wanted: recall@10.
        efs: values of efSearch to try, ascending.

    Returns:
        Steps by falling share, without those shares where no value reaches the recall. The first is for all
        rows; where none reaches it, it holds the largest.
    """
    allowed = [indexed if mask is None else indexed & mask for _, mask in masks(len(vectors))]
    exact = truth(queries, vectors, allowed, metric)
    steps: list[Step] = []
    for trials in _by_share(trial, queries, len(vectors), exact, wanted):
        found = trials.least(efs, K)
        if found is None and not steps:
            found = trials.run(efs[-1], K)
        if found is not None:
            steps.append(found.step)
    return steps


class _Tried(NamedTuple):
    """Parameters that were tried.

    Attributes:
        step: the parameters, with the recall that they reach.
        serves: whether that is surely the wanted one.
        seconds: of all queries in one call, which vary less than those of a single query.
    """

    step: Step
    serves: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class _Trials:
    """Searches among a share of the rows.

    Attributes:
        trial: searches the index.
        queries: (q, d) float32, ready.
        nearest: (q, 10) float32, the exact distances among the share.
        mask: (n,) of truth values, the rows of the share; None for all.
        share: of the rows.
        wanted: recall@10.
    """

    trial: Trial
    queries: Vectors
    nearest: Vectors
    mask: Mask | None
    share: float
    wanted: float

    def run(self, ef_or_nprobe: int, rerank_k: int) -> _Tried:
        """Search with all queries."""
        started = time.perf_counter()
        found = self.trial(self.queries, ef_or_nprobe, rerank_k, self.mask)
        seconds = time.perf_counter() - started
        reached, error = recall(found, self.nearest)
        step = Step(self.share, ef_or_nprobe, rerank_k, round(reached, 4))
        return _Tried(step, step.recall - SURE * error >= self.wanted, seconds)

    def least(self, ef_or_nprobes: Sequence[int], rerank_k: int) -> _Tried | None:
        """Return what serves with the least efSearch or nprobe; None if no value serves.

        From the first value on, which costs least, ever longer steps are taken until one serves; then the
        values before it are halved.
        """
        best: _Tried | None = None
        low, high, width = 0, len(ef_or_nprobes), 1
        while low < high:
            at = min(low + width, high) - 1 if best is None else (low + high) // 2
            tried = self.run(ef_or_nprobes[at], rerank_k)
            if tried.serves:
                best, high = tried, at
            else:
                low, width = at + 1, 2 * width
        return best

    def less(self, ef_or_nprobes: Sequence[int], rerank_k: int) -> _Tried | None:
        """Return what serves with the least efSearch or nprobe below the last value, which is known to serve.

        From the last value on ever longer steps are taken, as long as what they reach serves; then the values
        before it are halved. None if the value below the last one does not serve.
        """
        best: _Tried | None = None
        low, high, width = 0, len(ef_or_nprobes) - 1, 1
        while low < high:
            at = max(low, high - width) if width else (low + high) // 2
            tried = self.run(ef_or_nprobes[at], rerank_k)
            if tried.serves:
                best, high, width = tried, at, 2 * width
            else:
                low, width = at + 1, 0
        return best

    def single(self, step: Step) -> float:
        """Return the seconds of one query: the lower quartile, which other work disturbs least."""
        spent = []
        for query in self.queries[:TIMED]:
            started = time.perf_counter()
            self.trial(query[None], step.ef_or_nprobe, step.rerank_k, self.mask)
            spent.append(time.perf_counter() - started)
        return float(np.percentile(spent, 25))


def _by_share(
    trial: Trial, queries: Vectors, count: int, exact: Sequence[Vectors], wanted: float
) -> Iterator[_Trials]:
    """Yield what searches among each share of `count` rows, by falling share; the rest as `tune`."""
    for (share, mask), nearest in zip(masks(count), exact, strict=True):
        yield _Trials(trial, queries, nearest, mask, share, wanted)


def _fastest(trials: _Trials, ef_or_nprobes: Sequence[int], rerank_ks: Sequence[int]) -> _Tried | None:
    """Return the fastest parameters that surely reach the wanted recall; None if none do.

    A smaller rerank_k never needs a smaller efSearch or nprobe, and is no faster with one several times as
    large. The time of a query falls with rerank_k as less is visited, then rises as more is ranked again. So
    the middle rerank_k is tried first; larger ones as long as they are faster, or where the recall is not
    reached; then smaller ones, within the bounds that it sets.
    """
    order = sorted(rerank_ks)
    middle = len(order) // 2

    def timed(found: _Tried | None) -> _Tried | None:
        if found is None:
            return None
        again = trials.run(found.step.ef_or_nprobe, found.step.rerank_k)
        return found._replace(seconds=min(found.seconds, again.seconds))

    best: _Tried | None = None
    for rerank_k in order[middle:]:
        if best is None:
            best = timed(trials.least(ef_or_nprobes, rerank_k))
            continue
        least = best.step.ef_or_nprobe
        found = timed(trials.less([each for each in ef_or_nprobes if each <= least], rerank_k))
        if found is None or found.seconds >= best.seconds:
            break
        best = found
    last = best
    for rerank_k in reversed(order[:middle]):
        if last is None or last.step.rerank_k > order[middle]:
            break  # the middle one does not reach the recall, or is slower than a larger one
        least = last.step.ef_or_nprobe
        bounded = [each for each in ef_or_nprobes if least <= each <= MOST_TIMES * least]
        found = timed(trials.least(bounded, rerank_k))
        if found is None:
            break
        last = found
        best = min(best or found, found, key=lambda each: each.seconds)
    return best


def _scan_seconds(queries: Vectors, vectors: Vectors, metric: Metric) -> float:
    """Return the seconds that a comparison of one query with one allowed row takes."""
    rows: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(vectors) - 1, 5000).astype(np.int64))
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        scan(query[None], [rows], taking(vectors), metric, min(K, len(rows)))
        spent.append(time.perf_counter() - started)
    return float(np.percentile(spent, 25)) / len(rows)

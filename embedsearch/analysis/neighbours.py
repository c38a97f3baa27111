"""How near the items of an index are to one another: pairs within a distance, and usual distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Filter, Mask, Rows
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.progress import Progress
from embedsearch.store.build import Build

K = 16  # neighbours looked at first
NEAREST = 5  # of them are pairs at any distance
CROWDED = 10  # the neighbour whose distance tells how crowded the index is around an item
SAMPLE, PAIRS = 4000, 20_000
BLOCK = 1024  # queries at a time
NOISE = 1e-5  # error of FAISS's float32, as a share of a squared norm
OF_RANDOM, OF_CROWDED, LEAST_OF_RANDOM = 0.11, 0.3, 0.03
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual distances among the items of an index: squared for l2, as they are for cosine.

    A cosine distance is half the squared Euclidean distance of unit vectors, so one rule serves both.

    Attributes:
        metric: which distance.
        random: the median over random pairs.
        crowded: the lower quartile, over items, of the distance to the tenth neighbour; infinite where there
            are fewer neighbours.
        norm: the median squared norm of the vectors as they are compared; 1 for cosine.
        nearest: (s,) the distance of each item of the sample to its nearest other item.
    """

    metric: Metric
    random: float
    crowded: float
    norm: float
    nearest: Distances

    @property
    def threshold(self) -> float:
        """The default for the largest distance of two near copies.

        Resizing, compressing or cropping an image moves its vector by a share of the distance of two
        unrelated images, whatever the index holds: 11 percent of that distance is the upper bound. Where
        items lie close together, as questions on one subject do, that would join items that only resemble
        each other. So the threshold is at most 0.3 of the distance of the tenth neighbour in the more crowded
        quarter of the index. Where each item has ten copies or more, that would be almost 0. So the threshold
        is at least 3 percent.

        Measured with the bundled models. Clothing photos of which 36 percent are copies: 0.067, which finds
        92 percent of the copies and nothing else. BANKING77, where many questions are rewordings: 0.042, and
        98.6 percent of the joined questions have the intent of the kept one. WordNet's definitions: 0.105,
        within which 5 percent have another, with half of the words in common at the far end. The shares were
        chosen on these three. Held out, on Tux Paint's stamps: 0.079, which finds 64 percent of the copies at
        a precision of 0.79, as small images move farther when they are halved.
        """
        shared = min(max(OF_CROWDED * self.crowded, LEAST_OF_RANDOM * self.random), OF_RANDOM * self.random)
        return float(np.sqrt(shared)) if self.metric is Metric.L2 else shared


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of near items.

    Attributes:
        limit: the largest distance of which all pairs among the 15 nearest are here.
        first: (p,) rows.
        second: (p,) rows, greater than `first`.
        nearest: (p,) whether one of the two is among the `NEAREST` of the other.
        distances: (p,) ascending.
        complete: (n,) the distance within which all neighbours of a row are among the pairs.
    """

    limit: float
    first: Rows
    second: Rows
    nearest: Mask
    distances: Distances
    complete: Vectors


def square(distances: Any, metric: Metric) -> Any:
    """Return distances as `Usual` has them: squared for l2."""
    return distances**2 if metric is Metric.L2 else distances


def paired(build: Build, first: Rows, second: Rows) -> Distances:
    """Return the exact distance of each row of `first` to the row of `second` at its place, (p,).

    Computed in float64: identical vectors have the distance 0, and near ones keep their digits.
    """
    metric = build.manifest.metric
    found = np.empty(len(first))
    for start in range(0, len(first), BLOCK):
        part = slice(start, start + BLOCK)
        a, b = (np.asarray(build.take(rows[part]), np.float64) for rows in (first, second))  # (b, d)
        if metric is Metric.L2:
            found[part] = np.linalg.norm(a - b, axis=1)
        elif metric is Metric.IP:
            found[part] = -np.einsum("nd,nd->n", a, b)
        else:  # 1 - u.v = |u - v|^2 / 2 of unit vectors, without the loss of digits next to 1
            sizes = [np.linalg.norm(each, axis=1) for each in (a, b)]
            a, b = (
                each / np.where(size > 0, size, 1)[:, None] for each, size in zip((a, b), sizes, strict=True)
            )
            zeros = sum((size == 0) / 2 for size in sizes)  # of which the product is 0, and the distance 1
            found[part] = np.einsum("nd,nd->n", a - b, a - b) / 2 + zeros
    return found


def spread(rows: Rows, count: int, seed: int = 0) -> Rows:
    """Return a random sample of `rows`, ascending; the same for the same seed."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))


def random_pairs(rows: Rows, count: int = PAIRS, seed: int = 0) -> tuple[Rows, Rows]:
    """Return random pairs of different `rows`; none where there are fewer than two rows."""
    if len(rows) < 2:
        return rows[:0], rows[:0]
    draw = np.random.default_rng(seed)
    first = draw.integers(0, len(rows), count)
    second = (first + draw.integers(1, len(rows), count)) % len(rows)
    return rows[first], rows[second]


def measure_usual(build: Build, rows: Rows, chosen: Filter | None, sample: int = SAMPLE) -> Usual:
    """Measure the usual distances among some items of an index.

    Args:
        build: the index.
        rows: the items, ascending.
        chosen: the same as a filter; None where they are all items.
        sample: the number of items that are measured.
    """
    metric = build.manifest.metric
    asked = spread(rows, sample)
    nearest, crowded = [], []
    for start in range(0, len(asked), BLOCK):
        part = asked[start : start + BLOCK]
        far, found = build.backend.search(build.take(part), CROWDED + 1, chosen)
        far = np.where(found == part[:, None], np.inf, far).astype(np.float64)  # (b, k), itself last
        far = np.sort(far, axis=1)
        nearest.append(far[:, 0])
        crowded.append(far[:, CROWDED - 1] if far.shape[1] > CROWDED else np.full(len(far), np.inf))
    crowd = square(np.concatenate(crowded), metric) if crowded else np.array([np.inf])
    first, second = random_pairs(asked)
    vectors = build.take(asked)
    norms = np.einsum("nd,nd->n", vectors, vectors) if metric is not Metric.COSINE else np.ones(1)
    return Usual(
        metric,
        random=float(np.median(square(paired(build, first, second), metric))) if len(first) else 0.0,
        crowded=float(np.quantile(crowd, 0.25, method="lower")),
        norm=float(np.median(norms)) if len(norms) else 1.0,
        nearest=np.concatenate(nearest) if nearest else np.empty(0),
    )


def pairs_within(
    build: Build, rows: Rows, chosen: Filter | None, limit: float, usual: Usual, progress: Progress
) -> Pairs:
    """Find the pairs of items: within a distance among the 15 nearest of each, at any among the nearest five.

    Args:
        build: the index.
        rows: the items, ascending.
        chosen: the same as a filter; None where they are all items.
        limit: the distance.
        usual: what is usual among these items.
        progress: gets reports of the progress.
    """
    metric, count = build.manifest.metric, build.manifest.count
    rough = _rough(limit, usual)
    keys: list[Rows] = []
    nearest: list[Rows] = []
    complete = np.full(count, np.inf, np.float32)
    progress.stage("comparing each item with its neighbours", len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        far, found = build.backend.search(build.take(part), K, chosen)
        far = square(far, metric)
        if found.shape[1] == K:  # there may be more neighbours
            complete[part] = far[:, -1]
        others = found != part[:, None]
        close = others & (np.cumsum(others, axis=1) <= NEAREST)
        for kept, chosen_pairs in ((keys, others & (far <= rough)), (nearest, close)):
            near, place = np.nonzero(chosen_pairs)
            a, b = part[near], found[near, place]
            kept.append(np.unique(np.minimum(a, b) * count + np.maximum(a, b)))
        progress.advance(len(part))
    close_keys = np.unique(np.concatenate([np.empty(0, np.int64), *nearest]))
    key = np.unique(np.concatenate([close_keys, *keys]))
    first, second = key // count, key % count
    distances = paired(build, first, second)
    close = np.isin(key, close_keys)
    order = np.argsort(distances, kind="stable")
    order = order[(distances[order] <= limit) | close[order]]
    return Pairs(limit, first[order], second[order], close[order], distances[order], complete)


def all_within(
    build: Build, row: int, chosen: Filter | None, limit: float, usual: Usual
) -> tuple[Rows, Distances]:
    """Return all items within a distance of an item, and their distances, nearest first."""
    rough, k = _rough(limit, usual), 4 * K
    query = build.take(np.array([row]))
    while True:
        far, found = build.backend.search(query, k, chosen)
        if found.shape[1] < k or square(far[0, -1], usual.metric) > rough:
            break
        k *= 4
    rows = found[0][(found[0] != row) & (square(far[0], usual.metric) <= rough)]
    distances = paired(build, np.full(len(rows), row), rows)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= limit]
    return rows[order], distances[order]


def overflows(pairs: Pairs, limit: float, usual: Usual) -> Mask:
    """Return which rows may have more neighbours within `limit` than the pairs hold, (n,)."""
    return pairs.complete <= np.float32(_rough(limit, usual))


def _rough(limit: float, usual: Usual) -> float:
    """Return a distance, as `Usual` has it, within which the backend surely finds all within `limit`."""
    return float(square(limit, usual.metric)) * 1.001 + NOISE * usual.norm

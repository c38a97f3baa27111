"""How near the items of an index lie to one another: pairs within a distance, and what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Mask, Rows
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.progress import Progress
from embedsearch.store.build import Build

K = 16  # neighbours looked at first
CROWDED = 10  # the neighbour whose distance says how crowded it is around an item
SAMPLE, PAIRS = 4000, 20_000
BLOCK = 1024  # queries at a time
NOISE = 1e-5  # how wrong FAISS's float32 may be, as a share of a squared norm
OF_RANDOM, OF_CROWDED, LEAST_OF_RANDOM = 0.11, 0.3, 0.03
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual among the items of an index, in squared distances for l2 and in distances for cosine.

    A cosine distance is half a squared Euclidean one of unit vectors, so one rule serves both.

    Attributes:
        metric: which distance.
        random: the median over random pairs.
        crowded: the lower quartile, over items, of the distance to the tenth neighbour; infinite where there
            are fewer neighbours.
        norm: the median squared norm of vectors as they are compared: 1 for cosine.
        nearest: (s,) the distance to the nearest other item, of each item of the sample.
    """

    metric: Metric
    random: float
    crowded: float
    norm: float
    nearest: Distances

    @property
    def threshold(self) -> float:
        """The distance up to which two items count as copies, where nobody says otherwise.

        An encoder moves a picture that was resized, compressed or cropped by a share of the distance of two
        unrelated ones, whatever the index holds: 11 percent of it is the upper bound. Where items lie close
        together, as questions on one subject do, that would join what only resembles: so it is at most 0.3
        of the distance at which the tenth neighbour lies in the more crowded quarter of the index. Where each
        item has ten copies and more, that would be next to nothing: so it is at least 3 percent.

        Measured with the bundled models: clothing photos with 36 percent of copies 0.067, which finds 92
        percent of them and nothing else; BANKING77, where many questions have a rewording, 0.042, and 98.6
        percent of those joined have the intent of the one kept; WordNet's definitions 0.105, which 5 percent
        have another within, with half of the words in common at the far end. The shares were chosen on these
        three. Held out, on Tux Paint's stamps: 0.079, 64 percent of them at a precision of 0.79, as small
        pictures move farther when they are halved.
        """
        shared = min(max(OF_CROWDED * self.crowded, LEAST_OF_RANDOM * self.random), OF_RANDOM * self.random)
        return float(np.sqrt(shared)) if self.metric is Metric.L2 else shared


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of near items.

    Attributes:
        limit: up to which distance they were looked for.
        first: (p,) rows.
        second: (p,) rows, greater than `first`.
        distances: (p,) ascending.
        complete: (n,) up to which distance all neighbours of a row are among the pairs.
    """

    limit: float
    first: Rows
    second: Rows
    distances: Distances
    complete: Vectors


def square(distances: Any, metric: Metric) -> Any:
    """Return distances in the terms of `Usual`."""
    return distances**2 if metric is Metric.L2 else distances


def paired(build: Build, first: Rows, second: Rows) -> Distances:
    """Return the exact distance of each row of `first` to the row of `second` beside it, (p,).

    Computed in float64: identical vectors are 0 apart, and near ones keep their digits.
    """
    metric = build.manifest.metric
    found = np.empty(len(first))
    for start in range(0, len(first), BLOCK):
        part = slice(start, start + BLOCK)
        a, b = (np.asarray(build.vectors[rows[part]], np.float64) for rows in (first, second))  # (b, d)
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
    """Return a random sample of `rows`, ascending, the same for the same seed."""
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


def measure_usual(build: Build, rows: Rows, allow: Mask | None, sample: int = SAMPLE) -> Usual:
    """Measure what is usual among some items of an index.

    Args:
        build: the index.
        rows: those items, ascending.
        allow: (n,) the same as truth values; None where they are all.
        sample: how many of them are looked at.
    """
    metric = build.manifest.metric
    asked = spread(rows, sample)
    nearest, crowded = [], []
    for start in range(0, len(asked), BLOCK):
        part = asked[start : start + BLOCK]
        far, found = build.backend.search(np.asarray(build.vectors[part], np.float32), CROWDED + 1, allow)
        far = np.where(found == part[:, None], np.inf, far).astype(np.float64)  # (b, k), itself last
        far = np.sort(far, axis=1)
        nearest.append(far[:, 0])
        crowded.append(far[:, CROWDED - 1] if far.shape[1] > CROWDED else np.full(len(far), np.inf))
    crowd = square(np.concatenate(crowded), metric) if crowded else np.array([np.inf])
    first, second = random_pairs(asked)
    vectors = np.asarray(build.vectors[asked], np.float32)
    norms = np.einsum("nd,nd->n", vectors, vectors) if metric is not Metric.COSINE else np.ones(1)
    return Usual(
        metric,
        random=float(np.median(square(paired(build, first, second), metric))) if len(first) else 0.0,
        crowded=float(np.quantile(crowd, 0.25, method="lower")),
        norm=float(np.median(norms)) if len(norms) else 1.0,
        nearest=np.concatenate(nearest) if nearest else np.empty(0),
    )


def pairs_within(
    build: Build, rows: Rows, allow: Mask | None, limit: float, scale: Usual, progress: Progress
) -> Pairs:
    """Find the pairs of items that lie within a distance, by the 15 nearest neighbours of each.

    Args:
        build: the index.
        rows: the items, ascending.
        allow: (n,) the same as truth values; None where they are all.
        limit: the distance.
        scale: of these items.
        progress: who is told how it goes on.
    """
    metric, count = build.manifest.metric, len(build.vectors)
    rough = _rough(limit, scale)
    keys: list[Rows] = []
    complete = np.full(count, np.inf, np.float32)
    progress.stage("comparing each item with its neighbours", len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        far, found = build.backend.search(np.asarray(build.vectors[part], np.float32), K, allow)
        far = square(far, metric)
        if found.shape[1] == K:  # there may be more
            complete[part] = far[:, -1]
        near, place = np.nonzero((far <= rough) & (found != part[:, None]))
        a, b = part[near], found[near, place]
        keys.append(np.unique(np.minimum(a, b) * count + np.maximum(a, b)))
        progress.advance(len(part))
    key = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    first, second = key // count, key % count
    distances = paired(build, first, second)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= limit]
    return Pairs(limit, first[order], second[order], distances[order], complete)


def all_within(
    build: Build, row: int, allow: Mask | None, limit: float, scale: Usual
) -> tuple[Rows, Distances]:
    """Return all items within a distance of one, and how far they are, nearest first."""
    rough, k = _rough(limit, scale), 4 * K
    query = np.asarray(build.vectors[row : row + 1], np.float32)
    while True:
        far, found = build.backend.search(query, k, allow)
        if found.shape[1] < k or square(far[0, -1], scale.metric) > rough:
            break
        k *= 4
    rows = found[0][(found[0] != row) & (square(far[0], scale.metric) <= rough)]
    distances = paired(build, np.full(len(rows), row), rows)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= limit]
    return rows[order], distances[order]


def overflows(pairs: Pairs, limit: float, scale: Usual) -> Mask:
    """Return of which rows there may be more neighbours within `limit` than are among the pairs, (n,)."""
    return pairs.complete <= np.float32(_rough(limit, scale))


def _rough(limit: float, scale: Usual) -> float:
    """Return a distance, in the terms of `Usual`, that the backend surely finds all of `limit` within."""
    return float(square(limit, scale.metric)) * 1.001 + NOISE * scale.norm

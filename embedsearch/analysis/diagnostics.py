"""Diagnostics of a whole index: hubs, a common direction, copies, and lengths of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.analysis.duplicates import DuplicateFinder
from embedsearch.analysis.neighbours import BLOCK, random_pairs, spread
from embedsearch.backends import Rows
from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.encoders.rows import learnt_of
from embedsearch.modalities import UNITS
from embedsearch.progress import Progress, Silent
from embedsearch.store.build import Build
from embedsearch.store.manifest import COLUMNS

SAMPLE = 10_000
K = 10
HUBS = 10
Counts = npt.NDArray[np.int64]


def diagnose(build: Build, sample: int = SAMPLE, progress: Progress | None = None) -> dict[str, Any]:
    """Measure an index; a large one by a sample, which is the same each time.

    Args:
        build: the index.
        sample: the number of items that are measured and whose neighbours are searched.
        progress: gets reports of the progress.

    Returns:
        `asked`: the number of items that were measured.
        `hubness`: `k`; the `mean` count of how many measured items have an item among their k nearest
        neighbours; the `skewness` of N_k, which is that count over all items (Radovanović et al. 2010; None
        for too few items); and `hubs`, the items with the largest counts: `id`, `count`, and the `share` of
        the measured items.
        `anisotropy`: the mean cosine of random pairs (Ethayarajh 2019), -1 to 1; None for a single item.
        `duplicates`: `exact`, the share of items whose content an earlier one has; `near`, the share of
        different contents that have another within `threshold`. None for words and inner products.
        `columns`: of rows of a table, the `name` of each column, its `weight`, and its `share` (0 to 1) of
        the squared distance of random pairs, the largest first; None for what is no row.
        `norms`: `mean`, `std`, `min` and `max` of the lengths of the stored vectors.
    """
    progress = progress or Silent()
    rows = spread(np.arange(build.manifest.count), sample)
    counts = occurrences(build, rows, progress)
    vectors = build.take(rows)
    first, second = random_pairs(np.arange(len(rows)))
    unit = normalized(vectors)
    cosines = [
        np.einsum("nd,nd->n", unit[first[at : at + BLOCK]], unit[second[at : at + BLOCK]])
        for at in range(0, len(first), BLOCK)
    ]
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return {
        "asked": len(rows),
        "hubness": {
            "k": K,
            "mean": round(float(counts.mean()), 4),
            "skewness": _rounded(skewness(counts, len(rows))),
            "hubs": _hubs(build, counts, len(rows)),
        },
        "anisotropy": _rounded(float(np.concatenate(cosines).mean()) if cosines else None),
        "duplicates": _duplicates(build, progress),
        "columns": _columns(build, vectors, first, second),
        "norms": {
            "mean": _rounded(float(norms.mean())),
            "std": _rounded(float(norms.std())),
            "min": _rounded(float(norms.min())),
            "max": _rounded(float(norms.max())),
        },
    }


def occurrences(build: Build, rows: Rows, progress: Progress, k: int = K) -> Counts:
    """Return in how many of these rows' `k` nearest neighbours each row of the index stands, (n,).

    No row is its own neighbour.
    """
    counts = np.zeros(build.manifest.count, np.int64)
    progress.stage("asking for neighbours", len(rows))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        _, found = build.backend.search(build.take(part), k + 1)
        own = found == part[:, None]
        own[~own.any(1), -1] = True  # among more copies than k an item may not find itself
        np.add.at(counts, found[~own], 1)
        progress.advance(len(part))
    return counts


def skewness(counts: Counts, asked: int) -> float | None:
    """Return the skewness of N_k over all items, from the counts of a sample of the items that were asked.

    Drawn without replacement, a count c of N has the factorial moments E[c (c-1) ...] = N (N-1) ... times
    m (m-1) ... / (n (n-1) ...), so dividing by that gives the moments of N without bias. With all items asked
    it is the skewness itself.

    Args:
        counts: (n,) see `occurrences`.
        asked: m, how many items were asked.

    Returns:
        None where there is no skewness: too few items, or all occur equally often.
    """
    count = len(counts)
    if asked < 3 or count < 3:
        return None
    c = counts.astype(np.float64)
    shares = np.cumprod([(asked - each) / (count - each) for each in range(3)])
    one, two, three = (
        float(falling.mean()) / share
        for falling, share in zip((c, c * (c - 1), c * (c - 1) * (c - 2)), shares.tolist(), strict=True)
    )
    square, cube = two + one, three + 3 * two + one  # E[N^2] and E[N^3]
    variance = square - one**2
    if variance <= 1e-9:
        return None
    return float((cube - 3 * one * square + 2 * one**3) / variance**1.5)


def _hubs(build: Build, counts: Counts, asked: int) -> list[dict[str, Any]]:
    most = np.argsort(-counts, kind="stable")[:HUBS]
    most = most[counts[most] > 0]
    ids = build.read(most.tolist(), ["id"])["id"]
    return [
        {"id": identity, "count": count, "share": round(count / asked, 4)}
        for identity, count in zip(ids, counts[most].tolist(), strict=True)
    ]


def _duplicates(build: Build, progress: Progress) -> dict[str, Any] | None:
    if not UNITS[build.manifest.unit].has_duplicates or build.manifest.metric is Metric.IP:
        return None
    progress.stage("looking for copies")
    finder = DuplicateFinder(build)
    threshold = finder.usual.threshold
    checked = finder.checkable
    if checked:
        copies = sum(len(group.members) for group in finder.find(progress=progress).near)
        near = copies / max(1, len(finder.firsts))
    else:
        near = float((finder.usual.nearest <= threshold).mean())
    return {
        "exact": round(1 - len(finder.firsts) / build.manifest.count, 4),
        "near": round(near, 4),
        "threshold": threshold,
        "checked": checked,
    }


def _columns(build: Build, vectors: Vectors, first: Rows, second: Rows) -> list[dict[str, Any]] | None:
    """Return how much each column makes of the squared distances of pairs; see `diagnose`.

    Args:
        build: the index.
        vectors: (m, d) some of its vectors.
        first: (p,) which of these are the one half of a pair.
        second: (p,) and which the other.
    """
    if not UNITS[build.manifest.unit].by_columns:
        return None
    learnt = learnt_of(str(build.folder / COLUMNS))
    squares = np.zeros(vectors.shape[1])
    for at in range(0, len(first), BLOCK):
        apart = vectors[first[at : at + BLOCK]].astype(np.float64) - vectors[second[at : at + BLOCK]]
        squares += np.einsum("nd,nd->d", apart, apart)
    total = float(squares.sum()) or 1.0
    shares = [
        {
            "name": column.name,
            "weight": column.weight,
            "share": round(float(squares[place].sum()) / total, 4),
        }
        for column, place in zip(learnt.columns, learnt.places, strict=True)
    ]
    return sorted(shares, key=lambda each: -each["share"])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

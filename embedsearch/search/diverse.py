"""Different hits: of items that are alike, the next that is chosen is near the query and unlike the others.

Maximal marginal relevance, Carbonell & Goldstein 1998: with s for similarity, each step takes the candidate d
with the largest `TRADE * s(query, d) - (1 - TRADE) * max s(chosen, d)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from embedsearch.distances.metric import Metric, Vectors, distances, similarity
from embedsearch.distances.pairs import ROUNDING
from embedsearch.distances.scale import Scale
from embedsearch.search.fused import Candidate

TRADE = 0.5  # what nearness to the query counts; difference from the other hits counts the rest
CANDIDATES = 50  # that are chosen from at least
MOST_CANDIDATES = 1000


def spread_over(k: int) -> int:
    """Return how many of the nearest `k` different ones are chosen from."""
    return min(max(CANDIDATES, 4 * k), max(k, MOST_CANDIDATES))


def diverse(
    found: Sequence[Candidate], vectors: Vectors, metric: Metric, scale: Scale | None, k: int
) -> list[Candidate]:
    """Return up to `k` candidates that differ from one another, the nearest to the query first.

    A copy of one that was chosen, at hardly any distance, is counted there and not chosen.

    Args:
        found: the candidates, nearest first; the first `MOST_CANDIDATES` are chosen from.
        vectors: (n, d) float32 of the candidates.
        metric: which distance.
        scale: of the distances of a query to `vectors`; a candidate that was found by another distance counts
            as near as one of the same percentile.
        k: how many.
    """
    left = list(range(min(len(found), MOST_CANDIDATES)))
    near = np.array([similarity(_as_in(scale, each), metric) for each in found])  # (n,)
    alike = np.full(len(found), -np.inf)  # to the most similar one that was chosen
    chosen: dict[int, Candidate] = {}
    while left and len(chosen) < k:
        margins = near[left] if not chosen else TRADE * near[left] - (1 - TRADE) * alike[left]
        best = left[int(margins.argmax())]
        far = distances(vectors[best : best + 1], vectors, metric)[0]  # (1, d) (n, d) -> (n,)
        same = ROUNDING if scale is None else scale.pairs.same
        copies = [at for at in left if at != best and far[at] <= same]
        more = sum(1 + found[at].copies for at in copies)
        chosen[best] = replace(found[best], copies=found[best].copies + more)
        alike = np.maximum(alike, [similarity(each, metric) for each in far.tolist()])
        left = [at for at in left if at != best and at not in copies]
    return list(chosen.values())


def _as_in(scale: Scale | None, candidate: Candidate) -> float:
    """Return the distance of a candidate on a scale, by its percentile where its own scale is another."""
    own = candidate.looked.scale
    if scale is None or own is None or own is scale:
        return candidate.distance
    return float(scale.pairs.distances_at(own.pairs.percentiles([candidate.distance]))[0])

"""Names of parts of a map for closer looks: finer groups, by where items lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedsearch.backends import Rows
from embedsearch.backends.kmeans import assign, centroids
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.maps.inputs import SEED, MapInputs, Points, sample, xy_of
from embedsearch.maps.labels import distinctive_words, documents

LEVELS = (32, 160)  # parts of a map at each closer look
LEAST = 25  # items of a part, on average; a map of fewer has no such level
NAMED = 8_000  # items that parts are found and named from


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a map, where the median of its items lies."""

    name: str
    x: float
    y: float
    size: int


def regions(inputs: MapInputs, points: Points, names: str) -> list[list[Region]]:
    """Return the parts of a map for each closer look, the coarse ones first; none for few items.

    Parts are k-means groups of places on the map; each is named by the words that set it apart, as groups of
    the map are.

    Args:
        inputs: the items of the map.
        points: (n,) of `POINT`.
        names: the field that the names come from; empty for texts or captions.
    """
    levels = [count for count in LEVELS if count * LEAST <= len(points)]
    if not levels:
        return []
    rows = sample(inputs.keys, NAMED)
    texts, xy = documents(inputs.items, rows, names), xy_of(points)  # (n, 2)
    return [_level(texts, xy, rows, count) for count in levels]


def _level(texts: list[str], xy: Vectors, rows: Rows, count: int) -> list[Region]:
    labels = assign(xy, Metric.L2, centroids(xy, rows, Metric.L2, count, None, SEED))  # (n,)
    words = distinctive_words(texts, labels[rows], count)
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.searchsorted(labels[order], np.arange(1, count)))
    found = []
    for own, said in zip(members, words, strict=True):
        if said:
            x, y = np.median(xy[own], axis=0).tolist()
            found.append(Region(", ".join(said[:2]), x, y, len(own)))
    return sorted(found, key=lambda region: -region.size)

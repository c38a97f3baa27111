"""Groups of items, by their vectors; each named by the words that set it apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Rows, taking
from embedsearch.backends.flat import taken
from embedsearch.backends.kmeans import assign, centroids
from embedsearch.distances.metric import Vectors
from embedsearch.maps.inputs import SEED, MapInputs, Points, PreviousMap, Settings, sample
from embedsearch.maps.labels import distinctive_words, documents
from embedsearch.store.facts import GroupFacts

MOST = 8  # as many colours as people can tell apart, also without seeing red or green
LEARNED = 20_000  # items that groups are learned and named from


def grouped(inputs: MapInputs, settings: Settings, earlier: PreviousMap | None) -> npt.NDArray[np.int16]:
    """Return the group of each item, (n,) from 0: k-means over the vectors, not over the map.

    There are as many as asked for, else the root of half the items (Mardia, Kent and Bibby 1979), 8 at most.
    Groups of an earlier map keep their numbers, where there are as many.
    """
    count = min(settings.clusters or min(MOST, round((len(inputs.vectors) / 2) ** 0.5)), len(inputs.vectors))
    learned = sample(inputs.keys, LEARNED)
    if count <= 1:
        return np.zeros(len(inputs.vectors), np.int16)
    start = None
    if earlier is not None and len(earlier.facts.clusters) == count:
        start = _centres(inputs, learned, earlier, count)
    centres = centroids(inputs.vectors, learned, inputs.metric, count, start, SEED)
    labels = assign(inputs.vectors, inputs.metric, centres)
    # centres that are alike leave groups empty
    return np.unique(labels, return_inverse=True)[1].astype(np.int16)


def _centres(inputs: MapInputs, rows: Rows, earlier: PreviousMap, count: int) -> Vectors | None:
    """Return the means of what is left of an earlier map's groups, (count, d); None where one is empty."""
    rows = rows[earlier.rows[rows] >= 0]
    labels = earlier.points["cluster"][earlier.rows[rows]]
    sizes = np.bincount(labels, minlength=count)
    if not sizes.all():
        return None
    sums = np.zeros((count, inputs.vectors.shape[1]), np.float32)
    np.add.at(sums, labels, taken(taking(inputs.vectors), rows, inputs.metric))
    return np.asarray(sums / sizes[:, None], np.float32)


def named(inputs: MapInputs, settings: Settings, points: Points) -> tuple[GroupFacts, ...]:
    """Return the groups of a map with their names."""
    rows = sample(inputs.keys, LEARNED)
    labels = points["cluster"]
    groups = int(labels.max()) + 1
    texts = documents(inputs.items, rows, settings.names)
    words = distinctive_words(texts, labels[rows], groups)
    found: list[GroupFacts] = []
    for group in range(groups):
        own = points[labels == group]
        x, y = (float(np.median(own[axis])) if len(own) else 0.0 for axis in ("x", "y"))
        name = ", ".join(words[group]) or f"group {group + 1}"
        alike = sum(each.words == tuple(words[group]) for each in found)
        found.append(
            GroupFacts(
                name=f"{name} ({alike + 1})" if alike and words[group] else name,
                words=tuple(words[group]),
                size=len(own),
                x=round(x, 5),
                y=round(y, 5),
            )
        )
    return tuple(found)

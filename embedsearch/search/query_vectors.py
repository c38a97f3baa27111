"""A query to the vector that is compared with the items, and where it is compared."""

from __future__ import annotations

from dataclasses import dataclass

from embedsearch.backends import Backend
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.scale import Scale


@dataclass(frozen=True, slots=True)
class Space:
    """Where a query is compared with the items of an index.

    Attributes:
        vector: (1, d) float32, the query there, raw.
        backend: the index that is searched.
        vectors: (n, d) what it is over, raw.
        metric: the distance of the hits.
        scale: what such distances are like; None where that was not measured.
        by: what brought the query there, see `Crossmodal.by`; empty for the index's own space.
    """

    vector: Vectors
    backend: Backend
    vectors: Vectors
    metric: Metric
    scale: Scale | None
    by: str = ""

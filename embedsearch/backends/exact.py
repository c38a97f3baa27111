"""Exact search: every query is compared with every vector (FAISS IndexFlat)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from embedsearch.backends import Filter, Rows, Settings, Take
from embedsearch.backends.facts import IndexFacts
from embedsearch.backends.files import read_index, write_index
from embedsearch.backends.flat import (
    BLOCK,
    bitmap,
    faiss_metric,
    findable,
    nothing,
    once,
    ready,
    to_distances,
    without,
)
from embedsearch.backends.threads import one_thread
from embedsearch.distances.metric import Metric, Vectors

ROUNDING = 1e-5
# Numbers that one query is compared with by one thread. Several threads wait actively for each other: where
# other programs compute too, two took ten times the processor time for 20,000 vectors of 384 (FAISS 1.15).
# FAISS computes 10,000 vectors and more otherwise in one thread than in several, and the last digits differ:
# so the build says which it was, and one of an earlier version answers as before.
ALONE = 2**25


class ExactBackend:
    """A flat FAISS index: inner products for ip and cosine (of unit vectors), squared distances for l2."""

    def __init__(self, index: Any, metric: Metric, facts: IndexFacts) -> None:
        self._index = index
        self._metric = metric
        self.facts = facts

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:  # noqa: ARG003
        """See `Backend.build`."""
        facts = IndexFacts("exact", threads=int(vectors.size <= ALONE))
        backend = cls(faiss.IndexFlat(vectors.shape[1], faiss_metric(metric)), metric, facts)
        for start in range(0, len(vectors), BLOCK):
            backend._index.add(ready(vectors[start : start + BLOCK], metric))
        return backend

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:  # noqa: ARG003
        """See `Backend.locate`; the index holds its vectors itself."""
        return cls(read_index(path), metric, facts)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        write_index(self._index, path)

    def extend(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:  # noqa: ARG002
        """See `Backend.extend`: to build a flat index anew takes no longer."""
        return None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        left_out = once(exclude)
        k = min(k, findable(len(self), filter, left_out))
        if k == 0:
            return nothing(queries)
        chosen = _chosen(filter, left_out, k)
        parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
        alone = self.facts.threads == 1 and len(queries) == 1
        with one_thread() if alone else nullcontext():
            values, rows = self._index.search(ready(queries, self._metric), k, params=parameters)
        far = to_distances(values, self._metric)
        order = np.lexsort((rows, far))  # FAISS returns the later of two equal ones first
        return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.within`: one pass over all distances."""
        chosen = without(None if filter is None else bitmap(filter.mask), once(exclude))
        parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
        # FAISS leaves out what lies at the radius itself, and rounds
        wider = limit + ROUNDING * max(1.0, abs(limit))
        radius = {Metric.COSINE: 1 - wider, Metric.IP: -wider, Metric.L2: max(wider, 0.0) ** 2}[self._metric]
        _, values, rows = self._index.range_search(ready(query, self._metric), radius, params=parameters)
        far = to_distances(values[None], self._metric)  # (m,) -> (1, m)
        order = np.lexsort((rows, far[0]))
        order = order[far[0][order] <= limit]
        return far[:, order], rows[None, order]


def _chosen(filter: Filter | None, left_out: Rows, k: int) -> Any:
    """Return the FAISS selector of the rows that may be found; None for all.

    FAISS reads the rows of a list alone, and tests each row of the index against a bitmap: distances are the
    same to the last digit. For as many neighbours as it collects in a reservoir it keeps other rows of equal
    distances, so a bitmap stays there.
    """
    if filter is None or k >= faiss.cvar.distance_compute_min_k_reservoir:
        return without(None if filter is None else bitmap(filter.mask), left_out)
    rows = filter.rows[~np.isin(filter.rows, left_out)] if len(left_out) else filter.rows
    return faiss.IDSelectorArray(rows)

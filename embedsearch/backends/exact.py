"""Exact search: every query is compared with every vector (FAISS IndexFlat)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
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
HALVED = 2**20  # numbers; fewer stay in the processor's cache, and halves gain nothing
SPARE = 16  # rows that are looked at beyond those wanted


class ExactBackend:
    """A flat FAISS index: inner products for ip and cosine (of unit vectors), squared distances for l2.

    To compare one query takes as long as to read the vectors. So from the second query on it is compared with
    halves of them, float16, and with the few vectors themselves that may be among the nearest: the answer is
    the same to the last digit.
    """

    def __init__(self, index: Any, metric: Metric, facts: IndexFacts) -> None:
        self._index = index
        self._metric = metric
        self.facts = facts
        self._is_asked = False  # a process that asks once needs no halves

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
        chosen, asked = _chosen(filter, left_out, k), ready(queries, self._metric)
        alone = self.facts.threads == 1 and len(queries) == 1
        with one_thread() if alone else nullcontext():
            if alone and chosen is None and self._is_halved(k):
                chosen = self._nearest(asked, k)
            parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
            values, rows = self._index.search(asked, k, params=parameters)
        far = to_distances(values, self._metric)
        order = np.lexsort((rows, far))  # FAISS returns the later of two equal ones first
        return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)

    def _is_halved(self, k: int) -> bool:
        """Whether halves help to find `k` neighbours; from the second time on that this is asked."""
        few = k < faiss.cvar.distance_compute_min_k_reservoir  # see `_chosen`
        if self._metric is not Metric.COSINE or not few or len(self) * self._index.d < HALVED:
            return False
        was_asked, self._is_asked = self._is_asked, True
        return was_asked

    @cached_property
    def _halves(self) -> tuple[Any, float]:
        """The vectors in float16 as a FAISS index, and by how much a product with a unit vector may differ.

        That is the length of what float16 cuts off, and what float32 rounds in both sums.
        """
        dimension = self._index.d
        halves = faiss.IndexScalarQuantizer(
            dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        longest = 0.0
        for start in range(0, len(self), BLOCK):
            part = self._index.reconstruct_n(start, min(BLOCK, len(self) - start))  # (b, d)
            halves.add(part)
            part -= halves.reconstruct_n(start, len(part))
            longest = max(longest, float(np.einsum("nd,nd->n", part, part).max()) ** 0.5)
        return halves, longest + 2 * dimension * float(np.finfo(np.float32).eps)

    def _nearest(self, query: Vectors, k: int) -> Any:
        """Return the FAISS selector of rows that hold the `k` nearest of (1, d); None where it may be any."""
        halves, error = self._halves
        values, rows = halves.search(query, min(k + SPARE, len(self)))
        least = values[0, k - 1] - 2 * error
        if values.shape[1] < len(self) and values[0, -1] >= least:
            return None
        return faiss.IDSelectorArray(np.sort(rows[0, values[0] >= least]))

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

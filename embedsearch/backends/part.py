"""Exact search by some of the components of vectors: a query that names some columns of a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Filter, Rows, Take, grown
from embedsearch.backends.flat import blocks, findable, nothing, ready, scan
from embedsearch.distances.metric import Metric, Vectors


class PartSearch:
    """Compares a query with every vector, by some of the components; searched as a `Backend` is."""

    def __init__(self, count: int, take: Take, components: npt.NDArray[np.int64], metric: Metric) -> None:
        """Choose the components.

        Args:
            count: how many vectors there are.
            take: gives the raw vectors of rows: (m,) -> (m, d) float32.
            components: (e,) which of the d count.
            metric: which distance.
        """
        self._count, self._take, self._components, self._metric = count, take, components, metric

    def __len__(self) -> int:
        return self._count

    def take(self, rows: Rows) -> Vectors:
        """Return the components of some vectors: (m,) rows -> (m, e) float32."""
        return np.ascontiguousarray(self._take(rows)[:, self._components])

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.search`; queries are (q, e) float32."""
        left_out = np.unique(np.asarray(exclude, np.int64))
        k = min(k, findable(self._count, filter, left_out))
        if k == 0:
            return nothing(queries)
        rows = blocks(self._count, filter, left_out)
        return scan(ready(queries, self._metric), rows, self.take, self._metric, k)

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.within`."""
        return grown(lambda k: self.search(query, k, filter, exclude), limit)

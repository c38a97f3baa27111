"""Exact search: every query is compared with every vector (FAISS IndexFlat)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from embedsearch.backends import Mask, Rows, Settings
from embedsearch.backends.facts import IndexFacts
from embedsearch.backends.files import read_index, write_index
from embedsearch.backends.flat import BLOCK, faiss_metric, ready, selector, to_distances
from embedsearch.distances.metric import Metric, Vectors


class ExactBackend:
    """A flat FAISS index: inner products for cosine (of unit vectors) and ip, squares for l2."""

    facts = IndexFacts("exact")

    def __init__(self, index: Any, metric: Metric) -> None:
        self._index = index
        self._metric = metric

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:  # noqa: ARG003
        """See `Backend.build`."""
        backend = cls(faiss.IndexFlat(vectors.shape[1], faiss_metric(metric)), metric)
        for start in range(0, len(vectors), BLOCK):
            backend._index.add(ready(vectors[start : start + BLOCK], metric))
        return backend

    @classmethod
    def load(cls, path: Path, vectors: Vectors, metric: Metric, facts: IndexFacts) -> Self:  # noqa: ARG003
        """See `Backend.load`."""
        return cls(read_index(path), metric)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        write_index(self._index, path)

    def extended(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:  # noqa: ARG002
        """See `Backend.extended`: a list of vectors is as soon made anew."""
        return None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int, allow: Mask | None = None) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        k = min(k, len(self) if allow is None else int(allow.sum()))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        chosen = None if allow is None else faiss.SearchParameters(sel=selector(allow))
        values, rows = self._index.search(ready(queries, self._metric), k, params=chosen)
        far = to_distances(values, self._metric)
        order = np.lexsort((rows, far))  # FAISS returns the later of two equal ones first
        return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)

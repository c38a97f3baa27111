"""Exact search: every query is compared with every vector (FAISS IndexFlat)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from embedsearch.backends import Mask, Rows
from embedsearch.errors import IndexDamagedError
from embedsearch.metrics import Metric, Vectors, from_similarity, normalized


class ExactBackend:
    """A flat FAISS index: inner products for cosine (of unit vectors) and ip, squares for l2."""

    def __init__(self, index: Any, metric: Metric) -> None:
        self._index = index
        self._metric = metric

    @classmethod
    def build(cls, vectors: Iterable[Vectors], dimension: int, metric: Metric) -> Self:
        """See `Backend.build`."""
        kind = faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
        backend = cls(faiss.IndexFlat(dimension, kind), metric)
        for shard in vectors:
            backend._index.add(backend._ready(shard))
        return backend

    @classmethod
    def load(cls, path: Path, metric: Metric) -> Self:
        """See `Backend.load`."""
        try:
            return cls(faiss.read_index(str(path)), metric)
        except RuntimeError as error:
            raise IndexDamagedError(f"{path} can't be read as a FAISS index: {error}") from None

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # so FAISS says that the disk is full
            raise OSError(f"{path} can't be written: {str(error).splitlines()[0]}") from None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int, allow: Mask | None = None) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        found = len(self) if allow is None else int(allow.sum())
        k = min(k, found)
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if allow is None:
            values, rows = self._index.search(self._ready(queries), k)
        else:
            bits = np.packbits(allow, bitorder="little")
            chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
            values, rows = self._index.search(self._ready(queries), k, params=chosen)
        if self._metric is Metric.L2:
            return np.sqrt(np.maximum(values, 0)), rows  # FAISS returns squares
        return from_similarity(values, self._metric), rows

    def _ready(self, vectors: Vectors) -> Vectors:
        vectors = normalized(vectors) if self._metric is Metric.COSINE else vectors
        return np.ascontiguousarray(vectors, dtype=np.float32)

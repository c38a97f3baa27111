"""Which rows of a build are those of the build before, and how far their neighbours moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedsearch.backends import Backend, Rows
from embedsearch.ledger import Ledger
from embedsearch.metrics import Vectors

BLOCK = 65_536
SAMPLE, NEIGHBOURS = 200, 10


def kept_rows(new: Ledger, old: Ledger, vectors: Vectors, old_vectors: Vectors) -> Rows:
    """Return for each row the row of the build before that holds the same vector, (n,); -1 for new ones.

    No row of the old build is named twice.

    Args:
        new: of the build in the making.
        old: of the build before.
        vectors: (n, d) of the build in the making.
        old_vectors: (m, d) of the build before.
    """
    places = old.find(new.entries["key"])
    if len(old):
        same = places >= 0
        for column in ("high", "low", "rows"):
            same &= new.entries[column] == old.entries[column][places]
        elsewhere = old.find_halves(new.entries["high"], new.entries["low"])
        elsewhere[new.entries["rows"] != old.entries["rows"][elsewhere]] = -1
        places = np.where(same, places, elsewhere)
    _, first = np.unique(places, return_index=True)
    twice = np.ones(len(places), np.bool_)
    twice[first] = False
    places[twice] = -1
    counts = np.asarray(new.entries["rows"], np.int64)
    starts = np.where(places >= 0, old.starts[np.maximum(places, 0)], 0)
    within = np.arange(len(vectors)) - np.repeat(new.starts[:-1], counts)
    kept = np.where(np.repeat(places >= 0, counts), np.repeat(starts, counts) + within, -1)
    if vectors.dtype != old_vectors.dtype or vectors.shape[1] != old_vectors.shape[1]:
        return np.full(len(vectors), -1, np.int64)
    for start in range(0, len(kept), BLOCK):  # embedded again by an unfinished run, a vector may differ
        part = kept[start : start + BLOCK]
        equal = (old_vectors[np.maximum(part, 0)] == vectors[start : start + BLOCK]).all(1)
        part[~equal] = -1
    return kept


def neighbours_kept(backend: Backend, old: Backend, vectors: Vectors, kept: Rows) -> dict[str, Any]:
    """Return which share of their 10 nearest neighbours rows keep from one build to the next.

    Args:
        backend: of the new build.
        old: of the build before.
        vectors: (n, d) of the new build.
        kept: (n,) see `kept_rows`.

    Returns:
        `share` (0 to 1, None where nothing was kept), and `sample`, how many rows it was measured on.
    """
    rows = np.flatnonzero(kept >= 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64))]
    if not len(rows):
        return {"share": None, "sample": 0}
    queries = np.asarray(vectors[rows], np.float32)
    _, now = backend.search(queries, NEIGHBOURS + 1)
    _, then = old.search(queries, NEIGHBOURS + 1)
    now_then = kept[now]  # (q, 11) rows of the build before
    shares = []
    for own, found, before in zip(kept[rows].tolist(), now_then.tolist(), then.tolist(), strict=True):
        others, still = set(before) - {own}, set(found) - {own, -1}
        if others:
            shares.append(len(others & still) / len(others))
    return {"share": round(float(np.mean(shares)), 4) if shares else None, "sample": len(shares)}

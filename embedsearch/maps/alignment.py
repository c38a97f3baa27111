"""Alignment with the previous map: which rows are which, and the rotation that brings old points back."""

from __future__ import annotations

import numpy as np

from embedsearch.backends import Rows
from embedsearch.distances.metric import Vectors
from embedsearch.store.facts import MovedFacts
from embedsearch.store.source_state import SourceState

LEAST = 3  # points that fix a plane's position and orientation


def rows_of_same_ids(new: SourceState, old: SourceState) -> Rows:
    """Return for each row the row of the build before of the same record, (n,); -1 for none.

    Content and vector may have changed; the number of vectors a record has must not.
    """
    found = old.find(new.entries["key"])
    if len(old):
        found[new.entries["rows"] != old.entries["rows"][found]] = -1
    counts = np.asarray(new.entries["rows"], np.int64)
    starts = np.where(found >= 0, old.starts[np.maximum(found, 0)], 0)
    within = np.arange(int(counts.sum())) - np.repeat(new.starts[:-1], counts)
    return np.where(np.repeat(found >= 0, counts), np.repeat(starts, counts) + within, -1)


def procrustes(points: Vectors, rows: Rows, old: Vectors) -> Vectors:
    """Turn, mirror and shift points so that some of them lie as near as can be to where they were.

    The orthogonal Procrustes problem (Schönemann 1966): distances between points stay what they are.

    Args:
        points: (n, 2) float32.
        rows: (m,) the points that were there before.
        old: (m, 2) where they were.

    Returns:
        (n, 2) float32; `points` where fewer than three were there before.
    """
    if len(rows) < LEAST:
        return points
    now, then = points[rows].astype(np.float64), old.astype(np.float64)
    left, _, right = np.linalg.svd((now - now.mean(0)).T @ (then - then.mean(0)))  # (2, m) (m, 2) -> (2, 2)
    return np.asarray((points - now.mean(0)) @ (left @ right) + then.mean(0), np.float32)


def moved(points: Vectors, rows: Rows, old: Vectors) -> MovedFacts | None:
    """Return how far points moved, as shares of the old map's radius.

    The radius is the root of the mean squared distance of these points to their centre.

    Args:
        points: (n, 2) float32, where they are now.
        rows: (m,) the points that were there before.
        old: (m, 2) where they were.

    Returns:
        None where no point was there before.
    """
    if not len(rows):
        return None
    far = np.linalg.norm(points[rows] - old, axis=1)
    radius = float(np.sqrt(((old - old.mean(0)) ** 2).sum(1).mean()))
    median, high = np.percentile(far, (50, 95)) / (radius or 1.0)
    return MovedFacts(len(rows), round(float(median), 4), round(float(high), 4))

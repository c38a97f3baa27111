"""UMAP (McInnes, Healy and Melville 2018): neighbours stay together, distances between groups mean little.

The graph is made of the neighbours that exact search finds, and the layout begins from given coordinates in
their own units: `umap.UMAP(init=...)` would stretch them to a square first, and old points would not stay
where they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embedsearch.backends import Backend, Rows, Settings, backend_class
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import MissingExtraError

NEIGHBOURS, MIN_DISTANCE, SPREAD = 15, 0.1, 1.0  # as umap-learn has them
LAID_OUT = 20_000  # items laid out by UMAP itself; of more, a sample, and the rest is placed between them
EPOCHS, STEP = 300, 1.0
AGAIN_EPOCHS, AGAIN_STEP = 60, 0.1  # where the layout begins from an earlier one
BETWEEN = 5  # laid out neighbours that place another item
SIZE = 10.0  # extent of the coordinates that a first layout begins from
BLOCK = 4096


def umap_modules() -> tuple[Any, Any]:
    """Return the modules `umap.umap_` and `umap.layouts`.

    Raises:
        MissingExtraError: umap-learn is not installed.
    """
    try:
        from umap import layouts, umap_
    except ImportError:
        raise MissingExtraError(
            "A map by UMAP needs umap-learn. Take --method pca, or install it: "
            "pip install 'embedsearch[umap]'"
        ) from None
    return umap_, layouts


def is_installed() -> bool:
    """Say whether UMAP can be had, without loading it."""
    from importlib.util import find_spec

    return find_spec("umap") is not None


def flat(vectors: Vectors, rows: Rows, metric: Metric) -> Backend:
    """Return exact search over some rows of raw vectors (n, d); its row numbers count these rows."""
    return backend_class("exact").build("exact", np.take(vectors, rows, axis=0), metric, Settings(memory=0))


def lay_out(
    vectors: Vectors, rows: Rows, metric: Metric, start: Vectors, *, again: bool, seed: int
) -> Vectors:
    """Lay out some items by UMAP.

    Args:
        vectors: (n, d) float32 or float16, raw.
        rows: (m,) which items; of fewer than four there is nothing to lay out, and `start` is returned.
        metric: which distance; for ip, distances are counted from the smallest one.
        start: (m, 2) coordinates to begin from.
        again: whether they are an earlier layout, which is only smoothed, or any coordinates.
        seed: of the random choices.

    Returns:
        (m, 2) float32.

    Raises:
        MissingExtraError: umap-learn is not installed.
    """
    umap, layouts = umap_modules()
    count = len(rows)
    if count < 4:
        return start
    k = min(NEIGHBOURS, count)
    near, far = _neighbours(vectors, rows, metric, k)
    random = np.random.RandomState(seed)  # the kind that umap-learn takes
    graph, _, _ = umap.fuzzy_simplicial_set(near, k, random, "euclidean", knn_indices=near, knn_dists=far)
    graph = graph.tocoo()
    epochs = AGAIN_EPOCHS if again else EPOCHS
    strong = graph.data >= graph.data.max() / epochs  # weaker ties would never be drawn
    a, b = umap.find_ab_params(SPREAD, MIN_DISTANCE)
    if not again:
        extent = float(np.ptp(start, axis=0).max())
        start = start * np.float32(SIZE / (extent or 1.0))
    # identical points would stay on each other
    start = (start + random.normal(scale=1e-3, size=start.shape)).astype(np.float32, order="C")
    laid: Vectors = layouts.optimize_layout_euclidean(
        start,
        start,
        graph.row[strong],
        graph.col[strong],
        epochs,
        count,
        umap.make_epochs_per_sample(graph.data[strong], epochs),
        a,
        b,
        random.randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64),
        initial_alpha=AGAIN_STEP if again else STEP,
        move_other=True,
    )
    return laid


def _neighbours(vectors: Vectors, rows: Rows, metric: Metric, k: int) -> tuple[Rows, Vectors]:
    """Return of each item itself and its k - 1 nearest others, (m, k), and how far they are."""
    backend = flat(vectors, rows, metric)
    near, far = [], []
    for start in range(0, len(rows), BLOCK):
        own = np.arange(start, min(start + BLOCK, len(rows)))
        distances, found = backend.search(np.asarray(vectors[rows[own]], np.float32), k)
        distances[found == own[:, None]] = -np.inf  # itself first
        order = np.argsort(distances, axis=1, kind="stable")
        found, distances = np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)
        found[:, 0], distances[:, 0] = own, -np.inf  # among many identical items it may not have been found
        near.append(found)
        far.append(distances)
    apart = np.concatenate(far)
    apart -= min(0.0, float(apart[:, 1:].min()))  # for ip they may be negative
    apart[:, 0] = 0
    return np.concatenate(near), apart


def placed(vectors: Vectors, rows: Rows, known: Rows, points: Vectors, metric: Metric) -> Vectors:
    """Place items between their nearest neighbours on a map.

    A place is the mean of those of the 5 nearest items, weighted by the inverse of their distance; for ip,
    whose distances may be negative, all five count alike.

    Args:
        vectors: (n, d) float32 or float16, raw.
        rows: (m,) the items to place.
        known: (l,) items that have places, at least one.
        points: (l, 2) these places.
        metric: which distance.

    Returns:
        (m, 2) float32.
    """
    backend = flat(vectors, known, metric)
    found = np.empty((len(rows), 2), np.float32)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        far, near = backend.search(np.asarray(vectors[part], np.float32), BETWEEN)
        weights = np.ones_like(far) if metric is Metric.IP else 1 / (far + np.float32(1e-6))
        weights /= weights.sum(1, keepdims=True)
        found[start : start + BLOCK] = np.einsum("bk,bkc->bc", weights, points[near])  # (b, k, 2) -> (b, 2)
    return found

"""UMAP (McInnes, Healy and Melville 2018): neighbours stay together, distances between groups mean little.

The graph is made of the neighbours that exact search finds. `umap.UMAP` stretches the coordinates that it
begins from to a square: a layout that starts from an earlier one is scaled back to its mean and spread, so
that old points stay near where they were.
"""

from __future__ import annotations

import warnings

import numpy as np

from embedsearch.backends import Backend, Rows, Settings, backend_class
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import MissingExtraError
from embedsearch.maps.inputs import SEED, MapInputs, PreviousMap, sample, xy_of
from embedsearch.maps.layouts import Layout
from embedsearch.maps.layouts.pca import principal_plane, project
from embedsearch.progress import Progress, Silent

NEIGHBOURS, MIN_DISTANCE = 15, 0.1  # as umap-learn has them
LAID_OUT = 20_000  # items laid out by UMAP itself; of more, a sample, and the rest is put between them
EPOCHS, STEP = 300, 1.0
# Where the layout begins from an earlier one: many small steps keep old items near where they were (on 10,003
# questions of which a tenth is new a median move of 0.025 of the radius, against 0.075 by 60 steps of 0.02)
# and keep as many neighbours.
AGAIN_EPOCHS, AGAIN_STEP = 100, 0.0015
BETWEEN = 5  # neighbours whose positions give that of another item
BLOCK = 4096


def is_installed() -> bool:
    """Say whether UMAP can be had, without loading it."""
    from importlib.util import find_spec

    return find_spec("umap") is not None


def umap_layout(inputs: MapInputs, previous: PreviousMap | None, progress: Progress) -> Layout:
    """See `embedsearch.maps.layouts.LayOut`: a sample is laid out, all others between its items."""
    rows = sample(inputs.keys, LAID_OUT)
    vectors, metric = inputs.vectors, inputs.metric
    known = np.full(len(vectors), -1) if previous is None or previous.orientation_only else previous.rows
    again = rows[known[rows] >= 0]
    if previous is not None and len(again):
        start = np.empty((len(vectors), 2), np.float32)
        start[again] = xy_of(previous.points[known[again]])
        new = rows[known[rows] < 0]
        start[new] = interpolated(vectors, new, again, start[again], metric)
        xy = start
        # a rebuild on a machine without umap-learn still has its map: new items lie between their neighbours
        if is_installed():
            xy[rows] = lay_out(vectors, rows, metric, start[rows], again=True, seed=SEED, progress=progress)
    else:
        xy = project(vectors, metric, principal_plane(vectors, metric))
        xy[rows] = lay_out(vectors, rows, metric, xy[rows], again=False, seed=SEED, progress=progress)
    rest = np.setdiff1d(np.arange(len(vectors)), rows, assume_unique=True)
    if len(rest):
        progress.stage(f"placing {len(rest):,} items between their neighbours")
    xy[rest] = interpolated(vectors, rest, rows, xy[rows], metric)
    return Layout(xy, len(rows))


def flat(vectors: Vectors, rows: Rows, metric: Metric) -> Backend:
    """Return exact search over some rows of raw vectors (n, d); its row numbers count these rows."""
    return backend_class("exact").build("exact", np.take(vectors, rows, axis=0), metric, Settings(memory=0))


class _Epochs:
    """Takes the bar that UMAP writes for a terminal, and reports its steps."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def write(self, text: str) -> None:
        """Read how many epochs are done."""
        if text.strip().isdigit():
            self._progress.advance(int(text) - self._done)
            self._done = int(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def lay_out(
    vectors: Vectors,
    rows: Rows,
    metric: Metric,
    start: Vectors,
    *,
    again: bool,
    seed: int,
    progress: Progress | None = None,
) -> Vectors:
    """Lay out some items by UMAP.

    Args:
        vectors: (n, d) float32 or float16, raw.
        rows: (m,) which items; of fewer than four there is nothing to lay out, and `start` is returned.
        metric: which distance; for ip, distances are counted from the smallest one.
        start: (m, 2) coordinates to begin from.
        again: whether they are an earlier layout, which is only smoothed, or any coordinates.
        seed: of the random choices.
        progress: gets the epochs that are done; None for nobody.

    Returns:
        (m, 2) float32.

    Raises:
        MissingExtraError: umap-learn is not installed.
    """
    try:
        from umap import UMAP
    except ImportError:
        raise MissingExtraError(
            "A map by UMAP needs umap-learn. Pass --method pca, or install it: "
            "pip install 'embedsearch[umap]'"
        ) from None
    count = len(rows)
    if count < 4:
        return start
    k, epochs, progress = min(NEIGHBOURS, count - 1), AGAIN_EPOCHS if again else EPOCHS, progress or Silent()
    progress.stage(f"finding the neighbours of {count:,} items")
    near, far = _neighbours(vectors, rows, metric, k)
    # identical points would stay on each other
    noise = np.random.default_rng(seed).normal(scale=1e-3 * (np.ptp(start) or 1.0), size=start.shape)
    start = (start + noise).astype(np.float32)
    reducer = UMAP(
        n_neighbors=k,
        min_dist=MIN_DISTANCE,
        init=start,
        n_epochs=epochs,
        learning_rate=AGAIN_STEP if again else STEP,
        precomputed_knn=(near, far),
        force_approximation_algorithm=True,  # else it finds the neighbours of few items itself
        random_state=seed,
        n_jobs=1,
        tqdm_kwds={"disable": False, "file": _Epochs(progress), "bar_format": "{n}"},
    )
    progress.stage(f"laying out {count:,} items", epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that such a model can't transform other items
        laid = reducer.fit_transform(np.take(vectors, rows, axis=0).astype(np.float32))
    if again:
        laid = (laid - laid.mean(0)) / laid.std(0) * start.std(0) + start.mean(0)
    return np.asarray(laid, np.float32)


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


def interpolated(vectors: Vectors, rows: Rows, known: Rows, points: Vectors, metric: Metric) -> Vectors:
    """Place items between their nearest neighbours on a map.

    A position is the mean of those of the 5 nearest items, weighted by the inverse of their distance; for ip,
    whose distances may be negative, all five count alike.

    Args:
        vectors: (n, d) float32 or float16, raw.
        rows: (m,) the items to add.
        known: (l,) items that have positions, at least one.
        points: (l, 2) these positions.
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

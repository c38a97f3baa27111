"""Maps: an index in two dimensions, with an honest figure of what that costs.

layout          PCA in closed form, or UMAP (extra `umap`)
alignment       with the previous map, so that old points stay near where they were
groups          k-means over the vectors, not over the map; named by distinctive words
preservation    which share of each item's 10 nearest neighbours are among its 10 nearest on the map
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from embedsearch.backends import Rows
from embedsearch.distances.metric import Vectors
from embedsearch.maps.alignment import moved, procrustes
from embedsearch.maps.clusters import grouped, named
from embedsearch.maps.inputs import (
    POINT,
    SEED,
    MapInputs,
    Method,
    Points,
    PreviousMap,
    Settings,
    sample,
    xy_of,
)
from embedsearch.maps.labels import check_field, text_fields
from embedsearch.maps.layouts.pca import principal_plane, project
from embedsearch.maps.layouts.umap import LAID_OUT, is_installed, lay_out, placed
from embedsearch.maps.quality import NEIGHBOURS, preserved
from embedsearch.progress import Progress
from embedsearch.store.facts import MapFacts, MapSettings

MEASURED = 20_000  # items up to which each is measured; of more, `SAMPLE`
SAMPLE = 5_000  # items that are measured of a large index


@dataclass(frozen=True, slots=True)
class Map:
    """A map of an index.

    Attributes:
        points: (n,) of `POINT`: coordinates, group, and the share of neighbours kept (NaN: not measured).
        facts: what the manifest says of it.
    """

    points: Points
    facts: MapFacts

    @property
    def measured(self) -> Rows:
        """The rows whose neighbours were looked at, ascending."""
        return np.flatnonzero(~np.isnan(self.points["kept"]))


def make_map(inputs: MapInputs, settings: Settings, earlier: PreviousMap | None, progress: Progress) -> Map:
    """Make a map.

    Args:
        inputs: the vectors and items; at least one.
        settings: how.
        earlier: the previous map, which this one is aligned with.
        progress: who is told how it goes on.

    Raises:
        QueryError: groups can't be named from the field asked for.
        MissingExtraError: UMAP is asked for and not installed.
    """
    if settings.names:
        check_field(inputs.items, settings.names)
    progress.stage(f"laying out {len(inputs.vectors):,} items")
    laid_out = (
        sample(inputs.keys, LAID_OUT) if settings.method is Method.UMAP else np.arange(len(inputs.vectors))
    )
    explained = None
    if settings.method is Method.PCA:
        plane = principal_plane(inputs.vectors, inputs.metric)
        xy = project(inputs.vectors, inputs.metric, plane)
        explained = tuple(round(float(share), 4) for share in plane.explained)
    else:
        xy = _by_umap(inputs, laid_out, earlier)
    since = None
    if earlier is not None:
        kept = np.flatnonzero(earlier.rows >= 0)
        old = xy_of(earlier.points[earlier.rows[kept]])
        xy = procrustes(xy, kept, old)
        since = moved(xy, kept, old) if earlier.facts.method == settings.method else None
    progress.stage("grouping and naming")
    labels = grouped(inputs, settings, earlier)
    rows = sample(inputs.keys, MEASURED if len(xy) <= MEASURED else SAMPLE)
    progress.stage(f"measuring what the map keeps, on {len(rows):,} items")
    shares = np.full(len(xy), np.nan, np.float32)
    shares[rows] = preserved(inputs.backend, inputs.vectors, xy, rows)
    points = np.empty(len(xy), POINT)
    points["x"], points["y"], points["cluster"], points["kept"] = xy[:, 0], xy[:, 1], labels, shares
    facts = MapFacts(
        method=str(settings.method),
        explained=explained,
        laid_out=len(laid_out),
        preserved=round(float(shares[rows].mean()), 4),
        neighbours=NEIGHBOURS,
        measured=len(rows),
        moved=since,
        clusters=named(inputs, settings, points),
        settings=MapSettings(str(settings.method), settings.clusters, settings.names),
    )
    return Map(points, facts)


def still_fitting(settings: Settings, items: pa.Table) -> Settings:
    """Return settings without a field to name groups from that items no longer have."""
    return settings if settings.names in text_fields(items) else replace(settings, names="")


def _by_umap(inputs: MapInputs, rows: Rows, earlier: PreviousMap | None) -> Vectors:
    """Lay out `rows` by UMAP, and place all others between them: (n, 2)."""
    vectors, metric = inputs.vectors, inputs.metric
    known = np.full(len(vectors), -1) if earlier is None or earlier.orientation_only else earlier.rows
    again = rows[known[rows] >= 0]
    if earlier is not None and len(again):
        start = np.empty((len(vectors), 2), np.float32)
        start[again] = xy_of(earlier.points[known[again]])
        new = rows[known[rows] < 0]
        start[new] = placed(vectors, new, again, start[again], metric)
        xy = start
        # a rebuild on a machine without umap-learn still has its map: new items lie between their neighbours
        if is_installed():
            xy[rows] = lay_out(vectors, rows, metric, start[rows], again=True, seed=SEED)
    else:
        xy = project(vectors, metric, principal_plane(vectors, metric))
        xy[rows] = lay_out(vectors, rows, metric, xy[rows], again=False, seed=SEED)
    rest = np.setdiff1d(np.arange(len(vectors)), rows, assume_unique=True)
    xy[rest] = placed(vectors, rest, rows, xy[rows], metric)
    return xy

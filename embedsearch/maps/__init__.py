"""Maps: an index in two dimensions, with an honest figure of what that costs.

layout          UMAP (extra `umap`), or PCA in closed form
alignment       with the previous map, so that old points stay near where they were
groups          k-means over the vectors, not over the map; named by distinctive words
regions         finer groups by where items lie, named for closer looks
preservation    which share of each item's 10 nearest neighbours are among its 10 nearest on the map
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from embedsearch.backends import Rows
from embedsearch.maps.alignment import moved, procrustes
from embedsearch.maps.clusters import grouped, named
from embedsearch.maps.inputs import (
    POINT,
    MapInputs,
    Points,
    PreviousMap,
    Settings,
    sample,
    xy_of,
)
from embedsearch.maps.labels import check_field, text_fields
from embedsearch.maps.layouts import layout_by
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
        progress: what reports the progress.

    Raises:
        QueryError: groups can't be named from the field asked for.
        MissingExtraError: UMAP is asked for and not installed.
    """
    if settings.names:
        check_field(inputs.items, settings.names)
    progress.stage(f"laying out {len(inputs.vectors):,} items")
    layout = layout_by(settings.method)(inputs, earlier, progress)
    xy = layout.xy
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
        explained=layout.explained,
        laid_out=layout.laid_out,
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

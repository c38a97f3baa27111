"""The inputs and settings of a map, and samples that hardly change from build to build."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embedsearch.backends import Backend, Rows
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.store.facts import MapFacts
from embedsearch.store.source_state import SourceState

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("cluster", "<i2"), ("kept", "<f4")])
Points = npt.NDArray[np.void]
SEED = 0


class Method(StrEnum):
    """How a map is laid out."""

    PCA = "pca"
    UMAP = "umap"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose; a rebuild keeps it.

    Attributes:
        method: how the map is laid out.
        clusters: how many groups; 0 for the root of half the items, 8 at most.
        names: the field that groups are named from; empty for texts, or all texts that images have.
    """

    method: Method = Method.PCA
    clusters: int = 0
    names: str = ""


@dataclass(frozen=True, slots=True)
class MapInputs:
    """The vectors and items that a map shows.

    Attributes:
        vectors: (n, d) float32 or float16, raw.
        backend: the index over them.
        metric: which distance.
        items: see `embedsearch.store.items`.
        keys: (n,) uint64, random but the same for the same item in every build: samples are its smallest.
    """

    vectors: Vectors
    backend: Backend
    metric: Metric
    items: pa.Table
    keys: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class PreviousMap:
    """The map of the previous build.

    Attributes:
        facts: what its manifest says of it.
        points: (m,) of `POINT`.
        rows: (n,) which of them each item of the new build is; -1 for none.
        orientation_only: whether only the map's orientation and the groups' numbers are taken over.
    """

    facts: MapFacts
    points: Points
    rows: Rows
    orientation_only: bool = False


def keys_of(source_state: SourceState | None, count: int) -> npt.NDArray[np.uint64]:
    """Return a key for each vector, (n,) uint64, see `MapInputs`; without a source_state by row."""
    if source_state is None:
        record, within = np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)
    else:
        counts = np.asarray(source_state.entries["rows"], np.int64)
        record = np.repeat(source_state.entries["key"], counts)
        within = (np.arange(count) - np.repeat(source_state.starts[:-1], counts)).astype(np.uint64)
    mixed = record + (within + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64 (Steele 2014)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def sample(keys: npt.NDArray[np.uint64], most: int) -> Rows:
    """Return the rows of the smallest keys, ascending: a random sample, nearly the same in every build."""
    if len(keys) <= most:
        return np.arange(len(keys))
    return np.sort(np.argpartition(keys, most)[:most])


def xy_of(points: Points) -> Vectors:
    """Return the coordinates of points, (n, 2)."""
    return np.stack([points["x"], points["y"]], axis=1)  # (n,) -> (n, 2)

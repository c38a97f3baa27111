"""The captions of an index of images, as vectors in the space where texts find the images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedsearch.backends import Backend, Filter, Rows, backend_class, taking
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.scale import Scale
from embedsearch.store.build import Build

GENERAL_TEXTS = 1000  # that a scale compares captions with
VECTORS, ROWS, INDEX, SCALE = "captions.npy", "captions-rows.npy", "captions.faiss", "captions-scale.npz"
GIVEN = "captions-given.json"  # those of a file, as ids of items and texts


@dataclass(frozen=True, slots=True)
class Captions:
    """The captions of a build.

    Attributes:
        rows: (c,) int64, the image of each caption; an image may have several.
        backend: the index over their vectors, by cosine.
        scale: the scale of the distances of texts to captions.
    """

    rows: Rows
    backend: Backend
    scale: Scale

    def search(
        self, query: Vectors, k: int, where: Filter | None, exclude: Sequence[int]
    ) -> tuple[Vectors, Rows]:
        """Return the images whose captions are nearest to a query.

        Args:
            query: (1, e) float32.
            k: how many, at most.
            where: which images may be found; None for all.
            exclude: images that may not.

        Returns:
            Distances (1, m) ascending, and the rows of the images (1, m).
        """
        most = int(np.bincount(self.rows).max())  # captions of one image
        found, places = self.backend.search(query, k * most, self._chosen(where, exclude))  # (1, e) -> (1, m)
        found, rows = self._once(found, places)
        return found[:, :k], rows[:, :k]

    def within(
        self, query: Vectors, limit: float, where: Filter | None, exclude: Sequence[int]
    ) -> tuple[Vectors, Rows]:
        """Return all images with a caption no farther than a limit; arguments and result as `search`."""
        return self._once(*self.backend.within(query, limit, self._chosen(where, exclude)))

    def _chosen(self, where: Filter | None, exclude: Sequence[int]) -> Filter | None:
        """Return which captions may be found; None for all."""
        mask = np.ones(len(self.rows), np.bool_) if where is None else where.mask[self.rows]
        mask &= ~np.isin(self.rows, exclude)
        return None if mask.all() else Filter(lambda: mask)

    def _once(self, found: Vectors, places: Rows) -> tuple[Vectors, Rows]:
        """Return each image once, with its nearest caption: (1, m) captions -> (1, n) images."""
        _, nearest = np.unique(self.rows[places[0]], return_index=True)
        first = np.sort(nearest)
        return found[:, first], self.rows[places[:, first]]


def open_vectors(build: Build) -> Vectors:
    """Return the vectors of a build's captions, (c, e) float32 or float16, memory-mapped."""
    vectors: Vectors = load_array(build.folder / VECTORS, mapped=True)
    return vectors


def open_given(build: Build) -> list[tuple[str, str]]:
    """Return the captions that a file gave: ids of items, and texts; none without a file."""
    path = build.folder / GIVEN
    if not path.is_file():
        return []
    return [(identity, text) for identity, text in json.loads(path.read_text(encoding="utf-8"))]


def open_captions(build: Build) -> Captions | None:
    """Return the captions of a build; None where it has none."""
    facts = build.manifest.artifacts.crossmodal
    if facts is None or facts.captions is None:
        return None
    index = facts.captions.index
    take = taking(open_vectors(build))
    backend = backend_class(index.kind).locate(build.folder / INDEX, take, Metric.COSINE, index)
    rows: Rows = load_array(build.folder / ROWS)
    scale = Scale.load(build.folder / SCALE, len(rows) * GENERAL_TEXTS, general=True)
    return Captions(rows, backend, scale)

"""The map of a build: `map.npy`, a row of `maps.POINT` per vector, and its facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from embedsearch.artifacts import ArtifactContext, amend
from embedsearch.disk.npy import load_array
from embedsearch.maps import Map, make_map, still_fitting
from embedsearch.maps.alignment import rows_of_same_ids
from embedsearch.maps.inputs import MapInputs, Method, Points, PreviousMap, Settings, keys_of
from embedsearch.maps.layouts.umap import is_installed
from embedsearch.progress import Progress
from embedsearch.store.build import Build
from embedsearch.store.facts import MapFacts
from embedsearch.store.fetched import is_fetched
from embedsearch.store.items import open_table
from embedsearch.store.manifest import ITEMS, SOURCE_STATE
from embedsearch.store.source_state import SourceState

FILE = "map.npy"


def load_map(build: Build) -> Map | None:
    """Return the map that a build carries, memory-mapped; None where it has none."""
    facts = build.manifest.artifacts.map
    if facts is None:
        return None
    return Map(cast(Points, load_array(build.folder / FILE, mapped=True)), facts)


def inputs_of(build: Build) -> MapInputs:
    """Return what a map of a build is made of."""
    manifest = build.manifest
    keys = keys_of(None if is_fetched(build.folder) else build.source_state, manifest.count)
    return MapInputs(build.vectors, build.backend, manifest.metric, build.items, keys)


def map_index(indexes: Path, name: str, settings: Settings, progress: Progress) -> Build:
    """Make a new map of the index `name`, oriented like its previous one, and publish it.

    Raises:
        IndexNotFoundError, IndexDamagedError, IndexBusyError: as `amend`.
        QueryError, MissingExtraError: as `make_map`.
    """

    def make(build: Build, folder: Path) -> MapFacts:
        had = load_map(build)
        same = np.arange(build.manifest.count)
        earlier = None if had is None else PreviousMap(had.facts, had.points, same, orientation_only=True)
        return _save(make_map(inputs_of(build), settings, earlier, progress), folder)

    return amend(indexes, name, "map", make)


def refresh(context: ArtifactContext) -> MapFacts | None:
    """Make the map of a new build, old items near where they were; None where the build before had none.

    Items are those with the same vector, else those with the same identity. Under another model or metric the
    layout is new, and is laid over the old one as well as possible.
    """
    facts = context.artifacts_before.map
    if context.previous is None or facts is None:
        return None
    had = load_map(context.previous.build) if context.readable(FILE) else None
    source_state = SourceState.load(context.folder / SOURCE_STATE)
    items = open_table(context.folder / ITEMS)
    inputs = MapInputs(
        context.vectors,
        context.backend,
        context.metric,
        items,
        keys_of(source_state, len(context.vectors)),
    )
    chosen = facts.settings
    settings = still_fitting(Settings(Method(chosen.method), chosen.clusters, chosen.names), items)
    earlier = None
    if had is None:
        context.progress.stage("laying out a new map: the previous one is damaged")
    else:
        rows = rows_of_same_ids(source_state, context.previous.source_state)
        if context.kept is not None:
            rows = np.where(context.kept >= 0, context.kept, rows)
        earlier = PreviousMap(facts, had.points, rows, orientation_only=not context.same_vectors())
    again = earlier is not None and not earlier.orientation_only and earlier.rows.max() >= 0
    if settings.method is Method.UMAP and not is_installed() and not again:
        context.progress.stage("umap-learn is not installed: the map is made by PCA")
        settings = replace(settings, method=Method.PCA)
    return _save(make_map(inputs, settings, earlier, context.progress), context.folder)


def _save(made: Map, folder: Path) -> MapFacts:
    np.save(folder / FILE, made.points)
    return made.facts

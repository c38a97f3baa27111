"""The index over the vectors of a build in the making, and how far neighbours moved since the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embedsearch.backends import AUTO, Backend, Rows, Settings, backend_class, choose, free_memory, needed
from embedsearch.backends.facts import IndexFacts
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import RecipeError
from embedsearch.indexing.read import Before
from embedsearch.progress import Progress
from embedsearch.recipe import Recipe, parse_memory
from embedsearch.store.build import Build
from embedsearch.store.facts import NeighboursKept
from embedsearch.store.manifest import INDEX, QUERIES, SOURCE_STATE, VECTORS
from embedsearch.store.source_state import SourceState


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """An index that was just made.

    Attributes:
        vectors: (n, d) what it is over, raw, memory-mapped.
        backend: the index.
        facts: what it says of itself.
        kept: (n,) which row of the build before holds the same vector, -1 for none; None where all are new.
        moved: how far neighbours moved since the build before; None without one.
    """

    vectors: Vectors
    backend: Backend
    facts: IndexFacts
    kept: Rows | None
    moved: NeighboursKept | None


def make_index(
    recipe: Recipe,
    metric: Metric,
    aside: Path,
    old: Build | None,
    before: Before | None,
    progress: Progress,
) -> MadeIndex:
    """Make the index over the vectors in `aside`, from the one before where that serves."""
    vectors = load_array(aside / VECTORS, mapped=True)
    count, dimension = vectors.shape
    memory = parse_memory(recipe.index.memory) if recipe.index.memory else free_memory() // 2
    queries = load_array(aside / QUERIES) if (aside / QUERIES).is_file() else None
    settings = Settings(memory, recipe.index.recall, queries, progress.stage, progress.advance)
    kind = recipe.index.backend
    last = old.manifest.backend if old else ""
    if kind == AUTO:
        kind = choose(count, dimension, memory)
        if last != kind and "exact" not in (last, kind) and last and needed(last, count, dimension) <= memory:
            kind = last  # it serves as well, and need not be made anew
    elif recipe.index.memory and needed(kind, count, dimension) > memory:
        raise RecipeError(
            f"A {kind} index over {count:,} vectors of {dimension} takes about "
            f"{needed(kind, count, dimension) / 1e6:,.1f} MB to make; --memory says {recipe.index.memory}. "
            f"Take --backend {choose(count, dimension, memory)}, or more. What was embedded is kept."
        )
    kept = None
    index = None
    if before is not None and before.build.manifest.metric is metric:
        kept = kept_rows(
            SourceState.load(aside / SOURCE_STATE), before.source_state, vectors, before.build.vectors
        )
        if last == kind:
            index = before.build.backend.extended(before.build.folder / INDEX, vectors, kept, settings)
    made = "extended" if index is not None else "anew"
    if index is None:
        index = backend_class(kind).build(kind, vectors, metric, settings)
    index.save(aside / INDEX)
    moved = (
        None
        if kept is None or before is None
        else neighbours_kept(index, before.build.backend, vectors, kept)
    )
    asked = f"queries of {recipe.index.queries}" if recipe.index.queries else "items held out"
    return MadeIndex(vectors, index, replace(index.facts, made=made, asked=asked), kept, moved)


BLOCK = 65_536
SAMPLE, NEIGHBOURS = 200, 10


def kept_rows(new: SourceState, old: SourceState, vectors: Vectors, old_vectors: Vectors) -> Rows:
    """Return for each row the row of the build before that holds the same vector, (n,); -1 for new ones.

    No row of the old build is named twice.

    Args:
        new: of the build in the context.
        old: of the build before.
        vectors: (n, d) of the build in the context.
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


def neighbours_kept(backend: Backend, old: Backend, vectors: Vectors, kept: Rows) -> NeighboursKept:
    """Return which share of their 10 nearest neighbours rows keep from one build to the next.

    Args:
        backend: of the new build.
        old: of the build before.
        vectors: (n, d) of the new build.
        kept: (n,) see `kept_rows`.
    """
    rows = np.flatnonzero(kept >= 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64))]
    if not len(rows):
        return NeighboursKept(None, 0)
    queries = np.asarray(vectors[rows], np.float32)
    _, now = backend.search(queries, NEIGHBOURS + 1)
    _, then = old.search(queries, NEIGHBOURS + 1)
    now_then = kept[now]  # (q, 11) rows of the build before
    shares = []
    for own, found, before in zip(kept[rows].tolist(), now_then.tolist(), then.tolist(), strict=True):
        others, still = set(before) - {own}, set(found) - {own, -1}
        if others:
            shares.append(len(others & still) / len(others))
    return NeighboursKept(round(float(np.mean(shares)), 4) if shares else None, len(shares))

"""The index over the vectors of a build in the making, and how far neighbours moved since the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embedsearch.backends import (
    AUTO,
    Backend,
    Place,
    Rows,
    Settings,
    backend_class,
    choose,
    free_memory,
    is_elsewhere,
    needed,
    taking,
)
from embedsearch.backends.facts import IndexFacts
from embedsearch.disk.npy import load_array
from embedsearch.distances.centring import Centring, fingerprint_of
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import RecipeError, ServerError
from embedsearch.progress import Progress
from embedsearch.recipe import Recipe, parse_memory
from embedsearch.store.facts import NeighboursKept
from embedsearch.store.items import Items
from embedsearch.store.manifest import INDEX, QUERIES, VECTORS
from embedsearch.store.previous import PreviousBuild


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """An index that was just made.

    Attributes:
        vectors: (n, d) what it is over, memory-mapped.
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
    previous: PreviousBuild | None,
    kept: Rows | None,
    progress: Progress,
    centring: Centring | None,
    items: Callable[[], Items],
) -> MadeIndex:
    """Make the index over the vectors in `aside`, from the one of the build before where that serves.

    Args:
        recipe: which kind of index, and how good.
        metric: which distance.
        aside: the folder of the build.
        previous: the build before.
        kept: (n,) which row of it holds the same vector, -1 for none; None where all are new.
        progress: is told how it goes on.
        centring: what the vectors were centred by; None for nothing.
        items: returns the items of the build, once they are written.
    """
    vectors = load_array(aside / VECTORS, mapped=True)
    count, dimension = vectors.shape
    memory = parse_memory(recipe.index.memory) if recipe.index.memory else free_memory() // 2
    queries = load_array(aside / QUERIES) if (aside / QUERIES).is_file() else None
    if queries is not None and centring is not None:
        queries = centring.apply(queries)
    place = None
    if is_elsewhere(recipe.index.backend):
        last_items = None if previous is None else (lambda build=previous.build: build.items)
        place = Place(recipe.index.uri, recipe.name, aside.parents[1], items, last_items)
    settings = Settings(
        memory,
        recipe.index.recall,
        queries,
        progress.stage,
        progress.advance,
        place,
        recipe.index.shard_size,
        aside / INDEX,
    )
    kind = recipe.index.backend
    last = previous.build.manifest.backend if previous else ""
    if kind == AUTO:
        kind = choose(count, dimension, memory)
        serves = last and last != kind and "exact" not in (last, kind) and not is_elsewhere(last)
        if serves and needed(last, count, dimension) <= memory:
            kind = last  # and need not be made again
    elif recipe.index.memory and needed(kind, count, dimension) > memory:
        takes = needed(kind, count, dimension)
        shown = f"{takes / 1e6:,.1f} MB" if takes >= 1e6 else f"{-(-takes // 1000)} kB"
        raise RecipeError(
            f"A {kind} index over {count:,} vectors of {dimension} takes about "
            f"{shown} of memory to build; --memory allows {recipe.index.memory}. "
            f"Take --backend {choose(count, dimension, memory)}, or more. The vectors are kept."
        )
    # an index goes on from the one before where that is over the same numbers
    before = previous.build if previous and previous.reusable else None
    if before is not None and (
        before.manifest.metric is not metric or fingerprint_of(before.centring) != fingerprint_of(centring)
    ):
        before = None
    if before is not None and before.vectors.dtype != vectors.dtype:
        kept = np.full(count, -1, np.int64)
    index: Backend | None = None
    is_alike = last == kind and not (
        kind == "sharded"
        and before is not None
        and before.manifest.recipe.index.shard_size != recipe.index.shard_size
    )
    if before is not None and kept is not None and is_alike:
        index = before.backend.extend(before.folder / INDEX, vectors, kept, settings)
    made = "extended" if index is not None else "anew"
    if index is None:
        index = backend_class(kind).build(kind, vectors, metric, settings)
    index.save(aside / INDEX)
    asked = f"queries of {recipe.index.queries}" if recipe.index.queries else "items held out"
    facts = replace(index.facts, made=made, asked=asked)
    if not is_elsewhere(kind):  # memory-mapped from here on: in memory it takes as much as its file
        index = backend_class(kind).locate(aside / INDEX, taking(vectors), metric, facts)
    if before is None or kept is None:
        return MadeIndex(vectors, index, facts, None, None)
    try:
        moved = neighbours_kept(index, before.backend, vectors, kept)
    except (RecipeError, ServerError):  # the vectors of the build before were on a server that is gone
        moved = None
    return MadeIndex(vectors, index, facts, kept, moved)


SAMPLE, NEIGHBOURS = 200, 10


def neighbours_kept(backend: Backend, old: Backend, vectors: Vectors, kept: Rows) -> NeighboursKept:
    """Return which share of their 10 nearest neighbours rows keep from one build to the next.

    Args:
        backend: of the new build.
        old: of the build before.
        vectors: (n, d) of the new build.
        kept: (n,) which row of the old build holds the same vector, -1 for none.
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

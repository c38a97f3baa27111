"""The index over the vectors of a build in the making."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedsearch.arrays import load_array
from embedsearch.backends import AUTO, Backend, Rows, Settings, backend_class, choose, needed
from embedsearch.continuity import kept_rows, neighbours_kept
from embedsearch.errors import RecipeError
from embedsearch.ledger import Ledger
from embedsearch.metrics import Metric, Vectors
from embedsearch.progress import Progress
from embedsearch.reading import Before
from embedsearch.recipe import Recipe, parse_memory
from embedsearch.store import INDEX, LEDGER, QUERIES, VECTORS, Build


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
    facts: dict[str, Any]
    kept: Rows | None
    moved: dict[str, Any] | None


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
        kept = kept_rows(Ledger.load(aside / LEDGER), before.ledger, vectors, before.build.vectors)
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
    return MadeIndex(vectors, index, {**index.facts, "made": made, "asked": asked}, kept, moved)


def free_memory() -> int:
    """Return the bytes of memory that programs may still take."""
    import psutil

    return int(psutil.virtual_memory().available)

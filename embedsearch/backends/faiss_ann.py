"""Approximate search: a graph (HNSW) or lists (IVF) of short codes, hits ranked again by the stored vectors.

HNSW: Malkov & Yashunin 2018. RaBitQ: Gao & Long 2024. Product quantisation, fast scan: Jégou et al. 2011,
André et al. 2015. All by FAISS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from embedsearch.backends import EXACT_UP_TO, Mask, Nodes, Rows, Settings, needed
from embedsearch.backends.facts import IndexFacts, Step, Tuned
from embedsearch.backends.files import read_index, write_index
from embedsearch.backends.flat import BLOCK, faiss_metric, rank, ready, scan, selector
from embedsearch.backends.tuning import MAX_QUERIES, K, hold_out, recall, truth, tune
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors

LINKS, CONSTRUCTION = 16, 100
LIST_TRAINING, CODE_TRAINING = 50, 65_536  # vectors a list, and for codes, that are trained on
# fmt: off
EFFORTS = (
    10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536,
    2048, 3072, 4096,
)
# fmt: on
GRAPH_DEPTHS, LIST_DEPTHS = (10, 15, 20, 30), (15, 20, 30, 40, 60, 100, 200, 400, 800, 1600)
MANY_LISTS = 4096
CANDIDATES = 2**18  # of queries that are searched together: what is held of them is some megabytes
LEAST = 1000  # of fewer vectors no recall can be measured; they are compared one by one
CHANGED_AT_MOST = 0.2
JUDGED_BY = 100  # new vectors, to measure the recall of an extended index again


class FaissANN:
    """A FAISS index over codes, its search parameters, and which row each of its nodes stands for."""

    def __init__(self, index: Any, rows: Nodes, vectors: Vectors, metric: Metric, facts: IndexFacts) -> None:
        """Put an index together.

        Args:
            index: FAISS's.
            rows: (m,) the row of each node; -1 for one that is no longer found.
            vectors: (n, d) raw, memory-mapped.
            metric: which distance.
            facts: of an approximate index.
        """
        self._index, self._rows, self._vectors, self._metric = index, rows, vectors, metric
        assert facts.tuned is not None
        self.facts, self._known = facts, facts.tuned
        alive = np.asarray(rows) >= 0
        self._living = None if alive.all() else selector(alive)
        self._row_of_node: Any = None

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:
        """See `Backend.build`."""
        count, dimension = vectors.shape
        facts = IndexFacts(kind, Tuned(settings.recall))
        if count < LEAST:  # nothing but exact comparison, which needs no graph and no lists
            return cls(faiss.IndexFlat(dimension), np.arange(count, dtype=np.int32), vectors, metric, facts)
        index = _new(kind, count, dimension, metric)
        held = hold_out(count) if settings.queries is None else np.empty(0, np.int64)
        settings.stage(f"training {kind}", None)
        _train(index, vectors, metric, settings.memory)
        indexed = np.ones(count, np.bool_)
        indexed[held] = False
        settings.stage("adding vectors to the index", count - len(held))
        for start in range(0, count, BLOCK):
            part = vectors[start : start + BLOCK][indexed[start : start + BLOCK]]
            index.add(ready(part, metric))
            settings.advance(len(part))
        rows = np.flatnonzero(indexed).astype(np.int32)
        settings.stage(f"tuning the search to a recall of {settings.recall:g}", None)
        trial = cls(index, rows, vectors, metric, facts)
        queries = ready(vectors[held] if settings.queries is None else settings.queries, metric)
        steps = trial._tuned(queries, indexed, settings.recall)
        if len(held):
            index.add(ready(vectors[held], metric))
            rows = np.concatenate([rows, held.astype(np.int32)])
        if steps[0].recall < settings.recall and count <= EXACT_UP_TO:
            steps = []  # where all can be compared within milliseconds, that is done
        facts = IndexFacts(
            kind, Tuned(settings.recall, tuple(steps)), steps[0].recall if steps else 1.0, len(queries)
        )
        return cls(index, rows, vectors, metric, facts)

    @classmethod
    def load(cls, path: Path, vectors: Vectors, metric: Metric, facts: IndexFacts) -> Self:
        """See `Backend.load`."""
        return cls(read_index(path), load_array(_rows_file(path), mapped=True), vectors, metric, facts)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        write_index(self._index, path)
        np.save(_rows_file(path), self._rows)

    def extended(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:
        """See `Backend.extended`; not past a fifth masked or added, nor under the wanted recall."""
        known = self._known
        row_now = np.full(len(self._vectors), -1, np.int32)
        row_now[kept[kept >= 0]] = np.flatnonzero(kept >= 0)
        nodes = np.asarray(self._rows)
        rows = np.where(nodes >= 0, row_now[np.maximum(nodes, 0)], -1).astype(np.int32)
        new = np.flatnonzero(kept < 0)
        added, masked = known.added + len(new), int((rows < 0).sum())
        if (
            max(added, masked) > CHANGED_AT_MOST * len(vectors)
            or min(len(vectors), len(self)) < LEAST
            or known.wanted != settings.recall
            or needed(self.facts.kind, len(rows) + len(new), vectors.shape[1]) > settings.memory
        ):
            return None
        index = read_index(path, mapped=False)
        facts = replace(self.facts, tuned=replace(known, added=added, masked=masked))
        asked = settings.queries
        if asked is None and len(new) >= JUDGED_BY:  # they are not in the index yet
            asked = vectors[np.sort(new[np.random.default_rng(0).permutation(len(new))[:MAX_QUERIES]])]
        if asked is not None:
            queries = ready(asked, self._metric)
            settings.stage("measuring the recall of the extended index", None)
            old = type(self)(index, rows, vectors, self._metric, facts)
            exact = truth(queries, vectors, [kept >= 0], self._metric)[0]
            reached, error = recall(old.search(queries, K)[0], exact)
            if reached + error < settings.recall:
                return None
            facts = replace(facts, recall=round(reached, 4), queries=len(queries))
        settings.stage("adding vectors to the index", len(new))
        for start in range(0, len(new), BLOCK):
            index.add(ready(vectors[new[start : start + BLOCK]], self._metric))
            settings.advance(len(new[start : start + BLOCK]))
        return type(self)(index, np.concatenate([rows, new.astype(np.int32)]), vectors, self._metric, facts)

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, queries: Vectors, k: int, allow: Mask | None = None) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        count = len(self) if allow is None else int(allow.sum())
        k = min(k, count)
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        queries = ready(queries, self._metric)
        step = self._step(count / len(self._rows), k)
        if step is None or step.effort > count:
            return self._scan(queries, k, allow)
        far, rows = self._ranked(queries, k, step.effort, step.depth, allow)
        short = rows[:, -1] < 0
        if short.any():  # the graph ended among rows that are not allowed
            far[short], rows[short] = self._scan(queries[short], k, allow)
        return far, rows

    def _step(self, share: float, k: int) -> Step | None:
        """Return parameters for `k` hits among this share of the nodes; None where all rows are compared."""
        harder = [step for step in self._known.steps if step.share <= share]
        easier = [step for step in self._known.steps if step.share > share]
        if not harder and not (easier and share > easier[-1].share * (1 - CHANGED_AT_MOST)):
            return None
        # what a graph visits grows like the inverse of the share that is allowed
        close = [replace(step, effort=math.ceil(step.effort * step.share / share)) for step in easier[-1:]]
        step = min([*harder[:1], *close], key=lambda each: each.effort)
        more = max(1.0, k / K)
        return replace(step, effort=math.ceil(step.effort * more), depth=max(k, math.ceil(step.depth * more)))

    def _scan(self, queries: Vectors, k: int, allow: Mask | None) -> tuple[Vectors, Rows]:
        rows = np.arange(len(self)) if allow is None else np.flatnonzero(allow)
        return scan(queries, rows, self._vectors, self._metric, k)

    def _ranked(
        self, queries: Vectors, k: int, effort: int, depth: int, allow: Mask | None
    ) -> tuple[Vectors, Rows]:
        """Search codes, rank what they find: distances and rows (q, k), -1 at the end for none."""
        chosen = self._living if allow is None else self._translated(allow)
        parameters = _parameters(self._index, effort, depth, chosen)
        far, found = [], []
        together = max(1, CANDIDATES // depth)
        for start in range(0, max(1, len(queries)), together):
            asked = queries[start : start + together]
            _, nodes = self._index.search(asked, depth, params=parameters)
            rows = np.where(nodes >= 0, self._rows[np.maximum(nodes, 0)], -1).astype(np.int64)
            ranked = rank(asked, rows, self._vectors, self._metric)
            far.append(ranked[0][:, :k].copy())  # else all `depth` of them are held
            found.append(ranked[1][:, :k].copy())
        return np.concatenate(far), np.concatenate(found)

    def _translated(self, allow: Mask) -> Any:
        """Return what tells FAISS which nodes stand for allowed rows; -1 stands for none."""
        if self._row_of_node is None:
            self._row_of_node = faiss.Int64Vector()
            faiss.copy_array_to_vector(np.asarray(self._rows, np.int64), self._row_of_node)
        chosen = selector(allow)
        translated = faiss.IDSelectorTranslated(self._row_of_node, chosen)
        translated.rows = chosen  # FAISS holds no reference of its own
        return translated

    def _tuned(self, queries: Vectors, indexed: Mask, wanted: float) -> list[Step]:
        graph = isinstance(self._index, faiss.IndexHNSW)
        efforts: Sequence[int] = EFFORTS
        if not graph:
            lists = self._index.nlist
            efforts = sorted({min(effort, lists) for effort in (1, 2, 3, 4, 5, 6, 8, *EFFORTS)})
        # `search` compares all where as much would be visited
        efforts = [effort for effort in efforts if effort <= indexed.sum()]

        def trial(asked: Vectors, effort: int, depth: int, mask: Mask | None) -> Vectors:
            return self._ranked(asked, K, effort, depth, mask)[0]

        depths = GRAPH_DEPTHS if graph else LIST_DEPTHS
        return tune(trial, queries, self._vectors, indexed, self._metric, wanted, efforts, depths)


def _new(kind: str, count: int, dimension: int, metric: Metric) -> Any:
    """Return an empty FAISS index of a kind, for so many vectors."""
    lists = max(1, min(2 ** round(math.log2(2 * math.sqrt(count))), count // 39 or 1))
    # finding the nearest of many lists takes longer than searching them, so a graph does it
    inverted = f"IVF{lists}_HNSW32" if lists >= MANY_LISTS else f"IVF{lists}"
    made = {
        "hnsw": f"HNSW{LINKS},Flat",
        "hnsw-fp16": f"HNSW{LINKS},SQfp16",
        "hnsw-sq8": f"HNSW{LINKS},SQ8",
        "ivf-rabitq": f"{inverted},RaBitQ",
        "ivf-pq": f"{inverted},PQ{dimension // 2}x4fsr" if dimension % 2 == 0 else f"{inverted},SQ4",
    }[kind]
    index = faiss.index_factory(dimension, made, faiss_metric(metric))
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efConstruction = CONSTRUCTION
    return index


def _train(index: Any, vectors: Vectors, metric: Metric, memory: int) -> None:
    """Train centroids and codes on a sample that takes at most a quarter of the memory."""
    if index.is_trained:
        return
    wanted = max(CODE_TRAINING, getattr(index, "nlist", 0) * LIST_TRAINING)
    count = min(len(vectors), wanted, max(1000, memory // (4 * 4 * vectors.shape[1])))
    rows = np.unique(np.linspace(0, len(vectors) - 1, count).astype(np.int64))
    index.train(ready(vectors[rows], metric))


def _parameters(index: Any, effort: int, depth: int, chosen: Any) -> Any:
    """Return FAISS's search parameters; a selector of None leaves all in."""
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(effort, depth), sel=chosen)
    kind = (
        faiss.IVFRaBitQSearchParameters
        if isinstance(index, faiss.IndexIVFRaBitQ)
        else faiss.SearchParametersIVF
    )
    return kind(nprobe=min(effort, index.nlist), sel=chosen)


def _rows_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.rows.npy")

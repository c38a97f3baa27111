"""Approximate search by FAISS: a graph (HNSW) or lists (IVF) of codes; stored vectors rank the hits again.

HNSW: Malkov & Yashunin 2018. RaBitQ: Gao & Long 2024. Product quantisation, fast scan: Jégou et al. 2011,
André et al. 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from embedsearch.backends import (
    EXACT_UP_TO,
    Filter,
    Mask,
    Nodes,
    Rows,
    Settings,
    Take,
    grown,
    needed,
    taking,
)
from embedsearch.backends.facts import IndexFacts, Step, Tuned
from embedsearch.backends.files import read_index, write_index
from embedsearch.backends.flat import (
    BLOCK,
    ahead,
    bitmap,
    blocks,
    faiss_metric,
    findable,
    nothing,
    once,
    rank,
    ready,
    scan,
    taken,
    without,
)
from embedsearch.backends.lists import filling, train
from embedsearch.backends.tuning import MAX_QUERIES, K, Nearest, hold_out, masks, recall, truth, tune
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors

LINKS, CONSTRUCTION = 16, 100
LIST_TRAINING, CODE_TRAINING = 50, 65_536  # vectors that train each list, and the codes
CODE_ROUNDS = 10  # of k-means; 25, FAISS's own number, make the error 0.110 where it is 0.112
# fmt: off
EF_SEARCH = (
    10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536,
    2048, 3072, 4096,
)
# fmt: on
GRAPH_RERANK_K, LIST_RERANK_K = (10, 15, 20, 30), (15, 20, 30, 40, 60, 100, 200, 400, 800, 1600)
MANY_LISTS = 4096
SURE_LISTS = 64  # that a graph always finds; where it misses some of more, the codes of a query are spoilt
NODES = 2**18  # nodes that are compared at a time
CANDIDATES = 2**18  # of the queries that are searched together; they take some megabytes
LEAST = 1000  # vectors; with fewer, no recall can be measured, and a query is compared with each
PLANS = 64  # numbers of hits whose parameters are kept
CHANGED_AT_MOST = 0.2  # share of the vectors that an extended index may mask or add
JUDGED_BY = 100  # new vectors; with as many, the recall of an extended index is measured again


class FaissANN:
    """A FAISS index over codes, its search parameters, and which row each of its nodes stands for."""

    def __init__(
        self, index: Any, rows: Nodes, count: int, take: Take, metric: Metric, facts: IndexFacts
    ) -> None:
        """Keep the parts of an index.

        Args:
            index: the FAISS index.
            rows: (m,) the row of each node; -1 for a node whose row is gone.
            count: the number of vectors.
            take: gives their raw values.
            metric: which distance.
            facts: what the manifest says of it.
        """
        self._index, self._count, self._take, self._metric = index, count, take, metric
        self._rows = np.asarray(rows)  # no longer a `numpy.memmap`, which is slower to compare
        assert facts.tuned is not None
        self.facts, self._known = facts, facts.tuned
        alive = self._rows >= 0
        self._living = None if alive.all() else bitmap(alive)
        self._row_of_node: Any = None
        self._usual: dict[tuple[float, int], tuple[Step | None, Any]] = {}  # by share and hits, see `_plan`

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:
        """See `Backend.build`."""
        count, dimension = vectors.shape
        facts = IndexFacts(kind, Tuned(settings.recall))
        if count < LEAST:  # every query is compared with all vectors, which needs no graph and no lists
            rows = np.arange(count, dtype=np.int32)
            return cls(faiss.IndexFlat(dimension), rows, count, taking(vectors), metric, facts)
        index = _new(kind, count, dimension, metric)
        held = hold_out(count) if settings.queries is None else np.empty(0, np.int64)
        if isinstance(index, faiss.IndexIVFPQFastScan):
            index.pq.cp.niter = CODE_ROUNDS
        settings.stage(f"training {kind}", None)
        finder = None if index.is_trained else train(index, _sample(index, vectors, metric, settings.memory))
        indexed = np.ones(count, np.bool_)
        indexed[held] = False
        settings.stage("adding vectors to the index", count - len(held))
        queries = ready(vectors[held] if settings.queries is None else settings.queries, metric)
        take, allowed = taking(vectors), [indexed if mask is None else mask for _, mask in masks(count)]
        nearest = Nearest(queries, len(allowed), metric)

        def block(start: int) -> tuple[Rows, Vectors]:
            rows = start + np.flatnonzero(indexed[start : start + BLOCK])
            return rows, taken(take, rows, metric)

        if isinstance(index, faiss.IndexIVFPQFastScan):
            index.pq.sync_transposed_centroids()  # with these, codes are found faster
        with filling(index, finder):
            for at, part in ahead(block, range(0, count, BLOCK)):
                index.add(part)
                nearest.take(part, [mask[at] for mask in allowed])
                settings.advance(len(part))
        rows = np.flatnonzero(indexed).astype(np.int32)
        settings.stage(f"tuning the search to a recall of {settings.recall:g}", None)
        trial = cls(index, rows, count, taking(vectors), metric, facts)
        steps = trial._tuned(queries, vectors, nearest.distances(), settings.recall)
        if len(held):
            index.add(ready(vectors[held], metric))
            rows = np.concatenate([rows, held.astype(np.int32)])
        if steps[0].recall < settings.recall and count <= EXACT_UP_TO:
            steps = []  # so few vectors are all compared within milliseconds
        facts = IndexFacts(
            kind, Tuned(settings.recall, tuple(steps)), steps[0].recall if steps else 1.0, len(queries)
        )
        return cls(index, rows, count, taking(vectors), metric, facts)

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:
        """See `Backend.locate`."""
        index, rows = read_index(path), load_array(_rows_file(path), mapped=True)
        return cls(index, rows, int(np.count_nonzero(rows >= 0)), take, metric, facts)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        write_index(self._index, path)
        np.save(_rows_file(path), self._rows)

    def extend(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:
        """See `Backend.extend`; None above a fifth masked or added, and below the wanted recall."""
        known = self._known
        row_now = np.full(len(self), -1, np.int32)
        row_now[kept[kept >= 0]] = np.flatnonzero(kept >= 0)
        nodes = self._rows
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
        if asked is None and len(new) >= JUDGED_BY:  # new vectors are not in the index yet
            asked = vectors[np.sort(new[np.random.default_rng(0).permutation(len(new))[:MAX_QUERIES]])]
        if asked is not None:
            queries = ready(asked, self._metric)
            settings.stage("measuring the recall of the extended index", None)
            old = type(self)(index, rows, len(vectors), taking(vectors), self._metric, facts)
            exact = truth(queries, vectors, [kept >= 0], self._metric)[0]
            reached, error = recall(old.search(queries, K)[0], exact)
            if reached + error < settings.recall:
                return None
            facts = replace(facts, recall=round(reached, 4), queries=len(queries))
        settings.stage("adding vectors to the index", len(new))
        for start in range(0, len(new), BLOCK):
            index.add(ready(vectors[new[start : start + BLOCK]], self._metric))
            settings.advance(len(new[start : start + BLOCK]))
        rows = np.concatenate([rows, new.astype(np.int32)])
        return type(self)(index, rows, len(vectors), taking(vectors), self._metric, facts)

    def __len__(self) -> int:
        return self._count

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        left_out = once(exclude)
        count = findable(len(self), filter, left_out)
        k = min(k, count)
        if k == 0:
            return nothing(queries)
        queries = ready(queries, self._metric)

        def compare_all(asked: Vectors) -> tuple[Vectors, Rows]:
            return scan(asked, blocks(len(self), filter, left_out), self._take, self._metric, k)

        step, usual = self._plan(count / len(self._rows), k)
        if step is None or step.ef_or_nprobe > count:
            return compare_all(queries)
        chosen = without(self._chosen(None if filter is None else filter.mask), self._nodes(left_out))
        parameters = usual
        if chosen is not None:
            parameters = _parameters(self._index, step.ef_or_nprobe, step.rerank_k, chosen)
        far, rows = self._ranked(queries, k, step.rerank_k, parameters)
        short = rows[:, -1] < 0
        if short.any():  # the graph ended among rows that may not be found
            far[short], rows[short] = compare_all(queries[short])
        return far, rows

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.within`."""
        return grown(lambda k: self.search(query, k, filter, exclude), limit)

    def _nodes(self, rows: Rows) -> Rows:
        """Return the nodes of a few rows; no array of all nodes is made."""
        if not len(rows):
            return rows
        found = [
            start + np.flatnonzero(self._rows[start : start + NODES] == row)
            for row in rows.tolist()
            for start in range(0, len(self._rows), NODES)
        ]
        return np.concatenate(found)

    def _plan(self, share: float, k: int) -> tuple[Step | None, Any]:
        """Return the parameters for `k` hits among a share of the nodes, see `_step`, and their form there.

        Those of a search among all are kept, as they are asked for most.
        """
        if (share, k) in self._usual:
            return self._usual[share, k]
        step = self._step(share, k)
        planned = step, None
        if step is not None:
            planned = step, _parameters(self._index, step.ef_or_nprobe, step.rerank_k, None)
        if share == len(self) / len(self._rows) and len(self._usual) < PLANS:
            self._usual[share, k] = planned
        return planned

    def _step(self, share: float, k: int) -> Step | None:
        """Return the parameters for `k` hits among a share of the nodes; None to compare all rows."""
        harder = [step for step in self._known.steps if step.share <= share]
        easier = [step for step in self._known.steps if step.share > share]
        if not harder and not (easier and share > easier[-1].share * (1 - CHANGED_AT_MOST)):
            return None
        # a graph visits more nodes in inverse proportion to the share that is allowed
        close = [
            replace(step, ef_or_nprobe=math.ceil(step.ef_or_nprobe * step.share / share))
            for step in easier[-1:]
        ]
        step = min([*harder[:1], *close], key=lambda each: each.ef_or_nprobe)
        more = max(1.0, k / K)
        return replace(
            step,
            ef_or_nprobe=math.ceil(step.ef_or_nprobe * more),
            rerank_k=max(k, math.ceil(step.rerank_k * more)),
        )

    def _ranked(self, queries: Vectors, k: int, rerank_k: int, parameters: Any) -> tuple[Vectors, Rows]:
        """Search the codes and rank the candidates: distances and rows (q, k), with -1 at the end for no row.

        `parameters` are those of FAISS, see `_parameters`.
        """
        far, found = [], []
        together = max(1, CANDIDATES // rerank_k)
        for start in range(0, max(1, len(queries)), together):
            asked = queries[start : start + together]
            _, nodes = self._index.search(asked, rerank_k, params=parameters)
            rows = np.where(nodes >= 0, self._rows[np.maximum(nodes, 0)], -1).astype(np.int64)
            ranked = rank(asked, rows, self._take, self._metric)
            far.append(ranked[0][:, :k].copy())  # a view would keep all `rerank_k`
            found.append(ranked[1][:, :k].copy())
        return np.concatenate(far), np.concatenate(found)

    def _chosen(self, mask: Mask | None) -> Any:
        """Return the FAISS selector of the nodes of allowed rows, or of all rows; None for every node."""
        if mask is None:
            return self._living
        if self._row_of_node is None:
            self._row_of_node = faiss.Int64Vector()
            faiss.copy_array_to_vector(np.asarray(self._rows, np.int64), self._row_of_node)
        allowed = bitmap(mask)  # a node of no row has the row -1, which is beyond the bitmap
        translated = faiss.IDSelectorTranslated(self._row_of_node, allowed)
        translated.rows = allowed  # FAISS keeps no reference to it
        return translated

    def _tuned(
        self, queries: Vectors, vectors: Vectors, exact: Sequence[Vectors], wanted: float
    ) -> list[Step]:
        graph = isinstance(self._index, faiss.IndexHNSW)
        ef_or_nprobes: Sequence[int] = EF_SEARCH
        if not graph:
            lists = self._index.nlist
            ef_or_nprobes = sorted(
                {min(ef_or_nprobe, lists) for ef_or_nprobe in (1, 2, 3, 4, 5, 6, 8, *EF_SEARCH)}
            )
        # where as many nodes would be visited, `search` compares all rows
        ef_or_nprobes = [ef_or_nprobe for ef_or_nprobe in ef_or_nprobes if ef_or_nprobe <= len(self._rows)]

        def trial(asked: Vectors, ef_or_nprobe: int, rerank_k: int, mask: Mask | None) -> Vectors:
            parameters = _parameters(self._index, ef_or_nprobe, rerank_k, self._chosen(mask))
            return self._ranked(asked, K, rerank_k, parameters)[0]

        rerank_ks = GRAPH_RERANK_K if graph else LIST_RERANK_K
        return tune(trial, queries, vectors, exact, self._metric, wanted, ef_or_nprobes, rerank_ks)


def _new(kind: str, count: int, dimension: int, metric: Metric) -> Any:
    """Return an empty FAISS index of a kind for a number of vectors."""
    lists = max(1, min(2 ** round(math.log2(2 * math.sqrt(count))), count // 39 or 1))
    # to find the nearest of many lists takes longer than to search in them, so a graph finds them
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


def _sample(index: Any, vectors: Vectors, metric: Metric, memory: int) -> Vectors:
    """Return what trains centroids and codes, (m, d) ready: it takes at most a quarter of the memory."""
    wanted = max(CODE_TRAINING, getattr(index, "nlist", 0) * LIST_TRAINING)
    count = min(len(vectors), wanted, max(1000, memory // (4 * 4 * vectors.shape[1])))
    rows = np.unique(np.linspace(0, len(vectors) - 1, count).astype(np.int64))
    return taken(taking(vectors), rows, metric)


def _parameters(index: Any, ef_or_nprobe: int, rerank_k: int, chosen: Any) -> Any:
    """Return the search parameters of FAISS; a selector of None selects all."""
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(ef_or_nprobe, rerank_k), sel=chosen)
    kind = (
        faiss.IVFRaBitQSearchParameters
        if isinstance(index, faiss.IndexIVFRaBitQ)
        else faiss.SearchParametersIVF
    )
    nprobe, of_graph = min(ef_or_nprobe, index.nlist), None
    if nprobe > SURE_LISTS and isinstance(faiss.downcast_index(index.quantizer), faiss.IndexHNSW):
        of_graph = faiss.SearchParametersHNSW(efSearch=nprobe)
    return kind(nprobe=nprobe, sel=chosen, quantizer_params=of_graph)


def _rows_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.rows.npy")

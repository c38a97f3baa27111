"""Vectors on a Milvus server, or in Milvus Lite's file: https://milvus.io.

The builds of an index share a collection of vectors as long as they are much alike. A row has the generation
in which it came and the one in which it goes, so that a rebuild writes and deletes only what changed, and
readers of the build before see none of it. A collection of its own says what a build is; an alias stands for
that of the current one. Switching the alias publishes a build, and switching it back rolls it back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from embedsearch.backends import Filter, Mask, Nodes, Place, Rows, Settings, Take, grown, taking
from embedsearch.backends.facts import IndexFacts, Tuned
from embedsearch.backends.flat import BLOCK, blocks, findable, nothing, once, ready, scan, to_distances
from embedsearch.backends.milvus.address import Address, owner_of
from embedsearch.backends.milvus.columns import changed, columns_of, fits, schema_of, values
from embedsearch.backends.milvus.expressions import UntranslatableError, expression
from embedsearch.backends.milvus.published import check_owner, is_there, newest, publish, tidy, withdraw
from embedsearch.backends.milvus.server import (
    BORN,
    DRAW,
    EXACT,
    FOREVER,
    GONE,
    GRAPH,
    MOST_HITS,
    NODE,
    ROWS,
    VECTOR,
    Server,
    connect,
)
from embedsearch.backends.tuning import SHARES, K, draws, hold_out, recall, truth, tune_each
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors

LINKS, CONSTRUCTION = 16, 100
# fmt: off
EF_SEARCH = (
    10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
)
# fmt: on
ASKED = 100  # queries to tune with
MOST_PARTS = 10  # that a share of the rows is searched in
LEAST = 1000  # vectors; with fewer, every one is compared
CHANGED_AT_MOST = 0.2  # share of the rows of a collection that may be gone, or have come later
JUDGED_BY = 100  # new vectors; with as many, the recall of an extended index is measured again


class Milvus:
    """A build's vectors on a server, and which row each of the server's rows stands for."""

    publish, is_there = staticmethod(publish), staticmethod(is_there)
    withdraw, tidy = staticmethod(withdraw), staticmethod(tidy)

    @staticmethod
    def check(uri: str) -> None:
        """See `Elsewhere.check`."""
        connect(uri)

    def __init__(self, address: Address, rows: Nodes, take: Take, metric: Metric, facts: IndexFacts) -> None:
        """Keep the parts of an index; the server is asked by the first search.

        Args:
            address: where the vectors are.
            rows: (m,) the row of each number on the server; -1 for one that is gone.
            take: gives raw vectors of rows.
            metric: which distance.
            facts: what the manifest says of it.
        """
        self.address, self._rows, self._take, self._metric = address, np.asarray(rows), take, metric
        assert facts.tuned is not None
        self.facts, self._known = facts, facts.tuned
        self._count = int(np.count_nonzero(self._rows >= 0))

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:
        """See `Backend.build`."""
        place, (count, dimension) = _place(settings), vectors.shape
        server = connect(place.uri)
        items = place.items()
        columns = columns_of(items)
        address = Address.new(
            place.uri, place.name, owner_of(place.folder), EXACT if count < LEAST else GRAPH, columns
        )
        check_owner(server, place.name, place.folder)
        facts = IndexFacts(kind, Tuned(settings.recall))
        index = cls(address, np.arange(count, dtype=np.int32), taking(vectors), metric, facts)
        known = [(BORN, "INT64"), (GONE, "INT64"), (DRAW, "FLOAT")]
        server.create(address.vectors, known + schema_of(columns), dimension)
        is_small = count < LEAST
        held = _held_out(count) if settings.queries is None and not is_small else np.empty(0, np.int64)
        indexed = np.ones(count, np.bool_)
        indexed[held] = False
        settings.stage("sending vectors to the server", count - len(held))
        sent = np.flatnonzero(indexed)
        if is_small:
            server.index(address.vectors, EXACT, {}, index._measure)
            index._send(vectors, items, sent, sent, settings)
            server.wait(address.vectors, f"{NODE} == {sent[-1]}")
            return index
        index._send(vectors, items, sent, sent, settings)
        server.flush(address.vectors)  # before that every row is compared, which tunes nothing
        server.index(address.vectors, GRAPH, {"M": LINKS, "efConstruction": CONSTRUCTION}, index._measure)
        server.wait(address.vectors, f"{NODE} == {sent[-1]}")
        settings.stage(f"tuning the search to a recall of {settings.recall:g}", None)
        queries = ready(vectors[held] if settings.queries is None else settings.queries, metric)
        efs = [ef for ef in EF_SEARCH if ef <= indexed.sum()]
        # that comparing all would be faster counts for nothing: a reader may have no vectors
        steps = tune_each(index._trial, queries, vectors, indexed, metric, settings.recall, efs)
        if len(held):
            index._send(vectors, items, held, held, settings)
            server.wait(address.vectors, f"{NODE} == {held[-1]}")
        tuned = Tuned(settings.recall, tuple(steps))
        facts = replace(facts, tuned=tuned, recall=steps[0].recall, queries=len(queries))
        return cls(address, index._rows, taking(vectors), metric, facts)

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:
        """See `Backend.locate`; no server is asked."""
        return cls(Address.load(path), load_array(_rows_file(path)), take, metric, facts)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        self.address.save(path)
        np.save(_rows_file(path), self._rows)

    def extend(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:  # noqa: ARG002
        """See `Backend.extend`; only rows that are new, changed or gone are written.

        None above a fifth gone or added, below the wanted recall, for another server or other columns, and
        where the collection went on from a later build, as after a rollback.
        """
        place, old = _place(settings), self.address
        if place.uri != old.uri or place.before is None or self._known.wanted != settings.recall:
            return None
        items, before = place.items(), place.before()
        if not fits(old.columns, items) or (len(vectors) >= LEAST) != (old.kind == GRAPH):
            return None
        server = connect(place.uri)
        check_owner(server, place.name, place.folder)
        is_ours = old.owner == owner_of(place.folder)
        if not is_ours or not server.has(old.vectors) or newest(server, old) > old.generation:
            return None
        stays = np.flatnonzero(~changed(list(old.columns), items, before, kept))
        row_now = np.full(len(self), -1, np.int32)
        row_now[kept[stays]] = stays
        rows = np.where(self._rows >= 0, row_now[np.maximum(self._rows, 0)], -1).astype(np.int32)
        new = np.setdiff1d(np.arange(len(vectors)), stays)
        added, masked = self._known.added + len(new), int((rows < 0).sum())
        if max(added, masked) > CHANGED_AT_MOST * len(vectors):
            return None
        address, first = old.next(), len(rows)
        known = replace(self._known, added=added, masked=masked)
        made = type(self)(
            address,
            np.concatenate([rows, new.astype(np.int32)]),
            taking(vectors),
            self._metric,
            replace(self.facts, tuned=known),
        )
        made._clear(server, np.flatnonzero((self._rows >= 0) & (rows < 0)))
        settings.stage("sending vectors to the server", len(new))
        made._send(vectors, items, new, np.arange(first, first + len(new)), settings)
        if len(new):
            server.wait(address.vectors, f"{NODE} == {first + len(new) - 1}")
        return made._judged(vectors, kept, stays, first, settings)

    def __len__(self) -> int:
        return self._count

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.search`.

        What the server can't filter by, and shares of rows at which its index misses too much, are compared
        row by row.
        """
        left_out = once(exclude)
        count = findable(len(self), filter, left_out)
        k = min(k, count)
        if k == 0:
            return nothing(queries)
        queries = ready(queries, self._metric)

        def compare_all(asked: Vectors) -> tuple[Vectors, Rows]:
            return scan(asked, blocks(len(self), filter, left_out), self._take, self._metric, k)

        condition, (parts, ef) = self._condition(filter, left_out), self._plan(count / len(self))
        if not condition or not parts or k > MOST_HITS:
            return compare_all(queries)
        far, rows = self._asked(queries, k, condition, math.ceil(ef * max(1.0, k / K)), parts)
        short = rows[:, -1] < 0
        if short.any():  # the graph ended among rows that may not be found
            far[short], rows[short] = compare_all(queries[short])
        return far, rows

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.within`."""
        return grown(lambda k: self.search(query, k, filter, exclude), limit)

    def take(self, rows: Rows) -> Vectors:
        """See `Elsewhere.take`; of unit length for cosine."""
        found = self._nodes[np.asarray(rows, np.int64)]
        return connect(self.address.uri).vectors(self.address.vectors, found, self._dimension)

    @cached_property
    def _nodes(self) -> Rows:
        """The number of each row on the server, (n,)."""
        nodes = np.empty(len(self), np.int64)
        there = np.flatnonzero(self._rows >= 0)
        nodes[self._rows[there]] = there
        return nodes

    @cached_property
    def _dimension(self) -> int:
        return connect(self.address.uri).dimension(self.address.vectors)

    @property
    def _alive(self) -> str:
        """Which rows of the collection belong to this build."""
        return f"{BORN} <= {self.address.generation} and {GONE} > {self.address.generation}"

    @property
    def _measure(self) -> str:
        return "L2" if self._metric is Metric.L2 else "IP"

    def _condition(self, filter: Filter | None, left_out: Rows) -> str:
        """Return which rows may be found, for the server; empty where it can't say so."""
        parts = [self._alive]
        if filter is not None:
            if filter.tree is None:
                return ""
            try:
                parts.append(expression(filter.tree, self.address.columns))
            except UntranslatableError:
                return ""
        if len(left_out):
            parts.append(f"{NODE} not in {self._nodes[left_out].tolist()}")
        return " and ".join(parts)

    def _plan(self, share: float) -> tuple[int, int]:
        """Return how to search among a share of the rows: in how many parts, and with which efSearch.

        A server's graph falls apart among some shares, and below these the server compares every row. So
        what is hard in one part is easy in several, which its rows are drawn into. No part is the answer
        where this does not help; efSearch is 0 where no graph is searched.
        """
        if self.address.kind == EXACT:
            return 1, 0
        known = {step.share: step.ef_or_nprobe for step in self._known.steps}
        compares = "://" in self.address.uri and min(known) == min(SHARES)
        for parts in range(1, MOST_PARTS + 1):
            part = share / parts
            around = [min((each for each in SHARES if each >= part), default=1.0)]
            if (below := max((each for each in SHARES if each <= part), default=None)) is not None:
                around.append(below)
            elif not compares:  # Lite searches its graph among however few
                return 0, 0
            if all(each in known for each in around):
                return parts, max(known[each] for each in around)
        return 0, 0

    def _asked(
        self, queries: Vectors, k: int, condition: str, ef: int, parts: int = 1
    ) -> tuple[Vectors, Rows]:
        """Ask the server: distances and rows (q, k), with -1 at the end for no row."""
        server, bounds = connect(self.address.uri), np.linspace(0, 1, parts + 1).tolist()
        among = [f"{condition} and {DRAW} >= {low} and {DRAW} < {high}" for low, high in pairwise(bounds)]
        answers = [
            server.search(self.address.vectors, queries, k, each, self._measure, ef)
            for each in (among if parts > 1 else [condition])
        ]
        found = np.concatenate([far for far, _ in answers], axis=1)  # (q, k) each -> (q, k parts)
        nodes = np.concatenate([nodes for _, nodes in answers], axis=1)
        rows = np.where(nodes >= 0, self._rows[np.maximum(nodes, 0)], -1).astype(np.int64)
        far = np.where(rows >= 0, to_distances(found, self._metric), np.inf).astype(np.float32)
        order = np.lexsort((rows, far))[:, :k]
        return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)

    def _trial(self, asked: Vectors, ef: int, rerank_k: int, mask: Mask | None) -> Vectors:  # noqa: ARG002
        """Search among a random share of the rows, which the server draws as `masks` does."""
        share = 1.0 if mask is None else min(SHARES, key=lambda each: abs(each - mask.mean()))
        drawn = "" if mask is None else f" and {DRAW} < {share}"
        return self._asked(asked, K, self._alive + drawn, ef)[0]

    def _send(self, vectors: Vectors, items: pa.Table, rows: Rows, nodes: Rows, settings: Settings) -> None:
        """Write rows to the server, under these numbers."""
        server, address = connect(self.address.uri), self.address
        draw = draws(len(vectors))
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            held = ready(vectors[block], self._metric)
            sent = [
                {
                    NODE: node,
                    VECTOR: vector,
                    BORN: address.generation,
                    GONE: FOREVER,
                    DRAW: float(draw[row]),
                    **more,
                }
                for row, node, vector, more in zip(
                    block.tolist(),
                    nodes[start : start + BLOCK].tolist(),
                    held,
                    values(address.columns, items, block),
                    strict=True,
                )
            ]
            for first in range(0, len(sent), ROWS):
                server.insert(address.vectors, sent[first : first + ROWS])
                settings.advance(len(sent[first : first + ROWS]))

    def _clear(self, server: Server, gone: Rows) -> None:
        """Have rows be gone from this generation on; what a killed run left of it is undone."""
        collection, generation = self.address.vectors, self.address.generation
        server.delete(collection, f"{BORN} >= {generation}")
        marked = {row[NODE] for row in server.rows(collection, f"{GONE} == {generation}", [NODE])}
        wanted = set(gone.tolist())
        for nodes, until in ((marked - wanted, FOREVER), (wanted - marked, generation)):
            ordered = sorted(nodes)
            for start in range(0, len(ordered), ROWS):
                part = ordered[start : start + ROWS]
                rows = server.rows(collection, f"{NODE} in {part}", ["*"])
                server.insert(collection, [{**row, GONE: until} for row in rows])
            if ordered:
                server.wait(collection, f"{NODE} == {ordered[-1]} and {GONE} == {until}")

    def _judged(
        self, vectors: Vectors, kept: Rows, stays: Rows, first: int, settings: Settings
    ) -> Self | None:
        """Return the extended index with its recall measured again; None below the one that is wanted.

        New vectors are the queries, among the rows that were there before.

        Args:
            vectors: (n, d) raw.
            kept: (n,) the row of the build before that holds the same vector; -1 for a new one.
            stays: (m,) the rows that were there before.
            first: the number on the server of the first row that was not.
            settings: see `Backend.build`.
        """
        new = np.flatnonzero(kept < 0)
        asked = settings.queries
        if asked is None and len(new) >= JUDGED_BY:
            asked = vectors[new[:1000]]
        if asked is None or self.address.kind == EXACT:
            return self
        settings.stage("measuring the recall of the extended index", None)
        queries = ready(asked, self._metric)
        there = np.zeros(len(vectors), np.bool_)
        there[stays] = True
        exact = truth(queries, vectors, [there], self._metric)[0]
        found, _ = self._asked(queries, K, f"{self._alive} and {NODE} < {first}", self._plan(1.0)[1])
        reached, error = recall(found, exact)
        if reached + error < settings.recall:
            return None
        return type(self)(
            self.address,
            self._rows,
            self._take,
            self._metric,
            replace(self.facts, recall=round(reached, 4), queries=len(queries)),
        )


def _place(settings: Settings) -> Place:
    assert settings.place is not None  # which every build has
    return settings.place


def _held_out(count: int) -> Rows:
    """Return rows, ascending, to tune with: fewer than for FAISS, as each question goes to a server."""
    held = hold_out(count)
    return held[np.unique(np.linspace(0, len(held) - 1, min(ASKED, len(held))).astype(np.int64))]


def _rows_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.rows.npy")

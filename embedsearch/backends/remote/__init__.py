"""Vectors that a server keeps, whichever: what the backends milvus and pgvector have in common.

The builds of an index share a collection of vectors as long as they are much alike. A row has the generation
in which it came and the one in which it goes, so that a rebuild writes and deletes only what changed, and
readers of the build before see none of it. A collection of its own says what a build is; an alias stands for
that of the current one. Switching the alias publishes a build, and switching it back rolls it back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from embedsearch.backends import Filter, Mask, Nodes, Place, Rows, Settings, Take, grown, taking
from embedsearch.backends.facts import IndexFacts, Tuned
from embedsearch.backends.flat import BLOCK, blocks, findable, nothing, once, ready, scan, to_distances
from embedsearch.backends.remote import published
from embedsearch.backends.remote.address import Address, owner_of
from embedsearch.backends.remote.columns import Column, Limits, changed, columns_of, fits, schema_of, values
from embedsearch.backends.remote.server import (
    BORN,
    DRAW,
    EXACT,
    FOREVER,
    GONE,
    GRAPH,
    KNOWN,
    NODE,
    ROWS,
    VECTOR,
    Condition,
    Server,
    UntranslatableError,
    between,
)
from embedsearch.backends.tuning import SHARES, K, draws, hold_out, recall, truth, tune_each
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.query import Both, Compare, In, Not, Tree

ASKED = 100  # queries to tune with
LEAST = 1000  # vectors; with fewer, every one is compared
CHANGED_AT_MOST = 0.2  # share of the rows of a collection that may be gone, or have come later
JUDGED_BY = 100  # new vectors; with as many, the recall of an extended index is measured again


class Remote(ABC):
    """A build's vectors on a server, and which row each of the server's rows stands for.

    Attributes:
        name: in `BACKENDS`.
        limits: what the server's collections can hold.
        efs: values of efSearch to try, ascending.
        widest: the most numbers in a vector of a graph.
        most_hits: that the server returns for one query.
        compares: whether the server compares every row when efSearch is 0, though it has a graph.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits]
    efs: ClassVar[Sequence[int]]
    widest: ClassVar[float]
    most_hits: ClassVar[float]
    compares: ClassVar[bool]

    @staticmethod
    @abstractmethod
    def connect(uri: str) -> Server:
        """Return a connection, one for each URI and process.

        Raises:
            MissingExtraError: what speaks to the server is not installed.
            RecipeError: the URI names no server.
            ServerError, IndexBusyError: the server does not answer.
        """

    @staticmethod
    @abstractmethod
    def translate(tree: Tree, columns: Mapping[str, Column]) -> Condition:
        """See `Server.translate`; no server is asked."""

    @staticmethod
    @abstractmethod
    def parse(address: str) -> tuple[str, str]:
        """Return the URI of a server, and the name of an index, from the address of an index.

        Raises:
            RecipeError, IndexNotFoundError: it is no such address.
        """

    @abstractmethod
    def _plan(self, share: float, k: int = K) -> tuple[int, int]:
        """Return how to search among a share of the rows: in how many parts, and with which efSearch.

        No part is the answer where the server can't; efSearch is 0 where every row is compared.
        """

    @classmethod
    def check(cls, uri: str) -> None:
        """See `Elsewhere.check`."""
        cls.connect(uri)

    @classmethod
    def publish(cls, path: Path, files: Sequence[Path]) -> None:
        """See `Elsewhere.publish`."""
        address = Address.load(path, cls.name)
        published.publish(cls.connect(address.uri), address, _folder(path), files)

    @classmethod
    def is_there(cls, path: Path) -> bool:
        """See `Elsewhere.is_there`."""
        address = Address.load(path, cls.name)
        server = cls.connect(address.uri)
        return server.has(address.vectors) and server.alias(address.alias) == address.build

    @classmethod
    def withdraw(cls, path: Path) -> None:
        """See `Elsewhere.withdraw`."""
        address = Address.load(path, cls.name)
        server = cls.connect(address.uri)
        if server.alias(address.alias) == address.build:
            server.unpoint(address.alias)

    @classmethod
    def tidy(cls, gone: Sequence[Path], kept: Sequence[Path]) -> None:
        """See `Elsewhere.tidy`. A copy of a folder deletes nothing."""
        staying = [Address.load(path, cls.name) for path in kept]
        for path in gone:
            address = Address.load(path, cls.name)
            if address.owner == owner_of(_folder(path)):
                alike = [each for each in staying if each.uri == address.uri]
                published.tidy(cls.connect(address.uri), address, alike)

    @classmethod
    def sweep(cls, uri: str, folder: Path) -> None:
        """See `Elsewhere.sweep`."""
        published.sweep(cls.connect(uri), folder.name, owner_of(folder))

    @classmethod
    def name_at(cls, address: str) -> str:
        """See `Elsewhere.name_at`."""
        return cls.parse(address)[1]

    @classmethod
    def fetch(cls, address: str, folder: Path) -> Path:
        """See `Elsewhere.fetch`."""
        uri, name = cls.parse(address)
        return published.fetch(cls.connect(uri), name, folder)

    @classmethod
    def delete(cls, address: str) -> None:
        """See `Elsewhere.delete`."""
        uri, name = cls.parse(address)
        published.delete(cls.connect(uri), name)

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
        server = cls.connect(place.uri)
        items = place.items()
        columns = columns_of(items, cls.limits)
        is_small = cls._kind(count, dimension) == EXACT
        owner = owner_of(place.folder)
        address = Address.new(server, place.name, owner, EXACT if is_small else GRAPH, columns)
        published.check_owner(server, place.name, place.folder)
        facts = IndexFacts(kind, Tuned(settings.recall))
        index = cls(address, np.arange(count, dtype=np.int32), taking(vectors), metric, facts)
        known = [(BORN, "INT64"), (GONE, "INT64"), (DRAW, "FLOAT")]
        server.create(address.vectors, known + schema_of(columns), dimension)
        held = _held_out(count) if settings.queries is None and not is_small else np.empty(0, np.int64)
        indexed = np.ones(count, np.bool_)
        indexed[held] = False
        settings.stage("sending vectors to the server", count - len(held))
        sent = np.flatnonzero(indexed)
        if is_small:
            server.index(address.vectors, EXACT, index._measure)
            index._send(vectors, items, sent, sent, settings)
            server.wait(address.vectors, int(sent[-1]))
            return index
        index._send(vectors, items, sent, sent, settings)
        server.flush(address.vectors)  # before that every row is compared, which tunes nothing
        server.index(address.vectors, GRAPH, index._measure)
        server.wait(address.vectors, int(sent[-1]))
        settings.stage(f"tuning the search to a recall of {settings.recall:g}", None)
        queries = ready(vectors[held] if settings.queries is None else settings.queries, metric)
        efs = [ef for ef in cls.efs if ef <= indexed.sum()]
        # that comparing all would be faster counts for nothing: a reader may have no vectors
        steps = tune_each(index._trial, queries, vectors, indexed, metric, settings.recall, efs)
        if len(held):
            index._send(vectors, items, held, held, settings)
            server.wait(address.vectors, int(held[-1]))
        tuned = Tuned(settings.recall, tuple(steps))
        facts = replace(facts, tuned=tuned, recall=steps[0].recall, queries=len(queries))
        return cls(address, index._rows, taking(vectors), metric, facts)

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:
        """See `Backend.locate`; no server is asked."""
        return cls(Address.load(path, cls.name), load_array(_rows_file(path)), take, metric, facts)

    def save(self, path: Path) -> None:
        """See `Backend.save`."""
        self.address.save(path, self.name)
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
        if not fits(old.columns, items, self.limits) or self._kind(*vectors.shape) != old.kind:
            return None
        server = self.connect(place.uri)
        published.check_owner(server, place.name, place.folder)
        is_ours = old.owner == owner_of(place.folder)
        if not is_ours or not server.has(old.vectors) or published.newest(server, old) > old.generation:
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
            server.wait(address.vectors, first + len(new) - 1)
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

        condition, (parts, ef) = self._condition(filter, left_out), self._plan(count / len(self), k)

        def compare_all(asked: Vectors) -> tuple[Vectors, Rows]:
            if condition is not None and self.compares:
                return self._asked(asked, k, condition, 0)
            return scan(asked, blocks(len(self), filter, left_out), self._take, self._metric, k)

        if condition is None or not parts or k > self.most_hits:
            return compare_all(queries)
        far, rows = self._asked(queries, k, condition, ef, parts)
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
        return self.connect(self.address.uri).vectors(self.address.vectors, found, self._dimension)

    @cached_property
    def _nodes(self) -> Rows:
        """The number of each row on the server, (n,)."""
        nodes = np.empty(len(self), np.int64)
        there = np.flatnonzero(self._rows >= 0)
        nodes[self._rows[there]] = there
        return nodes

    @cached_property
    def _dimension(self) -> int:
        return self.connect(self.address.uri).dimension(self.address.vectors)

    @classmethod
    def _kind(cls, count: int, dimension: int) -> str:
        """Return the kind of index that so many vectors get."""
        return EXACT if count < LEAST or dimension > cls.widest else GRAPH

    @property
    def _alive(self) -> Tree:
        """Which rows of the collection belong to this build."""
        generation = self.address.generation
        return Both(Compare(BORN, "<=", generation), Compare(GONE, ">", generation))

    @property
    def _measure(self) -> str:
        return "L2" if self._metric is Metric.L2 else "IP"

    def _condition(self, filter: Filter | None, left_out: Rows) -> Tree | None:
        """Return which rows may be found, for the server; None where it can't say so."""
        tree = self._alive
        if filter is not None:
            if filter.tree is None:
                return None
            tree = Both(tree, filter.tree)
        if len(left_out):
            tree = Both(tree, Not(In(NODE, tuple(self._nodes[left_out].tolist()))))
        try:
            self._told(tree)
        except UntranslatableError:
            return None
        return tree

    def _told(self, tree: Tree) -> Condition:
        """Return a condition in the language of the server."""
        return self.translate(tree, {**self.address.columns, **KNOWN})

    def _asked(
        self, queries: Vectors, k: int, condition: Tree, ef: int, parts: int = 1
    ) -> tuple[Vectors, Rows]:
        """Ask the server: distances and rows (q, k), with -1 at the end for no row."""
        server, bounds = self.connect(self.address.uri), np.linspace(0, 1, parts + 1).tolist()
        among = [Both(condition, between(DRAW, low, high)) for low, high in pairwise(bounds)]
        answers = [
            server.search(self.address.vectors, queries, k, self._told(each), self._measure, ef)
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
        drawn = self._alive if mask is None else Both(self._alive, Compare(DRAW, "<", share))
        return self._asked(asked, K, drawn, ef)[0]

    def _send(self, vectors: Vectors, items: pa.Table, rows: Rows, nodes: Rows, settings: Settings) -> None:
        """Write rows to the server, under these numbers."""
        server, address = self.connect(self.address.uri), self.address
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
                    values(address.columns, items, block, self.limits),
                    strict=True,
                )
            ]
            for first in range(0, len(sent), ROWS):
                server.insert(address.vectors, sent[first : first + ROWS])
                settings.advance(len(sent[first : first + ROWS]))

    def _clear(self, server: Server, gone: Rows) -> None:
        """Have rows be gone from this generation on; what a killed run left of it is undone."""
        collection, generation = self.address.vectors, self.address.generation
        server.delete(collection, self._told(Compare(BORN, ">=", generation)))
        going = self._told(Compare(GONE, "=", generation))
        marked = {row[NODE] for row in server.rows(collection, going, [NODE])}
        wanted = set(gone.tolist())
        for nodes, until in ((marked - wanted, FOREVER), (wanted - marked, generation)):
            if nodes:
                server.mark(collection, sorted(nodes), until)

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
        among = Both(self._alive, Compare(NODE, "<", first))
        found, _ = self._asked(queries, K, among, self._plan(1.0)[1])
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


def _folder(path: Path) -> Path:
    """Return the folder of an index from the path of a build's index."""
    return path.parents[2]

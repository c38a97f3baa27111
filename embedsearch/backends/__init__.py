"""The backends: vectors in, nearest neighbours out.

To add one: a file here with a class of the shape of `Backend`, and a row in `BACKENDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast

import numpy as np
import numpy.typing as npt

from embedsearch.backends.facts import IndexFacts
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import RecipeError, nearest
from embedsearch.query import Tree

if TYPE_CHECKING:
    import pyarrow as pa

Rows = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
# rows (m,) -> their raw vectors (m, d) float32, a copy, from wherever the vectors are kept
Take = Callable[[Rows], Vectors]
AUTO = "auto"
EXACT_UP_TO = 50_000  # vectors, which are all compared within milliseconds
GRAPH_UP_TO = 300_000
LENGTHS = 256  # vectors that are copied at a time, so that they stay in the cache
SHARD = 10_000_000  # vectors
FIRST_NEAREST = 100  # neighbours that are searched first for all within a limit


@dataclass(frozen=True, slots=True)
class Place:
    """What a backend that keeps its vectors elsewhere knows of the build that it is a part of.

    Attributes:
        uri: of the server, or the path of an embedded one's file.
        name: of the index.
        folder: of the index.
        items: returns the items, a row for each vector; it waits until they are written.
        before: returns those of the build that an index is extended from; None without one.
    """

    uri: str
    name: str
    folder: Path
    items: Callable[[], pa.Table]
    before: Callable[[], pa.Table] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How to build an index.

    Attributes:
        memory: bytes of memory that building may take.
        recall: recall@10 against exact search that the search parameters are tuned to, (0, 1].
        queries: (q, d) float32, raw, to tune with; None to hold out vectors of the index.
        stage: called with a line that says what starts, and with its number of vectors where that is known.
        advance: called with the number of vectors that are done since the last call.
        place: where a server keeps the index; None for one in files.
        shard_size: the most vectors in a shard of an index in shards.
        path: where the index will be saved; what is made in parts writes each there. None to keep them.
    """

    memory: int
    recall: float = 0.95
    queries: Vectors | None = None
    stage: Callable[[str, int | None], None] = lambda _text, _total: None
    advance: Callable[[int], None] = lambda _vectors: None
    place: Place | None = None
    shard_size: int = SHARD
    path: Path | None = None


def grown(search: Callable[[int], tuple[Vectors, Rows]], limit: float) -> tuple[Vectors, Rows]:
    """Return what lies within a limit, by searches for more and more neighbours of one query.

    Args:
        search: finds that many of the nearest: distances (1, m) ascending, and rows (1, m).
        limit: the largest distance.

    Returns:
        Distances (1, m) and rows (1, m).
    """
    k = FIRST_NEAREST
    while True:
        far, rows = search(k)
        near = int(np.searchsorted(far[0], limit, side="right"))
        if near < k:  # the last one is beyond the limit, or there are no more
            return far[:, :near], rows[:, :near]
        k *= 4


class Stored:
    """Gives rows of an array: a `Take` whose vectors can be read where they are.

    Attributes:
        vectors: (n, d) float32 or float16, raw.
    """

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = np.asarray(vectors)  # no longer a `numpy.memmap`, whose rows take longer to take

    def __call__(self, rows: Rows) -> Vectors:
        """See `Take`."""
        return np.take(self.vectors, rows, axis=0).astype(np.float32, copy=False)  # (n, d) -> (m, d)

    @cached_property
    def _lengths(self) -> Vectors:
        return np.zeros(len(self.vectors), np.float32)  # takes no memory before a row is asked for

    def lengths(self, rows: Rows) -> Vectors:
        """Return the lengths of some vectors, (m,) float32; 1 for a zero vector. They are kept."""
        known = self._lengths  # once: two threads may each make the array, and the later one stays
        new = rows[known[rows] == 0]
        for start in range(0, len(new), LENGTHS):
            part = self(new[start : start + LENGTHS])
            lengths = np.sqrt(np.einsum("nd,nd->n", part, part))  # (m, d) -> (m,)
            known[new[start : start + LENGTHS]] = np.where(lengths > 0, lengths, 1)
        return known[rows]


def taking(vectors: Vectors) -> Take:
    """Return what gives rows of an array of raw vectors, (n, d) float32 or float16."""
    return Stored(vectors)


class Filter:
    """Which rows a search may find, as a condition and as a mask.

    A server evaluates the condition where its vectors are; an index in memory asks for the mask.

    Attributes:
        tree: the condition over columns of the items, with values of their types, moments as whole numbers;
            None where rows were chosen in another way.
    """

    def __init__(self, mask: Callable[[], Mask], tree: Tree | None = None) -> None:
        """Keep what makes the mask, (n,) of truth values; it is called at the first use, once."""
        self.tree = tree
        self._make = mask

    @cached_property
    def mask(self) -> Mask:
        """Which rows may be found, (n,) of truth values."""
        return self._make()

    @cached_property
    def rows(self) -> Rows:
        """The rows that may be found, ascending, (m,)."""
        return np.flatnonzero(self.mask)

    @property
    def count(self) -> int:
        """How many rows may be found."""
        return len(self.rows)


class Backend(Protocol):
    """Finds the nearest of many vectors. For cosine it normalises; callers never do.

    The vectors may be kept elsewhere: in a file beside the index, or by a server.

    Attributes:
        facts: what the manifest says of it: its parameters and its recall.
    """

    facts: IndexFacts

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:
        """Index raw vectors (n, d) float32 or float16, memory-mapped; the rows found are theirs.

        `kind` is the name in `BACKENDS`.
        """

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:
        """Open the index that `save` left at `path`: memory-mapped, or by its address.

        Args:
            path: what `save` was given.
            take: gives the raw vectors that it was built from.
            metric: which distance.
            facts: what the manifest says of it.

        Raises:
            IndexDamagedError: the file can't be read as an index.
        """

    def save(self, path: Path) -> None:
        """Write the index, or its address, to `path` and to files whose names begin like it."""

    def extend(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:
        """Return a copy of the index over other vectors, most of which it has already.

        Args:
            path: where this index was saved.
            vectors: (n, d) all vectors of the copy, raw.
            kept: (n,) the row of this index that holds the same vector; -1 for a new one.
            settings: see `build`.

        Returns:
            None where building the index anew is better.
        """

    def __len__(self) -> int:
        """Return the number of vectors."""

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """Find the k nearest rows of each query.

        Args:
            queries: (q, d) float32, raw.
            k: how many, at least 1.
            filter: which rows may be found; None for all.
            exclude: a few rows that are not found, in any order.

        Returns:
            Distances (q, m) float32 in ascending order and rows (q, m) int64, where m is k or the
            number of rows that may be found, whichever is less.
        """

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """Find all rows that are no farther from a query than a limit.

        An approximate index misses some of them, as a search does.

        Args:
            query: (1, d) float32, raw.
            limit: the largest distance.
            filter: which rows may be found; None for all.
            exclude: a few rows that are not found, in any order.

        Returns:
            Distances (1, m) float32 in ascending order and rows (1, m) int64.
        """


class Elsewhere(Backend, Protocol):
    """A backend whose vectors a server keeps, for readers that may have no folder of the index.

    The methods without an instance take paths that `save` was given, as they serve builds that are not open.
    """

    def take(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows as the server has them: (m,) -> (m, d) float32."""

    @staticmethod
    def check(uri: str) -> None:
        """Check that a server answers, before anything is embedded.

        Raises:
            RecipeError: the URI names no server.
            MissingExtraError: what speaks to it is not installed.
            ServerError, IndexBusyError: it does not answer.
        """

    @staticmethod
    def publish(path: Path, files: Sequence[Path]) -> None:
        """Make a build the one that readers find under the name of the index.

        Doing it again changes nothing. Killed at any moment, readers find this build or the one before.

        Args:
            path: of the build's index.
            files: what readers without a folder need of the build, its manifest last.

        Raises:
            ServerError: the server does not answer, or no longer has the vectors.
            RecipeError: another folder publishes an index of this name there.
        """

    @staticmethod
    def is_there(path: Path) -> bool:
        """Whether readers find a build under the name of the index, and the server has its vectors.

        Raises:
            ServerError: the server does not answer.
        """

    @staticmethod
    def withdraw(path: Path) -> None:
        """Have readers find no build under the name of the index, as the current one is in files."""

    @staticmethod
    def tidy(gone: Sequence[Path], kept: Sequence[Path]) -> None:
        """Delete from servers what builds that are gone needed, and no kept one does."""

    @staticmethod
    def sweep(uri: str, folder: Path) -> None:
        """Delete from a server what killed runs left of an index without a build, which lies in `folder`."""

    @staticmethod
    def name_at(address: str) -> str:
        """Return the name of an index from its address on a server.

        Raises:
            RecipeError: it is no such address.
        """

    @staticmethod
    def fetch(address: str, folder: Path) -> Path:
        """Return the folder of the current build of an index, read into `folder` unless it is there.

        Raises:
            RecipeError: it is no such address, or its items are not on the server.
            IndexNotFoundError, ServerError: the server has no such index, or does not answer.
        """

    @staticmethod
    def delete(address: str) -> None:
        """Delete an index on a server, whoever built it; errors as `fetch`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of `BACKENDS`.

    Attributes:
        implementation: "module:class", imported on first use.
        bytes: a function of the dimension: the memory that building takes for each vector.
        schemes: how addresses of its indexes begin, where a server keeps the vectors: the class is one of
            `Elsewhere`.
        together: the most vectors that building holds at a time.
    """

    implementation: str
    bytes: Callable[[int], float]
    schemes: tuple[str, ...] = ()
    together: float = math.inf


_FAISS_ANN = "embedsearch.backends.faiss_ann:FaissANN"
# a node's 16 links take 160 bytes with what belongs to them
BACKENDS: dict[str, Kind] = {
    "exact": Kind("embedsearch.backends.exact:ExactBackend", lambda d: 4 * d),  # compares with every vector
    "hnsw": Kind(_FAISS_ANN, lambda d: 4 * d + 160),  # a graph over float32 vectors
    "hnsw-fp16": Kind(_FAISS_ANN, lambda d: 2 * d + 160),  # a graph over float16 vectors
    "hnsw-sq8": Kind(_FAISS_ANN, lambda d: d + 160),  # a graph over codes of 8 bits a component
    "ivf-rabitq": Kind(_FAISS_ANN, lambda d: d / 8 + 24),  # lists of RaBitQ codes, 1 bit a component
    "ivf-pq": Kind(_FAISS_ANN, lambda d: d / 4 + 16),  # lists of PQ codes, 2 bits a component
    "sharded": Kind("embedsearch.backends.sharded:Sharded", lambda d: d / 8 + 24, together=SHARD),
    "milvus": Kind("embedsearch.backends.milvus:Milvus", lambda _: 0, ("milvus", "milvus+https")),
    "pgvector": Kind("embedsearch.backends.pgvector:PgVector", lambda _: 0, ("postgresql", "postgres")),
}


def backend_class(name: str) -> type[Backend]:
    """Return the class of the backend `name`.

    Raises:
        RecipeError: there is no such backend.
    """
    module, attribute = BACKENDS[check_kind(name)].implementation.split(":")
    return cast(type[Backend], getattr(import_module(module), attribute))


def is_elsewhere(name: str) -> bool:
    """Whether a server keeps the vectors of the backend `name`."""
    return name in BACKENDS and bool(BACKENDS[name].schemes)


def elsewhere_class(name: str) -> type[Elsewhere]:
    """Return the class of a backend whose vectors a server keeps."""
    return cast(type[Elsewhere], backend_class(name))


def is_address(name: str) -> bool:
    """Whether the name of an index is the address of one on a server, such as milvus://host/name."""
    return "://" in name


def elsewhere_at(address: str) -> type[Elsewhere]:
    """Return the class of the backend that an address of an index on a server names.

    Raises:
        RecipeError: it names none.
    """
    scheme = address.partition("://")[0].lower()
    for name, kind in BACKENDS.items():
        if scheme in kind.schemes:
            return elsewhere_class(name)
    raise RecipeError(
        f"{address!r:.100} is no address of an index. Write it like milvus://HOST:PORT/NAME or "
        "postgresql://USER@HOST:PORT/DATABASE/NAME."
    )


def check_kind(name: str) -> str:
    """Return `name` if it is the name of a backend.

    Raises:
        RecipeError: there is no such backend.
    """
    if name not in BACKENDS:
        raise RecipeError(
            f"There is no backend {name!r}; there are {AUTO}, {', '.join(BACKENDS)}."
            + nearest(name, BACKENDS)
        )
    return name


def choose(count: int, dimension: int, memory: int) -> str:
    """Return the best kind of index for a number of vectors.

    Exact search while it takes milliseconds. Then a graph over 8-bit codes: at the same recall it measured
    faster than a graph over float32, as the hits are ranked again by the stored vectors. For many vectors,
    and where the graph does not fit into memory, lists of 2-bit codes: at a million vectors they measured as
    fast, and are built in a quarter of the time. Codes of 1 bit where codes of 2 bits do not fit, and shards
    where these do not fit either.

    Args:
        count: the number of vectors.
        dimension: their length.
        memory: bytes of memory that building may take.
    """
    if count <= EXACT_UP_TO and needed("exact", count, dimension) <= memory:
        return "exact"
    kinds = ["ivf-pq", "ivf-rabitq"]
    if count <= GRAPH_UP_TO:
        kinds.insert(0, "hnsw-sq8")
    if count > SHARD:
        kinds.append("sharded")
    return next((kind for kind in kinds if needed(kind, count, dimension) <= memory), kinds[-1])


def needed(kind: str, count: int, dimension: int) -> int:
    """Return about how many bytes of memory building an index of this kind takes."""
    return int(1.1 * min(count, BACKENDS[kind].together) * BACKENDS[kind].bytes(dimension))


def free_memory() -> int:
    """Return the bytes of memory that are free."""
    import psutil

    return int(psutil.virtual_memory().available)

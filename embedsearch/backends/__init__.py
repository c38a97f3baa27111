"""The backends: vectors in, neighbours out.

To add one: a file here with a class of the `Backend` shape, and its row in `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
import numpy.typing as npt

from embedsearch.backends.facts import IndexFacts
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import RecipeError, nearest

Rows = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
AUTO = "auto"
EXACT_UP_TO = 50_000  # vectors; so many are compared within milliseconds
GRAPH_UP_TO = 300_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How an index is to be made.

    Attributes:
        memory: bytes that making it may hold.
        recall: recall@10 against exact search that search parameters are tuned to, (0, 1].
        queries: (q, d) float32, raw, to tune with; None for vectors of the index that are held out.
        stage: called with what happens now, and of how many vectors, where that is known.
        advance: called with how many more of them are done.
    """

    memory: int
    recall: float = 0.95
    queries: Vectors | None = None
    stage: Callable[[str, int | None], None] = lambda _text, _total: None
    advance: Callable[[int], None] = lambda _vectors: None


class Backend(Protocol):
    """Finds the nearest of many vectors. For cosine it normalises; callers never do.

    Attributes:
        facts: what the manifest says of it.
    """

    facts: IndexFacts

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:
        """Index raw vectors (n, d) float32 or float16, memory-mapped; row numbers are theirs.

        `kind` is the name in `BACKENDS`.
        """

    @classmethod
    def load(cls, path: Path, vectors: Vectors, metric: Metric, facts: IndexFacts) -> Self:
        """Open what `save` wrote, memory-mapped.

        Args:
            path: the file.
            vectors: what it was built from.
            metric: which distance.
            facts: what its manifest says of it.

        Raises:
            IndexDamagedError: the file can't be read as an index.
        """

    def save(self, path: Path) -> None:
        """Write the index to `path`, and to files whose names begin like it."""

    def extended(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:
        """Return a copy of the index over other vectors, most of which it has already.

        Args:
            path: where this index lies.
            vectors: (n, d), those to find from now on.
            kept: (n,) the row that the same vector had until now; -1 for a new one.
            settings: see `build`.

        Returns:
            None where making it anew is better.
        """

    def __len__(self) -> int:
        """Return the number of vectors."""

    def search(self, queries: Vectors, k: int, allow: Mask | None = None) -> tuple[Vectors, Rows]:
        """Find the k nearest rows of each query.

        Args:
            queries: (q, d) float32, raw.
            k: how many, at least 1.
            allow: (n,) of truth values; only rows that are True are found.

        Returns:
            Distances (q, m) float32 in ascending order and rows (q, m) int64, where m is k or the
            number of rows allowed, whichever is less.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of `BACKENDS`.

    Attributes:
        implementation: "module:class", imported on first use.
        about: a line for people.
        bytes: a function of the dimension: what a vector takes in memory while the index is made.
    """

    implementation: str
    about: str
    bytes: Callable[[int], float]


_FAISS_ANN = "embedsearch.backends.faiss_ann:FaissANN"
# 16 links a node take 160 bytes with what belongs to them
BACKENDS: dict[str, Kind] = {
    "exact": Kind("embedsearch.backends.exact:ExactBackend", "compares with every vector", lambda d: 4 * d),
    "hnsw": Kind(_FAISS_ANN, "a graph over float32 vectors", lambda d: 4 * d + 160),
    "hnsw-fp16": Kind(_FAISS_ANN, "a graph over float16 vectors", lambda d: 2 * d + 160),
    "hnsw-sq8": Kind(_FAISS_ANN, "a graph over vectors of 8 bits a component", lambda d: d + 160),
    "ivf-rabitq": Kind(_FAISS_ANN, "lists of RaBitQ codes, a bit a component", lambda d: d / 8 + 24),
    "ivf-pq": Kind(_FAISS_ANN, "lists of PQ codes, 2 bits a component", lambda d: d / 4 + 16),
}


def backend_class(name: str) -> type[Backend]:
    """Return the backend called `name`.

    Raises:
        RecipeError: there is none.
    """
    module, attribute = BACKENDS[check_kind(name)].implementation.split(":")
    return cast(type[Backend], getattr(import_module(module), attribute))


def check_kind(name: str) -> str:
    """Return `name` where a backend is called so.

    Raises:
        RecipeError: there is none.
    """
    if name not in BACKENDS:
        raise RecipeError(
            f"No backend is called {name!r}; there are {AUTO}, {', '.join(BACKENDS)}."
            + nearest(name, BACKENDS)
        )
    return name


def choose(count: int, dimension: int, memory: int) -> str:
    """Return the kind of index for so many vectors.

    Exact search while it takes milliseconds; then a graph over 8-bit codes, which measured faster than one
    over float32 at the same recall once its hits are ranked again by the stored vectors; for many vectors,
    and where the graph does not fit, lists of 2-bit codes, which measured as fast at a million and take a
    quarter of the time to make; codes of 1 bit where those of 2 do not fit.

    Args:
        count: how many vectors.
        dimension: their length.
        memory: bytes that making the index may hold.
    """
    if count <= EXACT_UP_TO and needed("exact", count, dimension) <= memory:
        return "exact"
    kinds = ("hnsw-sq8", "ivf-pq") if count <= GRAPH_UP_TO else ("ivf-pq",)
    return next((kind for kind in kinds if needed(kind, count, dimension) <= memory), "ivf-rabitq")


def needed(kind: str, count: int, dimension: int) -> int:
    """Return about how many bytes making an index of this kind holds."""
    return int(1.1 * count * BACKENDS[kind].bytes(dimension))


def free_memory() -> int:
    """Return the bytes of memory that programs may still take."""
    import psutil

    return int(psutil.virtual_memory().available)

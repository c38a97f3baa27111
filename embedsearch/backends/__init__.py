"""The backends: vectors in, neighbours out.

To add one: a file here with a class of the `Backend` shape, and its row in `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
import numpy.typing as npt

from embedsearch.errors import RecipeError, nearest
from embedsearch.metrics import Metric, Vectors

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Backend(Protocol):
    """Finds the nearest of many vectors. For cosine it normalises; callers never do."""

    @classmethod
    def build(cls, vectors: Iterable[Vectors], dimension: int, metric: Metric) -> Self:
        """Index shards of raw vectors (n, d) float32; row numbers follow their order."""

    @classmethod
    def load(cls, path: Path, metric: Metric) -> Self:
        """Read what `save` wrote.

        Raises:
            IndexDamagedError: the file can't be read as an index.
        """

    def save(self, path: Path) -> None:
        """Write the index to `path`."""

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


# name -> "module:class", imported on first use
BACKENDS: dict[str, str] = {
    "exact": "embedsearch.backends.exact:ExactBackend",
}


def backend_class(name: str) -> type[Backend]:
    """Return the backend called `name`.

    Raises:
        RecipeError: there is none.
    """
    if name not in BACKENDS:
        raise RecipeError(
            f"No backend is called {name!r}; there are {', '.join(BACKENDS)}.{nearest(name, BACKENDS)}"
        )
    module, attribute = BACKENDS[name].split(":")
    return cast(type[Backend], getattr(import_module(module), attribute))

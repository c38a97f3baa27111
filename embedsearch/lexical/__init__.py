"""Lexical indexes: terms in, a score for each document out.

To add one: a file here with a class of the shape of `LexicalIndex`, and a row in `LEXICAL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]


class LexicalIndex(Protocol):
    """Scores documents by the terms that they share with a query. Its files are memory-mapped.

    Attributes:
        terms: number of different terms.
    """

    terms: int

    @classmethod
    def build(cls, folder: Path, documents: Iterable[Sequence[str]]) -> Self:
        """Index documents, each given by its terms, and write the index into `folder`."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the index that `build` wrote into `folder`."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def scores(self, terms: Sequence[str]) -> Scores:
        """Return the score of each document for a query of some terms, (n,): 0 where they share none."""

    def rarity(self, terms: Sequence[str]) -> Scores:
        """Return the inverse document frequency of each of some terms, (t,): over 0, of unknown ones too."""


# name -> "module:class", imported on first use
LEXICAL: dict[str, str] = {
    "bm25": "embedsearch.lexical.bm25:BM25Index",
}


def lexical_class(name: str) -> type[LexicalIndex]:
    """Return the class of the lexical index `name`."""
    module, attribute = LEXICAL[name].split(":")
    return cast(type[LexicalIndex], getattr(import_module(module), attribute))

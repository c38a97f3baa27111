"""BM25 in Lucene's form, with the scores of each term worked out when the index is built.

A query then only adds up a few columns of a matrix, documents by terms. `bm25s` makes the matrix (Lu, 2024,
arXiv:2407.03618; the form is called Lucene in Kamphuis et al., 2020). A query reads its columns from the
mapped files: to import bm25s takes half a second where SciPy and Numba are installed, which it loads then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_array
from embedsearch.lexical import Scores

TERMS, SPANS, ROWS, SCORES, SIZE = (
    f"lexical.{name}.npy" for name in ("terms", "spans", "rows", "scores", "size")
)
K1, B = 1.2, 0.75  # as in Lucene; 1.5 for K1 loses 0.1 point on XQuAD


class BM25Index:
    """A BM25 index, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        # (t,) uint64 ascending; (t, 2) int64 where the column of each starts and ends; (p,) int32 and float32
        self._hashes, self._spans, self._rows, self._scores = (
            load_array(folder / name, mapped=True) for name in (TERMS, SPANS, ROWS, SCORES)
        )
        self._count = int(load_array(folder / SIZE)[0])
        self.terms = len(self._hashes)

    @classmethod
    def build(cls, folder: Path, documents: Iterable[Sequence[str]]) -> Self:
        """Write the index of documents into `folder`; see `LexicalIndex`."""
        from bm25s import BM25

        numbers: dict[str, int] = {}
        # the numbers are shared objects: a term of a document takes 8 bytes
        corpus = [[numbers.setdefault(term, len(numbers)) for term in terms] for terms in documents]
        hashes = np.fromiter((_hash(term) for term in numbers), np.uint64, len(numbers))
        order = np.argsort(hashes)
        matrix = BM25(k1=K1, b=B, method="lucene", backend="numpy")
        with np.errstate(invalid="ignore"):  # texts that hold no word at all are 0 words long on average
            made: dict[str, Any] = matrix.build_index_from_ids(
                range(len(numbers)), corpus, show_progress=False
            )
        starts = made["indptr"].astype(np.int64)
        np.save(folder / TERMS, hashes[order])
        np.save(folder / SPANS, np.stack([starts[:-1], starts[1:]], axis=1)[order])  # 2 x (t,) -> (t, 2)
        np.save(folder / ROWS, made["indices"].astype(np.int32))
        np.save(folder / SCORES, made["data"].astype(np.float32))
        np.save(folder / SIZE, np.array([len(corpus)], np.int64))
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `build` wrote into `folder`."""
        return cls(folder)

    def __len__(self) -> int:
        return self._count

    def scores(self, terms: Sequence[str]) -> Scores:
        """Return the score of each document, (n,); see `LexicalIndex`."""
        total = np.zeros(self._count, np.float32)
        hashes = np.fromiter((_hash(term) for term in terms), np.uint64, len(terms))
        at = np.searchsorted(self._hashes, hashes)
        found: npt.NDArray[np.bool_] = at < self.terms
        found[found] = self._hashes[at[found]] == hashes[found]
        for start, end in self._spans[at[found]].tolist():
            total[self._rows[start:end]] += self._scores[start:end]  # a document is in a column once
        return total


def _hash(term: str) -> int:
    """Return 64 bits of a term: two of ten million terms share them with a chance of 1 in 370,000."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")

"""BM25 in Lucene's form, with the scores of each term worked out when the index is built.

A query then only adds up a few columns of a matrix, documents by terms, which it reads from mapped files (the
way of bm25s: Lu, 2024, arXiv:2407.03618; the form is called Lucene in Kamphuis et al., 2020). bm25s holds all
texts and the whole matrix in memory. Here postings go to files by their terms, and one is sorted at a time.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_array
from embedsearch.lexical import Scores

TERMS, SPANS, ROWS, SCORES, SIZE = (
    f"lexical.{name}.npy" for name in ("terms", "spans", "rows", "scores", "size")
)
K1, B = 1.2, 0.75  # as in Lucene; 1.5 for K1 loses 0.1 point on XQuAD
PARTS = 64  # files of postings, by the first 6 bits of the term
BLOCK = 1 << 16  # postings that are written at a time
# that a document, by its row, has a term so many times
POSTING = np.dtype([("term", np.uint64), ("row", np.int32), ("count", np.int32)])


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
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            files = [Path(staging) / str(part) for part in range(PARTS)]
            with ExitStack() as opened:
                lengths = _stage([opened.enter_context(file.open("wb")) for file in files], documents)
            _join(folder, files, lengths)
        np.save(folder / SIZE, np.array([len(lengths)], np.int64))
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
        for start, end in self._columns(terms).tolist():
            total[self._rows[start:end]] += self._scores[start:end]  # a document is in a column once
        return total

    def rarity(self, terms: Sequence[str]) -> Scores:
        """Return the inverse document frequency of each of some terms, (t,); see `LexicalIndex`."""
        columns = self._columns(terms)
        return _rarity(self._count, columns[:, 1] - columns[:, 0]).astype(np.float32)

    def _columns(self, terms: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return where the column of each term starts and ends, (t, 2); 0 and 0 of an unknown one."""
        hashes = np.fromiter((_hash(term) for term in terms), np.uint64, len(terms))
        at = np.searchsorted(self._hashes, hashes)
        found: npt.NDArray[np.bool_] = at < self.terms
        found[found] = self._hashes[at[found]] == hashes[found]
        columns = np.zeros((len(terms), 2), np.int64)
        columns[found] = self._spans[at[found]]
        return columns


def _rarity(count: int, frequency: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the inverse document frequency of terms that stand in so many of `count` documents, (t,)."""
    inverse: npt.NDArray[np.float64] = np.log1p((count - frequency + 0.5) / (frequency + 0.5))
    return inverse


def _stage(files: Sequence[BinaryIO], documents: Iterable[Sequence[str]]) -> npt.NDArray[np.int32]:
    """Write the postings of documents into files by their terms; return the length of each document, (n,)."""
    lengths, terms, rows, counts = array("i"), array("Q"), array("i"), array("i")
    known: dict[str, int] = {}

    def flush() -> None:
        postings = np.empty(len(terms), POSTING)
        for name, values in (("term", terms), ("row", rows), ("count", counts)):
            postings[name] = values
            del values[:]
        parts = postings["term"] // np.uint64(2**64 // PARTS)
        ends = np.bincount(parts.astype(np.int64), minlength=PARTS).cumsum()
        by_part = postings[np.argsort(parts, kind="stable")]
        for file, piece in zip(files, np.split(by_part, ends[:-1]), strict=True):
            file.write(piece.tobytes())
        known.clear()

    for row, document in enumerate(documents):
        lengths.append(len(document))
        for term, count in Counter(document).items():
            if (hashed := known.get(term)) is None:
                hashed = known[term] = _hash(term)
            terms.append(hashed)
            rows.append(row)
            counts.append(count)
        if len(terms) >= BLOCK:
            flush()
    flush()
    return np.array(lengths, np.int32)


def _join(folder: Path, files: Sequence[Path], lengths: npt.NDArray[np.int32]) -> None:
    """Write the matrix: of each term the rows that have it, ascending, and their scores; terms ascend."""
    total = sum(file.stat().st_size for file in files) // POSTING.itemsize
    mean = lengths.mean() or 1
    terms: list[npt.NDArray[np.uint64]] = []
    frequencies: list[npt.NDArray[np.int32]] = []
    with _array(folder / ROWS, "<i4", total) as rows, _array(folder / SCORES, "<f4", total) as scores:
        for part in files:
            postings = np.fromfile(part, POSTING)
            postings = postings[np.argsort(postings["term"], kind="stable")]  # rows ascend within a term
            found, frequency = np.unique(postings["term"], return_counts=True)
            rare = _rarity(len(lengths), frequency)
            saturation = (K1 * (1 - B + B * lengths[postings["row"]] / mean)).astype(np.float32)  # (p,)
            counts = postings["count"].astype(np.float32)
            share = counts / (counts + saturation)  # (p,)
            rows.write(postings["row"].astype("<i4").tobytes())
            scores.write((np.repeat(rare, frequency) * share).astype("<f4").tobytes())
            terms.append(found)
            frequencies.append(frequency.astype(np.int32))
    count, end = sum(map(len, terms)), 0
    with _array(folder / TERMS, "<u8", count) as hashes, _array(folder / SPANS, "<i8", count, 2) as spans:
        for found, held in zip(terms, frequencies, strict=True):
            ends = end + held.cumsum(dtype=np.int64)  # (t,)
            hashes.write(found.tobytes())
            spans.write(np.stack([ends - held, ends], axis=1).tobytes())  # 2 x (t,) -> (t, 2)
            end = int(ends[-1]) if len(ends) else end


@contextmanager
def _array(path: Path, kind: str, *shape: int) -> Iterator[BinaryIO]:
    """Open a .npy file whose numbers are written a part at a time."""
    with path.open("wb") as file:
        head: dict[str, Any] = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        yield file


def _hash(term: str) -> int:
    """Return 64 bits of a term: two of ten million terms share them with a chance of 1 in 370,000."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")

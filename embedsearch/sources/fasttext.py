"""Models of fastText (`.bin`), as versions 11 and 12 of its format write them.

The vector of a word is the mean of its own row and the rows of its n-grams (Bojanowski et al. 2017). The rows
are memory-mapped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from embedsearch.errors import SourceError

MAGIC = (793712314).to_bytes(4, "little")
END_OF_SENTENCE = "</s>"  # a word of every model; it has no n-grams
LONGEST_WORD = 10_000  # bytes
_WORD = 0  # the type of an entry; others are labels
_SUPERVISED = 3  # a model that was trained to classify
_OFFSET, _PRIME, _MASK = 2166136261, 16777619, 2**32 - 1  # of the hash FNV-1a


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is open.

    Attributes:
        words: its words, in its order; the row of a word is its place.
        rows: (words + buckets, d) float32, memory-mapped.
        buckets: rows of n-grams.
        shortest: characters of an n-gram, the least.
        longest: the most; 0 for no n-grams.
    """

    words: tuple[bytes, ...]
    rows: npt.NDArray[np.float32]
    buckets: int
    shortest: int
    longest: int

    def vectors(self) -> Iterator[tuple[bytes, npt.NDArray[np.float32]]]:
        """Yield each word, in UTF-8, and its vector (d,) float32."""
        for place, word in enumerate(self.words):
            places = [place, *self._ngrams(word)]
            yield word, np.asarray(self.rows[places], np.float32).mean(0)  # (m, d) -> (d,)

    def _ngrams(self, word: bytes) -> Iterator[int]:
        """Yield the rows of the n-grams of a word: runs of characters, with < before and > behind it."""
        if not self.longest or word == END_OF_SENTENCE.encode():
            return
        whole = b"<" + word + b">"
        starts = [at for at, byte in enumerate(whole) if byte & 0xC0 != 0x80]  # of characters
        ends = [*starts[1:], len(whole)]
        for first, start in enumerate(starts):
            value = _OFFSET
            for length, (begin, end) in enumerate(
                zip(starts[first : first + self.longest], ends[first:], strict=False), 1
            ):
                for byte in whole[begin:end]:
                    signed = byte | 0xFFFFFF00 if byte > 127 else byte  # as a C char is widened
                    value = ((value ^ signed) * _PRIME) & _MASK
                alone = length == 1 and (start == 0 or end == len(whole))
                if length >= self.shortest and not alone:
                    yield len(self.words) + value % self.buckets


def open_model(path: Path) -> Model:
    """Open a model.

    Raises:
        SourceError: it is quantised, of another version, or cut off.
    """
    try:
        with path.open("rb") as file:
            _, version = _unpack(file, "<ii")
            if version not in (11, 12):
                raise SourceError(f"{path} is of version {version} of fastText's format; expected 11 or 12.")
            _, _, _, _, _, _, _, model, buckets, shortest, longest, _, _ = _unpack(file, "<12id")
            if version == 11 and model == _SUPERVISED:
                longest = 0  # classifiers of that version have no n-grams of characters
            entries, words, _, _, pruned = _unpack(file, "<iiiqq")
            found = tuple(_entry(file) for _ in range(entries))
            file.seek(8 * max(0, pruned), 1)
            (quantised,) = _unpack(file, "<?")
            if quantised:
                raise SourceError(
                    f"{path} is a quantised model. Give the .bin or .vec file that it is made of."
                )
            count, dimension = _unpack(file, "<qq")
            at = file.tell()
        rows = np.memmap(path, "<f4", "r", at, (count, dimension))
        return Model(
            tuple(word for word, kind in found if kind == _WORD)[:words], rows, buckets, shortest, longest
        )
    except (struct.error, ValueError, EOFError) as error:
        raise SourceError(f"{path} is cut off: {error}. Get the model of fastText again.") from None


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _entry(file: BinaryIO) -> tuple[bytes, int]:
    """Read an entry of the dictionary: its word and its type."""
    word = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte or len(word) > LONGEST_WORD:
            raise EOFError("a word has no end")
        word += byte
    _, kind = _unpack(file, "<qb")
    return bytes(word), kind

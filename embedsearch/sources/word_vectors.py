"""Word vectors in the files of word2vec, GloVe and fastText, text or binary: each word is an item."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected
from embedsearch.sources.fasttext import MAGIC, Model, open_model
from embedsearch.sources.lines import Line, check_encoding, check_text, read_lines
from embedsearch.sources.paths import existing_file, printable, refuse_columns
from embedsearch.sources.table import Ids, NothingToReport, problem_of_vector

HEADER = re.compile(rb"(\d{1,12}) (\d{1,7})\s*\n")
LONGEST_WORD = 10_000  # bytes
LEAST_NUMBERS = 5  # in a line, for a .txt file to be taken for word vectors
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE)


class WordVectors(NothingToReport):
    """A file of word vectors: words are ids.

    Text: a word and its numbers a line, with blanks between, as in GloVe; word2vec and fastText write a
    first line with the number of words and the dimension. Binary (`.bin`), as in word2vec: the same first
    line, then each word, a blank, and its float32 numbers; or a model of fastText. Text files may be packed
    by gzip.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a file of word vectors")
        self._path = existing_file(recipe.location, "a file of word vectors")
        self._name = printable(self._path.name)
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        with self._path.open("rb") as file:
            start = file.read(200)
        self._model = open_model(self._path) if start.startswith(MAGIC) else None
        header = HEADER.match(start)
        self._is_binary = header is not None and _is_binary(start[header.end() :])
        if self._is_binary and header is not None:
            self._words, self._dimension, self._start = int(header[1]), int(header[2]), header.end()
            self._has_header = True
        elif self._model is None:
            check_text(self._path, "a file of word vectors")
            self._read_head()

    def _read_head(self) -> None:
        """Find out the number of words, 0 if it is not stated, and the dimension."""
        lines = islice(read_lines(self._path, self._encoding), 100)
        first = next((line.text.split() for line in lines if line.text.strip()), [])
        self._has_header = len(first) == 2 and all(part.isdecimal() for part in first)
        self._words = int(first[0]) if self._has_header else 0
        self._dimension = int(first[1]) if self._has_header else len(first) - 1
        if self._dimension < 1 or not all(map(_NUMBER.fullmatch, first[1:])):
            raise SourceError(
                f"{self._path} is no file of word vectors: expected a word and its numbers in each line, as "
                "in GloVe, or a first line with the number of words and the dimension, as in word2vec."
            )

    def modality(self) -> Modality:
        """Vectors."""
        return Modality.VECTOR

    def count(self) -> int | None:
        """The number of words that the file states; None where it states none."""
        return (self._words if self._model is None else len(self._model.words)) or None

    def __iter__(self) -> Entries:
        """Yield the words, in order."""
        taken = Ids()
        if self._model is not None:
            found = self._of_model(self._model)
        else:
            found = self._of_binary() if self._is_binary else self._of_text()
        for place, word, content in found:
            if isinstance(content, str):
                yield Rejected(place, content)
            elif not word:
                yield Rejected(place, "there is no word before the numbers")
            elif not taken.take(word):
                yield Rejected(place, f"the word {word!r} was there before")
            else:
                yield Record(word, Modality.VECTOR, content)

    def _of_text(self) -> Iterator[tuple[str, str, bytes | str]]:
        """Yield where each word is, the word, and its vector or why it has none."""
        lines = (line for line in read_lines(self._path, self._encoding) if line.problem or line.text.strip())
        found = 0
        for line in islice(lines, int(self._has_header), None):
            found += 1
            yield f"{self._name}:{line.number}", *self._of_line(line)
        if found < self._words:
            yield self._name, "", self._cut_off(found)

    def _of_line(self, line: Line) -> tuple[str, bytes | str]:
        if line.problem:
            return "", f"the line {line.problem}"
        # a word may hold blanks, and one that is no plain space belongs to it
        text = line.text.rstrip().replace("\t", " ")
        word, *numbers = text.rsplit(" ", self._dimension)
        longer = _NUMBER.fullmatch(word.rpartition(" ")[2]) and " " in word
        if len(numbers) < self._dimension or longer:
            return "", f"the line holds {len(text.split()) - 1} numbers; {self._dimension} were expected"
        try:
            return word.strip(), _checked(np.array(numbers, "<f4"))
        except ValueError:
            return "", "the line holds something that is not a number"

    def _of_binary(self) -> Iterator[tuple[str, str, bytes | str]]:
        """See `_of_text`."""
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            at, size = self._start, 4 * self._dimension
            for number in range(1, self._words + 1):
                end = held.find(b" ", at, at + LONGEST_WORD)
                if end < 0 or end + 1 + size > len(held):
                    yield self._name, "", self._cut_off(number - 1)
                    return
                place = f"{self._name}:{number}"
                try:
                    word = held[at:end].decode("utf-8").strip()
                    yield place, word, _checked(np.frombuffer(held[end + 1 : end + 1 + size], "<f4"))
                except UnicodeDecodeError:
                    yield place, "", "the word is not UTF-8 text"
                at = end + 1 + size

    def _of_model(self, model: Model) -> Iterator[tuple[str, str, bytes | str]]:
        """See `_of_text`."""
        for number, (word, vector) in enumerate(model.vectors(), 1):
            place = f"{self._name}:{number}"
            try:
                yield place, word.decode("utf-8"), _checked(vector)
            except UnicodeDecodeError:
                yield place, "", "the word is not UTF-8 text"

    def _cut_off(self, found: int) -> str:
        return f"the file is cut off: it states {self._words:,} words, and {found:,} are there"


def _checked(numbers: npt.NDArray[np.float32]) -> bytes | str:
    """Return a vector (d,) float32 as bytes, or why it can't be used."""
    return problem_of_vector(numbers) or numbers.tobytes()


def _is_binary(start: bytes) -> bool:
    """Whether what follows the first line is no text: a word, a blank, and bytes of floats."""
    numbers = start.partition(b" ")[2].split(b"\n")[0]
    return not re.fullmatch(rb"[\d\s.eE+\-naifNAIF]*", numbers)


def is_word_vectors(path: Path) -> bool:
    """Whether a `.txt` file holds word vectors: a word and at least five numbers in its first lines."""
    lines = [line.text.split() for line in islice(read_lines(path, "utf-8"), 3) if line.text.strip()]
    if lines and len(lines[0]) == 2 and all(part.isdecimal() for part in lines[0]):
        lines = lines[1:]
    return bool(lines) and all(
        len(parts) > LEAST_NUMBERS and all(map(_NUMBER.fullmatch, parts[-LEAST_NUMBERS:])) for parts in lines
    )

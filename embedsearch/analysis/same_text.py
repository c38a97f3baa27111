"""Whether two texts are copies, checked by their letters: the second check of near copies among texts.

Copies have the same numbers and symbols. They differ in case, spaces, punctuation or the order of words, in
misspelt words, or in one word that only one of them has. A text that says the same in other words is no copy.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from embedsearch.analysis.second_check import Contents
from embedsearch.backends import Mask, Rows
from embedsearch.progress import Progress
from embedsearch.records import Span
from embedsearch.splitters.words import words

READ = 1024  # texts read at a time
SAMPLE = 50_000  # texts that tell which words there are
EDIT, RATIO = 0.85, 0.95  # the least share of equal letters: as they stand; for a word more, or moved
SPELT = 4  # letters of the shortest word that can be misspelt
HYPHENS = str.maketrans(dict.fromkeys("-‐‑‒–—_", " "))
# numbers with their sign, and symbols that punctuation is not: C++, 5 %, €
STRICT = re.compile(r"(?<!\w)[-−+]?\d(?:[\w.,:/-]*\w)?|[^\w\s.,;:!?'\"’‘“”„«»()\[\]…‐‑‒–—、。！？-]")
PIECE = re.compile(r"\w+|[^\w\s]")
CODE = re.compile(r"\w[_.]\w|[^\W\d_]\d")  # an identifier: posix_spawn, os.path, utf8
# A word that turns the meaning of a text into its opposite.
NEGATIONS = frozenset([
    "not", "no", "never", "none", "nor", "neither", "without", "cannot", "nicht", "kein", "keine",
    "keinen", "keiner", "nie", "niemals", "ohne", "ne", "pas", "non", "sans", "jamais", "sin", "ni",
    "nunca", "não", "sem", "niet", "geen", "nooit", "inte", "не", "нет", "без", "никогда", "不", "没",
    "ない", "لا", "नहीं"
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as it is compared: its letters alike in case and spaces, its words, and what must be equal."""

    letters: str
    words: Counter[str]
    strict: Counter[str]

    @classmethod
    def of(cls, text: str) -> _Text:
        plain = unicodedata.normalize("NFKC", text)
        names = [plain[start:end] for start, end in words(plain)]
        code = [name for name in names if CODE.search(name)]
        letters = " ".join(plain.casefold().translate(HYPHENS).split())
        spoken = Counter(letters[start:end] for start, end in words(letters))
        return cls(letters, spoken, Counter([*STRICT.findall(plain), *code]))


class TextCheck:
    """Checks pairs of texts of an index."""

    version = 0  # a pair takes microseconds

    def __init__(self, contents: Contents, count: int) -> None:
        """See `embedsearch.analysis.second_check.Check`."""
        self._contents, self._count = contents, count

    @staticmethod
    def lacks() -> str:
        """See `embedsearch.analysis.second_check.Check`: nothing is missing."""
        return ""

    def candidates(self, rows: Rows, progress: Progress) -> tuple[Rows, Rows]:
        """See `embedsearch.analysis.second_check.Check`: vectors find all copies among texts."""
        progress.advance(len(rows))
        return rows[:0], rows[:0]

    def same(self, first: Rows, second: Rows, progress: Progress) -> Mask:
        """See `embedsearch.analysis.second_check.Check`."""
        found = np.zeros(len(first), np.bool_)
        for start in range(0, len(first), READ):
            part = slice(start, start + READ)
            rows = np.union1d(first[part], second[part])
            read = dict(zip(rows.tolist(), self._read(rows), strict=True))
            pairs = zip(first[part].tolist(), second[part].tolist(), strict=True)
            found[part] = [self._are(read[one], read[other]) for one, other in pairs]
            progress.advance(len(found[part]))
        return found

    @cached_property
    def _known(self) -> Counter[str]:
        """In how many texts of the index each word is, of a sample."""
        rows = np.unique(np.linspace(0, self._count - 1, min(SAMPLE, self._count)).astype(np.int64))
        known: Counter[str] = Counter()
        for start in range(0, len(rows), READ):
            for text in self._read(rows[start : start + READ]):
                known.update(set(text.words))
        return known

    def _read(self, rows: Rows) -> list[_Text]:
        return [_Text.of(str(content)) for content in self._contents(rows)]

    def _are(self, a: _Text, b: _Text) -> bool:
        """Whether two texts are copies."""
        if a.strict != b.strict:
            return False
        if a.letters == b.letters:
            return True
        edit = fuzz.ratio(a.letters, b.letters) / 100
        if edit < EDIT:
            return False
        only_a, only_b = list((a.words - b.words).elements()), list((b.words - a.words).elements())
        for word in list(only_a):
            misspelt = next((each for each in only_b if self._misspelt(word, each, a, b)), None)
            if misspelt is not None:
                only_a.remove(word)
                only_b.remove(misspelt)
        left = only_a + only_b
        if len(left) == 1 and left[0] not in NEGATIONS:
            return max(edit, fuzz.token_sort_ratio(a.letters, b.letters) / 100) >= RATIO
        return not left

    def _misspelt(self, one: str, other: str, a: _Text, b: _Text) -> bool:
        """Whether one word is the other with a letter more, less, changed or moved, and not another word.

        A word that other texts of the index use as well is a word; of two such words neither is a slip.
        """
        if min(len(one), len(other)) < SPELT or OSA.distance(one, other, score_cutoff=1) > 1:
            return False
        return not all(self._known[word] > (word in a.words) + (word in b.words) for word in (one, other))


def differing(a: str, b: str) -> tuple[list[Span], list[Span]]:
    """Return the spans of the words of each of two texts that the other has not at that place."""
    spans = [[match.span() for match in PIECE.finditer(text)] for text in (a, b)]
    own, its = ([text[start:end] for start, end in found] for text, found in zip((a, b), spans, strict=True))
    only: tuple[list[Span], list[Span]] = [], []
    for kind, *places in SequenceMatcher(None, own, its, autojunk=False).get_opcodes():
        for side, (start, end) in enumerate((places[:2], places[2:])):
            if kind != "equal" and end > start:
                only[side].append((spans[side][start][0], spans[side][end - 1][1]))
    return only

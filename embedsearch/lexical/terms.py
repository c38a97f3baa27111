"""A text to the terms that are counted: words by their stems, identifiers whole and in parts.

`asyncio.TaskGroup` gives itself, `asyncio`, `taskgroup`, `task` and `group`; `$200` itself and `200`. Scripts
that put no space between words give pairs of characters, so that a phrase inside a sentence is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from unicodedata import normalize

import regex

from embedsearch.records import Span
from embedsearch.splitters.words import words

# A word, with what joins the parts of an identifier, a number or an address: ERR_42, 1,000, $200, C++, a@b.c
_JOINED = regex.compile(r"[\p{Sc}#@]?\w+(?:(?:[.\-/:@&+]|(?<=\d),(?=\d))\w+)*(?:\+\+|[#%])?")
_WORD = regex.compile(r"\w+")
# parts of one word: of snake_case, of CamelCase, of letters beside digits
_PART = regex.compile(r"\p{Lu}+(?!\p{Ll})\p{M}*|\p{Lu}?[[\p{L}\p{M}]--\p{Lu}]+|\d+|[^\W_]+", regex.VERSION1)
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Line_Break=Complex_Context}]+")
RARE = 4  # letters of a word that is looked for in texts
_KEY = "\0"  # before the whole id of an item; no text holds it


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Makes terms of texts, those of a query as those of the items.

    Attributes:
        language: a stemmer of Snowball, such as `english`; empty to take words as they are.
    """

    language: str

    def of_items(self, texts: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
        """Yield the terms of each item, of its id and its text; the id is a term as a whole too."""
        stem = self._stems()
        for identity, text in texts:
            terms = [key(identity)] if identity else []
            yield terms + stem(list(_terms(f"{identity}\n{text}" if identity else text, single=True)))

    def of_query(self, text: str) -> list[str]:
        """Return the terms of a query, each once."""
        terms = self._stems()(list(_terms(text)))
        return list(dict.fromkeys([key(text), *terms]))

    def of_spans(self, text: str, spans: Iterable[Span]) -> list[list[str]]:
        """Return the terms of each of some spans of a text, `[start, end)`."""
        stem = self._stems()
        return [stem(list(_terms(text[start:end]))) for start, end in spans]

    def marker(self, texts: Iterable[str]) -> Callable[[str], list[Span]]:
        """Return a function that returns where words of some texts stand in another, by their stems.

        Short words without a digit, which stand everywhere, are not looked for.
        """
        stem = self._stems()

        @cache
        def terms(word: str) -> frozenset[str]:
            return frozenset(stem(list(_terms(word))))

        wanted: set[str] = set()
        for text in texts:
            found = (text[start:end] for start, end in words(text))
            wanted.update(term for word in found if _is_rare(word) for term in terms(word))
        return lambda text: [span for span in words(text) if not wanted.isdisjoint(terms(text[slice(*span)]))]

    def _stems(self) -> Callable[[list[str]], list[str]]:
        if not self.language:
            return lambda terms: terms
        from Stemmer import Stemmer

        stem: Callable[[list[str]], list[str]] = Stemmer(self.language).stemWords
        return stem  # of a new stemmer: threads may not share one


def _is_rare(word: str) -> bool:
    """Whether a word may tell texts apart, by its letters."""
    return len(word) >= RARE or not word.isascii() or any(sign.isdigit() for sign in word)


def key(identity: str) -> str:
    """Return the term of a whole id."""
    return _KEY + normalize("NFKC", identity).strip().casefold()


def _terms(text: str, *, single: bool = False) -> Iterator[str]:
    """Yield the terms of a text, small; `single` also those of one character without spaces around."""
    if not text.isascii():
        text = normalize("NFKC", text)
    for found in _JOINED.finditer(text):
        joined = found.group()
        if (
            joined.isalpha()
            and joined.isascii()
            and (joined.islower() or joined[1:].islower() or joined.isupper())
        ):
            yield joined.lower()
            continue
        parts = _WORD.findall(joined)
        if parts != [joined]:
            yield joined.casefold()
        for word in parts:
            yield from _of_word(word, single)


def _of_word(word: str, single: bool) -> Iterator[str]:
    runs = _UNSPACED.findall(word)
    if not runs:
        parts = _PART.findall(word)
        if parts != [word]:
            yield word.casefold()
        yield from (part.casefold() for part in parts)
        return
    for run in runs:
        yield from (run[at : at + 2] for at in range(len(run) - 1))
        if single or len(run) == 1:
            yield from run
    for rest in _UNSPACED.split(word):
        if rest:
            yield from _of_word(rest, single)


def length(text: str) -> int:
    """Return how many words a text has; of a script without spaces two characters count as one."""
    unspaced = 0 if text.isascii() else sum(map(len, _UNSPACED.findall(text)))
    return len(text.split()) + unspaced // 2

"""Sentences and words of a text, as spans of characters. Loads no torch."""

from __future__ import annotations

import re

from embedsearch.errors import ItemError
from embedsearch.records import Sentence, Span

# Letters and digits of any script; inner apostrophes, dots, hyphens belong to the word: don't, os.path, 3.5
WORD = re.compile(r"\w+(?:['’.\-]\w+)*")
# A sentence ends at a line break, or at . ! ? … (with closing quotes) before a space and a capital,
# a digit or an opening quote; or at a CJK full stop.
_END = re.compile(r"\n+|(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])|(?<=[。！？])")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|e\.g|i\.e|cf|vs|etc|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx))\.$")


def words(text: str) -> tuple[Span, ...]:
    """Return the `[start, end)` span of each word of `text`, in order."""
    return tuple(match.span() for match in WORD.finditer(text))


def sentences(text: str) -> list[Span]:
    """Return the `[start, end)` spans of the sentences of `text`, white space around them left out."""
    spans: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.start()]
        if not match.group().startswith("\n") and _ABBREVIATION.search(before):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [trimmed for trimmed in (_trim(text, *span) for span in spans) if trimmed[0] < trimmed[1]]


def split_words(text: str) -> list[tuple[int, Sentence]]:
    """Return where each sentence that holds a word starts, and the sentence with its words.

    Raises:
        ItemError: there is none.
    """
    found = [(start, text[start:end]) for start, end in sentences(text)]
    parts = [(start, Sentence(part, spans)) for start, part in found if (spans := words(part))]
    if not parts:
        raise ItemError("the text holds no word")
    return parts


def split_tokens(text: str) -> list[tuple[int, Sentence]]:
    """Return what `split_words` does, with every token of the model in place of the words."""
    return [(start, Sentence(part.text)) for start, part in split_words(text)]


def _trim(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))

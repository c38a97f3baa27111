"""Sentences and words of a text, as spans of characters. Loads no torch.

Letters, marks, scripts and ends of sentences are those of Unicode (UAX #29, UAX #44). Scripts that put no
space between words, such as Chinese, Japanese, Thai and Khmer, are split by ICU's dictionaries.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

from embedsearch.errors import ItemError
from embedsearch.modalities import SPLITTER
from embedsearch.records import Labels, Record, Sentence, Span

# A sentence ends at a line break, or at . ! ? … (with closing quotes) before a space and a capital,
# a digit or an opening quote.
_END = r"\n+|(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])"
# The full stops of other scripts need no space behind them; the wide one may stand in a number.
_STOP = r"(?:[\p{Sentence_Terminal}--.!?．]|．(?!\d))"
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|e\.g|i\.e|cf|vs|etc|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx))\.$")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=Complex_Context}]")


@dataclass(frozen=True, slots=True)
class Rule:
    """Where words and sentences end.

    Attributes:
        word: a pattern of a word. Letters and digits of any script; inner apostrophes, dots and hyphens
            belong to it: don't, os.path, 3.5.
        end: a pattern of what ends a sentence, white space included.
        segments: whether a word in a script without spaces is split further.
    """

    word: Any
    end: Any
    segments: bool


# by the name that a recipe has of it
RULES = {
    SPLITTER: Rule(
        regex.compile(r"\w+(?:['’.\-]\w+)*"),
        regex.compile(rf"{_END}|{_STOP}+[\"'”’)\]\p{{Pe}}\p{{Pf}}]*", regex.VERSION1),
        segments=True,
    ),
    # of 0.6: marks end a word, a sentence in a script without spaces is one word
    "": Rule(
        re.compile(r"\w+(?:['’.\-]\w+)*"),
        re.compile(rf"{_END}|(?<=[。！？])"),
        segments=False,
    ),
}


def words(text: str, rule: str = SPLITTER) -> tuple[Span, ...]:
    """Return the `[start, end)` span of each word of `text`, in order.

    Args:
        text: a sentence, or a longer text.
        rule: a name in `RULES`.
    """
    found = RULES[rule]
    spans = (match.span() for match in found.word.finditer(text))
    if not found.segments or text.isascii():
        return tuple(spans)
    return tuple(part for start, end in spans for part in _segments(text, start, end))


def _segments(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the spans of the words between `start` and `end`, where no space stands."""
    if not _UNSPACED.search(text, start, end):
        yield start, end
        return
    from icu4py.breakers import WordBreaker

    for part in WordBreaker(text[start:end], "und"):
        if any(letter.isalnum() for letter in part):
            yield start, start + len(part)
        start += len(part)


def sentences(text: str, rule: str = SPLITTER) -> list[Span]:
    """Return the `[start, end)` spans of the sentences of `text`, white space around them left out.

    Args:
        text: any text.
        rule: a name in `RULES`.
    """
    spans: list[Span] = []
    start = 0
    for match in RULES[rule].end.finditer(text):
        before = text[start : match.start()]
        if not match.group().startswith("\n") and _ABBREVIATION.search(before):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [trimmed for trimmed in (_trim(text, *span) for span in spans) if trimmed[0] < trimmed[1]]


def split_words(content: str | Record, rule: str = SPLITTER) -> list[tuple[int, Sentence]]:
    """Return where each sentence that holds a word starts, and the sentence with its words.

    A text whose source splits it into words is one sentence.

    Args:
        content: a text, or the record of a text with labels.
        rule: a name in `RULES`.

    Raises:
        ItemError: there is none.
    """
    text, labels = _parts(content)
    if labels is not None and labels.words is not None:
        return [(0, Sentence(text, labels.words))]
    found = [(start, text[start:end]) for start, end in sentences(text, rule)]
    parts = [(start, Sentence(part, spans)) for start, part in found if (spans := words(part, rule))]
    if not parts:
        raise ItemError("the text holds no word")
    return parts


def split_tokens(content: str | Record, rule: str = SPLITTER) -> list[tuple[int, Sentence]]:
    """Return what `split_words` does, with every token of the model in place of the words."""
    return [(start, Sentence(part.text)) for start, part in split_words(content, rule)]


def split_spans(content: str | Record, rule: str = SPLITTER) -> list[tuple[int, Sentence]]:
    """Return where each sentence that holds a labelled span starts, and the sentence with its spans.

    Sentences that share a span are one. A text without spans has no part. Arguments are as in `split_words`.
    """
    text, labels = _parts(content)
    if labels is None or not labels.spans:
        return []
    whole = [(0, len(text))] if labels.words is not None else sentences(text, rule)
    parts: list[tuple[int, int, list[Span]]] = []  # start, end and spans of each
    for start, end, _ in labels.spans:
        first = whole[bisect_right(whole, start, key=lambda sentence: sentence[1])]
        last = whole[bisect_left(whole, end, key=lambda sentence: sentence[0]) - 1]
        begin, stop = min(start, first[0]), max(end, last[1])
        if parts and begin < parts[-1][1]:
            begin, reached, inside = parts.pop()
            parts.append((begin, max(stop, reached), [*inside, (start, end)]))
        else:
            parts.append((begin, stop, [(start, end)]))
    return [
        (begin, Sentence(text[begin:stop], tuple((start - begin, end - begin) for start, end in inside)))
        for begin, stop, inside in parts
    ]


def _parts(content: str | Record) -> tuple[str, Labels | None]:
    """Return a text and its labels; None for none."""
    return (content, None) if isinstance(content, str) else (str(content.content), content.labels)


def _trim(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))

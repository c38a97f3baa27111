"""A long text to passages, which a model reads whole and which get a vector each. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from embedsearch.errors import RecipeError
from embedsearch.modalities import PASSAGES
from embedsearch.records import Span, headings_in
from embedsearch.splitters.words import sentences

MODEL = "model"  # in a rule: what the model reads
SHORTEST = 16  # tokens of a passage
SPARE = 2  # some tokenizers take a token more for a word that begins a text
# A line break within a paragraph; behind it begins no blank line, heading, item of a list or row of a table.
_WRAPPED = re.compile(r"(?<=[^\n\f])\n(?=[^\s#|*•·\-–—\d])")
_CLOSED = 3  # a passage that is a third full ends where a page or a section ends

Offsets = npt.NDArray[np.int64]


class Rule(NamedTuple):
    """How texts are split, in tokens without the prompt and the model's special tokens.

    Attributes:
        whole: of the longest text that stays whole.
        size: of a passage, at most.
        overlap: that two passages of a section share, at most.
    """

    whole: int
    size: int
    overlap: int


def unwrapped(text: str) -> str:
    """Return a text in which a space stands for each line break within a paragraph; of the same length."""
    return _WRAPPED.sub(" ", text)


def passages_rule(asked: str, limit: int | None) -> str:
    """Return the rule for what is asked for; empty where texts are never split.

    Args:
        asked: `auto`, `off`, or the tokens of a passage.
        limit: the tokens that the model reads, special ones included; None where it reads any number.

    Raises:
        RecipeError: it is none of these, or more than the model reads.
    """
    if asked == "off" or (asked == "auto" and limit is None):
        return ""
    if asked == "auto":
        return PASSAGES
    size = int(asked) if asked.isascii() and asked.isdigit() else 0
    if size < SHORTEST or (limit is not None and size > limit):
        most = "" if limit is None else f" to {limit:,}, what the model reads"
        raise RecipeError(
            f"Passages are auto, off, or a number of tokens from {SHORTEST}{most}; got {asked!r:.40}."
        )
    return f"{size}/{size}/{size // 4}"


def rule_of(rule: str, limit: int | None) -> Rule:
    """Return what a rule such as "model/64/16" means for a model.

    Args:
        rule: see `embedsearch.recipe.EncoderRecipe.splitter`.
        limit: the tokens of a text that the model reads, without the prompt and the special ones; None where
            it reads any number.
    """
    whole, size, overlap = rule.split("/")
    if limit is None:
        return Rule(int(whole), int(size), int(overlap))
    most = max(1, limit - SPARE)
    return Rule(limit if whole == MODEL else min(int(whole), limit), min(int(size), most), int(overlap))


class _Piece(NamedTuple):
    """A sentence, or a part of a long one.

    Attributes:
        start: its first character.
        end: the character behind it.
        tokens: how many it has.
        opens: whether a page or a section begins with it.
    """

    start: int
    end: int
    tokens: int
    opens: bool


def split_passages(text: str, starts: Offsets, ends: Offsets, rule: Rule) -> list[Span]:
    """Return the `[start, end)` spans of the passages of a text, in characters.

    A passage ends where a sentence ends, and begins with the last sentences of the one before; one that is a
    third full ends where a page or a section ends, and the next one begins there.

    Args:
        text: of at least one token.
        starts: (t,) the first character of each token, ascending.
        ends: (t,) the character behind each.
        rule: how long passages are.
    """
    pieces = list(_pieces(text, starts, ends, rule.size))
    spans: list[Span] = []
    first = 0
    while first < len(pieces):
        end, tokens = first, 0
        while end < len(pieces) and tokens + pieces[end].tokens <= rule.size:
            if pieces[end].opens and tokens * _CLOSED >= rule.size:
                break
            tokens += pieces[end].tokens
            end += 1
        spans.append((pieces[first].start, pieces[end - 1].end))
        first = end if end == len(pieces) or pieces[end].opens else _back(pieces, first, end, rule)
    return spans


def _back(pieces: list[_Piece], first: int, end: int, rule: Rule) -> int:
    """Return the piece that the passage behind `[first, end)` begins with, so that the two overlap."""
    most = min(rule.overlap, rule.size - pieces[end].tokens)
    at, shared = end, 0
    while at - 1 > first and shared + pieces[at - 1].tokens <= most:
        at -= 1
        shared += pieces[at].tokens
    return at


def _pieces(text: str, starts: Offsets, ends: Offsets, size: int) -> Iterator[_Piece]:
    """Yield the sentences that hold a token, and those of more than `size` tokens in parts."""
    before = 0
    headings = {each.start for each in headings_in(text)}
    for start, end in sentences(unwrapped(text)):
        low, high = (int(at) for at in np.searchsorted(starts, (start, end)))
        opens = "\f" in text[before:start] or start in headings
        while low < high:
            cut = high if high - low <= size else _cut(text, starts, ends, low, low + size)
            stop = end if cut == high else int(ends[cut - 1])
            yield _Piece(start, stop, cut - low, opens)
            if cut < high:
                start = int(starts[cut])  # noqa: PLW2901
            low, opens = cut, False
        before = end


def _cut(text: str, starts: Offsets, ends: Offsets, low: int, high: int) -> int:
    """Return the token before which a long sentence is cut: after a line, else after a word, if there is one.

    Args:
        text: the whole text.
        starts: see `split_passages`.
        ends: see there.
        low: the first token of the part.
        high: the last token that it may be cut before.
    """
    middle = (low + high) // 2
    gaps = [text[ends[at - 1] : starts[at]] for at in range(middle + 1, high + 1)]
    for sign in ("\n", " "):
        found = [at for at, gap in enumerate(gaps, middle + 1) if sign in gap]
        if found:
            return found[-1]
    return high

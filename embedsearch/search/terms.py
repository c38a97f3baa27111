"""Texts that name items of an index of vectors: "king", "king - man + woman", "0.5 * king", "[0.1, 0.2]"."""

from __future__ import annotations

import re
from collections.abc import Callable

from embedsearch.errors import QueryError
from embedsearch.query import AnyQuery, MoreLike, Query, WeightedTerm, as_query

_SIGNS = re.compile(r"\s+([+-])\s+")
_FACTOR = re.compile(r"(\d+(?:\.\d+)?)\s*\*\s*(.+)", re.DOTALL)
_NUMBERS = re.compile(r"\[?\s*[-+]?[\d.][\d.eE+-]*(?:\s*[,;\s]\s*[-+]?[\d.][\d.eE+-]*)+\s*\]?")


def read_terms(text: str, is_item: Callable[[str], bool]) -> AnyQuery:
    """Return the query that a text stands for: an item, a sum of items, or the numbers of a vector.

    Items are joined by + and - with blanks around; a number and * before an item is its weight. An item whose
    whole id is the text goes first.

    Args:
        text: what was typed.
        is_item: whether there is an item of an id.

    Raises:
        QueryError: it is none of these.
    """
    whole = text.strip()
    if is_item(whole):
        return MoreLike(whole)
    if _NUMBERS.fullmatch(whole):
        return as_query(_numbers(whole))
    parts = _SIGNS.split(whole)  # [first, sign, second, sign, third, ...]
    leading = parts[0][:1] if parts[0][:1] in ("+", "-") and not is_item(parts[0]) else ""
    parts[0] = parts[0].removeprefix(leading).strip()
    terms = [
        _term(sign, part.strip(), is_item)
        for sign, part in zip([leading or "+", *parts[1::2]], parts[::2], strict=True)
    ]
    if len(terms) == 1 and terms[0].weight == 1:
        return MoreLike(terms[0].query.id)
    return Query(tuple(terms))


def _term(sign: str, part: str, is_item: Callable[[str], bool]) -> WeightedTerm:
    weight = 1.0
    if not is_item(part) and (factor := _FACTOR.fullmatch(part)):
        weight, part = float(factor[1]), factor[2].strip()
    if not is_item(part):
        raise QueryError(f"There is no item {part!r:.80} in the index.")
    return WeightedTerm(MoreLike(part), -weight if sign == "-" else weight)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in re.split(r"[,;\s]+", text.strip("[] \n")) if part]
    except ValueError:
        raise QueryError(f"{text!r:.80} is not a list of numbers.") from None

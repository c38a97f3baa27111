"""Fields to choose by: which of an index's fields can be, and a choice as a filter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from embedsearch.query import Both, Compare, In, Literal, Tree
from embedsearch.search.filters import parse
from embedsearch.store.items import FIELD

MAX_FACETS, MAX_OPTIONS, MAX_OPTION_LENGTH = 12, 200, 100
MAX_SAFE = 2**53 - 1  # the largest whole number that a browser holds exactly
_RANGE = re.compile(r"(.+)\.\.(.+)")


@dataclass(frozen=True, slots=True)
class Choice:
    """A field of few different texts or truth values; `options` as they stand in the address, counted."""

    field: str
    options: Mapping[str, int]
    truth: bool


@dataclass(frozen=True, slots=True)
class Range:
    """A field of numbers; `low` and `high` are multiples of `step` around all values."""

    field: str
    low: float
    high: float
    step: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Dates:
    """A field of dates or of times; the first and the last day."""

    field: str
    low: date
    high: date


Facet = Choice | Range | Dates


def find_facets(items: pa.Table, types: Mapping[str, pa.DataType]) -> tuple[Facet, ...]:
    """Return the fields of `items` that can be offered as lists of values, or ranges of numbers or days."""
    found: list[Facet] = []
    for field, kind in types.items():
        column = items[FIELD + field]
        facet: Facet | None = None
        if pa.types.is_boolean(kind) or pa.types.is_string(kind):
            facet = _choice(field, column, pa.types.is_boolean(kind))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            facet = _range(field, column, pa.types.is_integer(kind))
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            facet = _dates(field, column)
        if facet is not None:
            found.append(facet)
    return tuple(found[:MAX_FACETS])


def choices(facets: Iterable[Facet]) -> list[Choice]:
    """Return those that are lists of values."""
    return [facet for facet in facets if isinstance(facet, Choice)]


def tally(facet: Choice, values: Iterable[tuple[object, int]]) -> dict[str, int]:
    """Return counts of values of a field, by the options as they stand in the address."""
    counts = dict.fromkeys(facet.options, 0)
    for value, count in values:
        text = str(value).lower() if facet.truth else normalize("NFC", str(value))
        if value is not None and text in counts:
            counts[text] += count
    return counts


def _choice(field: str, column: pa.ChunkedArray, truth: bool) -> Choice | None:
    if not truth:
        column = pc.utf8_normalize(column, "NFC")
    distinct = pc.count_distinct(column).as_py()
    if distinct < 2 or distinct > MAX_OPTIONS or (not truth and distinct * 2 > len(column)):
        return None
    counts = {row["values"]: row["counts"] for row in pc.value_counts(column.drop_null()).to_pylist()}
    if not truth and any(not value or len(value) > MAX_OPTION_LENGTH for value in counts):
        return None
    texts = {(str(value).lower() if truth else value): count for value, count in counts.items()}
    return Choice(field, {value: texts[value] for value in sorted(texts, key=str.casefold)}, truth)


def _dates(field: str, column: pa.ChunkedArray) -> Dates | None:
    low, high = (pc.cast(each, pa.date32()).as_py() for each in pc.min_max(column).values())
    return None if low is None or low == high else Dates(field, low, high)


def _range(field: str, column: pa.ChunkedArray, whole: bool) -> Range | None:
    values = column.drop_null()
    if not whole:
        values = values.filter(pc.is_finite(values))
    ends = pc.min_max(values).as_py()
    low, high = ends["min"], ends["max"]
    if low is None or low == high or max(abs(low), abs(high)) > MAX_SAFE:
        return None
    if whole:
        return Range(field, low, high, 1, True)
    step = 10.0 ** math.floor(math.log10((high - low) / 100))
    digits = max(0, -math.floor(math.log10(step)))
    return Range(
        field,
        round(math.floor(low / step) * step, digits),
        round(math.ceil(high / step) * step, digits),
        step,
        False,
    )


def chosen(facet: Choice, values: Sequence[str]) -> list[str]:
    """Return which of `values` the field has, in the form in which it has them."""
    wanted = dict.fromkeys(normalize("NFC", value) for value in values)
    return [value for value in wanted if value in facet.options]


def ends(facet: Range, values: Sequence[str]) -> tuple[float, float]:
    """Return the part of the range that `values`, such as ``["3..10"]``, ask for; else all of it."""
    match = _RANGE.fullmatch(values[-1]) if values else None
    try:
        low, high = (float(part) for part in match.groups()) if match else (facet.low, facet.high)
    except ValueError:
        low, high = facet.low, facet.high
    low, high = max(low, facet.low), min(high, facet.high)
    if not low <= high:  # also where one is not a number
        low, high = facet.low, facet.high
    return (int(low), int(high)) if facet.whole else (low, high)


def days(facet: Dates, values: Sequence[str]) -> tuple[date, date]:
    """Return the days that `values`, such as ``["2024-01-01..2024-12-31"]``, ask for; else all of them."""
    match = _RANGE.fullmatch(values[-1]) if values else None
    try:
        low, high = (
            (date.fromisoformat(part) for part in match.groups()) if match else (facet.low, facet.high)
        )
    except ValueError:
        low, high = facet.low, facet.high
    low, high = max(low, facet.low), min(high, facet.high)
    return (low, high) if low <= high else (facet.low, facet.high)


def condition(
    facets: Sequence[Facet],
    picked: Mapping[str, Sequence[str]],
    where: str = "",
    fields: Iterable[str] = (),
) -> Tree | None:
    """Return one filter of what was picked and of `where` as a person wrote it; None for no filter.

    What was picked never becomes text, so that its length does not count as what a person wrote.

    Raises:
        FilterError: `where` is no filter.
    """
    parts: list[Tree] = [*_picked(facets, picked)]
    if where.strip():
        parts.append(parse(where, fields))
    return reduce(Both, parts) if parts else None


def written(facets: Sequence[Facet], picked: Mapping[str, Sequence[str]], where: str = "") -> str:
    """Return the filter of `condition` as a person would write it; empty for none."""
    parts = [_written(part) for part in _picked(facets, picked)]
    if where.strip():
        parts.append(f"({where.strip()})" if parts else where.strip())
    return " and ".join(parts)


def _picked(facets: Sequence[Facet], picked: Mapping[str, Sequence[str]]) -> Iterator[In | Compare]:
    """Yield a condition for each field that something was picked in, two for some ranges."""
    for facet in facets:
        values = picked.get(facet.field, ())
        if isinstance(facet, Choice):
            wanted = chosen(facet, values)
            if wanted:
                kept: list[Literal] = [value == "true" if facet.truth else value for value in wanted]
                yield In(facet.field, tuple(kept))
            continue
        if isinstance(facet, Dates):
            first, last = days(facet, values)
            if first > facet.low:
                yield Compare(facet.field, ">=", first.isoformat())
            if last < facet.high:  # the whole day counts, where there are times
                yield Compare(facet.field, "<", (last + timedelta(days=1)).isoformat())
            continue
        low, high = ends(facet, values)
        if low > facet.low:
            yield Compare(facet.field, ">=", low)
        if high < facet.high:
            yield Compare(facet.field, "<=", high)


def _written(part: In | Compare) -> str:
    name = '"' + part.field.replace('"', '""') + '"'  # a plain name may be a word of the language, as "when"
    if isinstance(part, In):
        return f"{name} in ({', '.join(map(_constant, part.values))})"
    return f"{name} {part.operator} {_constant(part.value)}"


def _constant(value: Literal) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)

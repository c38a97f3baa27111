"""Only what is close: all items within the limit of the verdict, sorted and counted by fields."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from embedsearch.errors import QueryError, nearest
from embedsearch.results import Facets
from embedsearch.search.fused import Candidate, Looked
from embedsearch.store.build import Build
from embedsearch.store.items import FIELD


def limits_of(name: str, places: Sequence[Looked]) -> list[float]:
    """Return the largest distance that is close in each place; one without a limit has nothing close.

    Args:
        name: of the index.
        places: what a query found in one place or in two, judged.

    Raises:
        QueryError: no place has a limit; the message says why, and how to set one.
    """
    limits = [each.judgement.limit for each in places]
    if all(limit is None for limit in limits):
        why = places[0].judgement.reason or "It has no distance scale."
        raise QueryError(
            f"What is close can't be told in {name}. {why} Set a limit: embedsearch calibrate {name} "
            "--own QUERIES --foreign QUERIES; or choose one for this search with --strictness 0.9; or "
            "search without --close."
        )
    return [-np.inf if limit is None else limit for limit in limits]


def sorted_by(build: Build, found: Sequence[Candidate], sort: str) -> list[Candidate]:
    """Return candidates by a field, ascending, or descending where `-` stands before its name.

    Those without a value come last. Equal ones keep their order. Texts are compared without case.

    Raises:
        QueryError: there is no such field, or it holds lists.
    """
    name, descends = _field(build, sort)
    values = _values(build, found, name)
    if any(isinstance(value, list) for value in values):
        raise QueryError(f"The field {name!r} holds lists, which have no order. Sort by another field.")
    there = [at for at, value in enumerate(values) if not _is_missing(value)]
    lacking = [at for at, value in enumerate(values) if _is_missing(value)]
    keys = [value.casefold() if isinstance(value, str) else value for value in values]
    there.sort(key=lambda at: keys[at], reverse=descends)
    return [found[at] for at in (*there, *lacking)]


def count_by(build: Build, found: Sequence[Candidate], names: Sequence[str]) -> Facets:
    """Return how many candidates have each value of some fields, the most frequent value first.

    Each value of a list counts. None stands for no value.

    Raises:
        QueryError: there is no such field.
    """
    counts: Facets = {}
    for given in names:
        name = _named(build, given)
        values = _values(build, found, name)
        each = (one for value in values for one in (value if isinstance(value, list) else [value]))
        counts[name] = Counter(None if _is_missing(one) else one for one in each).most_common()
    return counts


def _field(build: Build, sort: str) -> tuple[str, bool]:
    """Return the field that a sort names, and whether it descends."""
    if sort.startswith("-") and sort not in build.field_types:
        return _named(build, sort[1:]), True
    return _named(build, sort), False


def _named(build: Build, name: str) -> str:
    from embedsearch.search.filters import COLUMNS

    fields = build.field_types
    if name in fields or name in COLUMNS:
        return name
    known = ", ".join(map(repr, fields)) or "none"
    raise QueryError(f"There is no field {name!r:.80}; the index has {known}.{nearest(name, fields)}")


def _values(build: Build, found: Sequence[Candidate], name: str) -> list[Any]:
    column = FIELD + name if name in build.field_types else name
    return build.read([each.row for each in found], [column])[column]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))

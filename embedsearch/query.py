"""What can be asked of an index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedsearch.errors import QueryError
from embedsearch.modalities import QueryForm

LEAST_WEIGHT = 1e-6  # one part in so many changes no digit that counts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as PilImage


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as it is."""

    form: ClassVar = QueryForm.TEXT

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QueryError(f"A text is a str; got {self.text!r:.80}.")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image: a path, the bytes of an image file, or an open image."""

    form: ClassVar = QueryForm.IMAGE

    source: Path | bytes | PilImage


@dataclass(frozen=True, slots=True)
class Word:
    """One word in its sentence.

    Attributes:
        sentence: the sentence.
        word: which: its number, counted from 1, or the word itself (its first occurrence).
    """

    form: ClassVar = QueryForm.WORD

    sentence: str
    word: int | str


@dataclass(frozen=True, slots=True)
class Like:
    """More like an item of the index; the item itself is left out."""

    id: str

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise QueryError(f"The id of an item is a str; got {self.id!r:.80}.")


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A ready vector, (d,) float32, raw."""

    values: npt.NDArray[np.floating[Any]]


Single = Text | Picture | Word | Like | Vector


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query of several.

    Attributes:
        query: what: anything that can be asked alone.
        weight: how much it counts; a negative weight pushes away.
    """

    query: Any
    weight: float = 1.0

    def __post_init__(self) -> None:
        try:
            if isinstance(self.weight, str | bytes):
                raise TypeError(self.weight)
            object.__setattr__(self, "weight", float(self.weight))
        except (TypeError, ValueError, OverflowError):
            raise QueryError(
                f"The weight of a part must be a finite number; got {self.weight!r:.80}."
            ) from None
        if not math.isfinite(self.weight):
            raise QueryError(f"The weight of a part must be a finite number; got {self.weight!r:.80}.")
        if self.weight and not LEAST_WEIGHT <= abs(self.weight) <= 1 / LEAST_WEIGHT:
            raise QueryError(
                f"The weight of a part must lie between {LEAST_WEIGHT:g} and {1 / LEAST_WEIGHT:,.0f}, with "
                f"either sign; got {self.weight:g}."
            )


@dataclass(frozen=True, slots=True)
class Query:
    """Several parts at once, each with its weight: like the first, and unlike the second.

    The vector asked with is the sum of the parts' vectors times their weights. With cosine distance each
    part's vector is scaled to unit length first, so that a weight means the same for all of them.

    Example:
        >>> Query((Part("beach"), Part("people", -1), Part(Like("42"), 0.5)))  # doctest: +ELLIPSIS
        Query(parts=(Part(query='beach', weight=1.0), ...
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple | list) or not all(isinstance(part, Part) for part in self.parts):
            raise QueryError("A Query takes parts, as in Query((Part('beach'), Part('people', -1))).")
        if not any(part.weight > 0 for part in self.parts):
            raise QueryError("A query of several parts needs one with a plus: what is looked for.")


AnyQuery = Single | Query


def as_query(query: Any) -> AnyQuery:
    """Return the query that a plain Python value stands for.

    A string is a text; a `Path`, bytes or a PIL image is a picture; an array or list of numbers is a
    vector. Words, items and queries of several parts are said with `Word`, `Like` and `Query`.

    Raises:
        QueryError: it is none of these.
    """
    return query if isinstance(query, Query) else as_single(query)


def as_single(query: Any) -> Single:
    """Return the query without parts that a plain Python value stands for; see `as_query`."""
    if isinstance(query, Single):
        return query
    if isinstance(query, str):
        return Text(query)
    if isinstance(query, (Path, bytes)) or hasattr(query, "convert"):
        return Picture(query)
    if hasattr(query, "__array__") or isinstance(query, (list, tuple)):
        return Vector(query)
    raise QueryError(
        f"A query can't be a {type(query).__name__}: give a text, a path, bytes, a PIL image, a vector, "
        "or one of embedsearch.Word, embedsearch.Like and embedsearch.Query."
    )


def items_of(query: AnyQuery) -> list[str]:
    """Return the ids of the items that a query asks with, which are not among their own hits."""
    return [single.id for single in singles_of(query) if isinstance(single, Like)]


def singles_of(query: AnyQuery) -> list[Single]:
    """Return the parts of a query without their weights; of one without parts itself."""
    return [as_single(part.query) for part in query.parts] if isinstance(query, Query) else [query]

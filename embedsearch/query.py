"""What can be asked of an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedsearch.errors import QueryError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as PilImage


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: a path, the bytes of an image file, or an open image."""

    source: Path | bytes | PilImage


@dataclass(frozen=True, slots=True)
class Word:
    """One word in its sentence.

    Attributes:
        sentence: the sentence.
        word: which: its number, counted from 1, or the word itself (its first occurrence).
    """

    sentence: str
    word: int | str


@dataclass(frozen=True, slots=True)
class Like:
    """More like an item of the index; the item itself is left out."""

    id: str


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A ready vector, (d,) float32, raw."""

    values: npt.NDArray[np.floating[Any]]


Query = Text | Picture | Word | Like | Vector


def as_query(query: Any) -> Query:
    """Return the query that a plain Python value stands for.

    A string is a text; a `Path`, bytes or a PIL image is a picture; an array or list of numbers is a
    vector. Words and items are said with `Word` and `Like`.

    Raises:
        QueryError: it is none of these.
    """
    if isinstance(query, Query):
        return query
    if isinstance(query, str):
        return Text(query)
    if isinstance(query, (Path, bytes)) or hasattr(query, "convert"):
        return Picture(query)
    if hasattr(query, "__array__") or isinstance(query, (list, tuple)):
        return Vector(query)
    raise QueryError(
        f"A query can't be a {type(query).__name__}: give a text, a path, bytes, a PIL image, a vector, "
        "or one of embedsearch.Word and embedsearch.Like."
    )

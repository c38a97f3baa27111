"""What a person can ask an index for."""

from __future__ import annotations

import math
import shlex
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from embedsearch.errors import QueryError
from embedsearch.modalities import QueryForm

DEFAULT_SAMPLE = 500  # items that an evaluation asks with
DEFAULT_K = 12  # hits of a search, everywhere; 12 fill the rows of a grid of 2, 3, 4 or 6 columns
TOKENS = "tokens"  # re-ranking by the hidden states of tokens
RERANK_K = 10  # hits that are re-ranked: 50 texts of 200 tokens take 0.5 to 1.4 s on two cores
# of a term that is subtracted with no weight given: at -1 the query's own topic is lost, as
# tests.benchmarks.subtracting shows
MINUS = -0.25
LEAST_WEIGHT = 1e-6  # a smaller share of the sum changes no digit that counts

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


Crop = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Image:
    """An image, or a part of one.

    Attributes:
        source: a path, the bytes of an image file, or an open PIL image.
        crop: the left, top, right and bottom edge of the part, as shares (0 to 1) of the width and the height
            of the image as it is seen upright; None for the whole image.

    Raises:
        QueryError: the crop is no such part.
    """

    form: ClassVar = QueryForm.IMAGE

    source: Path | bytes | PilImage
    crop: Crop | None = None

    def __post_init__(self) -> None:
        if self.crop is not None:
            object.__setattr__(self, "crop", checked_crop(self.crop))


def checked_crop(edges: Any) -> Crop:
    """Return the edges of a part of an image as numbers; see `Image`. A text has commas between them.

    Raises:
        QueryError: they are no four numbers, or there is nothing between them.
    """
    try:
        left, top, right, bottom = map(float, edges.split(",") if isinstance(edges, str) else edges)
    except (TypeError, ValueError, OverflowError):
        left = top = right = bottom = math.nan
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise QueryError(
            "A crop has a left, top, right and bottom edge, each a share (0 to 1) of the image, as in "
            f"0.5,0,1,0.5 for its upper right quarter; got {edges!r:.80}."
        )
    return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound: a path, or the bytes of a sound file.

    Raises:
        QueryError: it is neither.
    """

    form: ClassVar = QueryForm.SOUND

    source: Path | bytes

    def __post_init__(self) -> None:
        if not isinstance(self.source, Path | bytes):
            raise QueryError(f"A sound is a Path or the bytes of a file; got {self.source!r:.80}.")


@dataclass(frozen=True, slots=True)
class Word:
    """One word in its sentence, or several that follow each other.

    Attributes:
        sentence: the sentence.
        word: which word: its number, counted from 1, or the word or words themselves (the first occurrence).
    """

    form: ClassVar = QueryForm.WORD

    sentence: str
    word: int | str


@dataclass(frozen=True, slots=True)
class MoreLike:
    """More items like an item of the index. The item itself is not among the hits."""

    id: str

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise QueryError(f"The id of an item is a str; got {self.id!r:.80}.")


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A vector made by the encoder of the index: (d,) float32, not normalised."""

    values: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: values by column. Columns that it does not have do not count; None means missing.

    Attributes:
        values: numbers, texts, dates or None, by the name of the column; texts are read as the column's kind.

    Example:
        >>> Row.of('price=20 colour="dark red"')
        Row(values={'price': '20', 'colour': 'dark red'})
    """

    form: ClassVar = QueryForm.ROW

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping) or not self.values:
            raise QueryError(f"A row is a dict of values by column; got {self.values!r:.80}.")

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the row that a person typed as `column=value`, with quotes around what holds spaces.

        Raises:
            QueryError: a part of it is not of that form.
        """
        try:
            parts = [part.partition("=") for part in shlex.split(text)]
        except ValueError:
            raise QueryError(f"A quotation mark is not closed in {text!r:.80}.") from None
        wrong = next((name for name, sign, _ in parts if not sign or not name), None)
        names = [name for name, _, _ in parts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise QueryError(f"The row has the column {twice!r} twice: give one value for it.")
        if not text.strip(" '"):
            raise QueryError("The row is empty: give values of columns, as in price=20 colour=red.")
        if wrong is not None or not parts:
            raise QueryError(
                f"{wrong or text!r:.80} names no column. Write a row like price=20 colour=red, with quotes "
                'around what holds spaces, as in name="Rosa Luxemburg".'
            )
        return cls({name: value or None for name, _, value in parts})

    def __str__(self) -> str:
        """Return the row as `of` reads it."""
        return " ".join(
            shlex.quote(f"{name}={'' if value is None else value}") for name, value in self.values.items()
        )


Single = Text | Image | Sound | Word | MoreLike | Vector | Row


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """One term of a `Query`.

    Attributes:
        query: anything that can be a query by itself.
        weight: how much the term counts, from 1e-6 to 1e6; a negative weight pushes away.
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
                f"The weight of a term must be a finite number; got {self.weight!r:.80}."
            ) from None
        if not math.isfinite(self.weight):
            raise QueryError(f"The weight of a term must be a finite number; got {self.weight!r:.80}.")
        if self.weight and not LEAST_WEIGHT <= abs(self.weight) <= 1 / LEAST_WEIGHT:
            raise QueryError(
                f"The weight of a term must lie between {LEAST_WEIGHT:g} and {1 / LEAST_WEIGHT:,.0f}, with "
                f"either sign; got {self.weight:g}."
            )


@dataclass(frozen=True, slots=True)
class Query:
    """Several weighted terms at once: like one thing, and unlike another.

    The query's vector is the sum of the terms' vectors times their weights. With the cosine distance each
    term's vector is scaled to unit length first, so that a weight means the same for all terms. The answer to
    a query with a negative term is not judged: it has no verdict, and its hits no labels.

    Example:
        >>> Query((WeightedTerm("beach"), WeightedTerm("people", -0.25)))
        Query(terms=(WeightedTerm(query='beach', weight=1.0), ...
    """

    terms: tuple[WeightedTerm, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.terms, tuple | list) or not all(
            isinstance(term, WeightedTerm) for term in self.terms
        ):
            raise QueryError(
                "A Query takes weighted terms, as in "
                "Query((WeightedTerm('beach'), WeightedTerm('people', -0.25)))."
            )
        if not any(term.weight > 0 for term in self.terms):
            raise QueryError("A query of several terms needs at least one with a positive weight.")


AnyQuery = Single | Query


def as_query(query: Any) -> AnyQuery:
    """Return the query that a plain Python value stands for.

    A string is a text. A `Path`, bytes or a PIL image is an image. An array or a list of numbers is a
    vector, a dict a row of a table. Use `Word`, `MoreLike` and `Query` for words, items and several terms.

    Raises:
        QueryError: the value is none of these.
    """
    return query if isinstance(query, Query) else as_single(query)


def is_several(query: Any) -> bool:
    """Whether a value is a list or tuple of queries; one that holds nothing but numbers is a vector."""
    return isinstance(query, list | tuple) and not (query and all(isinstance(each, Number) for each in query))


def as_single(query: Any) -> Single:
    """Return the query of one term that a plain Python value stands for; see `as_query`."""
    if isinstance(query, Single):
        return query
    if isinstance(query, str):
        return Text(query)
    if isinstance(query, (Path, bytes)) or hasattr(query, "convert"):
        return Image(query)
    if isinstance(query, Mapping):
        return Row(query)
    if hasattr(query, "__array__") or isinstance(query, (list, tuple)):
        return Vector(query)
    raise QueryError(
        f"A query can't be a {type(query).__name__}: give a text, a path, bytes, a PIL image, a dict, "
        "a vector, "
        "or one of embedsearch.Word, embedsearch.MoreLike and embedsearch.Query."
    )


def items_of(query: AnyQuery) -> list[str]:
    """Return the ids of the items that a query is made of; they are not among their own hits."""
    return [single.id for single in singles_of(query) if isinstance(single, MoreLike)]


def singles_of(query: AnyQuery) -> list[Single]:
    """Return the terms of a query without their weights; a query of one term itself."""
    return [as_single(term.query) for term in query.terms] if isinstance(query, Query) else [query]


Literal = str | int | float | bool  # what a field is compared with; dates are ISO text


@dataclass(frozen=True, slots=True)
class Compare:
    """A filter: `field operator value`, where the operator is one of =, !=, <, <=, > and >=."""

    field: str
    operator: str
    value: Literal


@dataclass(frozen=True, slots=True)
class In:
    """A filter: `field IN (values)`."""

    field: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """A filter: `field IS NULL`."""

    field: str


@dataclass(frozen=True, slots=True)
class Like:
    """A filter: `field LIKE pattern`, where % is any text, _ any character, and a backslash quotes these.

    Attributes:
        field: the field, which holds texts.
        pattern: what the whole text has to be like.
        any_case: whether upper and lower case are the same, as in ILIKE.
    """

    field: str
    pattern: str
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """A filter: `value IN field`, where the field holds lists, or texts that have the value as a part."""

    field: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Not:
    """A filter: `NOT part`."""

    part: Tree


@dataclass(frozen=True, slots=True)
class Both:
    """A filter: `left AND right`."""

    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Either:
    """A filter: `left OR right`."""

    left: Tree
    right: Tree


Tree = Compare | In | IsNull | Like | Has | Not | Both | Either

Mode = typing.Literal["vector", "lexical", "hybrid"]
MODES: tuple[Mode, ...] = typing.get_args(Mode)


By = typing.Literal["record", "passage"]
BYS: tuple[By, ...] = typing.get_args(By)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How the hits of a query are chosen; `Index.search` has the same as arguments.

    Attributes:
        k: how many, at least 1; None for `DEFAULT_K`, and with `close` for all.
        where: a filter over the fields, as text or as a tree; None for all items.
        strictness: the share (over 0, under 1) of unrelated queries that are to be told that nothing is
            close; None for what was set by `calibrate`, or else what the index chooses.
        fold: whether items of the same content are one hit.
        close: whether to find all that is within the limit of the verdict, and nothing else.
        diverse: whether to choose hits that differ from one another.
        feedback: whether to add the first hits of a first search to the query.
        rerank: how the first hits are ordered again: `TOKENS`, or the hub id or folder of a cross-encoder;
            empty for not at all. True stands for `TOKENS`, and a number for `TOKENS` and that `rerank_k`.
        rerank_k: how many of the first hits that is.
        sort: the field that the hits are sorted by, with `-` before it to descend; empty for none.
        facets: fields whose values are counted among what was found.
        mode: by `vector`, by the words that a text shares with the query (`lexical`), or by both (`hybrid`);
            None for what the index has as its default.
        by: `record`, or `passage`: whether a record of several items is one hit, or each of its passages or
            moments.
    """

    k: int | None = None
    where: str | Tree | None = None
    strictness: float | None = None
    fold: bool = True
    close: bool = False
    diverse: bool = False
    feedback: bool = False
    rerank: bool | int | str = ""
    rerank_k: int = RERANK_K
    sort: str = ""
    facets: Sequence[str] = ()
    mode: Mode | None = None
    by: By = "record"

    def __post_init__(self) -> None:
        if not isinstance(self.rerank, str):
            if not isinstance(self.rerank, bool) and self.rerank:
                object.__setattr__(self, "rerank_k", self.rerank)
            object.__setattr__(self, "rerank", TOKENS if self.rerank else "")
        are_listed = isinstance(self.facets, Sequence) and not isinstance(self.facets, str)
        names: tuple[Any, ...] = tuple(self.facets) if are_listed else (self.facets,)
        object.__setattr__(self, "facets", names)
        if not all(isinstance(name, str) for name in (self.sort, *names)):
            raise QueryError(f"sort and facets name fields; got {self.sort!r:.40} and {list(names)!r:.80}.")
        for name in ("k", "rerank_k"):
            value = getattr(self, name)
            if not (name == "k" and value is None) and (not hasattr(value, "__index__") or value < 1):
                raise QueryError(f"{name} must be a whole number, at least 1; got {value!r:.80}.")
        if self.by not in BYS:
            raise QueryError(f"Hits are by {' or by '.join(BYS)}; got {self.by!r:.40}.")
        if self.close and self.feedback:
            raise QueryError("What is close depends on the query alone: leave out close or feedback.")
        ways = [name for name in ("sort", "diverse", "rerank") if getattr(self, name)]
        if len(ways) > 1:
            raise QueryError(f"Hits have one order: leave out {' or '.join(ways)}.")

    @property
    def most(self) -> int:
        """How many hits there are at most, where not all that is close is asked for."""
        return DEFAULT_K if self.k is None else int(self.k)

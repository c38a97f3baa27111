"""What a request to the server asks for: the JSON bodies, and the queries that they stand for."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from embedsearch.query import (
    DEFAULT_K,
    RERANK_K,
    AnyQuery,
    By,
    Image,
    Mode,
    MoreLike,
    Query,
    Row,
    Sound,
    Text,
    Vector,
    WeightedTerm,
    Word,
)

MOST_HITS = 1000
MOST_RERANKED = 50
MOST_FACETS = 20
MOST_NAME = 1000  # characters of the name of a field
MOST_CHARACTERS = 100_000  # of one text
MOST_NUMBERS = 65_536  # of one vector
MOST_PARTS = 32  # of one query
MOST_COMPARED = 64
MOST_TEXTS = 2048  # of one request for embeddings, as OpenAI's
MOST_VALUES = 10_000  # that a field may have, by a filter


def _decoded(value: Any) -> bytes:
    """Return the bytes of a file that is base64 in JSON, or that was uploaded."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("expected base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the text is not base64") from None


def _split(value: Any) -> Any:
    """Return numbers with commas between, as a form has them, each by itself."""
    return value.split(",") if isinstance(value, str) else value


def _first(value: Any) -> Any:
    """Return how many hits `true` stands for, which would be 1."""
    return RERANK_K if value is True else value


String = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Identity = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
File = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "A file as base64."}),
]
Number = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | float | str | None
Where = (
    Annotated[str, Field(max_length=4000)]
    | Annotated[
        dict[str, Scalar | Annotated[list[Scalar], Field(max_length=MOST_VALUES, fail_fast=True)]],
        Field(max_length=100),
    ]
)


class Request(BaseModel):
    """A JSON body; a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_known_keys(cls, given: Any) -> Any:
        """Stop at the first unknown key; pydantic would report each of a million."""
        if isinstance(given, dict):
            for key in given:
                if key not in cls.model_fields:
                    raise ValueError(f"There is no key {key!r:.80}.")
        return given


class Term(Request):
    """One thing to ask with: exactly one of its keys, or `text` and `word` together."""

    text: String | None = Field(None, description="A text.", examples=["can I have a refund"])
    word: Annotated[int, Field(ge=1, le=MOST_CHARACTERS)] | String | None = Field(
        None, description="One word of `text`: its number from 1, or the word."
    )
    image: File | None = Field(None, description="An image file as base64.")
    crop: Annotated[tuple[Number, Number, Number, Number], BeforeValidator(_split)] | None = Field(
        None,
        description="The part of `image` to ask with: its left, top, right and bottom edge as shares (0 to "
        "1) of the upright image.",
    )
    sound: File | None = Field(None, description="A sound file as base64.")
    item: Identity | None = Field(None, description="The id of an item of the index: more like it.")
    vector: Annotated[list[Number], Field(min_length=1, max_length=MOST_NUMBERS, fail_fast=True)] | None = (
        Field(None, description="A vector of the index's encoder.")
    )
    row: Annotated[dict[str, Scalar], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="A row of a table: values by column."
    )

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        self._check(self._given())
        return self

    def _given(self) -> list[str]:
        keys = ("text", "image", "sound", "item", "vector", "row")
        return [key for key in keys if getattr(self, key) is not None]

    def _check(self, given: list[str]) -> None:
        if len(given) != 1:
            raise ValueError(
                "Ask with one of text, image, sound, item, vector and row; "
                + (f"got {' and '.join(given)}." if given else "got none.")
            )
        if self.word is not None and self.text is None:
            raise ValueError("word is a word of a text: give the text too.")
        if self.crop is not None and self.image is None:
            raise ValueError("crop is a part of an image: give the image too.")

    @property
    def reads_file(self) -> bool:
        """Whether an image or a sound has to be decoded for it."""
        return self.image is not None or self.sound is not None

    def query(self) -> AnyQuery:
        """Return the query that it stands for.

        Raises:
            QueryError: it is none.
        """
        if self.text is not None:
            return Text(self.text) if self.word is None else Word(self.text, self.word)
        if self.image is not None:
            return Image(self.image, self.crop)
        if self.sound is not None:
            return Sound(self.sound)
        if self.item is not None:
            return MoreLike(self.item)
        if self.vector is not None:
            return Vector(np.array(self.vector, np.float64))
        assert self.row is not None
        return Row(self.row)


class Part(Term):
    """A weighted term of a query."""

    weight: Number = Field(1.0, description="How much it counts; a negative weight pushes away.")


class Asking(Term):
    """A query: one term, or several weighted `parts`."""

    parts: Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS)] | None = Field(
        None, description="Several weighted terms at once, in place of one."
    )

    def _check(self, given: list[str]) -> None:
        if self.parts is None:
            super()._check(given)
        elif given := [*given, *(key for key in ("word", "crop") if getattr(self, key) is not None)]:
            raise ValueError(f"Put {' and '.join(given)} into parts, or leave out parts.")

    @property
    def reads_file(self) -> bool:
        """Whether an image or a sound has to be decoded for it."""
        return any(part.reads_file for part in self.parts) if self.parts else super().reads_file

    def query(self) -> AnyQuery:
        """Return the query that it stands for.

        Raises:
            QueryError: it is none; no part has a positive weight, for example.
        """
        if self.parts is None:
            return super().query()
        return Query(tuple(WeightedTerm(part.query(), part.weight) for part in self.parts))


class Finding(Request):
    """How hits are chosen."""

    k: Annotated[int, Field(ge=1, le=MOST_HITS)] | None = Field(
        None, description=f"How many hits: {DEFAULT_K} by default, and with close up to {MOST_HITS:,}."
    )
    where: Where | None = Field(
        None,
        description="A filter over the fields, as text or as an object.",
        examples=["topic = 'payments' and year >= 2024"],
    )
    fold: bool = Field(True, description="Return items of the same content once.")
    close: bool = Field(False, description="Find all that is within the limit of the verdict, and only that.")
    diverse: bool = Field(False, description="Choose hits that differ from one another.")
    feedback: bool = Field(
        False, description="Search again with the mean of the first three hits added to the query."
    )
    rerank: Annotated[int, Field(ge=0, le=MOST_RERANKED), BeforeValidator(_first)] = Field(
        0,
        description=f"Order so many of the first hits again, by tokens; true for {RERANK_K}, 0 for none.",
    )
    sort: Annotated[str, Field(max_length=MOST_NAME)] = Field(
        "", description="The field to sort what was found by, with - before it to descend."
    )
    facets: Annotated[
        list[Annotated[str, Field(max_length=MOST_NAME)]], Field(max_length=MOST_FACETS, fail_fast=True)
    ] = Field([], description="Fields whose values are counted among what was found.")
    by: By = Field(
        "record", description="Return each record once, with its nearest passage or moment, or all passages."
    )


class SearchRequest(Asking, Finding):
    """`search`: the items nearest to a query."""

    mode: Mode | None = Field(
        None,
        description="Search by vectors, by the words of texts, or by both. Without it as the index has it.",
    )
    strictness: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Share of unrelated queries that are to get the answer 'nothing here is close'."
    )


class SimilarRequest(Finding):
    """`similar`: the items nearest to an item, itself left out."""

    item: Identity = Field(description="The id of the item.")


class ExplainRequest(Asking):
    """`explain`: what made the similarity of an item to a query."""

    hit: Identity = Field(description="The id of the item to explain.")


class CompareRequest(Request):
    """`compare`: texts, images or sounds, each with each, by the model of an index."""

    things: Annotated[list[Term], Field(min_length=2, max_length=MOST_COMPARED)] = Field(
        description="Texts, images or sounds."
    )


class EmbeddingsRequest(Request):
    """OpenAI's request for embeddings."""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="The name of an index, whose encoder is used, or of a text model.",
        examples=["all-MiniLM-L6-v2"],
    )
    input: String | Annotated[list[String], Field(min_length=1, max_length=MOST_TEXTS, fail_fast=True)] = (
        Field(description="A text, or several.", examples=["a cat"])
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="A list of numbers, or base64 of little-endian float32."
    )
    dimensions: Annotated[int, Field(ge=1, le=MOST_NUMBERS)] | None = Field(
        None, description="Taken where it is the model's own number."
    )
    user: String | None = Field(None, description="Not used.")
    input_type: Literal["query", "passage"] = Field(
        "passage", description="Which prompt a model that has two puts in front."
    )

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, given: Any) -> Any:
        if isinstance(given, list) and any(isinstance(each, int | float | list) for each in given):
            raise ValueError("The input is a text or a list of texts; lists of tokens are not read.")
        return given

"""Vectors of texts, asked for and answered as OpenAI does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, all_ready, gather
from embedsearch.errors import QueryError, nearest
from embedsearch.index import Index
from embedsearch.modalities import QueryForm
from embedsearch.models.spec import Role
from embedsearch.serve.requests import EmbeddingsRequest
from embedsearch.serve.schemas import Embedding, EmbeddingsOutput, Usage


class Texts(NamedTuple):
    """Texts that an encoder reads together, and the prompt that it puts in front."""

    encoder: Encoder
    texts: Sequence[str]
    role: Role


class Embedded(NamedTuple):
    """Vectors (n, d) float32, and how many tokens were read."""

    vectors: Vectors
    tokens: int


def reads_texts(index: Index) -> bool:
    """Whether the encoder of an index reads whole texts."""
    return index.queries.form is QueryForm.TEXT


def unknown_model(asked: EmbeddingsRequest, indexes: Sequence[Index], own: str) -> QueryError:
    """Return why there are no vectors by a model, with the names of those that there are."""
    known = {own, *(each.manifest.encoder.spec.model for each in indexes)}
    names = [*sorted(known), *(each.name for each in indexes)]
    return QueryError(
        f"No model {asked.model!r:.80} is served. There are {', '.join(names)}.{nearest(asked.model, names)}"
    )


def embed(batch: Sequence[Texts]) -> list[Embedded | Exception]:
    """Return the vectors of texts, or the error of a text that can't be read; one encoder reads them all."""
    encoder = batch[0].encoder
    made: list[list[Prepared] | Exception] = []
    for each in batch:
        try:
            made.append(all_ready(each.texts, encoder.prepare(each.texts, each.role)))
        except Exception as error:
            made.append(error)
    ready = [item for part in made if isinstance(part, list) for item in part]
    vectors = gather(ready, encoder.run(ready), encoder.dimension)  # (n, d)
    answers: list[Embedded | Exception] = []
    start = 0
    for part in made:
        if isinstance(part, Exception):
            answers.append(part)
            continue
        answers.append(Embedded(vectors[start : start + len(part)], sum(item.cost for item in part)))
        start += len(part)
    return answers


def checked_dimension(asked: EmbeddingsRequest, dimension: int) -> None:
    """Refuse vectors of another length than the model's.

    Raises:
        QueryError: they were asked for.
    """
    if asked.dimensions not in (None, dimension):
        raise QueryError(
            f"The model {asked.model!r:.80} makes vectors of {dimension:,} numbers, which are not cut; got "
            f"dimensions {asked.dimensions:,}."
        )


def output(asked: EmbeddingsRequest, parts: Sequence[Embedded]) -> EmbeddingsOutput:
    """Return OpenAI's form of vectors."""
    rows = np.concatenate([each.vectors for each in parts]).astype("<f4")  # (n, d)
    as_text = asked.encoding_format == "base64"
    data = [
        Embedding(index=at, embedding=base64.b64encode(row.tobytes()).decode() if as_text else row.tolist())
        for at, row in enumerate(rows)
    ]
    tokens = sum(each.tokens for each in parts)
    return EmbeddingsOutput(
        data=data, model=asked.model, usage=Usage(prompt_tokens=tokens, total_tokens=tokens)
    )

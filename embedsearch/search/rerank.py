"""The first hits in another order: by their tokens, or by a model that reads query and text together.

By tokens: each token of the query is compared with all tokens of an item, and the mean of the largest cosines
is the item's score (MaxSim, Khattab & Zaharia 2020, "ColBERT"). The tokens are those of the index's own
encoder, before it takes their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.encoders import Encoder
from embedsearch.encoders.cross_encoder import open_cross_encoder
from embedsearch.encoders.token_rows import Tokens, tokens_of
from embedsearch.errors import ItemError, QueryError
from embedsearch.query import TOKENS, AnyQuery, Image, MoreLike, Text
from embedsearch.records import Span, Unit
from embedsearch.search.fused import Candidate
from embedsearch.splitters.words import words
from embedsearch.store.build import Build

LIT = 8  # spans of a text that are lit at most


def rerank(
    build: Build, encoder: Callable[[], Encoder], query: AnyQuery, found: Sequence[Candidate], model: str
) -> list[Candidate]:
    """Return candidates with their new scores, the best first; what can't be read any more comes last.

    Args:
        build: of the index.
        encoder: loads its encoder.
        query: what was asked.
        found: the candidates.
        model: `TOKENS`, or a cross-encoder's hub id or folder.

    Raises:
        QueryError: the query, or the index, has no tokens to compare.
        ModelError: the cross-encoder can't be loaded.
        ItemError: the image of the query can't be read.
    """
    asked = _asked(build, query, model)
    held = _contents(build, [each.row for each in found])
    if model == TOKENS:
        scored = _by_tokens(encoder(), asked, held, found)
    else:
        texts = [str(each) for each in held]
        scores = open_cross_encoder(model).scores(asked, texts).tolist() if texts else []
        scored = [replace(each, score=score) for each, score in zip(found, scores, strict=True)]
    return sorted(scored, key=lambda each: -np.inf if each.score is None else each.score, reverse=True)


def max_sim(asked: Tokens, held: Tokens) -> tuple[float, tuple[Span, ...]]:
    """Return the score of an item for a query, and the spans of its tokens that made most of it, in order."""
    if not len(asked.rows) or not len(held.rows):
        return 0.0, ()
    cosines = asked.rows @ held.rows.T  # (Q, d) (d, T) -> (Q, T)
    best, at = cosines.max(1), cosines.argmax(1)
    strongest = dict.fromkeys(at[np.argsort(-best, kind="stable")].tolist())
    lit = [held.spans[token] for token in list(strongest)[:LIT]] if held.spans else []
    return float(best.mean()), tuple(sorted(lit))


def _by_tokens(encoder: Encoder, asked: Any, held: list[Any], found: Sequence[Candidate]) -> list[Candidate]:
    (query,) = tokens_of(encoder, [asked], "query")
    scored = []
    for candidate, text, tokens in zip(found, held, _readable(encoder, held), strict=True):
        score, lit = (None, ()) if tokens is None else max_sim(query, tokens)
        scored.append(replace(candidate, score=score, lit=_whole(text, lit)))
    return scored


def _whole(text: Any, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return the words of a text that hold some spans; a token may be a part of a word."""
    if not spans:
        return ()
    return tuple(
        word for word in words(text) if any(word[0] < end and start < word[1] for start, end in spans)
    )


def _readable(encoder: Encoder, held: list[Any]) -> list[Tokens | None]:
    """Return the tokens of items; None for those whose file can't be read any more."""
    if all(isinstance(each, str) for each in held):
        return [*tokens_of(encoder, held)]
    tokens: list[Tokens | None] = []
    for each in held:
        try:
            tokens += tokens_of(encoder, [each])
        except ItemError:
            tokens.append(None)
    return tokens


def _asked(build: Build, query: AnyQuery, model: str) -> Any:
    """Return the text or the image that the query asks with.

    Raises:
        QueryError: it is neither; or the index does not hold the same.
    """
    content: Any = None
    if isinstance(query, Text):
        content = query.text
    elif isinstance(query, Image):
        content = query.source
    elif isinstance(query, MoreLike) and (row := build.row_of(query.id)) is not None:
        (content,) = _contents(build, [row])
    unit = build.manifest.unit
    if unit is Unit.TEXT and isinstance(content, str):
        return content
    if unit is Unit.IMAGE and model == TOKENS and content is not None and not isinstance(content, str):
        return content
    if model == TOKENS:
        raise QueryError(
            "Re-ranking by tokens compares one text with texts, or one image with images. Leave out rerank."
        )
    raise QueryError("A cross-encoder compares one text with texts. Leave out rerank.")


def _contents(build: Build, rows: list[int]) -> list[Any]:
    """Return what the items of some rows hold: a text, the bytes of an image, or its path."""
    columns = build.read(rows, ["text", "picture", "path"])
    return [
        text if text is not None else image if image is not None else Path(path or "")
        for text, image, path in zip(*columns.values(), strict=True)
    ]

"""The first hits in another order: by their tokens, or by a model that reads query and text together.

By tokens: each token of the query is compared with all tokens of an item, and the mean of the largest cosines
is the item's score (MaxSim, Khattab & Zaharia 2020, "ColBERT"). In that mean a token of a text counts by how
rare its word is (Zhang et al. 2020, "BERTScore"; `Words.weights`), so that the meanings of "the" add nothing.
The tokens are those of the index's own encoder, before it takes their mean. The order is that of the score
that a hit had plus a share of the new one, each less its mean and divided by its deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts.tokens import KeptTokens
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder
from embedsearch.encoders.cross_encoder import open_cross_encoder
from embedsearch.encoders.token_rows import Tokens, spans_of, tokens_of
from embedsearch.encoders.vision.crop import asked_image
from embedsearch.errors import ItemError, QueryError
from embedsearch.lexical import Scores
from embedsearch.query import TOKENS, AnyQuery, Image, MoreLike, Text
from embedsearch.records import Span, Unit
from embedsearch.search.fused import Candidate
from embedsearch.search.hybrid import Words, standard
from embedsearch.splitters.words import words
from embedsearch.store.build import Build

SHARE, OF_BOTH = 1.0, 0.2  # what MaxSim counts beside a score by vectors or by words, and by both together
LIT = 8  # spans of a text that are lit at most


def rerank(
    build: Build,
    terms: Words | None,
    kept: KeptTokens | None,
    encoder: Callable[[], Encoder],
    query: AnyQuery,
    found: Sequence[Candidate],
    model: str,
    shown: int,
) -> list[Candidate]:
    """Return candidates with their new scores, the best first; what can't be read any more comes last.

    Args:
        build: of the index.
        terms: its lexical index; None where it has none, and all tokens count the same.
        kept: the tokens that it keeps; None to compute them now.
        encoder: loads its encoder.
        query: what was asked.
        found: the candidates.
        model: `TOKENS`, or a cross-encoder's hub id or folder.
        shown: how many of the best get the spans of the words that answer best.

    Raises:
        QueryError: the query, or the index, has no tokens to compare.
        ModelError: the cross-encoder can't be loaded.
        ItemError: the image of the query can't be read.
    """
    asked = _asked(build, query, model)
    if not found:
        return []
    held = _contents(build, [each.row for each in found])
    if model != TOKENS:
        scores = open_cross_encoder(model).scores(asked, [str(each) for each in held]).tolist()
        scored = [replace(each, score=score) for each, score in zip(found, scores, strict=True)]
        return _best_first(scored, scores)
    loaded = encoder()
    (wanted,) = tokens_of(loaded, [asked], "query")
    weights = _weights(terms, asked, wanted)
    build.check()  # that may have taken seconds
    items = _readable(loaded, held) if kept is None else [Tokens(kept.of(each.row)) for each in found]
    scored, places = [], {}
    for candidate, text, tokens in zip(found, held, items, strict=True):
        score, best = (None, []) if tokens is None else max_sim(wanted.rows, tokens.rows, weights)
        scored.append(replace(candidate, score=score))
        places[candidate.row] = text, tokens, best
    ordered = _ordered(scored)
    return [
        replace(each, lit=_lit(loaded, *places[each.row])) if at < shown else each
        for at, each in enumerate(ordered)
    ]


def max_sim(asked: Vectors, held: Vectors, weights: Scores) -> tuple[float, list[int]]:
    """Return the score of an item for a query, and which of its tokens made most of it.

    Args:
        asked: (Q, d) float32, the query's tokens, of unit length.
        held: (T, d) float32, the item's.
        weights: (Q,) float32, what each token of the query counts; their sum is 1.
    """
    if not len(asked) or not len(held):
        return 0.0, []
    cosines = asked @ held.T  # (Q, d) (d, T) -> (Q, T)
    best, at = cosines.max(1), cosines.argmax(1)
    strongest = dict.fromkeys(at[np.argsort(-weights * best, kind="stable")].tolist())
    return float(weights @ best), list(strongest)[:LIT]


def _weights(terms: Words | None, asked: Any, tokens: Tokens) -> Scores:
    """Return what each token of a query counts, (Q,); their sum is 1."""
    count = len(tokens.rows)
    weights = np.ones(count, np.float32)
    if terms is not None and isinstance(asked, str) and len(tokens.spans) == count:
        by_word = terms.weights(asked, tokens.spans)
        weights = by_word if by_word.any() else weights
    return weights / weights.sum() if count else weights


def _best_first(scored: Sequence[Candidate], scores: Sequence[float]) -> list[Candidate]:
    """Return candidates by these scores, the largest first; equal ones keep their order."""
    return [scored[at] for at in np.argsort(-np.array(scores), kind="stable").tolist()]


def _ordered(scored: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates that have scores by their tokens, the best first, those without one last."""
    new = np.array([each.score for each in scored if each.score is not None])
    known = [each for each in scored if each.score is not None]
    if not known:
        return list(scored)
    share = SHARE if known[0].fused is None else OF_BOTH
    both = standard(np.array([_first_score(each) for each in known])) + share * standard(new)
    return _best_first(known, both.tolist()) + [each for each in scored if each.score is None]


def _first_score(candidate: Candidate) -> float:
    """Return the score by which a candidate was found, larger is better."""
    by_words = candidate.bm25 if candidate.fused is None else candidate.fused
    return -candidate.distance if by_words is None else by_words


def _lit(encoder: Encoder, text: Any, tokens: Tokens | None, best: Sequence[int]) -> tuple[Span, ...]:
    """Return the words of a text that hold some of its tokens; a token may be a part of a word."""
    if tokens is None or not isinstance(text, str):
        return ()
    spans = tokens.spans or spans_of(encoder, text)
    if len(spans) != len(tokens.rows):  # the encoder does not tell them
        return ()
    strong = [spans[at] for at in best]
    return tuple(
        word for word in words(text) if any(word[0] < end and start < word[1] for start, end in strong)
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
        content = asked_image(query)
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

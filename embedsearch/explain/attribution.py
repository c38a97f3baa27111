"""Why a hit is near: which of its words or patches made the score.

The vector of an item is a mean of hidden states, v = sum_t w_t h_t, so the score is the sum of the tokens'
own scores, q.v = sum_t w_t (q.h_t), with nothing left over; for cosine all have the common factor
1 / (|q| |v|). For l2 this is the cross term of |q - v|^2 = |q|^2 + |v|^2 - 2 q.v.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Metric, Vectors, distances, normalized
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.encoders.probes import CLOSE, least_cosine
from embedsearch.errors import ItemError
from embedsearch.explain.by_columns import explain_columns
from embedsearch.explain.explanation import Explanation, Part
from embedsearch.explain.shown import moment_of
from embedsearch.explain.views import box_of, laid_over
from embedsearch.modalities import PROJECTION, UNITS, QueryForm
from embedsearch.query import AnyQuery, MoreLike, Word, as_query
from embedsearch.records import Clip, Sentence, Span
from embedsearch.splitters.words import words

if TYPE_CHECKING:
    from embedsearch.crossmodal import Crossmodal
    from embedsearch.results import Hit
    from embedsearch.search.query_vectors import Space
    from embedsearch.search.searcher import Searcher

SAMPLE = 2048  # items whose mean stands for the average item
# The ways that project images among texts. Measured on stamps pasted side by side and searched by caption:
# the heat of each patch's projection falls on the right half of 0.76 (ConSE) and 0.98 (align) of them; less
# the heat with the average projection, on the right half of 0.57 and 0.85.
PROJECTED = ("conse", "align")
NEIGHBOURS = 12  # words on each side that are left out, one at a time

_CLS = (
    "An approximation: the vector is the [CLS] position alone, which has read all others. Shown is the score "
    "of each token's own hidden state, as if their mean were the vector."
)
_PROJECTED = (
    "An approximation: this model pools its tokens into one vector and projects it. Shown is the score of "
    "each token's own hidden state, projected alone."
)
_BENT = (
    "An approximation: the Dense layers of this model are not linear. Shown is the score of each token's own "
    "hidden state, taken through them alone."
)
_AMONG_TEXTS = (
    "An approximation: the image was found by its projection among texts. Shown is the score of each patch, "
    "projected as if it were an image of its own."
)
_CUT = "The text is longer than the model's limit; what comes after it has no score."


def explain(searcher: Searcher, query: Any, hit: Hit | str) -> Explanation:
    """Return which words, patches or columns of a hit made its score; its hidden states are computed now.

    Args:
        searcher: the open index.
        query: the query, as in `Searcher.search`.
        hit: a hit, or the id of any item; of a record of several clips the nearest one is explained.

    Raises:
        QueryError, ItemNotFoundError: as `Searcher.search`.
        ItemError: the item's image can't be read any more.
        ModelError: it is not known which part of an image each token of this model stands for.
    """
    asked = as_query(query)
    space = searcher.queries.space(asked)
    item = _item(searcher, space, hit if isinstance(hit, str) else hit.item)
    if UNITS[searcher.manifest.unit].by_columns:
        return explain_columns(searcher, asked, space, item)
    content = _content(item)
    if item.path and item.image is None and item.text is None and not os.path.exists(item.path):  # noqa: PTH110  as in results
        raise ItemError(
            f"The item {item.id!r} can't be explained: its file {item.path} is gone. Put it back, or run: "
            f"embedsearch rebuild {searcher.manifest.name}"
        )
    try:
        apart = searcher.encoder.hidden_states(content)
    except ItemError as error:
        raise ItemError(f"The item {item.id!r} can't be explained: {error}.") from None
    crossmodal = searcher.crossmodal
    projected = crossmodal is not None and space.by == crossmodal.by in PROJECTED and apart.views != ()
    if crossmodal is not None and projected:
        apart = _projected(searcher, crossmodal, apart)
    else:
        apart = _placed(searcher, apart)
    made = _explanation(searcher, space, item, apart, projected=projected)
    if apart.views:
        return _with_grid(made, None if projected else space, apart)
    if not isinstance(content, Sentence):
        return made
    here = _words(content.text)
    there = _words(_sentence_of(searcher, asked))
    return replace(
        made,
        neighbours=_neighbours(searcher, space.vector, content, made),
        only_here=tuple(word for word in here if word not in there) if there else (),
        only_asked=tuple(word for word in there if word not in here),
    )


def _item(searcher: Searcher, space: Space, identity: str) -> Hit:
    """Return the item of an id, or of a record of several clips the one that is nearest to the query."""
    rows = np.array(searcher.queries.rows(identity))
    far = distances(space.vector, space.take(rows), space.metric)[0]  # (1, d) (m, d) -> (m,)
    return searcher.items(rows[[far.argmin()]].tolist(), [0.0])[0]


def _content(item: Hit) -> Any:
    """Return what the encoder reads of an item."""
    if item.span is not None:
        return Sentence(str(item.text), (item.span,))
    if item.text is not None:
        return item.text
    held = item.image if item.image is not None else Path(item.path or "")
    if (moment := moment_of(item)) is None:
        return held
    return Clip(held, moment)


def _placed(searcher: Searcher, apart: HiddenStates) -> HiddenStates:
    """Centre each row and the vector as the index is: shares add up to 1, so the vector stays their mean."""
    centring = searcher.build.centring
    if centring is None:
        return apart
    length = float(np.linalg.norm(apart.vector))
    rows, vector = (centring.apply_to_parts(each, length) for each in (apart.rows, apart.vector[None]))
    return replace(apart, rows=rows, vector=vector[0])


def _projected(searcher: Searcher, crossmodal: Crossmodal, apart: HiddenStates) -> HiddenStates:
    """Project each patch as an image of its own, and the whole image, among texts: rows (T, d) -> (T, e)."""
    rows, vector = (
        crossmodal.project(searcher.build.placed(each)) for each in (apart.rows, apart.vector[None])
    )
    return replace(apart, rows=rows, vector=vector[0], exact=False)


def _explanation(
    searcher: Searcher, space: Space, item: Hit, apart: HiddenStates, *, projected: bool
) -> Explanation:
    vector, metric = space.vector, space.metric  # (1, d)
    query, factor = vector[0], _factor(vector[0], apart.vector, metric)
    scores = (apart.weights * (apart.rows @ query) * factor).astype(np.float32)  # (T, d) (d,) -> (T,)
    kept = space.take(np.array([item.row]))  # (1, d)
    recomputed = float(distances(vector, apart.vector[None], metric)[0, 0])
    notes = [apart.note] if apart.note else []
    if projected:
        notes.append(_AMONG_TEXTS)
    elif not apart.exact:
        notes.append({"cls": _CLS, PROJECTION: _PROJECTED}.get(searcher.manifest.encoder.spec.pooling, _BENT))
    if apart.truncated and UNITS[searcher.manifest.unit].form is QueryForm.TEXT:
        notes.append(_CUT)
    if (cosine := least_cosine(apart.vector[None], kept)) < CLOSE:
        notes.append(
            f"The vector computed now is not the one that the index holds (cosine {cosine:.4f}): the item "
            "has changed, or was embedded with less precision. Embed it again: embedsearch rebuild "
            f"{searcher.manifest.name} --full"
        )
    tokens, rest = _split(apart, scores, item.text or "")
    return Explanation(
        id=item.item,
        kind=UNITS[searcher.manifest.unit].form,
        metric=metric,
        score=float(scores.sum(dtype=np.float64)),
        similarity=float(apart.vector @ query) * factor,
        recomputed=recomputed,
        stored=float(distances(vector, kept, metric)[0, 0]),
        query_norm=float(np.linalg.norm(query)),
        norm=float(np.linalg.norm(apart.vector)),
        scores=scores,
        tokens=tokens,
        words=_merge(tokens, item.text or "", item.span),
        rest=rest,
        exact=apart.exact,
        note=" ".join(notes),
    )


def _factor(query: npt.NDArray[np.float32], vector: npt.NDArray[np.float32], metric: Metric) -> float:
    """Return the factor of all tokens' products: 1 / (|q| |v|) for cosine."""
    if metric is not Metric.COSINE:
        return 1.0
    norms = float(np.linalg.norm(query)) * float(np.linalg.norm(vector))
    return 1 / norms if norms else 0.0


def _split(
    apart: HiddenStates, scores: npt.NDArray[np.float32], text: str
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the tokens that stand in the text, and the rest, without an image's patches."""
    patches = sum(view.count for view in apart.views)
    rows = list(zip(apart.names, apart.spans, scores.tolist(), strict=True))[: len(scores) - patches]
    tokens = tuple(Part(text[span[0] : span[1]], span, score) for _, span, score in rows if span)
    return tokens, tuple(Part(name, None, score) for name, span, score in rows if not span)


def _merge(tokens: tuple[Part, ...], text: str, word: Span | None) -> tuple[Part, ...]:
    """Sum the tokens of each word; signs and spaces between words stay parts of their own."""
    places = list(words(text)) if word is None else [word]
    sums: dict[Span, float] = {}
    for token in tokens:
        start, end = _without_space(text, token.span or (0, 0))
        inside = (span for span in (*places, *sums) if span[0] < end and start < span[1])
        span = next(inside, (start, end))
        sums[span] = sums.get(span, 0.0) + token.score
    return tuple(Part(text[start:end], (start, end), score) for (start, end), score in sorted(sums.items()))


def _without_space(text: str, span: Span) -> Span:
    """Leave out the space that some tokenizers add to the word beside it, unless the token is only space."""
    part = text[span[0] : span[1]]
    start, end = span[1] - len(part.lstrip()), span[0] + len(part.rstrip())
    return (start, end) if start < end else span


def _with_grid(made: Explanation, space: Space | None, apart: HiddenStates) -> Explanation:
    """Add the patches' scores as a grid, and the scores that they have with the average item of a space."""
    first = len(made.scores) - sum(view.count for view in apart.views)
    made = replace(made, grid=laid_over(apart.views, made.scores[first:]), box=box_of(apart.views))
    if len(apart.views) > 1:
        made = replace(made, cover=laid_over(apart.views, apart.weights[first:]))
    if space is None:
        return made
    count = len(space.backend)
    rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    sample = space.take(rows)  # (m, d)
    cosine = made.metric is Metric.COSINE
    average = (normalized(sample) if cosine else sample).mean(0)  # (m, d) -> (d,)
    factor = (1 / made.norm if made.norm else 0.0) if cosine else 1.0
    typical = (apart.weights * (apart.rows @ average) * factor).astype(np.float32)  # (T, d) (d,) -> (T,)
    return replace(made, typical=laid_over(apart.views, typical[first:]))


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, each once, in order."""
    return tuple(dict.fromkeys(text[start:end].casefold() for start, end in words(text)))


def _sentence_of(searcher: Searcher, query: AnyQuery) -> str:
    """Return the sentence of a query; empty for a query of another kind."""
    if isinstance(query, Word):
        return query.sentence
    return searcher.item(query.id).text or "" if isinstance(query, MoreLike) else ""


def _neighbours(
    searcher: Searcher, vector: Vectors, content: Sentence, made: Explanation
) -> tuple[Part, ...]:
    """Return what each word around a word adds: the similarity with it, less the similarity without it.

    The word is left out of the sentence and the vector computed again (Li, Monroe and Jurafsky 2016,
    "Understanding Neural Networks through Representation Erasure").
    """
    text, (own,) = content.text, content.spans or ((0, 0),)
    around = [span for span in words(text) if span[1] <= own[0] or own[1] <= span[0]]
    before = [span for span in around if span[0] < own[0]][-NEIGHBOURS:]
    after = [span for span in around if span[0] > own[0]][:NEIGHBOURS]
    parts = []
    for start, end in (*before, *after):
        # with the space before it, so that no two spaces meet
        left = start - 1 if start and text[start - 1] == " " else start
        moved = end - left if end <= own[0] else 0
        shorter = Sentence(text[:left] + text[end:], ((own[0] - moved, own[1] - moved),))
        without = _placed(searcher, searcher.encoder.hidden_states(shorter)).vector
        similarity = float(without @ vector[0]) * _factor(vector[0], without, made.metric)
        parts.append(Part(text[start:end], (start, end), made.similarity - similarity))
    return tuple(parts)

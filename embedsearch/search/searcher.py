"""A query to its nearest items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from embedsearch.backends import Mask
from embedsearch.crossmodal import Crossmodal, open_crossmodal, serves
from embedsearch.distances.metric import Metric, Vectors, normalized, similarity
from embedsearch.distances.scale import WEIGHTS, Scale
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.encoders.query_encoder import query_encoder
from embedsearch.errors import FilterError, ItemError, ItemNotFoundError, QueryError
from embedsearch.modalities import MODALITIES, UNITS, QueryForm, modality_of
from embedsearch.query import (
    DEFAULT_K,
    AnyQuery,
    Image,
    MoreLike,
    Query,
    Single,
    Text,
    Vector,
    Word,
    as_query,
    as_single,
    items_of,
    singles_of,
)
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Sentence
from embedsearch.results import Hit, Results
from embedsearch.search.filters import Tree, evaluate, parse
from embedsearch.search.query_vectors import Space
from embedsearch.splitters.words import words
from embedsearch.store.build import Build
from embedsearch.store.items import FIELD
from embedsearch.store.manifest import PROBES

ROUNDING = 1e-6  # of float32, in a sum of a few vectors
# what a vector's numbers may be without their squares leaving float32
LEAST_SIZE, MOST_SIZE = 1e-12, 1e12


class Searcher:
    """An open index. Opening it verifies its files; the model is loaded by the first query that needs it.

    May be shared by threads.
    """

    def __init__(self, build: Build, load: Callable[[EncoderRecipe], Encoder] = open_encoder) -> None:
        self.build = build
        # Opened now, not by the first query: two rebuilds later the build's files are gone.
        _ = build.items, build.vectors, build.backend, build.scale
        self.manifest = build.manifest
        self._load = load
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()
        # what lets texts find pictures, or pictures texts; None where nothing does
        self.crossmodal: Crossmodal | None = open_crossmodal(build, load, lambda: self.encoder)

    def __len__(self) -> int:
        return self.manifest.count

    @property
    def encoder(self) -> Encoder:
        """The encoder that made the index.

        Raises:
            ModelError: it can't be loaded here.
            EncoderMismatchError: the model of that name is not the one that made the index.
        """
        with self._lock:
            if self._encoder is None:
                self._encoder = query_encoder(
                    self.manifest.name,
                    self.manifest.dimension,
                    self.manifest.encoder,
                    self.manifest.recipe.encoder,
                    self.build.folder / PROBES,
                    self._load,
                )
            return self._encoder

    def search(self, query: Any, k: int = DEFAULT_K, where: str | Tree | None = None) -> Results:
        """Return the `k` nearest items, and judge whether any of them is close.

        Args:
            query: a text (str), an image (`Path`, bytes or PIL image), a vector, or a `Text`, `Image`,
                `Word`, `MoreLike`, `Vector`, or several of them in a `Query`. The item of a `MoreLike` is not
                among its own hits.
            k: how many, at least 1; fewer come when fewer exist.
            where: a filter over the fields, such as ``"label = 'dress' and price < 40"``, or the tree that
                `embedsearch.search.filters` makes of one.

        Raises:
            QueryError: the query does not fit this index, or k is under 1.
            FilterError: the filter can't be understood.
            ItemNotFoundError: no item has the id asked for.
            ItemError: the picture can't be read.
        """
        if not isinstance(k, (int, np.integer)) or k < 1:
            raise QueryError(f"k must be a whole number, at least 1; got {k!r:.80}.")
        if where is not None and not isinstance(where, str | Tree):
            raise FilterError(f"A filter is a str, such as \"label = 'dress'\"; got {where!r:.80}.")
        asked = as_query(query)
        if isinstance(where, str) and not where.strip():
            where = None
        allow = None if where is None else self.allowed(where)
        own = [self.row(identity) for identity in items_of(asked)]
        if own:
            allow = np.ones(len(self), np.bool_) if allow is None else allow.copy()
            allow[own] = False
        space = self.space(asked)
        counted = max(k, len(WEIGHTS))  # so many tell whether the answer is close
        found, at = space.backend.search(space.vector, counted, allow)  # (1, d) -> (1, k)
        far, rows = found[0].tolist(), at[0].tolist()
        verdict, rate = (space.scale.verdict(far) if space.scale else None) or (None, None)
        limit = space.scale.limit if space.scale else None
        hits = self._hits(rows[:k], far[:k], space.metric, space.scale)
        return Results(hits, space.metric, verdict, rate, space.by, limit, self._is_cut(asked))

    def _is_cut(self, query: AnyQuery) -> bool:
        """Whether a text of a query is longer than the index's own model reads."""
        if UNITS[self.manifest.unit].form is not QueryForm.TEXT:
            return False
        texts = [each.text for each in singles_of(query) if isinstance(each, Text)]
        ready = self.encoder.prepare(texts, "query") if texts else []
        return any(not isinstance(item, ItemError) and item.truncated for item in ready)

    def allowed(self, where: str | Tree) -> Mask:
        """Return which items a filter keeps, (n,) of truth values.

        Raises:
            FilterError: the filter can't be understood.
        """
        tree = parse(where) if isinstance(where, str) else where
        return evaluate(tree, self.build.items, self.build.field_types)

    def space(self, query: AnyQuery) -> Space:
        """Return where a query is compared with the items: as they were embedded, or across a crossmodal.

        Of a query of several parts one across the crossmodal takes all others with it.

        Raises:
            QueryError, ItemNotFoundError, ItemError, ModelError: as `search`.
        """
        crossmodal = self.across(singles_of(query))
        if crossmodal is None:
            build = self.build
            return Space(self.vector(query), build.backend, build.vectors, build.manifest.metric, build.scale)
        vector = _summed(query, lambda single: self._carried(crossmodal, single), crossmodal.metric)
        return Space(
            vector, crossmodal.backend, crossmodal.vectors, crossmodal.metric, crossmodal.scale, crossmodal.by
        )

    def across(self, singles: Sequence[Single]) -> Crossmodal | None:
        """Return the crossmodal that one of these, and so all, are taken across; None where none needs it."""
        return self.crossmodal if any(serves(self.crossmodal, each) for each in singles) else None

    def together(self, singles: Sequence[Single]) -> Vectors:
        """Return the raw vectors of several things in one space, (n, d) float32: see `across`.

        Raises:
            QueryError, ItemNotFoundError, ItemError, ModelError: as `search`.
        """
        crossmodal = self.across(singles)
        rows = [
            self._single(each) if crossmodal is None else self._carried(crossmodal, each) for each in singles
        ]
        return np.concatenate(rows)  # n x (1, d) -> (n, d)

    def _carried(self, crossmodal: Crossmodal, single: Single) -> Vectors:
        return (
            crossmodal.ask(single) if serves(crossmodal, single) else crossmodal.carry(self._single(single))
        )

    def vector(self, query: AnyQuery) -> Vectors:
        """Return the raw vector of a query among the items' own, (1, d) float32.

        Raises:
            QueryError, ItemNotFoundError, ItemError: as `search`.
        """
        return _summed(query, self._single, self.manifest.metric)

    def _single(self, query: Single) -> Vectors:
        row = UNITS[self.manifest.unit]
        match query:
            case Vector(values):
                return self._ready_vector(values)
            case MoreLike(identity):
                at = self.row(identity)
                return np.asarray(self.build.vectors[at : at + 1], np.float32)  # (n, d) -> (1, d)
            case Text(text):
                if not text.strip():
                    raise QueryError("The query is empty. Type what you look for.")
                if row.form is QueryForm.WORD:
                    return self._word(Word(text, 1) if len(words(text)) == 1 else None, text)
                if row.form is not QueryForm.TEXT:
                    way = (
                        f" With captions, texts find its {row.plural}: embedsearch align {self.manifest.name}"
                    )
                    found = modality_of(row.unit).found_by_texts
                    raise QueryError(self._misfit() + (way if found else ""))
                return self.encoder.encode([text], "query")
            case Image(source):
                if row.form is not QueryForm.IMAGE:
                    of_l2 = row.asked_by is not None and self.manifest.metric is Metric.L2
                    way = f" Images find {row.plural} where the metric is cosine or ip." if of_l2 else ""
                    raise QueryError(self._misfit() + way)
                return self.encoder.encode([source], "query")
            case Word(sentence, _):
                if row.form is not QueryForm.WORD:
                    raise QueryError(self._misfit())
                return self._word(query, sentence)

    def row(self, identity: str) -> int:
        """Return the row number of an item in this build.

        Raises:
            ItemNotFoundError: there is none of that id.
            QueryError: it is no id.
        """
        if not isinstance(identity, str):
            raise QueryError(f"The id of an item is a str; got {identity!r:.80}.")
        try:
            row = int(pc.index(self.build.items["id"], identity).as_py())
        except UnicodeEncodeError:  # half a character, or bytes of a command line that are no UTF-8
            row = -1
        if row < 0:
            raise ItemNotFoundError(
                f"The index {self.manifest.name!r} has no item {identity!r}. The hits of "
                f"embedsearch search {self.manifest.name} have their ids beside them."
            )
        return row

    def item(self, identity: str) -> Hit:
        """Return an item by its id, at distance 0 and rank 0.

        Raises:
            ItemNotFoundError: there is none of that id.
        """
        row = self.row(identity)
        return self._hits([row], [0.0], self.manifest.metric, self.build.scale, first_rank=0)[0]

    def items(self, rows: Sequence[int], distances: Sequence[float]) -> list[Hit]:
        """Return the items of these rows, in their order, at distances that are known already."""
        return self._hits(list(rows), list(distances), self.manifest.metric, self.build.scale)

    def _misfit(self, expected: str = "") -> str:
        """Return what to ask with instead: `expected`, or else all that the index can be asked with."""
        row = UNITS[self.manifest.unit]
        if not expected:
            asked_by = MODALITIES[self.crossmodal.asks].units if self.crossmodal else ()
            expected = " or ".join(each.query for each in (row, *asked_by[:1]))
        return (
            f"The index {self.manifest.name!r} holds {row.plural} embedded by "
            f"{self.manifest.encoder.spec.model}; ask it with {expected}."
        )

    def _ready_vector(self, values: Any) -> Vectors:
        try:
            if np.iscomplexobj(values):
                raise TypeError("complex")
            vector = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (d,) -> (1, d)
        except (ValueError, TypeError):
            raise QueryError("A vector must be real numbers, (d,).") from None
        if vector.ndim != 2 or len(vector) != 1:
            raise QueryError(f"A vector must be numbers, (d,); got the shape {np.shape(values)}.")
        if vector.shape[1] != self.manifest.dimension:
            raise QueryError(
                f"The index {self.manifest.name!r} takes vectors of {self.manifest.dimension} numbers; got "
                f"{vector.shape[1]}."
            )
        most = float(np.abs(vector).max())
        if self.manifest.metric is Metric.COSINE and np.isfinite(most):
            if not most:
                raise QueryError("The vector is all zeros: it has no direction to look in.")
            if not LEAST_SIZE <= most <= MOST_SIZE:
                vector = vector / most  # its length says nothing
        elif not most <= np.finfo(np.float32).max:
            raise QueryError("The vector holds numbers that are not finite, or too large for float32.")
        return vector.astype(np.float32)

    def _word(self, query: Word | None, sentence: str) -> Vectors:
        spans = words(sentence)
        shown = ", ".join(f"{number} {sentence[s:e]}" for number, (s, e) in enumerate(spans, 1))
        if not spans:
            raise QueryError("The sentence holds no word. Type a sentence, then name one of its words.")
        if query is None:
            raise QueryError(self._misfit(f"one word of the sentence, --word NUMBER: {shown}"))
        number = query.word
        if isinstance(number, str):
            found = [
                at for at, (s, e) in enumerate(spans, 1) if sentence[s:e].casefold() == number.casefold()
            ]
            if not found:
                raise QueryError(f"The sentence has no word {number!r}; it has {shown}.")
            number = found[0]
        if not 1 <= number <= len(spans):
            raise QueryError(f"The sentence has no word {number}; it has {shown}.")
        vectors = self.encoder.encode([Sentence(sentence, (spans[number - 1],))], "query")
        if not len(vectors):
            raise ItemError("The word lies beyond the model's limit; shorten the sentence.")
        return vectors

    def _hits(
        self,
        rows: list[int],
        distances: list[float],
        metric: Metric,
        scale: Scale | None,
        first_rank: int = 1,
    ) -> list[Hit]:
        names = list(self.build.items.column_names)
        columns = self.build.read(rows, names)
        fields = [name for name in names if name.startswith(FIELD)]
        percentiles = scale.percentiles(distances) if scale else [None] * len(distances)
        hits = []
        for at, distance in enumerate(distances):
            start = columns["start"][at]
            hits.append(
                Hit(
                    rank=first_rank + at,
                    id=columns["id"][at],
                    row=rows[at],
                    distance=distance,
                    similarity=similarity(distance, metric),
                    modality=modality_of(self.manifest.unit).modality,
                    text=columns["text"][at],
                    path=columns["path"][at],
                    span=None if start is None else (start, columns["end"][at]),
                    fields={name.removeprefix(FIELD): columns[name][at] for name in fields},
                    image=columns["picture"][at],
                    percentile=percentiles[at],
                    label=scale.word(distance) if scale else None,
                    human_score=scale.score(distance) if scale else None,
                )
            )
        return hits


def _summed(query: AnyQuery, one: Callable[[Single], Vectors], metric: Metric) -> Vectors:
    """Return the vector of a query, (1, d) float32, where `one` gives that of each part."""
    if not isinstance(query, Query):
        return one(query)
    vectors = [one(as_single(part.query)) for part in query.terms]
    ready = [normalized(vector) if metric is Metric.COSINE else vector for vector in vectors]
    weighed = [part.weight * each for part, each in zip(query.terms, ready, strict=True)]
    total = np.sum(weighed, axis=0)
    # what opposites leave is rounding
    if np.abs(total).max() <= ROUNDING * max(float(np.abs(each).max()) for each in weighed):
        raise QueryError("The parts of the query cancel each other out: nothing is left to look for.")
    return np.asarray(total, np.float32)

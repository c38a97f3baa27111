"""A query to the vector that is compared with the items, and the space where it is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedsearch.backends import Backend, Take
from embedsearch.backends.part import PartSearch
from embedsearch.crossmodal import Crossmodal, serves
from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.distances.scale import Scale
from embedsearch.encoders import Encoder, all_ready, gather
from embedsearch.encoders.vision.crop import asked_image
from embedsearch.errors import ItemError, ItemNotFoundError, QueryError, nearest
from embedsearch.modalities import MODALITIES, SPLITTER, UNITS, QueryForm, modality_of
from embedsearch.query import (
    AnyQuery,
    Image,
    MoreLike,
    Query,
    Row,
    Single,
    Sound,
    Text,
    Vector,
    Word,
    as_single,
    singles_of,
)
from embedsearch.records import Sentence, Span
from embedsearch.search.terms import read_terms
from embedsearch.splitters import splitter_of
from embedsearch.splitters.words import words
from embedsearch.store.build import Build
from embedsearch.store.manifest import COLUMNS

if TYPE_CHECKING:
    from embedsearch.encoders.columns import Learnt

ROUNDING = 1e-6  # of float32, in a sum of a few vectors
# a vector of larger or smaller numbers is scaled, as their squares leave float32
LEAST_SIZE, MOST_SIZE = 1e-12, 1e12


@dataclass(frozen=True, slots=True)
class Space:
    """A query, and where it is compared with the items of an index.

    Attributes:
        vector: (1, d) float32, the query, raw.
        backend: the index that is searched.
        take: gives the raw vectors that it is over: (m,) rows -> (m, d) float32.
        metric: the distance of the hits.
        scale: the scale of such distances; None where there is none.
        by: how the query came into another space than the index's own, see `Crossmodal.by`; else empty.
        truncated: whether a text of the query is longer than the model reads.
        unknown: share (0 to 1) of a text of the query that the model does not know; the largest of several.
        subtracts: whether a term of the query has a negative weight.
        columns: of rows, the columns by which they are compared; empty for all.
    """

    vector: Vectors
    backend: Backend | PartSearch
    take: Take
    metric: Metric
    scale: Scale | None
    by: str = ""
    truncated: bool = False
    unknown: float = 0.0
    subtracts: bool = False
    columns: tuple[str, ...] = ()


class _Embedded(NamedTuple):
    """A query of one term: its vector (1, d), whether a text was cut, and the share that is not known."""

    vector: Vectors
    truncated: bool = False
    unknown: float = 0.0


class QueryVectors:
    """Turns queries of one index into vectors."""

    def __init__(self, build: Build, crossmodal: Crossmodal | None, encoder: Callable[[], Encoder]) -> None:
        """Keep what is needed.

        Args:
            build: of the index.
            crossmodal: what lets texts find images, or images texts; None where nothing does.
            encoder: gives the encoder that made the index, and loads it at the first call.
        """
        self._build, self._crossmodal, self._encoder = build, crossmodal, encoder
        self._manifest = build.manifest
        self._unit = UNITS[build.manifest.unit]

    @property
    def form(self) -> QueryForm:
        """What the index's own space is asked with; a text where the model of vectors is known."""
        return QueryForm.TEXT if self._manifest.recipe.encoder.query_model else self._unit.form

    def settled(self, query: AnyQuery) -> AnyQuery:
        """Return a query whose texts are read as items or numbers, where no text can be embedded.

        Raises:
            QueryError: a text names no items, and holds no vector.
        """
        if self.form is not QueryForm.VECTOR:
            return query
        if isinstance(query, Query):
            terms = (replace(term, query=self.settled(as_single(term.query))) for term in query.terms)
            return Query(tuple(terms))
        return self.named(query.text) if isinstance(query, Text) and query.text.strip() else query

    def named(self, text: str) -> AnyQuery:
        """Return the query of items, or of a vector, that a text stands for; see `read_terms`.

        Raises:
            QueryError: it names no items, and holds no vector.
        """
        try:
            return read_terms(text, lambda identity: self._build.row_of(identity) is not None)
        except QueryError as error:
            own = self._manifest.recipe.encoder.own
            other = "in the Python program that has the encoder"
            if not own:
                other = "where the build names the model that made the vectors: --query-model"
            raise QueryError(
                f"{error} Search with ids of items, as in 'king - man + woman', or with the numbers of a "
                f"vector. Other texts can be searched for {other}."
            ) from None

    def space(self, query: AnyQuery) -> Space:
        """Return the space of one query; see `spaces`."""
        return self.spaces([query])[0]

    def spaces(self, queries: Sequence[AnyQuery]) -> list[Space]:
        """Return the vectors of queries and where each is compared: in the index's own space, or across.

        If one term of a query goes across modalities, all of its terms do. What the index's encoder reads of
        all queries goes through the model together.

        Raises:
            QueryError, ItemNotFoundError, ItemError, ModelError: as `Searcher.search`.
        """
        terms = [singles_of(query) for query in queries]
        across = [self.across(singles) for singles in terms]
        pairs = [
            (single, crossmodal)
            for singles, crossmodal in zip(terms, across, strict=True)
            for single in singles
        ]
        embedded = iter(self._embedded(pairs, together=len(queries) > 1))
        return [
            self._space(query, singles, crossmodal, list(islice(embedded, len(singles))))
            for query, singles, crossmodal in zip(queries, terms, across, strict=True)
        ]

    def _space(
        self,
        query: AnyQuery,
        singles: Sequence[Single],
        crossmodal: Crossmodal | None,
        embedded: Sequence[_Embedded],
    ) -> Space:
        """Return where a query is compared, whose terms are embedded."""
        build = self._build
        where = build.manifest if crossmodal is None else crossmodal
        place = build if crossmodal is None else crossmodal
        space = Space(
            _summed(query, [each.vector for each in embedded], where.metric),
            place.backend,
            place.take,
            where.metric,
            place.scale,
            "" if crossmodal is None else crossmodal.by,
            any(each.truncated for each in embedded),
            max(each.unknown for each in embedded),
            isinstance(query, Query) and any(term.weight < 0 for term in query.terms),
        )
        rows = [single for single in singles if isinstance(single, Row)]
        return self._by_columns(space, rows) if rows else space

    def across(self, singles: Sequence[Single]) -> Crossmodal | None:
        """Return the crossmodal if one of these queries needs it, so that all go across; else None."""
        return self._crossmodal if any(serves(self._crossmodal, each) for each in singles) else None

    def together(self, singles: Sequence[Single]) -> tuple[Vectors, float]:
        """Return the raw vectors of several queries in one space, (n, d) float32; see `across`.

        Beside them stands the largest share (0 to 1) of a text that the model does not know.

        Raises:
            QueryError, ItemNotFoundError, ItemError, ModelError: as `Searcher.search`.
        """
        crossmodal = self.across(singles)
        embedded = self._embedded([(each, crossmodal) for each in singles], together=False)
        vectors = np.concatenate([each.vector for each in embedded])  # n x (1, d) -> (n, d)
        return vectors, max(each.unknown for each in embedded)

    def row(self, identity: str) -> int:
        """Return the row of an item in this build.

        Raises:
            ItemNotFoundError: there is no item of that id.
            QueryError: the id is not a str.
        """
        return self.rows(identity)[0]

    def rows(self, identity: str) -> range:
        """Return the rows of an item: of a record of several clips all of them; errors as `row`."""
        if not isinstance(identity, str):
            raise QueryError(f"The id of an item is a str; got {identity!r:.80}.")
        rows = self._build.rows_of(identity)
        if not rows:
            name = self._manifest.name
            raise ItemNotFoundError(
                f"The index {name!r} has no item {identity!r}. A search prints the ids of its "
                f"hits: embedsearch search {name} TEXT"
            )
        return rows

    def words(self, sentence: str) -> tuple[Span, ...]:
        """Return the spans of the words of a sentence, split as the index's texts are."""
        is_split = self._unit.form is QueryForm.WORD
        return words(sentence, self._manifest.recipe.encoder.splitter if is_split else SPLITTER)

    def _embedded(
        self, queries: Sequence[tuple[Single, Crossmodal | None]], *, together: bool
    ) -> list[_Embedded]:
        """Return the vectors of queries, each across modalities if a crossmodal is given with it.

        Args:
            queries: of one term each.
            together: whether they go through the model in batches, which is faster and rounds otherwise.
        """
        read: list[Any] = []  # what the index's encoder reads
        asked: list[Single] = []  # what the crossmodal reads
        encoded, crossed = _batched(read, self._encode, together), _batched(asked, self._cross, together)
        made: list[_Embedded | Iterator[_Embedded]] = []  # from where the vector of each comes
        for query, crossmodal in queries:
            if crossmodal is not None and serves(crossmodal, query):
                asked.append(query)
                made.append(crossed)
            elif isinstance(query, Vector):
                made.append(_Embedded(self._build.placed(self._ready_vector(query.values))))
            elif isinstance(query, MoreLike):
                made.append(self._item(query.id))
            elif self._unit.form is QueryForm.SOUND and isinstance(query, Sound | Image):
                if isinstance(query, Image) and query.crop is not None:
                    raise QueryError(f"A sound has no part that a crop names. {self._misfit()}")
                made.append(self._clips(query.source))
            else:
                read.append(self._content(query))
                made.append(encoded)
        own = [each if isinstance(each, _Embedded) else next(each) for each in made]
        return [
            each
            if crossmodal is None or serves(crossmodal, query)
            else each._replace(vector=crossmodal.project(each.vector))
            for each, (query, crossmodal) in zip(own, queries, strict=True)
        ]

    def _cross(self, queries: Sequence[Single]) -> list[_Embedded]:
        """Return the vector of each query of another modality, (1, e); they go through the model together."""
        assert self._crossmodal is not None  # which serves them
        vectors, prepared = self._crossmodal.embed(queries)  # (n, e)
        return [
            _Embedded(vectors[at : at + 1], each.truncated, each.unknown) for at, each in enumerate(prepared)
        ]

    def _item(self, identity: str) -> _Embedded:
        """Return the vector of an item."""
        rows = self.rows(identity)
        unknown = float(self._build.unknown[rows[0]])
        return _Embedded(_mean(self._build.take(np.array(rows)), self._manifest.metric), unknown=unknown)

    def _content(self, query: Row | Text | Image | Sound | Word) -> Any:
        """Return what the index's encoder reads of a query.

        Raises:
            QueryError: the index is not asked with such a query.
        """
        match query:
            case Row(values):
                return self._row(values)
            case Text(text):
                return self._text(text)
            case Image():
                if self._unit.form is not QueryForm.IMAGE:
                    of_l2 = self._unit.asked_by is not None and self._manifest.metric is Metric.L2
                    way = (
                        f" Images find {self._unit.plural} where the metric is cosine or ip." if of_l2 else ""
                    )
                    raise QueryError(self._misfit() + way)
                return asked_image(query)
            case Sound():
                raise QueryError(self._misfit())
            case Word(sentence, word):
                if self._unit.form is not QueryForm.WORD:
                    raise QueryError(self._misfit())
                return Sentence(sentence, (self._span(sentence, word),))

    def _row(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row; where it lacks columns, these are read as a missing value."""
        if self._unit.form is not QueryForm.ROW:
            raise QueryError(self._misfit())
        self.check_row(Row(values))
        return values

    def check_row(self, row: Row) -> None:
        """Check that a row has columns of this index, and values of their kinds.

        Raises:
            QueryError: it has not.
        """
        columns = {column.name: column for column in self.learnt.columns}
        for name, value in row.values.items():
            if name not in columns:
                raise QueryError(
                    f"The rows of {self._manifest.name!r} are not compared by the column {name!r}; there are "
                    f"{', '.join(columns)}.{nearest(name, columns)}"
                )
            try:
                columns[name].parsed(value)
            except ItemError as error:
                raise QueryError(f"{str(error)[0].upper()}{str(error)[1:]}.") from None

    @cached_property
    def learnt(self) -> Learnt:
        """What was learnt from the table whose rows have vectors.

        Raises:
            ModelError: it can't be read.
        """
        from embedsearch.encoders.rows import learnt_of

        return learnt_of(str(self._build.folder / COLUMNS))

    def _by_columns(self, space: Space, rows: Sequence[Row]) -> Space:
        """Return where a query is compared by the columns that all rows in it have.

        Raises:
            QueryError: they have none in common.
        """
        learnt = self.learnt
        asked = [column.name for column in learnt.columns if all(column.name in row.values for row in rows)]
        if not asked:
            raise QueryError("The rows of the query have no column in common. Give them one.")
        if len(asked) == len(learnt.columns):
            return space
        places = [np.arange(learnt.dimension)[place] for place in learnt.places]
        components = np.concatenate(
            [place for place, column in zip(places, learnt.columns, strict=True) if column.name in asked]
        )
        part = PartSearch(len(space.backend), space.take, components, space.metric)
        from embedsearch.artifacts.scale import pairs_scale

        scale = pairs_scale(part.take, len(part), space.metric)
        return replace(
            space,
            vector=np.ascontiguousarray(space.vector[:, components]),  # (1, d) -> (1, e)
            backend=part,
            take=part.take,
            scale=None if scale is None else replace(scale, unjudged=self._unit.unjudged),
            columns=tuple(asked),
        )

    def _clips(self, source: Any) -> _Embedded:
        """Return the vector of a sound: the mean over its clips, split as those of the index are."""
        rule, metric = self._manifest.recipe.encoder.splitter, self._manifest.metric
        return _Embedded(sound_vector(self._encoder(), rule, source, metric, self._build.placed))

    def _text(self, text: str) -> str | Sentence:
        if not text.strip():
            raise QueryError("The query is empty. Type what you are looking for.")
        if self.form is QueryForm.TEXT:
            return text
        if self._unit.form is not QueryForm.WORD:
            found = modality_of(self._unit.unit).found_by_texts
            align = f"embedsearch align {self._manifest.name}"
            way = f" With captions, texts find its {self._unit.plural}: {align}" if found else ""
            raise QueryError(self._misfit() + way)
        spans = self._spans(text)
        if len(spans) > 1:
            raise QueryError(self._misfit(f"one word of the sentence, --word NUMBER: {_shown(text, spans)}"))
        return Sentence(text, (spans[0],))

    def _encode(self, items: Sequence[Any]) -> list[_Embedded]:
        """Return the vector of each item, (1, d); they go through the model together."""
        encoder = self._encoder()
        ready = all_ready(items, encoder.prepare(items, "query"))
        if any(not each.rows for each in ready):
            raise ItemError("The word is beyond the model's limit. Shorten the sentence.")
        vectors = gather(ready, encoder.run(ready), encoder.dimension)  # (n, d)
        is_word = self._unit.form is QueryForm.WORD  # which was read itself, wherever its sentence is cut
        vectors = self._build.placed(vectors)
        return [
            _Embedded(vectors[at : at + 1], each.truncated and not is_word, each.unknown)
            for at, each in enumerate(ready)
        ]

    def _ready_vector(self, values: Any) -> Vectors:
        if hasattr(values, "detach"):  # a tensor of torch, which may be on a GPU and have a gradient
            values = values.detach().cpu()
        try:
            if np.iscomplexobj(values):
                raise TypeError("complex")
            vector = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (d,) -> (1, d)
        except (ValueError, TypeError):
            raise QueryError("A vector must be real numbers, (d,).") from None
        if vector.ndim != 2 or len(vector) != 1:
            raise QueryError(f"A vector must be numbers, (d,); got the shape {np.shape(values)}.")
        manifest = self._manifest
        if vector.shape[1] != manifest.model_dimension:
            raise QueryError(
                f"The index {manifest.name!r} takes vectors of {manifest.model_dimension} numbers; got "
                f"{vector.shape[1]}."
            )
        most = float(np.abs(vector).max())
        if manifest.metric is Metric.COSINE and np.isfinite(most):
            if not most:
                raise QueryError("The vector is all zeros: it has no direction.")
            if not LEAST_SIZE <= most <= MOST_SIZE:
                vector = vector / most  # its length says nothing
        elif not most <= np.finfo(np.float32).max:
            raise QueryError("The vector holds numbers that are not finite, or too large for float32.")
        return vector.astype(np.float32)

    def _spans(self, sentence: str) -> list[Span]:
        spans = list(self.words(sentence))
        if not spans:
            raise QueryError("The sentence holds no word. Type a sentence, then name one of its words.")
        return spans

    def _span(self, sentence: str, word: int | str) -> Span:
        """Return where a word stands in its sentence: the word of a number from 1, or the first of a form.

        The form may be that of several words, as in "New York".
        """
        spans = self._spans(sentence)
        number = word
        if isinstance(word, str):
            same = [at for at, (s, e) in enumerate(spans, 1) if sentence[s:e].casefold() == word.casefold()]
            number = same[0] if same else 0
            ends = {end for _, end in spans}
            for start, _ in spans if not same else ():
                end = start + len(word)
                if end in ends and sentence[start:end].casefold() == word.casefold():
                    return start, end
        if not isinstance(number, str) and 1 <= number <= len(spans):
            return spans[number - 1]
        raise QueryError(f"The sentence has no word {word!r}; it has {_shown(sentence, spans)}.")

    def _misfit(self, expected: str = "") -> str:
        """Return what to ask with instead: `expected`, or else all that the index can be asked with."""
        if not expected:
            across = MODALITIES[self._crossmodal.asks].units[:1] if self._crossmodal else ()
            expected = " or ".join(each.query for each in (self._unit, *across))
        return (
            f"The index {self._manifest.name!r} holds {self._unit.plural} embedded by "
            f"{self._manifest.encoder.spec.model}; search it with {expected}."
        )


def _batched(
    items: Sequence[Any], embed: Callable[[Sequence[Any]], list[_Embedded]], together: bool
) -> Iterator[_Embedded]:
    """Yield what `embed` makes of items, all in one batch or each alone; they are read at the first call."""
    for batch in [items] if together and items else [[each] for each in items]:
        yield from embed(batch)


def sound_vector(
    encoder: Encoder,
    rule: str,
    source: Path | bytes,
    metric: Metric,
    placed: Callable[[Vectors], Vectors] = np.asarray,
) -> Vectors:
    """Return the vector of a sound, (1, d) float32: the mean over its clips.

    Args:
        encoder: of sounds.
        rule: how they are split; see `EncoderRecipe.splitter`.
        source: a sound file, or its bytes.
        metric: the distance that the vector is for.
        placed: raw vectors to those that an index compares, (n, D) -> (n, d).

    Raises:
        ItemError: the sound can't be read.
    """
    unit = UNITS[encoder.spec.unit]
    split = splitter_of(unit.unit, rule)
    assert split is not None  # of sounds
    clips: list[Any] = []
    try:
        try:
            clips.extend(clip for _, clip in split(source))
        except ItemError:  # the rest of the file is lost
            if not clips:
                raise
        ahead = range(0, len(clips), unit.parts_ahead)
        made = [encoder.encode(clips[at : at + unit.parts_ahead], "query") for at in ahead]
    except ItemError as error:
        raise ItemError(f"{_named(source)}: {error}.") from None
    except OSError as error:
        raise ItemError(f"{_named(source)} can't be read: {error.strerror}.") from None
    return _mean(placed(np.concatenate(made)), metric)


def _mean(vectors: Vectors, metric: Metric) -> Vectors:
    """Return the mean of the vectors of clips, (n, d) -> (1, d); of unit vectors for cosine."""
    if len(vectors) == 1:
        return vectors
    ready = normalized(vectors) if metric is Metric.COSINE else vectors
    return np.asarray(ready.mean(0, keepdims=True), np.float32)


def _named(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "The sound"


def _shown(sentence: str, spans: Sequence[Span]) -> str:
    """Return the words of a sentence with their numbers, for people."""
    return ", ".join(f"{number} {sentence[start:end]}" for number, (start, end) in enumerate(spans, 1))


def _summed(query: AnyQuery, vectors: Sequence[Vectors], metric: Metric) -> Vectors:
    """Return the sum of a query's vectors, (1, d) each, by their weights; of unit vectors for cosine."""
    if not isinstance(query, Query):
        return vectors[0]
    ready = [normalized(vector) if metric is Metric.COSINE else vector for vector in vectors]
    weighed = [term.weight * each for term, each in zip(query.terms, ready, strict=True)]
    total = np.sum(weighed, axis=0)
    # what opposites leave is rounding
    if np.abs(total).max() <= ROUNDING * max(float(np.abs(each).max()) for each in weighed):
        raise QueryError("The terms of the query cancel each other out: nothing is left to look for.")
    return np.asarray(total, np.float32)

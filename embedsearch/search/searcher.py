"""A query to its results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from embedsearch.artifacts.tokens import open_tokens
from embedsearch.backends import Filter, Rows
from embedsearch.backends.part import PartSearch
from embedsearch.crossmodal import Crossmodal, open_crossmodal
from embedsearch.crossmodal.captions import open_captions
from embedsearch.distances.metric import Metric, Vectors, normalized, similarity
from embedsearch.distances.pairs import not_close
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import WEIGHTS, Judgement, Verdict, check_strictness
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.encoders.query_encoder import query_encoder
from embedsearch.errors import FilterError
from embedsearch.modalities import UNITS, QueryForm, Reader, modality_of
from embedsearch.query import AnyQuery, By, Mode, SearchOptions, Text, Tree, as_query, items_of
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import MOST_UNKNOWN
from embedsearch.results import CAPTION, DISTANCE, DIVERSE, Facets, Hit, Passage, Results
from embedsearch.search.close import count_by, limits_of, sorted_by
from embedsearch.search.diverse import diverse, spread_over
from embedsearch.search.fused import Candidate, Looked, fused, judged
from embedsearch.search.hybrid import DEPTH, mode_of, open_words
from embedsearch.search.query_vectors import QueryVectors, Space
from embedsearch.search.rerank import rerank
from embedsearch.store.build import Build, Records, record_of
from embedsearch.store.items import FIELD
from embedsearch.store.manifest import COLUMNS, PROBES

MOST_PASSED = 20  # hits that are passed over for a verdict
CLIPS = 4  # clips that are looked at for each record that is wanted
FOLDED = 4  # neighbours looked through for each hit, where copies are folded; then as many times more
MOST_FOLDED = 10_000  # neighbours that are looked through at most
CONTENT = ("text", "hash", "start", "end")  # the columns that tell the same content
OF_HIT = ("id", "text", "path", "start", "end", "picture")  # the columns that a hit has, beside its fields
FED = 3  # hits whose mean is added to a query by feedback
UNJUDGED = Judgement(None, None, None, "")
Search = Callable[[Vectors, int, Filter | None, Sequence[int]], tuple[Vectors, Rows]]
Within = Callable[[Vectors, float, Filter | None, Sequence[int]], tuple[Vectors, Rows]]


class Placed(NamedTuple):
    """A query where it is compared.

    Attributes:
        space: where that is.
        own: the rows that are not among its hits.
        query: what was asked.
    """

    space: Space
    own: list[int]
    query: AnyQuery


class Found(NamedTuple):
    """What a query found: the judged places where it looked, and the candidates, the best first."""

    places: list[Looked]
    candidates: list[Candidate]


class Counted(NamedTuple):
    """What is said of all that was found, before some of it become hits; see `Results`."""

    found: int
    order: str
    facets: Facets
    mode: Mode


class Searcher:
    """An open index. Opening it verifies its files; the model is loaded by the first query that needs it.

    May be shared by threads.
    """

    def __init__(self, build: Build, load: Callable[[EncoderRecipe], Encoder] = open_encoder) -> None:
        self.build = build
        # Opened now, not by the first query: two rebuilds later the build's files are gone.
        _ = build.items, build.ids, build.take, build.centring, build.backend, build.scale, build.unknown
        self.manifest = build.manifest
        self._load = load
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()
        # what lets texts find images, or images texts; None where nothing does
        self.crossmodal: Crossmodal | None = open_crossmodal(build, load, lambda: self.encoder)
        # the captions of images, which texts are compared with too; None where there are none
        self.captions = open_captions(build)
        # the words of texts; None where they were not indexed
        self.words = open_words(build)
        # the tokens of texts, if the build keeps them for re-ranking
        self.tokens = open_tokens(build)
        self.queries = QueryVectors(build, self.crossmodal, lambda: self.encoder)

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
                    self.manifest.version,
                    self.build.folder / PROBES,
                    self.build.folder / COLUMNS,
                    self._load,
                )
            return self._encoder

    def warm(self) -> None:
        """Load what queries need, and embed a text where the index is asked with texts.

        The first query is then as quick as a later one. An index asked by vectors alone needs nothing.

        Raises:
            ModelError: a model can't be loaded here.
        """
        if self.queries.form is QueryForm.VECTOR or self.manifest.recipe.encoder.own:
            return
        text = Text("a text")
        crossmodal = self.queries.across([text])
        if crossmodal is not None:
            crossmodal.embed([text])
        elif self.queries.form is QueryForm.TEXT:
            self.encoder.encode([text.text], "query")
        else:
            _ = self.encoder

    def encoder_of(self, layers: tuple[int, ...]) -> Encoder:
        """Return an encoder like the index's that takes other hidden layers.

        Raises:
            ModelError: it can't be loaded here, or has no such layer.
        """
        made = self.manifest.encoder
        recipe = replace(
            self.manifest.recipe.encoder, layers=layers, revision=made.spec.revision, precision=made.precision
        )
        return self._load(recipe)

    def search_all(self, queries: Sequence[Any], options: SearchOptions) -> list[Results]:
        """Return the results of several queries.

        They go through the model together, and are compared with the items together.

        Args:
            queries: each a text (str), an image (`Path`, bytes or PIL image), a vector, or a `Text`, `Image`,
                `Word`, `MoreLike`, `Vector`, or several of them in a `Query`. The item of a `MoreLike` is not
                among its own hits.
            options: how the hits are chosen.

        Raises:
            QueryError: a query does not fit this index, k is under 1, or the strictness is no such share.
            FilterError: the filter can't be understood.
            ItemNotFoundError: no item has the id asked for.
            ItemError: the image can't be read.
        """
        check_strictness(options.strictness)
        chosen = self._filter(options.where)
        return self._among(self.placed(queries), chosen, options)

    def placed(self, queries: Sequence[Any]) -> list[Placed]:
        """Return queries as vectors, for `search_placed`; they go through the model together.

        Raises:
            QueryError, ItemNotFoundError, ItemError, ModelError: as `search`.
        """
        asked = [self.queries.settled(as_query(query)) for query in queries]
        return [
            Placed(space, [row for identity in items_of(query) for row in self._own(identity)], query)
            for query, space in zip(asked, self.queries.spaces(asked), strict=True)
        ]

    def search_placed(self, placed: Sequence[Placed], options: SearchOptions) -> list[Results]:
        """Return the results of queries that `placed` returned; arguments and errors as `search_all`."""
        check_strictness(options.strictness)
        return self._among(placed, self._filter(options.where), options)

    def _among(
        self, placed: Sequence[Placed], chosen: Filter | None, options: SearchOptions
    ) -> list[Results]:
        """Return the results of queries among the items that a filter keeps."""
        self.build.check()  # the queries may have taken seconds to embed
        if options.close:
            found = [self._close(each, chosen, options) for each in placed]
        elif options.feedback:
            found = [self._fed(each, chosen, options) for each in placed]
        else:
            found = self._nearest(placed, _reach(options), chosen, options)
        return [self._arranged(*each, options) for each in zip(placed, found, strict=True)]

    def _nearest(
        self, placed: Sequence[Placed], k: int, chosen: Filter | None, options: SearchOptions
    ) -> list[Found]:
        """Return up to `k` candidates of each query, the best first; those of one mode are found together."""
        modes = [mode_of(self.manifest, options, each.query) for each in placed]
        if len(set(modes)) == 1:
            return self._by_mode(placed, k, chosen, options, modes[0])
        done: dict[int, Found] = {}
        for mode in dict.fromkeys(modes):
            alike = [at for at, each in enumerate(modes) if each == mode]
            found = self._by_mode([placed[at] for at in alike], k, chosen, options, mode)
            done |= zip(alike, found, strict=True)
        return [done[at] for at in range(len(placed))]

    def _by_mode(
        self, placed: Sequence[Placed], k: int, chosen: Filter | None, options: SearchOptions, mode: Mode
    ) -> list[Found]:
        """Return up to `k` candidates of each query, which are all searched for in one mode."""
        done: dict[int, Found] = {}
        folds = options.fold and self._has_copies
        records = self._grouped(options)
        left, wanted = list(range(len(placed))), FOLDED * k if folds else k
        while left:
            wanted = wanted if mode == "vector" else max(wanted, DEPTH)
            places = self._looked([placed[at] for at in left], wanted, chosen, options)
            for at, looked in zip(left, places, strict=True):
                near = found = fused(looked, records)
                space, _, query = placed[at]
                if mode != "vector" and self.words is not None and isinstance(query, Text):
                    found = self.words.mixed(query.text, space, looked[0], wanted, chosen, mode, records)
                kept = self._folded(found, is_part=records is not None) if folds else found
                last = found if mode == "lexical" else near
                if not folds or len(last) < wanted or len(kept) > k or wanted >= MOST_FOLDED:
                    done[at] = Found(looked, kept[:k])
            left, wanted = [at for at in left if at not in done], FOLDED * wanted
        return [done[at] for at in range(len(placed))]

    def _close(self, placed: Placed, chosen: Filter | None, options: SearchOptions) -> Found:
        """Return all candidates within the limit of the verdict; words may order them, distances choose.

        Where words are searched, an item whose whole id is the query is there in any case.
        """
        (looked,) = self._looked([placed], 1, chosen, options)
        limits = limits_of(self.manifest.name, looked)
        records, folds = self._grouped(options), options.fold and self._has_copies
        near = []
        for place, limit in zip(looked, limits, strict=True):
            captioned = self.captions is not None and place.place == CAPTION
            within = self.captions.within if self.captions and captioned else placed.space.backend.within
            distances, rows = self._within(within, placed, limit, chosen, records)
            near.append(replace(place, distances=distances, rows=rows))
        found, mode, query = (
            fused(near, records),
            mode_of(self.manifest, options, placed.query),
            placed.query,
        )
        if mode != "vector" and self.words is not None and isinstance(query, Text):
            named = self.words.named(query.text)  # who types an id wants its item, however far it is
            both = self.words.mixed(
                query.text, placed.space, near[0], DEPTH, chosen, mode, records, limits[0], named
            )
            known = self.build.unknown <= MOST_UNKNOWN
            known[named] = True
            found = [each for each in both if known[each.row]]
        return Found(near, self._folded(found, is_part=records is not None) if folds else found)

    def _within(
        self,
        within: Within,
        placed: Placed,
        limit: float,
        chosen: Filter | None,
        records: Records | None,
    ) -> tuple[list[float], list[int]]:
        """Return the distances and rows of all items within a limit, without those of unknown text."""
        far, found = within(placed.space.vector, limit, chosen, placed.own)  # (1, d) -> (1, m)
        known = self.build.unknown[found[0]] <= MOST_UNKNOWN
        distances, rows = far[0][known], found[0][known]
        if records is not None:
            _, first = np.unique(records.of(rows), return_index=True)
            first.sort()
            distances, rows = distances[first], rows[first]
        return distances.tolist(), rows.tolist()

    def _fed(self, placed: Placed, chosen: Filter | None, options: SearchOptions) -> Found:
        """Search again with the first hits added to the query; the candidates keep their distances to it."""
        (first,) = self._nearest([placed], FED, chosen, options)
        if not first.candidates:
            return first
        space = placed.space
        hits = space.take(np.array([each.row for each in first.candidates]))  # (3, d)
        if space.metric is Metric.COSINE:
            vector = normalized(space.vector) + normalized(hits).mean(0)  # (1, d) + (d,) -> (1, d)
        else:
            vector = (space.vector + hits.mean(0)) / 2
        moved = placed._replace(space=replace(space, vector=vector))
        (second,) = self._nearest([moved], _reach(options), chosen, options)
        return Found(first.places, self._measured(placed, second.candidates, first.places, options.by))

    def _measured(
        self, placed: Placed, found: Sequence[Candidate], places: Sequence[Looked], by: By
    ) -> list[Candidate]:
        """Return candidates in their order at their distances to a query, in the places where it looked."""
        rows = np.zeros(len(self), np.bool_)
        rows[[each.row for each in found]] = True
        (looked,) = self._looked([placed], len(found), Filter(lambda: rows), SearchOptions(by=by))
        by_name = {place.place: place for place in places}
        records = self._grouped(SearchOptions(by=by))
        true = {each.row: each for each in fused(looked, records)}
        return [
            replace(each, distance=true[each.row].distance, looked=by_name[true[each.row].looked.place])
            for each in found
        ]

    def _arranged(self, placed: Placed, found: Found, options: SearchOptions) -> Results:
        """Return what a query found as results, in the order that is asked for."""
        (space, _, query), (places, candidates) = placed, found
        mode = mode_of(self.manifest, options, query)
        order = DISTANCE if mode == "vector" else mode
        if options.diverse:
            k = len(candidates) if options.close else options.most  # all are counted
            vectors = space.take(np.array([each.row for each in candidates], np.int64))
            candidates, order = diverse(candidates, vectors, space.metric, space.scale, k), DIVERSE
        elif options.rerank:
            first, rest = candidates[: options.rerank_k], candidates[options.rerank_k :]
            by = str(options.rerank)
            shown = len(first) if options.close and options.k is None else options.most
            again = rerank(self.build, self.words, self.tokens, lambda: self.encoder, query, first, by, shown)
            candidates, order = [*again, *rest], by
        if not options.close:
            candidates = candidates[: options.most]
        facets = count_by(self.build, candidates, options.facets)
        if options.sort:
            candidates, order = sorted_by(self.build, candidates, options.sort), options.sort
        return self._results(
            space,
            places,
            candidates[: options.k],
            Counted(len(candidates), order, facets, mode),
            options,
        )

    def _lost(self, space: Space) -> str:
        """Return a sentence on the share of what is near that is found; empty where that is all."""
        if isinstance(space.backend, PartSearch) or not space.backend.facts.queries:
            return ""
        return (
            f"The index is approximate: it finds about {space.backend.facts.recall:.1%} of what is near, so "
            "some of what is close may be missing."
        )

    def _looked(
        self, spaces: Sequence[Placed], k: int, chosen: Filter | None, options: SearchOptions
    ) -> list[list[Looked]]:
        """Return the `k` or more items nearest to each of some vectors, but for the rows beside it."""
        # so many hits tell whether any is close, some that the model does not know among them
        k = max(k, len(WEIGHTS) + min(self.manifest.report.unknown, MOST_PASSED))
        share = 1.0 if chosen is None else chosen.count / len(self)
        records = self._grouped(options)
        found = self._found_together(spaces, k, chosen, records)
        looked = []
        for (space, own, _), nearest in zip(spaces, found, strict=True):
            if self.captions is None or not space.by or space.scale is None:
                looked.append([self._judged("", space, space.scale, nearest, share, options)])
                continue
            captions = self._found(self.captions.search, space.vector, k, chosen, own, records)
            looked.append(
                [
                    self._judged("image", space, space.scale, nearest, share, options),
                    self._judged(CAPTION, space, self.captions.scale, captions, share, options),
                ]
            )
        return looked

    def _judged(
        self,
        place: str,
        space: Space,
        scale: Scale | None,
        nearest: tuple[list[float], list[int]],
        share: float,
        options: SearchOptions,
    ) -> Looked:
        """Judge what a query found in one place."""
        (distances, rows), reason = nearest, _unjudged(space)
        if reason or scale is None:
            return Looked(place, distances, rows, scale, Judgement(None, None, None, reason), not reason)
        known = self.build.unknown[rows] <= MOST_UNKNOWN
        judged = [distance for distance, is_known in zip(distances, known, strict=True) if is_known]
        return Looked(place, distances, rows, scale, scale.judge(judged, share, options.strictness))

    def _found_together(
        self, spaces: Sequence[Placed], k: int, chosen: Filter | None, records: Records | None
    ) -> list[tuple[list[float], list[int]]]:
        """Return the distances and rows of the `k` nearest of each; those of one backend in one call."""
        found: dict[int, tuple[list[float], list[int]]] = {}
        together: dict[int, list[int]] = {}
        for at, (space, own, _) in enumerate(spaces):
            if own or records is not None:
                found[at] = self._found(space.backend.search, space.vector, k, chosen, own, records)
            else:
                together.setdefault(id(space.backend), []).append(at)
        for places in together.values():
            vectors = np.concatenate([spaces[at].space.vector for at in places])  # n x (1, d) -> (n, d)
            far, rows = spaces[places[0]].space.backend.search(vectors, k, chosen, ())
            found |= zip(places, zip(far.tolist(), rows.tolist(), strict=True), strict=True)
        return [found[at] for at in range(len(spaces))]

    def _found(
        self,
        search: Search,
        vector: Vectors,
        k: int,
        chosen: Filter | None,
        own: list[int],
        records: Records | None,
    ) -> tuple[list[float], list[int]]:
        """Return the distances and rows of the `k` nearest items; of each of `records` the nearest one.

        Where the nearest rows are of fewer records, the rows of these are left out and the rest is searched.
        """
        if records is None:
            far, rows = search(vector, k, chosen, own)  # (1, d) -> (1, k)
            return far[0].tolist(), rows[0].tolist()
        left = np.ones(len(self), np.bool_) if chosen is None else chosen.mask.copy()
        left[own] = False
        best: list[tuple[float, int]] = []
        while len(best) < k and left.any():
            among = Filter(left.copy)
            far, rows = search(vector, CLIPS * (k - len(best)), among, ())
            numbers, first = np.unique(records.of(rows[0]), return_index=True)
            if not len(first):  # no row that is left has a caption
                break
            best += zip(far[0][first].tolist(), rows[0][first].tolist(), strict=True)
            left &= ~records.mask(numbers)
        best.sort()
        return [distance for distance, _ in best[:k]], [row for _, row in best[:k]]

    def _grouped(self, options: SearchOptions) -> Records | None:
        """Return the records that are one hit each; None where each item is."""
        return self.build.records if options.by == "record" else None

    def _own(self, identity: str) -> list[int]:
        """Return the rows that are not among the hits for an item: its own, and those of its whole record."""
        rows, records = list(self.queries.rows(identity)), self.build.records
        return rows if records is None else np.flatnonzero(records.mask(records.of(rows))).tolist()

    @property
    def answers(self) -> int:
        """How many different hits there can be: records of sounds and videos, else items."""
        return self.build.answers

    @property
    def about(self) -> str:
        """How texts find images here, or images texts, as half a sentence; empty where they do not."""
        return "" if self.crossmodal is None else self.crossmodal.about

    @cached_property
    def _fields(self) -> list[str]:
        return list(self.build.field_types)

    @cached_property
    def _columns(self) -> list[str]:
        """The columns that hits are made of."""
        return [*OF_HIT, *(FIELD + name for name in self._fields)]

    @cached_property
    def _has_copies(self) -> bool:
        """Whether items may have the same content; of words that is not known from their texts."""
        row = modality_of(self.manifest.unit)
        if row.reader is Reader.NONE:  # vectors made elsewhere have no content to compare
            return False
        if self.manifest.unit is not row.units[0].unit:
            return True
        return len(self.build.items["hash"].unique()) < self.answers

    def _folded(self, found: Sequence[Candidate], *, is_part: bool) -> list[Candidate]:
        """Return the first item of each content, with the number of the others.

        Args:
            found: items; of a record of several one alone where they are parts.
            is_part: whether each stands for its whole record.
        """
        contents: dict[Any, list[Candidate]] = {}
        columns = self.build.read([each.row for each in found], CONTENT)
        is_split = self.build.records is not None
        for each, text, content_hash, start, end in zip(
            found, *(columns[name] for name in CONTENT), strict=True
        ):
            span = None if is_part else (start, end)
            contents.setdefault((content_hash if text is None or is_split else text, span), []).append(each)
        return [
            same[0] if len(same) == 1 else replace(min(same, key=lambda each: each.row), copies=len(same) - 1)
            for same in contents.values()
        ]

    def filter(self, where: str | Tree) -> Filter:
        """Return which items a filter keeps.

        Raises:
            FilterError: the filter can't be understood.
        """
        from embedsearch.search.filters import as_filter

        if not isinstance(where, str | Tree):
            raise FilterError(f"A filter is a str, such as \"label = 'dress'\"; got {where!r:.80}.")
        return as_filter(where, self.build.items, self.build.field_types)

    def row(self, identity: str) -> int:
        """Return the row of an item in this build.

        Raises:
            ItemNotFoundError: there is no item of that id.
            QueryError: the id is not a str.
        """
        return self.queries.row(identity)

    def item(self, identity: str) -> Hit:
        """Return an item by its id, at distance 0 and rank 0.

        Raises:
            ItemNotFoundError: there is no item of that id.
        """
        row = self.row(identity)
        return self._listed([row], [0.0], first_rank=0)[0]

    def items(self, rows: Sequence[int], distances: Sequence[float]) -> list[Hit]:
        """Return the items of some rows, in their order, as hits at known distances."""
        return self._listed(rows, distances, first_rank=1)

    def _listed(self, rows: Sequence[int], distances: Sequence[float], first_rank: int) -> list[Hit]:
        here = Looked("", list(distances), list(rows), self.build.scale, UNJUDGED)
        ranks = range(first_rank, first_rank + len(here.rows))
        return self._hits(here, fused([here]), ranks, self.manifest.metric)

    def _filter(self, where: str | Tree | None) -> Filter | None:
        return None if where is None or (isinstance(where, str) and not where.strip()) else self.filter(where)

    def _results(
        self,
        space: Space,
        places: Sequence[Looked],
        found: Sequence[Candidate],
        counted: Counted,
        options: SearchOptions,
    ) -> Results:
        """Return hits of what was found, with labels that agree with the verdict on all."""
        decisive, judgement = judged(places)
        hits: dict[int, Hit] = {}
        for looked in places:
            here = [at for at, each in enumerate(found) if each.looked is looked]
            ranks = [at + 1 for at in here]
            made = self._hits(looked, [found[at] for at in here], ranks, space.metric, judgement)
            hits |= zip(here, made, strict=True)
        notes = [_note(space, decisive.scale if decisive.is_labelled else None)]
        if options.close:
            notes.append(self._lost(space))
        return Results(
            [hits[at] for at in range(len(found))],
            space.metric,
            judgement.verdict,
            judgement.foreign_rate,
            judgement.reason,
            " ".join(filter(None, notes)),
            space.by,
            judgement.limit,
            space.truncated,
            space.unknown,
            options.close,
            counted.found,
            counted.order,
            options.feedback,
            counted.facets,
            counted.mode,
            self.words.facts.weight if counted.mode == "hybrid" and self.words is not None else None,
        )

    def _hits(
        self,
        looked: Looked,
        found: Sequence[Candidate],
        ranks: Sequence[int],
        metric: Metric,
        judgement: Judgement = UNJUDGED,
    ) -> list[Hit]:
        """Return hits of what was found in one place, with labels that agree with the judgement on all."""
        row, modality = UNITS[self.manifest.unit], modality_of(self.manifest.unit).modality
        rows, distances = [each.row for each in found], [each.distance for each in found]
        scale = looked.scale if looked.is_labelled else None
        nothing_close = judgement.verdict is Verdict.NOTHING_CLOSE
        columns = self.build.read(rows, self._columns)
        fields = [(name, columns[FIELD + name]) for name in self._fields]
        unknown = self.build.unknown[rows].tolist()
        percentiles = scale.pairs.percentiles(distances).tolist() if scale else []
        contents = zip(*(columns[name] for name in OF_HIT), strict=True)
        hits = []
        for at, (each, (identity, text, path, start, end, image)) in enumerate(
            zip(found, contents, strict=True)
        ):
            span = None if start is None else (start, end)
            of_hit = {name: column[at] for name, column in fields}
            judge = scale if unknown[at] <= MOST_UNKNOWN else None
            label = judge.pairs.label(each.distance) if judge else None
            hits.append(
                Hit(  # by position, as names take twice the time
                    ranks[at],
                    record_of(identity, start) if row.grouped else identity,
                    each.row,
                    each.distance,
                    similarity(each.distance, metric),
                    modality,
                    text,
                    path,
                    None if row.grouped else span,
                    of_hit,
                    image,
                    percentiles[at] if judge else None,
                    not_close(label) if nothing_close else label,
                    judge.human_score(each.distance) if judge else None,
                    unknown[at],
                    each.found_by or looked.place,
                    each.copies,
                    (start / 1000, end / 1000) if row.timed else None,
                    each.score,
                    each.lit,
                    each.bm25,
                    Passage.of(text, span, of_hit) if row.grouped and not row.timed else None,
                )
            )
        return hits


def _reach(options: SearchOptions) -> int:
    """Return how many of the nearest items hits are chosen from."""
    if options.diverse:
        return spread_over(options.most)
    return max(options.most, options.rerank_k) if options.rerank else options.most


def _note(space: Space, scale: Scale | None) -> str:
    """Return where the random pairs are from if not from the index, and which columns count; often empty."""
    notes = [] if scale is None else [scale.pairs.note]
    if space.columns:
        notes.append(f"Compared by {' and '.join(space.columns)} alone.")
    return " ".join(filter(None, notes))


def _unjudged(space: Space) -> str:
    """Return why the answer to a query is not judged, in a sentence; empty where it is."""
    if space.unknown > MOST_UNKNOWN:
        return (
            f"The model does not know {100 * space.unknown:.0f} % of the query's text, so its distances are "
            "not judged. Build the index with a multilingual model: --model with a hub id or a folder."
        )
    if space.subtracts:
        return (
            "The query subtracts terms, and random pairs say nothing about a difference: hits have no labels."
        )
    return ""

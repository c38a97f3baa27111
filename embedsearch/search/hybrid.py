"""Hits by their vectors and by their words: two lists as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Filter, Rows
from embedsearch.distances.metric import distances
from embedsearch.errors import QueryError
from embedsearch.lexical import LexicalIndex, Scores, lexical_class
from embedsearch.lexical.terms import Analyzer, key
from embedsearch.modalities import UNITS
from embedsearch.query import MODES, AnyQuery, Mode, SearchOptions, Text
from embedsearch.records import Span
from embedsearch.search.fused import Candidate, Looked
from embedsearch.search.query_vectors import Space
from embedsearch.splitters.words import words
from embedsearch.store.build import Build, Records
from embedsearch.store.facts import LexicalFacts
from embedsearch.store.manifest import Manifest

DEPTH = 100  # of each list, from which both scores get their mean and their deviation


def mode_of(manifest: Manifest, options: SearchOptions, query: AnyQuery) -> Mode:
    """Return how a query is searched for.

    Without a mode that is the default of the index; what is not one text has only a vector.

    Args:
        manifest: of the index.
        options: what is asked for.
        query: what is asked.

    Raises:
        QueryError: there is no such mode, the index has no words, or the query is not one text.
    """
    facts, asked = manifest.artifacts.lexical, options.mode
    if asked is None:
        both = facts is not None and facts.mode == "hybrid" and isinstance(query, Text)
        return "hybrid" if both else "vector"
    if asked not in MODES:
        raise QueryError(f"The mode is {', '.join(MODES[:-1])} or {MODES[-1]}; got {asked!r:.40}.")
    if asked == "vector":
        return asked
    if facts is None:
        unit = UNITS[manifest.unit]
        if unit.unit != "text":
            raise QueryError(
                f"The mode {asked} is for texts; the index {manifest.name!r} holds {unit.plural}."
            )
        raise QueryError(
            f"The index {manifest.name!r} has no words to search: it was made before 0.10. Add them: "
            f"embedsearch rebuild {manifest.name}"
        )
    if not isinstance(query, Text):
        raise QueryError(f"The mode {asked} takes one text, without signs or weights. Leave out --mode.")
    return asked


@dataclass(frozen=True, slots=True)
class Words:
    """The lexical index of an open build.

    Attributes:
        facts: what the manifest says of it.
        index: scores the items.
        analyzer: makes terms of a query.
    """

    facts: LexicalFacts
    index: LexicalIndex
    analyzer: Analyzer

    def mixed(
        self,
        text: str,
        space: Space,
        looked: Looked,
        depth: int,
        chosen: Filter | None,
        mode: Mode,
        records: Records | None,
        limit: float = math.inf,
        kept: Rows | None = None,
    ) -> list[Candidate]:
        """Return what a text finds by its words, and in the mode `hybrid` also by its vector, the best first.

        Each score is less its mean and divided by its deviation, both over the first `DEPTH` of both lists;
        an item has the weighted sum of both. What words alone found has its true distance.

        Args:
            text: the query.
            space: where its vector is compared.
            looked: the items nearest to that, at least `DEPTH` where there are as many.
            depth: how many items to find by words; of `records` how many of these.
            chosen: which items may be found; None for all.
            mode: `lexical` or `hybrid`.
            records: which rows belong to one record, of which the best is returned; None where each is one.
            limit: the largest distance of what is returned.
            kept: rows that are returned beyond that, too.
        """
        scores = self.index.scores(self.analyzer.of_query(text))  # (n,)
        if chosen is not None:
            scores[~chosen.mask] = 0
        worded = _largest(scores, depth, records)
        near = np.array(looked.rows, np.int64)
        new = worded[~np.isin(worded, near)]
        rows = np.concatenate([near, new])
        if not len(rows):
            return []
        far = np.array(looked.distances, np.float64)
        if len(new):
            true = distances(space.vector, space.take(new), space.metric)[0]  # (1, d) (m, d) -> (m,)
            far = np.concatenate([far, true])
        found = scores[rows].astype(np.float64)
        both = None
        if mode == "lexical":
            order = np.lexsort((rows, far, -found))
            order = order[found[order] > 0]
        else:
            first = np.isin(rows, np.concatenate([near[:DEPTH], worded[:DEPTH]]))
            weight = self.facts.weight
            both = weight * standard(-far, first) + (1 - weight) * standard(found, first)
            order = np.lexsort((rows, far, -both))
        within = far <= limit if kept is None else (far <= limit) | np.isin(rows, kept)
        order = order[within[order]]
        if records is not None:
            order = order[_firsts(rows[order], records)]
        own = rows if records is None else records.of(rows)  # the vector may find a record by another item
        by_words = ~np.isin(own, own[: len(near)]) | (mode == "lexical")
        sides = np.where(by_words, "lexical", np.where(found > 0, "both", "vector"))
        return [
            Candidate(
                int(rows[at]),
                float(far[at]),
                looked,
                bm25=float(found[at]),
                fused=None if both is None else float(both[at]),
                found_by=str(sides[at]),
            )
            for at in order.tolist()
        ]

    def named(self, text: str) -> Rows:
        """Return the rows of what has a text as its whole id, (m,); upper and lower case are the same."""
        return np.flatnonzero(self.index.scores([key(text)]))

    def weights(self, text: str, spans: Sequence[Span]) -> Scores:
        """Return what each of some spans of a text counts, (s,): 0 outside of words, or a square.

        It is the square of the inverse document frequency of the word that the span is in, as in the product
        of two tf-idf vectors, to which query and item give one factor each. A word of several terms, such as
        an identifier, has that of the most frequent one.
        """
        counted = np.zeros(len(spans), np.float32)
        found = words(text)
        for (start, end), terms in zip(found, self.analyzer.of_spans(text, found), strict=True):
            if terms:
                inside = [at for at, (first, last) in enumerate(spans) if first < end and start < last]
                counted[inside] = self.index.rarity(terms).min() ** 2
        return counted


def open_words(build: Build) -> Words | None:
    """Open the lexical index of a build; None where it has none."""
    facts = build.manifest.artifacts.lexical
    if facts is None:
        return None
    return Words(facts, lexical_class(facts.kind).open(build.folder), Analyzer(facts.language))


def _largest(scores: Scores, count: int, records: Records | None) -> Rows:
    """Return the rows of the largest scores over 0, (m,), the largest first; of equal ones the lower row.

    Of each of `records` only the best row counts.
    """
    rows = np.flatnonzero(scores)
    if records is None and len(rows) > count:
        least = np.partition(scores[rows], -count)[-count]
        rows = rows[scores[rows] >= least]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return (rows if records is None else rows[_firsts(rows, records)])[:count]


def _firsts(rows: Rows, records: Records) -> Rows:
    """Return where in some rows the first one of each record stands, ascending."""
    _, firsts = np.unique(records.of(rows), return_index=True)
    firsts.sort()
    return firsts


def standard(
    values: npt.NDArray[np.float64], first: npt.NDArray[np.bool_] | slice = slice(None)
) -> npt.NDArray[np.float64]:
    """Return values less the mean of some of them, or of all, divided by their deviation if there is one."""
    mean, deviation = float(values[first].mean()), float(values[first].std())
    return (values - mean) / (deviation or 1.0)

"""How much vectors count beside words: the weight that answers judged queries best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.artifacts.lexical import set_weight
from embedsearch.errors import QueryError, SourceError
from embedsearch.progress import Progress, Silent
from embedsearch.query import Mode, SearchOptions, Text
from embedsearch.search.searcher import Placed, Searcher
from embedsearch.sources.judgements import read_qrels, read_queries
from embedsearch.store.build import Build
from embedsearch.store.facts import TunedFacts

LEAST = 10  # judged queries
WEIGHTS = tuple(at / 10 for at in range(1, 10))


def tune(searcher: Searcher, queries: Path, qrels: Path, progress: Progress | None = None) -> Build:
    """Choose the default mode and the weight of vectors by judged queries, and publish a build that has them.

    Every weight from 0.1 to 0.9 is tried. The default is `hybrid` with the best one where that answers better
    than vectors alone, and else `vector`. A rebuild keeps the choice while the model stays the same.

    Args:
        searcher: the open index.
        queries: a table or JSONL of queries with their ids; see `read_queries`.
        qrels: judgements: TREC's four columns, or a table of query, item and grade.
        progress: gets the progress reports.

    Raises:
        QueryError: the index has no words.
        SourceNotFoundError, SourceError: a file is missing, can't be read, or judges fewer than 10 queries.
        IndexBusyError: another process is writing the index.
    """
    words, progress = searcher.words, progress or Silent()
    if words is None:
        raise QueryError(
            f"The index {searcher.manifest.name!r} has no words to weigh. If it holds texts, add them: "
            f"embedsearch rebuild {searcher.manifest.name}"
        )
    grades: dict[str, dict[str, int]] = {}
    for query, item, grade in read_qrels(qrels):
        if grade > 0:
            grades.setdefault(query, {})[item] = grade
    asked = {query: text for query, text in read_queries(queries) if query in grades and text.strip()}
    if len(asked) < LEAST:
        raise SourceError(
            f"{qrels} judges {len(asked)} queries of {queries}; at least {LEAST} are needed to tune with."
        )
    progress.stage(f"asking {len(asked):,} queries in each mode", len(WEIGHTS) + 2)
    placed = searcher.placed([Text(text) for text in asked.values()])
    judged = [grades[query] for query in asked]

    trying = copy(searcher)  # other threads go on searching with the weight as it is

    def measured(mode: Mode, weight: float = 0.0) -> float:
        trying.words = replace(words, facts=replace(words.facts, weight=weight))
        found = _ndcg(trying, placed, judged, mode)
        progress.advance(1)
        return found

    alone = {mode: measured(mode) for mode in ("vector", "lexical")}
    tried = {weight: measured("hybrid", weight) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: (round(tried[weight], 4), -abs(weight - words.facts.weight)))
    mode: Mode = "hybrid" if tried[best] > alone["vector"] else "vector"
    figures = {name: round(value, 4) for name, value in {**alone, "hybrid": tried[best]}.items()}
    home = searcher.build.folder.parents[1]
    tuned = TunedFacts(str(queries.resolve()), len(asked), figures)
    return set_weight(home.parent, home.name, mode, best, tuned)


def _ndcg(
    searcher: Searcher, placed: Sequence[Placed], judged: Sequence[Mapping[str, int]], mode: Mode
) -> float:
    """Return the mean nDCG@10 of queries, with the grades of their items."""
    every = searcher.search_placed(placed, SearchOptions(10, fold=False, mode=mode))
    shares = []
    for results, grades in zip(every, judged, strict=True):
        best = _gain(sorted(grades.values(), reverse=True)[:10])
        shares.append(_gain([grades.get(hit.id, 0) for hit in results]) / best)
    return float(np.mean(shares))


def _gain(grades: Sequence[int]) -> float:
    """Return the discounted gain of grades in the order of their items."""
    return float(sum(grade / np.log2(at + 2) for at, grade in enumerate(grades)))

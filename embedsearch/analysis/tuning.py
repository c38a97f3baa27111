"""How much vectors count beside words: the weight that answers judged queries best."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

from embedsearch.analysis.evaluate import ir_measures, run_of
from embedsearch.artifacts.lexical import set_weight
from embedsearch.errors import QueryError, SourceError
from embedsearch.progress import Progress, Silent
from embedsearch.query import Mode, SearchOptions, Text
from embedsearch.search.searcher import Searcher
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
        MissingExtraError: ir-measures is not installed.
        IndexBusyError: another process is writing the index.
    """
    words, progress = searcher.words, progress or Silent()
    if words is None:
        raise QueryError(
            f"The index {searcher.manifest.name!r} has no words to weigh. If it holds texts, add them: "
            f"embedsearch rebuild {searcher.manifest.name}"
        )
    measures = ir_measures()
    ndcg, judgements = measures.nDCG @ 10, [measures.Qrel(*each) for each in read_qrels(qrels)]
    known = {each.query_id for each in judgements if each.relevance > 0}
    asked = {query: text for query, text in read_queries(queries) if query in known and text.strip()}
    if len(asked) < LEAST:
        raise SourceError(
            f"{qrels} judges {len(asked)} queries of {queries}; at least {LEAST} are needed to tune with."
        )
    progress.stage(f"asking {len(asked):,} queries in each mode", len(WEIGHTS) + 2)
    placed = searcher.placed([Text(text) for text in asked.values()])
    judgements = [each for each in judgements if each.query_id in asked]
    trying = copy(searcher)  # other threads go on searching with the weight as it is

    def measured(mode: Mode, weight: float = 0.0) -> float:
        trying.words = replace(words, facts=replace(words.facts, weight=weight))
        found = run_of([*asked], trying.search_placed(placed, SearchOptions(10, fold=False, mode=mode)))
        progress.advance(1)
        return float(measures.calc_aggregate([ndcg], judgements, found)[ndcg])

    alone = {mode: measured(mode) for mode in ("vector", "lexical")}
    tried = {weight: measured("hybrid", weight) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: (round(tried[weight], 4), -abs(weight - words.facts.weight)))
    mode: Mode = "hybrid" if tried[best] > alone["vector"] else "vector"
    figures = {name: round(value, 4) for name, value in {**alone, "hybrid": tried[best]}.items()}
    home = searcher.build.folder.parents[1]
    tuned = TunedFacts(str(queries.resolve()), len(asked), figures)
    return set_weight(home.parent, home.name, mode, best, tuned)

"""Evaluates an index: recall against exact search, latency, and quality by judgements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from embedsearch.analysis.vote import vote
from embedsearch.backends import Backend, Filter, Rows, Take
from embedsearch.crossmodal import Crossmodal
from embedsearch.distances.metric import Metric, Vectors, distances
from embedsearch.encoders import Prepared, gather
from embedsearch.errors import ItemError, MissingExtraError, QueryError, SourceError
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.progress import Progress
from embedsearch.query import DEFAULT_SAMPLE, SearchOptions, Text
from embedsearch.results import Hit, Results
from embedsearch.search.searcher import CLIPS, Searcher
from embedsearch.sources.judgements import read_pairs, read_qrels, read_queries
from embedsearch.store.build import Build
from embedsearch.store.items import FIELD

BLOCK = 65_536  # rows compared with at a time
SHARES = (0.5, 0.1, 0.01, 0.001)
DEEP = 100  # hits a query, judged by qrels
QUERIES = 256  # that are judged together


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Queries to measure with, and the index that they search.

    Attributes:
        queries: (q, d) float32, raw.
        own: (q,) the row of each query, which is not among its hits; None where queries are no items.
        backend: the index.
        take: gives the raw vectors that it is over: (m,) rows -> (m, d) float32.
        metric: which distance.
    """

    queries: Vectors
    own: Rows | None
    backend: Backend
    take: Take
    metric: Metric


def of_items(searcher: Searcher, sample: int = DEFAULT_SAMPLE) -> Asked:
    """Return items from all over the index as queries."""
    build, count = searcher.build, len(searcher)
    rows = np.unique(np.linspace(0, count - 1, min(sample, count)).astype(np.int64))
    queries = build.take(rows)  # (q, d)
    return Asked(queries, rows, build.backend, build.take, build.manifest.metric)


@dataclass(frozen=True, slots=True)
class Texts:
    """Queries of a file.

    Attributes:
        kept: ids and texts of those that can be asked.
        rejected: the others: their ids and why.
        asked: what is measured with, the vectors of `kept`.
    """

    kept: list[tuple[str, str]]
    rejected: list[dict[str, str]]
    asked: Asked


def of_texts(searcher: Searcher, queries: Sequence[tuple[str, str]], source: Path) -> Texts:
    """Return texts as queries of an index of texts, or of an index whose items texts find.

    Args:
        searcher: the open index.
        queries: their ids and texts.
        source: the file that they are from, for messages.

    Raises:
        QueryError: texts can't search the index.
        SourceError: none of the texts can be asked.
    """
    build, name = searcher.build, searcher.manifest.name
    place: Build | Crossmodal | None = build
    if searcher.queries.form is not QueryForm.TEXT:
        place = searcher.queries.across([Text("")])
    if place is None:
        raise QueryError(f"The index {name!r} holds {searcher.manifest.unit}s, which texts don't find.")
    read = _read(searcher, [text for _, text in queries])
    kept, rejected = [], []
    for query, each in zip(queries, read, strict=True):
        if isinstance(each, str):
            rejected.append({"id": query[0], "reason": each})
        else:
            kept.append((query, each))
    if not kept:
        why = f": {rejected[0]['reason']}" if rejected else ""
        raise SourceError(f"{source} holds no query that can be used{why}.")
    metric = build.manifest.metric if isinstance(place, Build) else place.metric
    vectors = np.concatenate([vector for _, vector in kept])  # n x (1, d) -> (n, d)
    return Texts(
        [query for query, _ in kept], rejected, Asked(vectors, None, place.backend, place.take, metric)
    )


def _read(searcher: Searcher, texts: Sequence[str]) -> list[Vectors | str]:
    """Return the vector of each text, (1, d), or why it has none."""
    if searcher.queries.form is QueryForm.TEXT:
        encoder = searcher.encoder
        prepared = encoder.prepare(texts, "query")
        ready = [each for each in prepared if isinstance(each, Prepared)]
        rows = iter(searcher.build.placed(gather(ready, encoder.run(ready), encoder.dimension)))
        read = [next(rows)[None] if isinstance(each, Prepared) else str(each) for each in prepared]
        return [each if text.strip() else "it is empty" for text, each in zip(texts, read, strict=True)]
    return [_across(searcher, text) for text in texts]


def _across(searcher: Searcher, text: str) -> Vectors | str:
    try:
        return searcher.queries.together([Text(text)])[0]
    except (ItemError, QueryError) as error:
        return str(error).rstrip(".")


def recall(asked: Asked, k: int = 10, chosen: Filter | None = None) -> float:
    """Return recall@k of an index against exact search.

    A hit counts if it is no farther than the exact k-th neighbour, so that ties count alike.

    Args:
        asked: the queries.
        k: how many neighbours.
        chosen: which rows may be found; None for all.
    """
    own = asked.own
    found, rows = asked.backend.search(asked.queries, k if own is None else k + 1, chosen)
    exact = _exact(asked, k, chosen)
    shares = []
    for at, (far, near) in enumerate(zip(found, exact, strict=True)):
        others = far if own is None else far[rows[at] != own[at]]
        best = near[np.isfinite(near)]
        if len(best):
            limit = best[-1] + 1e-5 + 1e-5 * abs(best[-1])
            shares.append(min(int((others[:k] <= limit).sum()), len(best)) / len(best))
    return float(np.mean(shares)) if shares else 1.0


def _exact(asked: Asked, k: int, chosen: Filter | None) -> Vectors:
    """Return the exact distances of the k nearest, (q, k) float32 ascending; then infinity."""
    queries, own, count = asked.queries, asked.own, len(asked.backend)
    best = np.full((len(queries), k), np.inf, np.float32)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        if chosen is not None:
            rows = rows[chosen.mask[rows]]
        if not len(rows):
            continue
        far = distances(queries, asked.take(rows), asked.metric)  # (q, d) (b, d) -> (q, b)
        if own is not None:
            far[own[:, None] == rows] = np.inf
        near = np.partition(far, min(k, len(rows)) - 1, axis=1)[:, :k]
        best = np.sort(np.concatenate([best, near], 1), axis=1)[:, :k]
    return best


def latency(search: Callable[[Vectors], Any], queries: Vectors) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile of the milliseconds of one query."""
    search(queries[:1])
    spent = []
    for query in queries:
        started = time.perf_counter()
        search(query[None])
        spent.append(1000 * (time.perf_counter() - started))
    return {f"p{part}": round(float(np.percentile(spent, part)), 3) for part in (50, 95, 99)}


def under_filters(asked: Asked, k: int = 10) -> list[dict[str, Any]]:
    """Return recall and latency under random filters that keep 50, 10, 1 and 0.1 percent of the items."""
    draw = np.random.default_rng(0).random(len(asked.backend))
    few = asked.queries[: max(1, len(asked.queries) // 5)]
    measured = []
    for share in SHARES:
        chosen = Filter(partial(np.less, draw, share))
        measured.append(
            {
                "share": share,
                "allowed": chosen.count,
                "recall": round(recall(asked, k, chosen), 4),
                **latency(partial(asked.backend.search, k=k, filter=chosen), few),
            }
        )
    return measured


def precision(searcher: Searcher, field: str, k: int = 10) -> dict[str, float]:
    """Return P@1 and P@k: the share of an item's nearest other items that have its value of `field`.

    Of the clips of a sound or a video, those of other records count, the nearest of each.

    Raises:
        QueryError: the index has no such field.
    """
    name = FIELD + field
    if name not in searcher.build.items.column_names:
        has = ", ".join(searcher.build.field_types) or "none"
        raise QueryError(f"The index {searcher.manifest.name!r} has no field {field!r}; it has {has}.")
    labels = [
        normalize("NFC", label) if isinstance(label, str) else label
        for label in searcher.build.items[name].to_pylist()
    ]
    asked = of_items(searcher, 10_000)
    own = np.arange(0) if asked.own is None else asked.own
    records = searcher.build.records
    wanted = k + 1 if records is None else CLIPS * (k + 1)
    first, share = [], []
    for start in range(0, len(own), 1000):
        _, rows = asked.backend.search(asked.queries[start : start + 1000], wanted)
        for row, found in zip(own[start : start + 1000].tolist(), rows, strict=True):
            if records is not None:
                numbers, places = np.unique(records.of(found), return_index=True)
                found = found[np.sort(places[numbers != records.of(row)])]  # noqa: PLW2901
            others = [each for each in found.tolist() if each != row][:k]
            if others and labels[row] is not None:
                same = [labels[other] == labels[row] for other in others]
                first.append(same[0])
                share.append(float(np.mean(same)))
    if not share:
        raise QueryError(
            f"No item of the index {searcher.manifest.name!r} has a value of {field!r} and a neighbour."
        )
    return {"P@1": round(float(np.mean(first)), 4), f"P@{k}": round(float(np.mean(share)), 4)}


def ir_measures() -> Any:
    """Return the library ir-measures.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ir_measures
    except ImportError:
        raise MissingExtraError("Judged queries need ir-measures: pip install 'embedsearch[eval]'") from None
    return ir_measures


def run_of(queries: Sequence[str], answers: Sequence[Results]) -> list[Any]:
    """Return the hits of some queries, given by their ids, as ir-measures takes them."""
    return [
        ir_measures().ScoredDoc(query, hit.id, -hit.rank)
        for query, results in zip(queries, answers, strict=True)
        for hit in results
    ]


def judged(searcher: Searcher, queries: Path, qrels: Path) -> dict[str, float]:
    """Return nDCG@10, MRR and recall@100 over judged queries, by ir-measures.

    The ranking is that of a search, captions of images included; copies are not folded.

    Args:
        searcher: the open index.
        queries: a table or JSONL of queries with their ids; see `read_queries`.
        qrels: judgements: TREC's four columns, or a table of query, item and grade.

    Raises:
        QueryError: as `of_texts`.
        SourceNotFoundError, SourceError: a file is missing or can't be read as such.
        MissingExtraError: ir-measures is not installed.
    """
    measures = ir_measures()
    ndcg, mrr, reached = measures.nDCG @ 10, measures.RR, measures.R @ DEEP
    judgements = [measures.Qrel(*each) for each in read_qrels(qrels)]
    known = {each.query_id for each in judgements}
    found = {identity: text for identity, text in read_queries(queries) if identity in known}
    if not found:
        raise SourceError(f"No query of {queries} is judged in {qrels}: their ids differ.")
    asked = dict(of_texts(searcher, list(found.items()), queries).kept)
    run, options = [], SearchOptions(DEEP, fold=False)
    for start in range(0, len(asked), QUERIES):
        part = list(asked.items())[start : start + QUERIES]
        answers = searcher.search_all([Text(text) for _, text in part], options)
        run += run_of([identity for identity, _ in part], answers)
    judgements = [each for each in judgements if each.query_id in asked]
    measured = measures.calc_aggregate([ndcg, mrr, reached], judgements, run)
    return {
        "queries": len(asked),
        "nDCG@10": round(measured[ndcg], 4),
        "MRR": round(measured[mrr], 4),
        f"recall@{DEEP}": round(measured[reached], 4),
    }


def spearman(searcher: Searcher, pairs: Path) -> dict[str, float]:
    """Return Spearman's rank correlation of relatedness and human scores over pairs of texts.

    Args:
        searcher: the open index, whose encoder and metric are used.
        pairs: see `read_pairs`.

    Raises:
        SourceNotFoundError, SourceError: as `read_pairs`.
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.stats import spearmanr
    except ImportError:
        raise MissingExtraError("Pairs need SciPy: pip install 'embedsearch[eval]'") from None
    rows = list(read_pairs(pairs))
    if len(rows) < 3 or len({row[2] for row in rows}) < 2:
        raise SourceError(
            f"{pairs}: three pairs or more, of different scores, are needed; it has {len(rows)}."
        )
    if UNITS[searcher.manifest.unit].form is not QueryForm.TEXT:
        raise QueryError(
            f"Judged pairs are texts, and the index {searcher.manifest.name!r} holds "
            f"{searcher.manifest.unit}s."
        )
    encoder = searcher.encoder
    left, right = (
        searcher.build.placed(encoder.encode([row[side] for row in rows], "passage")) for side in (0, 1)
    )
    metric = searcher.manifest.metric
    far = [float(distances(a[None], b[None], metric)[0, 0]) for a, b in zip(left, right, strict=True)]
    result = spearmanr(-np.array(far), [row[2] for row in rows])
    return {"pairs": len(rows), "spearman": round(float(result.statistic), 4)}


def bytes_of(searcher: Searcher) -> dict[str, int]:
    """Return the size of the build's files, by name."""
    return {name: facts.size for name, facts in searcher.manifest.files.items()}


def evaluate(
    searcher: Searcher,
    *,
    k: int = 10,
    sample: int = DEFAULT_SAMPLE,
    queries: Path | None = None,
    filters: bool = False,
    labels: str = "",
    test: Path | None = None,
    layers: Sequence[int] = (),
    qrels: Path | None = None,
    pairs: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure an index.

    Args:
        searcher: the open index.
        k: how many neighbours.
        sample: the number of items that are queries where `queries` is not given.
        queries: a file of queries, for recall and latency, and judged by `qrels`.
        filters: measure also under filters.
        labels: a field; measures P@k.
        test: texts with labels of words or spans; measures F1 of the neighbours' vote by `labels`, see
            `embedsearch.analysis.vote`.
        layers: hidden layers that are compared by `test`; empty for those of the index.
        qrels: judgements of `queries`.
        pairs: pairs of texts with human scores.
        progress: gets the progress reports of `test`.

    Returns:
        `recall`, `latency` in milliseconds, `bytes`, and the results of the other arguments; with `queries`
        also `rejected`, the id of each query that the model can't read, and the reason.

    Raises:
        QueryError, SourceNotFoundError, SourceError, MissingExtraError: as the parts.
    """
    if qrels is not None and queries is None:
        raise QueryError("Judgements need the queries they judge: --queries FILE.")
    if test is not None and not labels:
        raise QueryError("A test file needs the field that votes: --labels label.")
    if layers and test is None:
        raise QueryError("Layers are compared by a test file with labels: --test FILE.")
    quality: dict[str, Any] = {}  # first, as it finds errors in the arguments
    if labels:
        quality["labels"] = {"field": labels, **precision(searcher, labels, k)}
    if test is not None:
        quality["vote"] = vote(searcher, labels, test, k, layers, progress)
    if qrels is not None and queries is not None:
        quality["judged"] = judged(searcher, queries, qrels)
    if pairs is not None:
        quality["pairs"] = spearman(searcher, pairs)
    if queries is not None:
        texts = of_texts(searcher, list(read_queries(queries)), queries)
        asked, quality["rejected"] = texts.asked, texts.rejected
    else:
        asked = of_items(searcher, sample)
    manifest, count = searcher.manifest, len(asked.queries)
    result: dict[str, Any] = {
        "index": manifest.name,
        "build": manifest.build,
        "backend": manifest.backend,
        "count": manifest.count,
        "dimension": manifest.dimension,
        "asked": f"{count} {'query' if count == 1 else 'queries'} of {queries}"
        if queries
        else f"{count} item{'s' * (count != 1)}, each without itself",
        "recall": round(recall(asked, k), 4),
        "recall_when_built": manifest.index.recall,
        "latency": latency(partial(_found, searcher, asked.backend, k), asked.queries[:200]),
        "bytes": sum(bytes_of(searcher).values()),
        "bytes_of_files": bytes_of(searcher),
    }
    if filters:
        result["filters"] = under_filters(asked, k)
    return result | quality


def _found(searcher: Searcher, backend: Backend, k: int, query: Vectors) -> list[Hit]:
    """Search with a ready vector, (1, d), and read the items of the hits."""
    far, rows = backend.search(query, k)
    return searcher.items(rows[0].tolist(), far[0].tolist())

"""How good an index is: recall against exact search, latency, and quality where there are judgements."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Mask, Rows
from embedsearch.encoders import Encoder
from embedsearch.errors import ItemError, MissingExtraError, QueryError, SourceError
from embedsearch.items import FIELD
from embedsearch.metrics import Vectors, distances
from embedsearch.query import Vector
from embedsearch.records import Unit
from embedsearch.search import Searcher
from embedsearch.sources.judgements import read_pairs, read_qrels, read_queries

SAMPLE = 500
BLOCK = 65_536  # rows compared with at a time
SHARES = (0.5, 0.1, 0.01, 0.001)
DEEP = 100  # hits a query, judged by qrels


def sample_queries(searcher: Searcher, sample: int = SAMPLE) -> tuple[Vectors, Rows]:
    """Return vectors of items spread over the index (q, d) float32, and their rows (q,)."""
    count = len(searcher)
    rows = np.unique(np.linspace(0, count - 1, min(sample, count)).astype(np.int64))
    return np.asarray(searcher.build.vectors[rows], np.float32), rows


def recall(
    searcher: Searcher, queries: Vectors, own: Rows | None = None, k: int = 10, allow: Mask | None = None
) -> float:
    """Return recall@k of the index against comparing with every vector.

    A hit counts when it is no farther than the exact k-th neighbour, so that ties count alike.

    Args:
        searcher: the open index.
        queries: (q, d) float32, raw.
        own: (q,) the row that each query was taken from, which is not among its hits; None for other queries.
        k: how many neighbours.
        allow: (n,) which rows may be found.
    """
    more = k if own is None else k + 1
    found, rows = searcher.build.backend.search(queries, more, allow)
    exact = _exact(searcher, queries, own, k, allow)
    shares = []
    for at, (far, near) in enumerate(zip(found, exact, strict=True)):
        others = far if own is None else far[rows[at] != own[at]]
        best = near[np.isfinite(near)]
        if len(best):
            limit = best[-1] + 1e-5 + 1e-5 * abs(best[-1])
            shares.append(min(int((others[:k] <= limit).sum()), len(best)) / len(best))
    return float(np.mean(shares)) if shares else 1.0


def _exact(searcher: Searcher, queries: Vectors, own: Rows | None, k: int, allow: Mask | None) -> Vectors:
    """Return the exact distances of the k nearest, (q, k) float32 ascending; infinite beyond what exists."""
    vectors, metric = searcher.build.vectors, searcher.manifest.metric
    best = np.full((len(queries), k), np.inf, np.float32)
    for start in range(0, len(vectors), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(vectors)))
        if allow is not None:
            rows = rows[allow[rows]]
        if not len(rows):
            continue
        far = distances(queries, np.asarray(vectors[rows], np.float32), metric)  # (q, d) (b, d) -> (q, b)
        if own is not None:
            far[own[:, None] == rows] = np.inf
        near = np.partition(far, min(k, len(rows)) - 1, axis=1)[:, :k]
        best = np.sort(np.concatenate([best, near], 1), axis=1)[:, :k]
    return best


def latency(search: Callable[[Vectors], Any], queries: Vectors) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile of the milliseconds that one query takes."""
    search(queries[:1])
    spent = []
    for query in queries:
        started = time.perf_counter()
        search(query[None])
        spent.append(1000 * (time.perf_counter() - started))
    return {f"p{part}": round(float(np.percentile(spent, part)), 3) for part in (50, 95, 99)}


def under_filters(
    searcher: Searcher, queries: Vectors, own: Rows | None, k: int = 10
) -> list[dict[str, Any]]:
    """Return recall and latency where random filters keep 50, 10, 1 and 0.1 percent of the items."""
    draw = np.random.default_rng(0).random(len(searcher))
    few = queries[: max(1, len(queries) // 5)]
    told = []
    for share in SHARES:
        allow = draw < share
        told.append(
            {
                "share": share,
                "allowed": int(allow.sum()),
                "recall": round(recall(searcher, queries, own, k, allow), 4),
                **latency(partial(searcher.build.backend.search, k=k, allow=allow), few),
            }
        )
    return told


def precision(searcher: Searcher, field: str, k: int = 10) -> dict[str, float]:
    """Return P@1 and P@k: the share of an item's nearest other items that have its value of `field`.

    Raises:
        QueryError: the index has no such field.
    """
    name = FIELD + field
    if name not in searcher.build.items.column_names:
        has = ", ".join(searcher.build.field_types) or "none"
        raise QueryError(f"The index {searcher.manifest.name!r} has no field {field!r}; it has {has}.")
    labels = np.array(searcher.build.items[name].to_pylist(), dtype=object)
    queries, own = sample_queries(searcher, 10_000)
    first, share = [], []
    for start in range(0, len(own), 1000):
        _, rows = searcher.build.backend.search(queries[start : start + 1000], k + 1)
        for row, found in zip(own[start : start + 1000].tolist(), rows, strict=True):
            others = [each for each in found.tolist() if each != row][:k]
            if others and labels[row] is not None:
                same = labels[others] == labels[row]
                first.append(bool(same[0]))
                share.append(float(np.mean(same)))
    if not share:
        raise QueryError(
            f"No item of the index {searcher.manifest.name!r} has a value of {field!r} and a neighbour."
        )
    return {"P@1": round(float(np.mean(first)), 4), f"P@{k}": round(float(np.mean(share)), 4)}


def judged(searcher: Searcher, queries: Path, qrels: Path) -> dict[str, float]:
    """Return nDCG@10, MRR and recall@100 over judged queries, by ir-measures.

    Args:
        searcher: the open index.
        queries: a table or JSONL of queries with their ids; see `read_queries`.
        qrels: judgements: TREC's four columns, or a table of query, item and grade.

    Raises:
        SourceNotFoundError, SourceError: a file is missing or can't be read as such.
        MissingExtraError: ir-measures is not installed.
    """
    try:
        import ir_measures
        from ir_measures import RR, R, nDCG
    except ImportError:
        raise MissingExtraError("Judged queries need ir-measures: pip install 'embedsearch[eval]'") from None
    judgements = [ir_measures.Qrel(*each) for each in read_qrels(qrels)]
    known = {each.query_id for each in judgements}
    asked = {identity: text for identity, text in read_queries(queries) if identity in known}
    if not asked:
        raise SourceError(f"No query of {queries} is judged in {qrels}: their ids differ.")
    vectors = _encoder(searcher).encode(list(asked.values()), "query")
    run = []
    for start in range(0, len(vectors), 1000):
        far, rows = searcher.build.backend.search(vectors[start : start + 1000], DEEP)
        for identity, each, found in zip(list(asked)[start : start + 1000], far, rows, strict=True):
            names = searcher.build.read(found.tolist(), ["id"])["id"]
            run += [
                ir_measures.ScoredDoc(identity, name, -float(distance))
                for name, distance in zip(names, each, strict=True)
            ]
    judgements = [each for each in judgements if each.query_id in asked]
    measured = ir_measures.calc_aggregate([nDCG @ 10, RR, R @ DEEP], judgements, run)
    return {
        "queries": len(asked),
        "nDCG@10": round(measured[nDCG @ 10], 4),
        "MRR": round(measured[RR], 4),
        f"recall@{DEEP}": round(measured[R @ DEEP], 4),
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
    encoder = _encoder(searcher)
    left, right = (encoder.encode([row[side] for row in rows], "passage") for side in (0, 1))
    metric = searcher.manifest.metric
    far = [float(distances(a[None], b[None], metric)[0, 0]) for a, b in zip(left, right, strict=True)]
    result = spearmanr(-np.array(far), [row[2] for row in rows])
    return {"pairs": len(rows), "spearman": round(float(result.statistic), 4)}


def _encoder(searcher: Searcher) -> Encoder:
    if searcher.manifest.unit is not Unit.TEXT:
        raise QueryError(f"The index {searcher.manifest.name!r} holds {searcher.manifest.unit}s, not texts.")
    return searcher.encoder


def queries_of(searcher: Searcher, path: Path) -> Vectors:
    """Return the vectors of the queries in a file, (q, d) float32.

    Raises:
        QueryError: the index does not hold texts.
        SourceNotFoundError, SourceError: as `read_queries`.
    """
    return _encoder(searcher).encode([text for _, text in read_queries(path)], "query")


def bytes_of(searcher: Searcher) -> dict[str, int]:
    """Return the size of the build's files, by name."""
    return {name: int(facts["size"]) for name, facts in searcher.manifest.files.items()}


def evaluate(
    searcher: Searcher,
    *,
    k: int = 10,
    sample: int = SAMPLE,
    queries: Path | None = None,
    filters: bool = False,
    labels: str = "",
    qrels: Path | None = None,
    pairs: Path | None = None,
) -> dict[str, Any]:
    """Measure an index.

    Args:
        searcher: the open index.
        k: how many neighbours.
        sample: how many items of the index serve as queries where `queries` are not given.
        queries: a file of queries, for recall and latency, and judged by `qrels`.
        filters: measure under filters too.
        labels: a field; measures P@k.
        qrels: judgements of `queries`.
        pairs: pairs of texts with human scores.

    Returns:
        `recall`, `latency` in milliseconds, `bytes`, and what was asked for beside.

    Raises:
        QueryError, SourceNotFoundError, SourceError, MissingExtraError: as the parts.
        ItemError: a query can't be embedded.
    """
    own: npt.NDArray[np.int64] | None = None
    if qrels is not None and queries is None:
        raise QueryError("Judgements need the queries they judge: --queries FILE.")
    quality: dict[str, Any] = {}  # first, for what may be wrong with what was asked is found by it
    if labels:
        quality["labels"] = {"field": labels, **precision(searcher, labels, k)}
    if qrels is not None and queries is not None:
        quality["judged"] = judged(searcher, queries, qrels)
    if pairs is not None:
        quality["pairs"] = spearman(searcher, pairs)
    if queries is not None:
        asked = queries_of(searcher, queries)
    else:
        asked, own = sample_queries(searcher, sample)
    if not len(asked):
        raise ItemError("There is no query to measure with.")
    manifest = searcher.manifest
    result: dict[str, Any] = {
        "index": manifest.name,
        "build": manifest.build,
        "backend": manifest.backend,
        "count": manifest.count,
        "dimension": manifest.dimension,
        "asked": f"{len(asked)} queries of {queries}"
        if queries
        else f"{len(asked)} items, each without itself",
        "recall": round(recall(searcher, asked, own, k), 4),
        "recall_when_built": manifest.index.get("recall"),
        "latency": latency(lambda query: searcher.search(Vector(query[0]), k), asked[:200]),
        "bytes": sum(bytes_of(searcher).values()),
        "bytes_of_files": bytes_of(searcher),
    }
    if filters:
        result["filters"] = under_filters(searcher, asked, own, k)
    return result | quality

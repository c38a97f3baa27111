"""Search in 1,000,000 real vectors of 384 components against hnswlib and usearch at the same recall.

Rows are token rows of definitions, queries those of definitions held out (see `rows`); the index is tuned
with others of them. Beside these, the field's common case: as many vectors of 768 components, 100 neighbours,
the rows of two neighbouring tokens side by side. The peers' graphs are made once and kept beside the rows.
Both sides answer all queries in one call with all cores. `search_1m COUNT` takes fewer rows.
"""

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from embedsearch.backends import Settings, backend_class, choose, taking
from embedsearch.backends.flat import blocks, scan
from embedsearch.distances.metric import Metric, normalized
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.query import Vector
from tests.benchmarks.numbers import RowEncoder, recipe, write_queries
from tests.benchmarks.wordnet import COUNT, cache, pair_rows, token_rows

RECALL, TUNING = 0.95, 1000
K, WIDE_K, REPEATS, TIMED = 10, 100, 5, 500
MEMORY, BLOCK = 2**33, 50_000
LINKS, CONSTRUCTION = 32, 100
EF_SEARCH = (
    *range(10, 32, 2), 32, 36, 40, 44, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768,
)  # fmt: skip


def seconds(work):
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class HnswLib:
    """hnswlib, with a graph as large as FAISS's HNSW32."""

    def __init__(self, rows):
        import hnswlib

        file = kept_as(rows, "hnswlib")
        self._index = hnswlib.Index("cosine", rows.shape[1])
        if file.is_file():
            self._index.load_index(str(file), max_elements=len(rows))
        else:
            self._index.init_index(len(rows), M=LINKS, ef_construction=CONSTRUCTION)
            for at in range(0, len(rows), BLOCK):
                self._index.add_items(rows[at : at + BLOCK].astype(np.float32))
            self._index.save_index(str(file))

    def search(self, queries, ef_search, k=K):
        """Return rows (q, k)."""
        self._index.set_ef(max(ef_search, k))
        return self._index.knn_query(queries, k)[0].astype(np.int64)


class USearch:
    """usearch, with a graph of the same size in float32."""

    def __init__(self, rows):
        from usearch.index import Index

        file = kept_as(rows, "usearch")
        self._index = Index(
            ndim=rows.shape[1], metric="cos", dtype="f32", connectivity=LINKS, expansion_add=CONSTRUCTION
        )
        if file.is_file():
            self._index.load(str(file))
        else:
            for at in range(0, len(rows), BLOCK):
                part = rows[at : at + BLOCK].astype(np.float32)
                self._index.add(np.arange(at, at + len(part)), part, threads=0)
            self._index.save(str(file))

    def search(self, queries, ef_search, k=K):
        """Return rows (q, k)."""
        self._index.expansion_search = max(ef_search, k)
        return self._index.search(queries, k, threads=0).keys.astype(np.int64)


def kept_as(rows, name):
    """Return the file that a peer's graph over some rows is kept in."""
    return cache() / f"{len(rows)}x{rows.shape[1]}.{name}"


def recall_of(found, rows, queries, best):
    """Return the recall of rows (q, k), by distance, against the exact distances `best` (q, k)."""
    reached = []
    for at in range(0, len(queries), 100):  # some queries' hits at a time
        some = found[at : at + 100]
        near = normalized(rows[some.ravel()].astype(np.float32)).reshape(*some.shape, -1)
        far = 1 - np.einsum("qkd,qd->qk", near, normalized(queries[at : at + 100]))
        reached.append((far <= best[at : at + 100, -1:] + 1e-6).mean(1))
    return float(np.concatenate(reached).mean())


def against_peers(name, rows, queries, k, backend, best):
    """Print the rate of a backend against each peer at the same recall."""
    ours = recall_of(backend.search(queries, k)[1], rows, queries, best)
    if ours < RECALL:
        sys.exit(f"{name}: the recall is {ours:.4f}, under {RECALL}")
    for peer_name, make in {"hnswlib": HnswLib, "usearch": USearch}.items():
        peer = make(rows)
        ef_search, reached = next(
            (each, reached)
            for each in EF_SEARCH
            if (reached := recall_of(peer.search(queries, each, k), rows, queries, best)) >= ours
        )
        mine, others = [], []
        for _ in range(REPEATS):
            mine.append(len(queries) / seconds(lambda: backend.search(queries, k)))
            others.append(len(queries) / seconds(lambda peer=peer, ef=ef_search: peer.search(queries, ef, k)))
        ratio = statistics.median(a / b for a, b in zip(mine, others, strict=True))
        print(
            f"{name}_{peer_name} ratio={ratio:.2f} (ours {statistics.median(mine):,.0f} queries/s at "
            f"recall@{k} {ours:.4f}, peer {statistics.median(others):,.0f} at {reached:.4f})",
            flush=True,
        )


def exact_distances(rows, queries, k):
    """Return the exact distances of the k nearest rows, (q, k)."""
    none = np.empty(0, np.int64)
    asked = normalized(queries)
    return scan(asked, blocks(len(rows), None, none), taking(rows), Metric.COSINE, k)[0]


def main(count):
    """Print the figures."""
    try:
        import hnswlib  # noqa: F401
        import usearch  # noqa: F401
    except ImportError as error:
        sys.exit(f"search_1m skipped: {error.name} is missing: pip install 'embedsearch[bench]'")
    rows, every = token_rows()
    rows = rows[:count]
    queries = every[TUNING:]
    best = exact_distances(rows, queries, K + 1)
    gap = float(np.median(best[:, K] - best[:, K - 1]))
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        encoder = RowEncoder(lambda first, end: np.asarray(rows[first:end]), every)
        tuning = write_queries(Path(folder) / "queries.tsv", range(TUNING))
        started = time.perf_counter()
        built = build_index(recipe(len(rows), queries=tuning), Path(folder), load=lambda _: encoder)
        took = time.perf_counter() - started
        print(
            f"search_1m_built value={took:.0f} (seconds from texts to {built.manifest.backend} over "
            f"{len(rows):,}; recall@10 when built {built.manifest.index.recall:.4f}; median gap of the 10th "
            f"and 11th neighbour {gap:.5f})",
            flush=True,
        )
        against_peers("search_1m", rows, queries, K, built.backend, best[:, :K])
        overhead(built, queries)
    wide(count)


def wide(count):
    """Print the figures of vectors of 768, of which 100 are found."""
    rows, every = pair_rows(count)
    queries = every[TUNING:]
    kind = choose(len(rows), rows.shape[1], MEMORY)
    started = time.perf_counter()
    settings = Settings(MEMORY, queries=every[:TUNING])
    backend = backend_class(kind).build(kind, rows, Metric.COSINE, settings)
    took = time.perf_counter() - started
    print(f"search_1m_768_built value={took:.0f} (seconds to {kind} over {len(rows):,} vectors)", flush=True)
    best = exact_distances(rows, queries, WIDE_K)
    against_peers("search_1m_768", rows, queries, WIDE_K, backend, best)


def overhead(built, queries):
    """Print what a search with a ready vector takes beside FAISS's own call with the same parameters."""
    from embedsearch.backends.faiss_ann import _parameters

    searcher, backend = Index(built), built.backend
    step = backend._step(1.0, K)
    parameters = _parameters(backend._index, step.ef_or_nprobe, step.rerank_k, None)
    unit = normalized(queries)
    bare, whole = [], []
    for query, ready in zip(queries[:TIMED], unit[:TIMED], strict=True):
        bare.append(seconds(partial(backend._index.search, ready[None], step.rerank_k, params=parameters)))
        whole.append(seconds(lambda query=query: searcher.search(Vector(query), K)))
    faiss_ms, ours_ms = 1000 * statistics.median(bare), 1000 * statistics.median(whole)
    p95 = 1000 * float(np.percentile(whole, 95))
    many = 1000 * statistics.median(
        seconds(lambda: searcher.search(Vector(queries[0]), 2000)) for _ in range(9)
    )
    print(
        f"search_1m_overhead ratio={(1.25 * faiss_ms + 0.3) / ours_ms:.2f} (ours {ours_ms:.2f} ms a query "
        f"with the fields of its hits, FAISS alone {faiss_ms:.2f} ms, allowed 1.25 times that and 0.3; "
        f"p95 / p50 {p95 / ours_ms:.2f}; 2,000 hits with their fields {many:.0f} ms)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)

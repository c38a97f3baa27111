"""Recall and queries per second of servers that keep vectors, beside a graph of FAISS in this process.

    python -m tests.benchmarks.servers [COUNT]

Real definition vectors, 4,000 or COUNT; 200 others are the queries, one after another. Every engine is tuned
to a recall@10 of 0.95. The ratio is a server's speed by that of the graph for the same query, the median of
pairs.
"""

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import embedsearch as es
from embedsearch.search.filters import as_filter
from tests.backends import milvus_server, postgres_server
from tests.benchmarks.wordnet import definition_vectors

QUERIES, K = 200, 10
SHARES = (1.0, 0.5, 0.1, 0.08, 0.05, 0.01, 0.001)


def engines(folder, ended):
    """Yield the name and the options of each engine that starts here."""
    yield "hnsw", {"backend": "hnsw"}
    yield "milvus-lite", {"backend": "milvus", "uri": str(folder / "vectors.db")}
    for name, backend, running in (
        ("milvus-server", "milvus", lambda: milvus_server.running(folder)),
        ("pgvector", "pgvector", postgres_server.running),
    ):
        try:
            yield name, {"backend": backend, "uri": ended.enter_context(running()).uri}
        except pytest.skip.Exception as reason:
            print(f"{name} skipped: {reason}")


def timed(search, query):
    """Return the milliseconds of one query."""
    started = time.perf_counter()
    search(query[None])
    return 1000 * (time.perf_counter() - started)


def main(count):
    """Print the figures."""
    vectors = definition_vectors()
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))[: count + QUERIES]]
    queries, vectors = vectors[:QUERIES], np.ascontiguousarray(vectors[QUERIES:])
    draw = pa.table({"draw": np.random.default_rng(3).random(count)})
    held = ([str(at) for at in range(count)], vectors, draw)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ended:
        exact = es.build(held, name="exact", backend="exact", indexes=folder).build
        graph = None
        for name, options in engines(Path(folder), ended):
            started = time.perf_counter()
            build = es.build(held, name=name, indexes=folder, **options).build
            print(f"{name}: built in {time.perf_counter() - started:.1f} s")
            graph = graph or build
            for share in SHARES:
                where = f"draw < {share}"
                chosen = None if share == 1 else as_filter(where, build.items, build.field_types)
                best, _ = exact.backend.search(queries, K, chosen)
                found, _ = build.backend.search(queries, K, chosen)
                recall = float((found <= best[:, -1:] + 2e-6).mean())
                both = [partial(each.backend.search, k=K, filter=chosen) for each in (build, graph)]
                pairs = [[timed(search, query) for search in both] for query in queries]
                ours, peer = (statistics.median(each) for each in zip(*pairs, strict=True))
                ratio = statistics.median(other / own for own, other in pairs)
                print(
                    f"{name}_{share:g} ratio={ratio:.2f} (ours {ours:.2f} ms, recall {recall:.3f}; "
                    f"hnsw {peer:.2f} ms)",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)

"""Recall and latency under filters that keep 50, 10, 1 and 0.1 percent, for exact search, a graph and lists.

116,659 real definition vectors; queries are a thousand others, held out.
"""

import statistics
import time
from functools import partial

import numpy as np

from embedsearch.backends import Filter, Settings, backend_class
from embedsearch.distances.metric import Metric
from tests.benchmarks.wordnet import definition_vectors

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
QUERIES, TIMED, K = 1000, 200, 10
KINDS = ("hnsw-sq8", "ivf-pq", "ivf-rabitq")


def median_ms(backend, queries, chosen):
    """Return the median milliseconds of one query."""
    spent = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        backend.search(query[None], K, chosen)
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def main():
    """Print the figures."""
    vectors = definition_vectors()
    queries, vectors = vectors[:QUERIES], np.ascontiguousarray(vectors[QUERIES:])
    settings = Settings(memory=2**33)
    exact = backend_class("exact").build("exact", vectors, Metric.COSINE, settings)
    draw = np.random.default_rng(3).random(len(vectors))
    for kind in KINDS:
        backend = backend_class(kind).build(kind, vectors, Metric.COSINE, settings)
        for share in SHARES:
            chosen = None if share == 1 else Filter(partial(np.less, draw, share))
            best, _ = exact.search(queries, K, chosen)
            found, _ = backend.search(queries, K, chosen)
            recall = float((found <= best[:, -1:] + 1e-6).mean())
            ours, peer = (median_ms(each, queries, chosen) for each in (backend, exact))
            print(
                f"filters_{kind}_{100 * share:g}pct ratio={peer / ours:.2f} (ours {ours:.2f} ms at recall@10 "
                f"{recall:.4f}, peer {peer:.2f} ms by exact search)",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Recall and latency under filters that keep 50, 10, 1 and 0.1 percent, for exact search, a graph and lists.

The peer is exact search by FAISS alone, with a bitmap of the rows. 116,659 real definition vectors; queries
are a thousand others, held out. Each query is asked of both sides in turn.
"""

import statistics
import time
from functools import partial

import faiss
import numpy as np

from embedsearch.backends import Filter, Settings, backend_class
from embedsearch.distances.metric import Metric, normalized
from tests.benchmarks.wordnet import definition_vectors

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
QUERIES, TIMED, K = 1000, 200, 10
KINDS = ("exact", "hnsw-sq8", "ivf-pq", "ivf-rabitq")


def timed(search, query):
    """Return the milliseconds of one query."""
    started = time.perf_counter()
    search(query[None])
    return 1000 * (time.perf_counter() - started)


def alone(index, chosen, query):
    """Search by FAISS alone; rows are packed into a bitmap at each query, as our backends make theirs."""
    if chosen is None:
        return index.search(normalized(query), K)
    bits = faiss.IDSelectorBitmap(np.packbits(chosen.mask, bitorder="little"))
    return index.search(normalized(query), K, params=faiss.SearchParameters(sel=bits))


def main():
    """Print the figures."""
    vectors = definition_vectors()
    queries, vectors = vectors[:QUERIES], np.ascontiguousarray(vectors[QUERIES:])
    settings = Settings(memory=2**33)
    exact = backend_class("exact").build("exact", vectors, Metric.COSINE, settings)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(normalized(vectors))
    draw = np.random.default_rng(3).random(len(vectors))
    for kind in KINDS:
        backend = (
            exact if kind == "exact" else backend_class(kind).build(kind, vectors, Metric.COSINE, settings)
        )
        for share in SHARES:
            chosen = None if share == 1 else Filter(partial(np.less, draw, share))
            best, _ = exact.search(queries, K, chosen)
            found, _ = backend.search(queries, K, chosen)
            recall = float((found <= best[:, -1:] + 1e-6).mean())
            ours, peer = [], []
            for query in queries[:TIMED]:
                ours.append(timed(partial(backend.search, k=K, filter=chosen), query))
                peer.append(timed(partial(alone, flat, chosen), query))
            ratio = statistics.median(b / a for a, b in zip(ours, peer, strict=True))
            print(
                f"filters_{kind}_{100 * share:g}pct ratio={ratio:.2f} (ours {statistics.median(ours):.2f} ms "
                f"at recall@10 {recall:.4f}, peer {statistics.median(peer):.2f} ms by FAISS's exact search)",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Build and search of 1,000,000 ready vectors of 384 components, against FAISS alone.

Both sides read the same .npy of token rows (see `rows`), make the same kind of index with the same training,
write it, open it again and answer the same queries one by one. FAISS alone keeps no ids, no items, no state
of the source and no scale, and is given the search parameters that embedsearch finds by measuring.
"""

import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

import embedsearch as es
from embedsearch.backends import free_memory
from embedsearch.backends.faiss_ann import _new, _parameters, _train
from embedsearch.backends.flat import BLOCK, ready
from embedsearch.distances.metric import Metric
from embedsearch.progress import Silent
from tests.benchmarks.rows import cache, token_rows

QUERIES, K = 1000, 10


class Stages(Silent):
    """Says on stderr when each stage of a build begins."""

    def __init__(self):
        self._started = time.perf_counter()

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress.stage`."""
        print(f"{time.perf_counter() - self._started:7.1f} s  {text}", file=sys.stderr, flush=True)


def ours(file, queries, folder):
    """Return the open index, and the seconds that building, opening and searching took."""
    started = time.perf_counter()
    es.build(file, name="own", indexes=folder, progress=Stages())
    built = time.perf_counter()
    index = es.open("own", folder)
    for query in queries:
        index.search(es.Vector(query), K)
    return index, built - started, time.perf_counter() - built


def alone(file, queries, path, kind, step):
    """Return the seconds that FAISS takes to build and write an index, and to open and search it."""
    started = time.perf_counter()
    rows = np.load(file, mmap_mode="r")
    index = _new(kind, *rows.shape, Metric.COSINE)
    _train(index, rows, Metric.COSINE, free_memory() // 2)
    for start in range(0, len(rows), BLOCK):
        index.add(ready(rows[start : start + BLOCK], Metric.COSINE))
    faiss.write_index(index, str(path))
    built = time.perf_counter()
    index = faiss.read_index(str(path))
    parameters = _parameters(index, step.ef_or_nprobe, step.rerank_k, None)
    for query in ready(queries, Metric.COSINE):
        index.search(query[None], step.rerank_k, params=parameters)
    return built - started, time.perf_counter() - built


def main():
    """Print the figures."""
    _, every = token_rows()
    queries, file = every[:QUERIES], cache() / "token-rows.npy"
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        index, build, search = ours(file, queries, Path(folder))
        backend = index.build.backend
        step = backend._step(1.0, K)
        kind, recall = index.manifest.backend, index.manifest.index.recall
        faiss_build, faiss_search = alone(file, queries, Path(folder) / "alone.faiss", kind, step)
    ratio = (faiss_build + faiss_search) / (build + search)
    print(
        f"own_vectors ratio={ratio:.2f} (FAISS alone {faiss_build:.1f} s to build, {faiss_search:.2f} s for "
        f"{QUERIES:,} queries; embedsearch {build:.1f} s and {search:.2f} s; {kind}, recall@10 {recall:.3f})"
    )


if __name__ == "__main__":
    main()

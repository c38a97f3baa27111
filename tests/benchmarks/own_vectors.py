"""Build and search of 1,000,000 ready vectors of 384 components, against FAISS alone.

Both sides read the same .npy of token rows (see `wordnet`), make the same kind of index with the same
vectors to train it, write it, open it again and answer the same queries one by one. FAISS alone keeps no
ids, no items, no state of the source and no scale, and compares each vector with the centre of each list.
`own_vectors` gives it the search parameters that embedsearch finds by measuring. In `own_vectors_tuned` it
has to find its nprobe itself, by a plain loop with queries held out and exact search, and has no parameters
for filters. With a number as argument, of so many vectors.
"""

import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

import embedsearch as es
from embedsearch.backends import choose, free_memory
from embedsearch.backends.faiss_ann import _new, _parameters, _sample
from embedsearch.backends.flat import BLOCK, ready
from embedsearch.backends.tuning import hold_out
from embedsearch.distances.metric import Metric
from embedsearch.progress import Silent
from tests.benchmarks.wordnet import cache, token_rows

COUNT, QUERIES, K, RECALL = 1_000_000, 1000, 10, 0.95
NPROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Stages(Silent):
    """Says on stderr when each stage of a build begins: seconds, and seconds of processor time."""

    def __init__(self):
        self._started, self._spent = time.perf_counter(), time.process_time()

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress.stage`."""
        wall, spent = time.perf_counter() - self._started, time.process_time() - self._spent
        print(f"{wall:7.1f} s {spent:7.1f} s  {text}", file=sys.stderr, flush=True)


class Timed:
    """Seconds of wall time and of processor time that a block takes."""

    def __enter__(self):
        self._started, self._spent = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.spent = time.perf_counter() - self._started, time.process_time() - self._spent

    def __str__(self):
        return f"{self.wall:.1f} s ({self.spent:.1f} s of processor time)"


def ours(file, kind, queries, folder):
    """Return the open index, and what building it and searching it took."""
    with Timed() as build:
        es.build(file, name="own", indexes=folder, backend=kind, progress=Stages())
    with Timed() as search:
        index = es.open("own", folder)
        for query in queries:
            index.search(es.Vector(query), K)
    return index, build, search


def alone(file, kind, queries, path, step):
    """Return what FAISS takes to build and write an index, and to open and search it."""
    with Timed() as build:
        rows = np.load(file, mmap_mode="r")
        index = _new(kind, *rows.shape, Metric.COSINE)
        index.train(_sample(index, rows, Metric.COSINE, free_memory() // 2))
        for start in range(0, len(rows), BLOCK):
            index.add(ready(rows[start : start + BLOCK], Metric.COSINE))
        faiss.write_index(index, str(path))
    with Timed() as search:
        index = faiss.read_index(str(path))
        parameters = _parameters(index, step.ef_or_nprobe, step.rerank_k, None)
        for query in ready(queries, Metric.COSINE):
            index.search(query[None], step.rerank_k, params=parameters)
    return build, search


def tuned_alone(file, path, step):
    """Return what a plain loop takes to find the least nprobe that reaches the recall, and that nprobe."""
    with Timed() as tuning:
        rows = np.load(file, mmap_mode="r")
        index = faiss.read_index(str(path))
        held = hold_out(len(rows))
        queries = ready(rows[held], Metric.COSINE)
        exact = faiss.ResultHeap(len(queries), K + 1, keep_max=True)
        for start in range(0, len(rows), BLOCK):
            part = ready(rows[start : start + BLOCK], Metric.COSINE)
            exact.add_result(*_shifted(faiss.knn(queries, part, K + 1, faiss.METRIC_INNER_PRODUCT), start))
        exact.finalize()
        for nprobe in NPROBES:
            parameters = _parameters(index, nprobe, step.rerank_k, None)
            _, found = index.search(queries, step.rerank_k, params=parameters)
            shares = [
                len(set(f) & set(e[1:])) / K for f, e in zip(found.tolist(), exact.I.tolist(), strict=True)
            ]
            if np.mean(shares) >= RECALL:
                break
    return tuning, nprobe


def _shifted(found, start):
    return found[0], found[1] + start


def main(count):
    """Print the figures."""
    rows, every = token_rows()
    queries, file = every[:QUERIES], cache() / "token-rows.npy"
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        if count < len(rows):
            file = Path(folder) / "some.npy"
            np.save(file, rows[:count])
        kind = choose(COUNT, rows.shape[1], free_memory() // 2)
        index, build, search = ours(file, kind, queries, Path(folder))
        step = index.build.backend._step(1.0, K)
        recall, path = index.manifest.index.recall, Path(folder) / "alone.faiss"
        faiss_build, faiss_search = alone(file, kind, queries, path, step)
        tuning, nprobe = tuned_alone(file, path, step)
    own, given = build.wall + search.wall, faiss_build.wall + faiss_search.wall
    print(
        f"own_vectors ratio={given / own:.2f} ({count:,} vectors; FAISS alone {faiss_build} to build, "
        f"{faiss_search} for {QUERIES:,} queries; embedsearch {build} and {search}; {kind}, recall@10 "
        f"{recall:.3f})"
    )
    own_spent, given_spent = build.spent + search.spent, faiss_build.spent + faiss_search.spent
    print(f"own_vectors_processor ratio={given_spent / own_spent:.2f} (the same in processor time)")
    print(
        f"own_vectors_tuned ratio={(given + tuning.wall) / own:.2f} (FAISS alone also finds its nprobe, "
        f"{nprobe}, in {tuning}; in processor time {(given_spent + tuning.spent) / own_spent:.2f})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)

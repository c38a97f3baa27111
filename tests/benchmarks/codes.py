"""Codes of 4 bits against those of `ivf-pq` at equal recall, in lists and ranked again by stored vectors.

Rows are token rows (see `rows`) of 384 components, k = 10, and pairs of neighbouring tokens of 768, k = 100;
queries those of definitions held out. Each kind searches with the nprobe and rerank_k that take the least
processor time at that recall@k. turbovec, which has no lists, compares every code; it is left out where it is
not installed. `python -m tests.benchmarks.codes COUNT` takes so many rows.
"""

import sys
import time

import faiss
import numpy as np

from embedsearch.backends import Settings, backend_class, taking
from embedsearch.backends.faiss_ann import _parameters, _train
from embedsearch.backends.flat import rank
from embedsearch.distances.metric import Metric, normalized
from tests.benchmarks.wordnet import pair_rows, token_rows

COUNT, QUERIES, RECALL, MEMORY = 200_000, 500, 0.95, 2**31
NPROBE, RERANK = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256), (1.5, 2, 3, 5, 10)  # times k
CODES = {"ivf-pq": "PQ{half}x4fsr", "sq4": "SQ4", "rabitq4": "RaBitQ4", "rabitqfs4": "RaBitQfs4"}
BLOCK, REPEATS = 50_000, 3


def in_lists(code, rows):
    """Return a function of queries, nprobe and a number of candidates that finds these, and nprobes."""
    count, dimension = rows.shape
    lists = 2 ** round(np.log2(2 * count**0.5))
    index = faiss.index_factory(
        dimension, f"IVF{lists},{code.format(half=dimension // 2)}", faiss.METRIC_INNER_PRODUCT
    )
    _train(index, rows, Metric.COSINE, MEMORY)
    for at in range(0, count, BLOCK):
        index.add(normalized(rows[at : at + BLOCK].astype(np.float32)))

    def search(queries, nprobe, candidates):
        return index.search(queries, candidates, params=_parameters(index, nprobe, candidates, None))[1]

    return search, [each for each in NPROBE if each <= lists]


def flat(rows):
    """Return the same of turbovec, with one nprobe that means nothing."""
    from turbovec import TurboQuantIndex

    index = TurboQuantIndex(dim=rows.shape[1], bit_width=4)
    for at in range(0, len(rows), BLOCK):
        index.add(normalized(rows[at : at + BLOCK].astype(np.float32)))
    return lambda queries, _, candidates: index.search(queries, candidates)[1].astype(np.int64), [0]


def least(search, nprobes, rows, queries, best, k):
    """Return processor seconds, recall, nprobe and rerank_k of the cheapest search of that recall."""
    take, found = taking(rows), []
    for times in RERANK:
        candidates = int(times * k)

        def whole(nprobe, candidates=candidates):
            return rank(queries, search(queries, nprobe, candidates), take, Metric.COSINE)[0][:, :k]

        for nprobe in nprobes:
            recall = float((whole(nprobe) <= best[:, -1:] + 1e-6).mean())
            if recall >= RECALL:
                spent = []
                for _ in range(REPEATS):
                    started = time.process_time()
                    whole(nprobe)
                    spent.append(time.process_time() - started)
                found.append((min(spent), recall, nprobe, candidates))
                break
    return min(found, default=None)


def main(count):
    """Print the figures."""
    for k, (rows, queries) in ((10, token_rows()), (100, pair_rows(count))):
        some = rows[:: len(rows) // count][:count]
        asked = normalized(queries[:QUERIES].astype(np.float32))
        exact = backend_class("exact").build("exact", some, Metric.COSINE, Settings(2**33))
        best, _ = exact.search(asked, k)
        del exact
        rates = {}
        for name in (*CODES, "turbovec"):
            try:
                search, nprobes = flat(some) if name == "turbovec" else in_lists(CODES[name], some)
            except ImportError:
                print(f"codes_{some.shape[1]}_{name} skipped: turbovec is missing")
                continue
            found = least(search, nprobes, some, asked, best, k)
            if found is None:
                print(f"codes_{some.shape[1]}_{name} value=0 (recall@{k} {RECALL} is not reached)")
                continue
            spent, recall, nprobe, candidates = found
            rates[name] = len(asked) / spent
            print(
                f"codes_{some.shape[1]}_{name} ratio={rates[name] / rates['ivf-pq']:.2f} (ours "
                f"{rates[name]:,.0f} queries a second of processor time at recall@{k} {recall:.4f}, peer "
                f"{rates['ivf-pq']:,.0f} by ivf-pq; nprobe {nprobe}, rerank_k {candidates}, {count:,} rows)",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)

"""One text query after another in an open process: `Index.search(text, 10)` with fields and verdict.

`warm_query` compares with txtai on the same texts, model and queries; it runs in an environment of its own,
whose Python EMBEDSEARCH_TXTAI names, and is skipped without. `warm_query_bare` compares with the bare call of
our query model and a FAISS search of the same vectors. Sides take turns of some queries, as a program that
answers queries uses one of them: the first of a turn finds the caches filled by another side. Each query
comes after a pause, as the threads of a side wait actively for a while. Keys with `_cpu` are of processor
time, which other programs change less. Arguments are the number of texts and the queries of a turn.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import faiss
import numpy as np

import embedsearch as es
from tests.benchmarks.cold_query import definitions
from tests.benchmarks.common import text_model_folder

COUNT, QUERIES, K, TURN = 20_000, 200, 10, 10
PAUSE = 0.003  # seconds
PEER = """
import json, sys, time
from txtai import Embeddings
rows = json.load(open(sys.argv[1]))
embeddings = Embeddings(path=sys.argv[2], content=True)
embeddings.index((row["id"], row, None) for row in rows)
sql = "select id, text, kind, length, score from txtai where similar(:query, 10)"
print("ready", flush=True)
for line in sys.stdin:
    time.sleep(float(sys.argv[3]))
    started, used = time.perf_counter(), time.process_time()
    found = embeddings.search(sql, 10, parameters={"query": json.loads(line)})
    took = [time.perf_counter() - started, time.process_time() - used]
    print(json.dumps([took, [each["id"] for each in found]]), flush=True)
"""


def now():
    """Return the time and the processor time, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(answer):
    """Return a function of a query that returns what it took, (2,), and the answer; see `now`."""

    def asked(query):
        time.sleep(PAUSE)
        began = now()
        found = answer(query)
        return now() - began, found

    return asked


def bare(index):
    """Return a function of a query: the bare call of the index's query model, and FAISS."""
    vectors = np.array(index.build.vectors, np.float32)
    faiss.normalize_L2(vectors)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    encoder = index.encoder

    def answer(query):
        _, vector = next(iter(encoder.run(encoder.prepare([query], "query"))))
        return flat.search(vector / np.linalg.norm(vector), K)

    return answer


@contextmanager
def txtai(python, folder, rows):
    """Yield a function of a query, answered by txtai over the rows in a process of its own."""
    table = folder / "rows.json"
    table.write_text(json.dumps(rows), encoding="utf-8")
    files = [str(table), str(text_model_folder()), str(PAUSE)]
    with subprocess.Popen(
        [python, "-c", PEER, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:

        def line():
            said = peer.stdout.readline()
            if not said:
                sys.exit("txtai ended early")
            return said

        while line().strip() != "ready":
            pass

        def answer(query):
            peer.stdin.write(json.dumps(query) + "\n")
            peer.stdin.flush()
            took, ids = json.loads(line())
            return np.array(took), ids

        yield answer
        peer.stdin.close()


def main(count=COUNT, turn=TURN):
    """Print the medians of paired queries."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    python = os.environ.get("EMBEDSEARCH_TXTAI", "")
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder, rows = Path(made), definitions(count)
        index = es.build(rows, name="nouns", text="text", id="id", indexes=folder / "indexes", device="cpu")
        queries = [each["text"] for each in definitions(QUERIES + 1)]
        sides = {"ours": timed(lambda query: index.search(query, K)), "warm_query_bare": timed(bare(index))}
        if python:
            sides["warm_query"] = stack.enter_context(txtai(python, folder, rows))
        else:
            print("warm_query skipped: name a Python that has txtai with EMBEDSEARCH_TXTAI")
        answers = {side: [] for side in sides}
        for first in range(0, len(queries), turn):
            for side, ask in sides.items():
                answers[side] += [ask(query) for query in queries[first : first + turn]]
        spent = {side: np.array([took for took, _ in each[1:]]) for side, each in answers.items()}  # (q, 2)
        mine = spent.pop("ours")
        for key, other in spent.items():
            ratios = np.median(other / mine if key == "warm_query" else mine / other, axis=0)
            halves = zip(("", "_cpu"), ratios, np.median(mine, axis=0), np.median(other, axis=0), strict=True)
            for unit, ratio, a, b in halves:
                print(f"{key}{unit} ratio={ratio:.2f} (ours {1e3 * a:.2f} ms, other {1e3 * b:.2f} ms)")
        if python:
            same = [
                len({hit.id for hit in found} & set(ids)) / K
                for (_, found), (_, ids) in zip(answers["ours"], answers["warm_query"], strict=True)
            ]
            print(f"the same hits as txtai: {np.mean(same):.1%} of the first {K}")
        print(f"our queries: {index.encoder.engine} in {index.encoder.precision}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

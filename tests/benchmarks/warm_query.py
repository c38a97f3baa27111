"""One text query after another in an open process: `Index.search(text, 10)` with fields and verdict.

`warm_query` compares with txtai on the same texts, model and queries; it runs in an environment of its own,
whose Python EMBEDSEARCH_TXTAI names, and is skipped without. `warm_query_bare` compares with the bare call of
our query model and a FAISS search of the same vectors. Sides take turns, query by query, each after a pause,
as the threads of a side wait actively for a while. Keys with `_cpu` are of processor time, which other
programs change less. An argument is the number of texts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

import embedsearch as es
from tests.benchmarks.cold_query import definitions
from tests.benchmarks.common import text_model_folder

COUNT, QUERIES, K = 20_000, 200, 10
PAUSE = 0.003  # seconds
PEER = """
import json, sys, time
from txtai import Embeddings
rows, queries = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
embeddings = Embeddings(path=sys.argv[3], content=True)
embeddings.index((row["id"], row, None) for row in rows)
sql = "select id, text, kind, length, score from txtai where similar(:query, 10)"
print("ready", flush=True)
for line in sys.stdin:
    time.sleep(float(sys.argv[4]))
    started, used = time.perf_counter(), time.process_time()
    found = embeddings.search(sql, 10, parameters={"query": json.loads(line)})
    took = [time.perf_counter() - started, time.process_time() - used]
    print(json.dumps([took, [each["id"] for each in found]]), flush=True)
"""


def now():
    """Return the time and the processor time, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def rested():
    """Wait until threads of the side before sleep; return `now`."""
    time.sleep(PAUSE)
    return now()


def main(count=COUNT):
    """Print the medians of paired queries."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    peer_python = os.environ.get("EMBEDSEARCH_TXTAI", "")
    with tempfile.TemporaryDirectory() as made:
        folder, rows = Path(made), definitions(count)
        index = es.build(rows, name="nouns", text="text", id="id", indexes=folder / "indexes", device="cpu")
        queries = [each["text"] for each in definitions(QUERIES + 1)]
        peer = None
        if peer_python:
            for name, values in (("rows", rows), ("queries", queries)):
                (folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
            files = [
                str(folder / "rows.json"),
                str(folder / "queries.json"),
                str(text_model_folder()),
                str(PAUSE),
            ]
            peer = subprocess.Popen(
                [peer_python, "-c", PEER, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            while peer.stdout.readline().strip() != "ready":
                if peer.poll() is not None:
                    sys.exit("txtai ended early")
        else:
            print("warm_query skipped: name a Python that has txtai with EMBEDSEARCH_TXTAI")
        vectors = np.array(index.build.vectors, np.float32)
        faiss.normalize_L2(vectors)
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        encoder, ours, bare, theirs, same = index.encoder, [], [], [], []
        for query in queries:
            began = rested()
            found = index.search(query, K)
            ours.append(now() - began)
            began = rested()
            ready = encoder.prepare([query], "query")
            _, vector = next(iter(encoder.run(ready)))
            flat.search(vector / np.linalg.norm(vector), K)
            bare.append(now() - began)
            if peer is not None:
                peer.stdin.write(json.dumps(query) + "\n")
                peer.stdin.flush()
                took, ids = json.loads(peer.stdout.readline())
                theirs.append(np.array(took))
                same.append(len({hit.id for hit in found} & set(ids)) / K)
        if peer is not None:
            peer.stdin.close()
            peer.wait()
        for key, other in (("warm_query", theirs), ("warm_query_bare", bare)):
            if not other:
                continue
            mine, side = np.array(ours[1:]), np.array(other[1:])  # (q, 2) each
            ratios = np.median(side / mine if key == "warm_query" else mine / side, axis=0)
            halves = zip(("", "_cpu"), ratios, np.median(mine, axis=0), np.median(side, axis=0), strict=True)
            for unit, ratio, a, b in halves:
                print(f"{key}{unit} ratio={ratio:.2f} (ours {1e3 * a:.2f} ms, other {1e3 * b:.2f} ms)")
        if same:
            print(f"the same hits as txtai: {np.mean(same):.1%} of the first {K}")
        print(f"our queries: {index.encoder.engine} in {index.encoder.precision}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""An index in shards over 10,000,000 vectors of 96 components: build, memory, recall, latency, a rebuild.

The rows are a million token rows (see `rows`) in 96 random directions, ten times over, each with Gaussian
noise of its own, at a cosine of about 0.85 to the original, kept in fp16. Queries are token rows of
definitions held out, in the same directions. `python -m tests.benchmarks.shards COUNT SHARD_SIZE` measures
another size.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from embedsearch.backends import Settings, taking
from embedsearch.backends.facts import IndexFacts
from embedsearch.backends.sharded import Sharded
from embedsearch.disk.facts import from_json, to_json
from embedsearch.distances.metric import Metric
from tests.benchmarks.common import measured, recall_of
from tests.benchmarks.memory_10m import noisy
from tests.benchmarks.wordnet import token_rows

MODULE = "tests.benchmarks.shards"
COUNT, SIZE, DIMENSION, MEMORY, GB = 10_000_000, 2_500_000, 96, 2 * 10**9, 1e9
BLOCK, QUERIES, TIMED, CHANGED = 100_000, 500, 300, 10_000


def directed(rows):
    """Return rows (n, 384) in 96 random directions, (n, 96)."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((rows.shape[1], DIMENSION)))
    return np.concatenate(
        [rows[at : at + BLOCK] @ axes.astype(np.float32) for at in range(0, len(rows), BLOCK)]
    )


def write(folder, count):
    """Write the vectors and the queries."""
    rows, queries = token_rows()
    between = noisy(directed(rows))
    file = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (count, DIMENSION))
    for at in range(0, count, BLOCK):
        file[at : at + BLOCK] = between(at, min(at + BLOCK, count))
    np.save(folder / "queries.npy", directed(queries))


def settings(path, size):
    """Return the settings of a build at `path`."""
    path.parent.mkdir()
    return Settings(MEMORY, shard_size=size, path=path)


def opened(folder):
    """Return the vectors, mapped, the queries, and the index over them."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    facts = from_json(IndexFacts, json.loads((folder / "facts.json").read_text()))
    index = Sharded.locate(folder / "index" / "index.faiss", taking(vectors), Metric.COSINE, facts)
    return vectors, np.load(folder / "queries.npy"), index


def build(folder, size):
    """Build the index; in a process of its own."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    wanted = settings(folder / "index" / "index.faiss", size)
    started = time.perf_counter()
    index = Sharded.build("sharded", vectors, Metric.COSINE, wanted)
    index.save(wanted.path)
    (folder / "facts.json").write_text(json.dumps(to_json(index.facts)))
    spent = {"seconds": time.perf_counter() - started, "processor": time.process_time()}
    on_disk = sum(each.stat().st_size for each in (folder / "index").iterdir())
    shards = json.loads(wanted.path.read_text())["shards"]
    kinds = sorted({each["kind"] for each in shards})
    print(
        json.dumps(
            {**spent, "recall": index.facts.recall, "bytes": on_disk, "shards": len(shards), "kinds": kinds}
        )
    )


def serve(folder, size):  # noqa: ARG001
    """Open the index and ask it; in a process of its own."""
    _, queries, index = opened(folder)
    found, _ = index.search(queries[:QUERIES], 10)
    np.save(folder / "found.npy", found)
    spent, processor = [], time.process_time()
    for query in queries[QUERIES : QUERIES + TIMED]:
        started = time.perf_counter()
        index.search(query[None], 10)
        spent.append(1000 * (time.perf_counter() - started))
    processor = 1000 * (time.process_time() - processor) / TIMED
    print(
        json.dumps({"p50": statistics.median(spent), "p95": np.percentile(spent, 95), "processor": processor})
    )


def rebuild(folder, size):
    """Change some rows of the last shard, and make the index again; in a process of its own."""
    vectors, queries, index = opened(folder)
    kept = np.arange(len(vectors))
    kept[-CHANGED:] = -1
    wanted = settings(folder / "again" / "index.faiss", size)
    started = time.perf_counter()
    made = index.extend(folder / "index" / "index.faiss", vectors, kept, wanted)
    made.save(wanted.path)
    spent = {"seconds": time.perf_counter() - started, "processor": time.process_time()}
    files = [each.stat().st_nlink > 1 for each in (folder / "again").glob("index.*.faiss")]
    made.search(queries[:1], 10)
    print(json.dumps({**spent, "kept": sum(files), "shards": len(files)}))


def main(count, size):
    """Print the figures."""
    needed = count * DIMENSION * 2.8
    if shutil.disk_usage(tempfile.gettempdir()).free < 2 * needed:
        sys.exit(f"shards skipped: {2 * needed / GB:.0f} GB of disk are needed")
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        folder = Path(name)
        write(folder, count)
        made, building = measured(MODULE, "build", folder, size)
        served, serving = measured(MODULE, "serve", folder, size)
        vectors, queries, _ = opened(folder)
        found = recall_of(np.load(folder / "found.npy"), queries[:QUERIES], vectors)
        again, rebuilding = measured(MODULE, "rebuild", folder, size)
    millions = count / 1e6
    print(
        f"shards_build value={made['seconds'] / millions:.0f} (seconds a million; {count:,} vectors of "
        f"{DIMENSION} in {made['shards']} shards of {', '.join(made['kinds'])}, processor time "
        f"{made['processor'] / millions:.0f} s a million, {building / GB:.2f} GB of anonymous memory, "
        f"{made['bytes'] / GB:.2f} GB of index on disk)"
    )
    print(
        f"shards_serve value={served['p50']:.1f} (ms a query, p95 {served['p95']:.1f}, processor time "
        f"{served['processor']:.1f}; {serving / GB:.2f} GB of anonymous memory)"
    )
    print(
        f"shards_recall value={found:.4f} (recall@10 of {QUERIES} queries; least of a shard, when built, "
        f"{made['recall']:.4f})"
    )
    print(
        f"shards_rebuild value={again['seconds']:.0f} (seconds after {CHANGED:,} changes at the end, "
        f"processor time {again['processor']:.0f}; files of {again['kept']} of {again['shards']} shards "
        f"kept, {rebuilding / GB:.2f} GB of anonymous memory)"
    )


if __name__ == "__main__":
    parts = {"build": build, "serve": serve, "rebuild": rebuild}
    if sys.argv[1:2] and sys.argv[1] in parts:
        parts[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        numbers = [int(each) for each in sys.argv[1:]]
        main(*(numbers + [COUNT, SIZE][len(numbers) :]))

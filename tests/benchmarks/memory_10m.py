"""10,000,000 vectors of 384 components, built and served under 4 GB of anonymous memory (RssAnon).

The rows are a million token rows (see `rows`) ten times over, each with Gaussian noise of its own, at a
cosine of about 0.85 to the original, kept in fp16. Queries are token rows of definitions held out; the index
is tuned with others of them. Pages of mapped files, which the system takes back when it needs them, are left
out of the memory.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from embedsearch.disk.facts import to_json
from embedsearch.distances.metric import normalized
from embedsearch.indexing.build import build_index
from embedsearch.store.build import open_build
from tests.benchmarks.common import measured, recall_of
from tests.benchmarks.numbers import RowEncoder, recipe, write_queries
from tests.benchmarks.wordnet import token_rows

MODULE = "tests.benchmarks.memory_10m"
COUNT, MEMORY, GB = 10_000_000, "4GB", 1e9
NOISE = 0.62  # length of the noise; 1 / sqrt(1 + 0.62^2) = 0.85
QUERIES, TIMED = 500, 300
NEEDED = 40e9  # bytes of disk


def noisy(rows):
    """Return a function of two numbers that gives the rows between them."""

    def between(first, end):
        wanted = np.arange(first, end)
        noise = np.random.default_rng(first).standard_normal((len(wanted), rows.shape[1]), np.float32)
        unit = normalized(np.asarray(rows[wanted % len(rows)]))
        return normalized(unit + noise * np.float32(NOISE / rows.shape[1] ** 0.5))

    return between


class Clock:
    """Prints what a build is at, and notes when each million of entries was done."""

    def __init__(self, count):
        self._started, self._done, self._count = time.perf_counter(), 0, count

    def start(self, encoder, total, done):  # noqa: ARG002
        """See `Progress`."""
        self.stage("embedding")

    def spent(self, waiting, computing):
        """See `Progress`."""

    def advance(self, entries):
        """See `Progress`."""
        before, self._done = self._done, self._done + entries
        if before // 1_000_000 != self._done // 1_000_000:
            self._tell(f"{self._done // 1_000_000} million")

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress`."""
        self._done = 0
        self._tell(text)

    def _tell(self, text):
        print(f"{time.perf_counter() - self._started:7.0f} s  {text}", file=sys.stderr, flush=True)


def build(folder, count):
    """Build the index; in a process of its own."""
    rows, queries = token_rows()
    tuning = write_queries(folder / "queries.tsv", range(QUERIES + TIMED, len(queries)))
    asked = recipe(count, storage="fp16", memory=MEMORY, queries=tuning)
    encoder = RowEncoder(noisy(rows), queries)
    started = time.perf_counter()
    built = build_index(asked, folder, progress=Clock(count), load=lambda _: encoder)
    facts = {
        "seconds": time.perf_counter() - started,
        **to_json(built.manifest.index),
        "bytes": built.bytes_on_disk,
    }
    print(json.dumps(facts))


def serve(folder):
    """Open the index and ask it; in a process of its own."""
    _, queries = token_rows()
    started = time.perf_counter()
    built = open_build(folder, "numbers")
    _ = built.backend, built.items
    opened = time.perf_counter() - started
    found, _ = built.backend.search(queries[:QUERIES], 10)
    np.save(folder / "found.npy", found)
    spent = []
    for query in queries[QUERIES : QUERIES + TIMED]:
        started = time.perf_counter()
        _, rows = built.backend.search(query[None], 10)
        built.read(rows[0].tolist(), ["id", "text"])
        spent.append(1000 * (time.perf_counter() - started))
    print(json.dumps({"opened": opened, "p50": statistics.median(spent), "p95": np.percentile(spent, 95)}))


def main(count):
    """Print the figures."""
    if not Path("/proc/self/status").is_file():
        sys.exit("memory_10m skipped: this system tells no process's memory under /proc")
    if shutil.disk_usage(tempfile.gettempdir()).free < NEEDED * count / COUNT:
        sys.exit(f"memory_10m skipped: {NEEDED * count / COUNT / GB:.0f} GB of disk are needed")
    queries = token_rows()[1]
    allowed = 4 * GB
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        facts, building = measured(MODULE, "build", name, count)
        served, serving = measured(MODULE, "serve", name)
        found = recall_of(
            np.load(Path(name) / "found.npy"), queries[:QUERIES], open_build(Path(name), "numbers").vectors
        )
    per_million = facts["seconds"] / (count / 1e6)
    print(
        f"memory_10m_build ratio={allowed / building:.2f} (ours {building / GB:.2f} GB at {count:,} vectors, "
        f"allowed {MEMORY}; {per_million:.0f} s a million, {facts['bytes'] / GB:.1f} GB on disk, "
        f"{facts['kind']})"
    )
    print(
        f"memory_10m_serve ratio={allowed / serving:.2f} (ours {serving / GB:.2f} GB, allowed {MEMORY}; "
        f"opened in {served['opened']:.1f} s, a query {served['p50']:.1f} ms, p95 {served['p95']:.1f} ms)"
    )
    print(
        f"memory_10m_recall value={found:.4f} (recall@10 of {QUERIES} queries of definitions held out; when "
        f"built {facts['recall']:.4f} on {facts['queries']} others)"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        build(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)

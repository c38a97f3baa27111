"""The server under load: 64 clients ask 100,000 texts for 60 s; batches on against off.

Queries are definitions that the index does not hold. Each answer is compared with the library's. The server
is a process of its own, and the clients are another one; they wait for an answer before they ask again. The
memory is the anonymous one (RssAnon): pages of mapped files, which the system takes back, are left out.

    python -m tests.benchmarks.serve [seconds]
"""

import asyncio
import statistics
import sys
import time
from multiprocessing import get_context

import httpx
import numpy as np
import psutil

import embedsearch as es
from tests.benchmarks.common import anonymous
from tests.benchmarks.wordnet import cache, definitions
from tests.serve.conftest import Process

COUNT, QUERIES, CLIENTS, K = 100_000, 2000, 64, 10
SECONDS = 60
CLOSE = 1e-5  # between distances of a query by itself and in a batch, which rounds otherwise
NAME = "definitions"


def index():
    """Return the folder with the index of 100,000 definitions, made once, and other definitions.

    It is in fp32, which every processor computes alike; how queries are embedded depends on the version.
    """
    texts = list(dict.fromkeys(definitions()))
    folder = cache() / f"serve-fp32-{es.__version__}"
    if NAME not in es.list_indexes(folder):
        es.build(texts[:COUNT], name=NAME, precision="fp32", indexes=folder)
    return folder, texts[COUNT : COUNT + QUERIES]


def processor_time(process):
    """Return the seconds that a process has computed."""
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def wrong(hits, wanted):
    """Whether hits are not those of the library: other distances, or other items where no two are as far."""
    far, expected = ([hit[1] for hit in each] for each in (hits, wanted))
    if len(far) != len(expected) or not np.allclose(far, expected, rtol=0, atol=CLOSE):
        return True
    gaps = np.diff(expected, prepend=-1, append=9) > 2 * CLOSE
    sure = gaps[:-1] & gaps[1:]
    return any(is_sure and a[0] != b[0] for is_sure, a, b in zip(sure, hits, wanted, strict=True))


async def _ask(address, queries, seconds):
    """Ask from 64 clients; return the seconds of each answer, errors, and the hits by query."""
    taken, errors, found = [], [], {}
    ends = time.monotonic() + seconds

    async def client(number):
        async with httpx.AsyncClient(base_url=address, timeout=60) as asking:
            at = number
            while time.monotonic() < ends:
                query = queries[at % len(queries)]
                at += CLIENTS
                started = time.perf_counter()
                try:
                    answered = await asking.post(f"/v1/indexes/{NAME}/search", json={"text": query, "k": K})
                except httpx.HTTPError as error:
                    errors.append(repr(error))
                    continue
                taken.append(time.perf_counter() - started)
                if answered.status_code != 200:
                    errors.append(answered.text)
                else:
                    hits = [(hit["id"], hit["distance"]) for hit in answered.json()["hits"]]
                    found.setdefault(query, []).append(hits)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return taken, errors, found


def asked(address, queries, seconds):
    """Run the clients; the target of their process."""
    return asyncio.run(_ask(address, queries, seconds))


def measured(folder, queries, wanted, seconds, *options):
    """Start a server and load it; return the rate, and a sentence with the other figures.

    The memory is that after half the time and that at the end.
    """
    server = Process(folder, *options).wait()
    memory, halves = [], []
    try:
        with get_context("spawn").Pool(1) as clients:
            address = f"http://127.0.0.1:{server.port}"
            clients.apply(asked, (address, queries, min(5, seconds)))
            worked = processor_time(server.process.pid)
            for _ in range(2):
                halves.append(clients.apply(asked, (address, queries, seconds / 2)))
                memory.append(anonymous(server.process.pid) / 1e6)
            worked = processor_time(server.process.pid) - worked
    finally:
        server.end()
    taken, errors = ([each for half in halves for each in half[part]] for part in range(2))
    hits = [(query, each) for half in halves for query, found in half[2].items() for each in found]
    bad = sum(wrong(each, wanted[query]) for query, each in hits)
    cuts = statistics.quantiles(taken, n=100)
    said = (
        f"p50 {1000 * cuts[49]:.0f} ms, p95 {1000 * cuts[94]:.0f} ms, "
        f"processor {1000 * worked / len(taken):.1f} ms a query, {len(hits):,} answers, "
        f"errors {len(errors)}, wrong {bad}, memory {memory[0]:.0f} MB, then {memory[1]:.0f} MB"
    )
    return len(taken) / seconds, said


def main():
    """Print the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    folder, queries = index()
    opened = es.open(NAME, folder)
    results = opened.search(queries, K)
    wanted = {q: [(hit.id, hit.distance) for hit in each] for q, each in zip(queries, results, strict=True)}
    rates = []
    for name, options in (("batches", ()), ("one_by_one", ("--batch", "1"))):
        rate, said = measured(folder, queries, wanted, seconds, *options)
        rates.append(rate)
        print(f"serve_{name} value={rate:.1f} (queries/s; {said})", flush=True)
    print(f"serve_batching ratio={rates[0] / rates[1]:.2f} ({CLIENTS} clients, {COUNT:,} texts, k {K})")


if __name__ == "__main__":
    main()

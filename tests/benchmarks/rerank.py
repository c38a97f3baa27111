"""How long re-ranking takes with kept tokens, and with tokens that are computed when asked.

    python -m tests.benchmarks.rerank [ITEMS]

Texts of about 200 tokens are made of WordNet's definitions, and 50 of them are re-ranked for each query.
`computed_ratio` is how many times as long computing takes. Quality is `tests.benchmarks.better_answers`.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.encoders.token_rows import tokens_of
from embedsearch.search.rerank import max_sim

WORDNET = Path("/usr/share/wordnet/data.noun")
WORDS, CANDIDATES, QUERIES = 150, 50, 20


def texts(count: int) -> list[str]:
    """Return so many texts of definitions, about 200 tokens each."""
    lines = WORDNET.read_text(encoding="utf-8", errors="replace").splitlines()
    said = " ".join(line.split("| ", 1)[1] for line in lines if "| " in line).split()
    return [" ".join(said[at * WORDS : (at + 1) * WORDS]) for at in range(count)]


def spent() -> float:
    """Return the seconds of processor time that this process used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(index: es.Index, queries: list[str], **options: object) -> tuple[float, float]:
    """Return milliseconds of a search, median: of the clock, and of the processors."""
    walls, cpus = [], []
    for query in queries:
        cpu, wall = spent(), time.perf_counter()
        index.search(query, CANDIDATES, fold=False, **options)  # type: ignore[call-overload]
        walls.append(time.perf_counter() - wall)
        cpus.append(spent() - cpu)
    return float(1000 * np.median(walls)), float(1000 * np.median(cpus))


def main(count: int) -> None:
    """Build an index of each kind, and print the figures."""
    held = texts(count)
    queries = [" ".join(text.split()[20:30]) for text in held[:: max(1, count // QUERIES)]][:QUERIES]
    with tempfile.TemporaryDirectory() as root:
        for kind in ("", "int8", "1bit"):
            index = es.build(held, name=f"kept{kind}", keep_tokens=kind, indexes=root)
            facts = index.manifest.artifacts.tokens
            if facts:
                print(f"{kind} size_mb={facts.size / 1e6:.1f} tokens_each={facts.count / count:.0f}")
            index.search(queries[0], rerank=CANDIDATES)  # loads what is needed
            asked = queries if kind else queries[:5]
            plain, again = timed(index, asked), timed(index, asked, rerank=CANDIDATES)
            print(
                f"{kind or 'computed'} search_ms={plain[0]:.1f} with_rerank_ms={again[0]:.1f} "
                f"cpu_ms={plain[1]:.1f} with_rerank_cpu_ms={again[1]:.1f}"
            )
            if index.tokens is not None:
                tokens = tokens_of(index.encoder, [queries[0]], "query")[0].rows
                times = []
                for _ in range(QUERIES):
                    start = time.perf_counter()
                    for row in range(CANDIDATES):
                        max_sim(tokens, index.tokens.of(row))
                    times.append(1000 * (time.perf_counter() - start))
                print(f"{kind} candidates={CANDIDATES} maxsim_ms={np.median(times):.1f} (bar 30)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)

"""How long re-ranking by kept tokens takes: 50 candidates of 200 tokens, which the issue wants in 30 ms.

    python -m tests.benchmarks.rerank

The tokens are random and as long as those of the bundled model: what counts is their number. A query of 12
tokens is compared with them as `search --rerank` does; embedding the query is not counted. Then the same of
texts whose tokens are not kept, by `search` itself: 50 passages of XQuAD cut at 130 words, some 200 tokens.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.artifacts.tokens import FILE, STARTS, opened, packed
from embedsearch.distances.metric import normalized
from embedsearch.recipe import KEPT_TOKENS
from embedsearch.search.rerank import max_sim
from embedsearch.store.facts import TokensFacts
from tests.benchmarks.common import need, read_jsonl

WORDS, AGAIN = 130, 5
CANDIDATES, TOKENS, ASKED, DIMENSION, ROUNDS = 50, 200, 12, 384, 50


def main() -> None:
    """Keep the tokens of each kind in a folder, and print the figures."""
    draw = np.random.default_rng(0)
    rows = normalized(draw.normal(size=(CANDIDATES * TOKENS, DIMENSION)).astype(np.float32))
    asked = normalized(draw.normal(size=(ASKED, DIMENSION)).astype(np.float32))
    weights = np.full(ASKED, 1 / ASKED, np.float32)
    for kind in KEPT_TOKENS:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / FILE).write_bytes(packed(rows, kind).tobytes())
            np.save(Path(folder) / STARTS, np.arange(0, len(rows) + 1, TOKENS))
            size = (Path(folder) / FILE).stat().st_size
            kept = opened(Path(folder), TokensFacts(kind, DIMENSION, len(rows), size, CANDIDATES))
            walls, cpus = [], []
            for _ in range(ROUNDS):
                wall, cpu = time.perf_counter(), time.process_time()
                for row in range(CANDIDATES):
                    max_sim(asked, kept.of(row), weights)
                walls.append(1000 * (time.perf_counter() - wall))
                cpus.append(1000 * (time.process_time() - cpu))
        print(
            f"{kind} ms={np.median(walls):.1f} least_ms={min(walls):.1f} cpu_ms={np.median(cpus):.1f} "
            f"least_cpu_ms={min(cpus):.1f} bar=30 "
            f"bytes_a_token={size / len(rows):.0f}"
        )
    when_asked()


def when_asked() -> None:
    """Print what re-ranking costs where the tokens are computed from the texts."""
    corpus = read_jsonl(need("text", "xquad_en", "corpus.jsonl"))
    texts = [each["text"].split() for each in corpus]
    cut = [" ".join(words[:WORDS]) for words in texts if len(words) >= WORDS][:CANDIDATES]
    with tempfile.TemporaryDirectory() as indexes:
        index = es.build(cut, name="asked", passages="off", indexes=indexes)
        for options in ({}, {"rerank": CANDIDATES}):
            walls, cpus = [], []
            for at in range(AGAIN + 1):
                wall, cpu = time.perf_counter(), time.process_time()
                index.search("When was the team founded?", CANDIDATES, fold=False, **options)
                if at:  # the first loads the model
                    walls.append(time.perf_counter() - wall)
                    cpus.append(time.process_time() - cpu)
            print(
                f"asked texts={len(cut)} rerank={options.get('rerank', 0)} s={np.median(walls):.2f} "
                f"least_s={min(walls):.2f} cpu_s={np.median(cpus):.2f} least_cpu_s={min(cpus):.2f}"
            )


if __name__ == "__main__":
    main()

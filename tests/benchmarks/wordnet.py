"""Real vectors in large numbers: token rows of dictionary definitions, made once and kept.

A row is a token's own row of the bundled model's last hidden state, in its definition. Queries come from
definitions held out: copies of rows with noise would make ties, and recall would measure how they are broken.
"""

import hashlib
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.records import Sentence

COUNT, QUERIES = 1_000_000, 2000
OF_ONE_TOKEN = 1000  # rows; else "the" and "of" would be a third of them
HELD_OUT = 20  # of so many definitions one
BATCH = 2048
WORDNET = Path("/usr/share/wordnet")


def cache():
    """Return the folder for arrays that are made once, outside the project."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedsearch" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def definitions():
    """Return WordNet's definitions, in the order of its files."""
    if not (WORDNET / "data.noun").is_file():
        sys.exit(f"skipped: {WORDNET / 'data.noun'} is missing; it comes with Debian's wordnet-base")
    lines = [
        line
        for part in ("noun", "verb", "adj", "adv")
        for line in (WORDNET / f"data.{part}").read_text(encoding="utf-8").splitlines()
    ]
    return [line.split("|", 1)[1].strip() for line in lines if "|" in line]


def _token_rows(encoder, texts, wanted, of_one):
    """Yield rows (n, d) float32 of the tokens of `texts`, at most `of_one` of one token, `wanted` in all."""
    seen = defaultdict(int)
    left = wanted
    for start in range(0, len(texts), BATCH):
        prepared = encoder.prepare([Sentence(text) for text in texts[start : start + BATCH]])
        for position, rows in encoder.run(prepared):
            inputs = prepared[position].inputs
            kept = []
            for at, token in enumerate(inputs["input_ids"][inputs["tokens"]].tolist()):
                if seen[token] < of_one:
                    seen[token] += 1
                    kept.append(at)
            kept = kept[:left]
            left -= len(kept)
            if kept:
                yield rows[kept]
            if not left:
                return


def token_rows():
    """Return rows (1,000,000, 384) float32, memory-mapped, and queries (2,000, 384) in random order."""
    rows_file, queries_file = cache() / "token-rows.npy", cache() / "token-queries.npy"
    if not queries_file.is_file():
        encoder = es.load_encoder(unit="token", device="cpu")
        texts = definitions()
        order = sorted(range(len(texts)), key=lambda at: hashlib.sha256(str(at).encode()).digest())
        held = [texts[at] for at in order if at % HELD_OUT == 0]
        kept = [texts[at] for at in order if at % HELD_OUT]
        started = time.perf_counter()
        rows = np.concatenate(list(_token_rows(encoder, kept, COUNT, OF_ONE_TOKEN)))
        np.save(rows_file, rows)
        np.save(queries_file, np.concatenate(list(_token_rows(encoder, held, QUERIES, 10))))
        print(f"{len(rows):,} rows in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    queries = np.load(queries_file)  # they come definition by definition
    return np.load(rows_file, mmap_mode="r"), queries[np.random.default_rng(0).permutation(len(queries))]


def pair_rows(count):
    """Return rows of neighbouring tokens side by side, (count, 768) float16, and queries (1,999, 768)."""
    rows, _ = token_rows()
    step = (len(rows) - 1) // count or 1
    pairs = np.empty((min(count, len(rows) - 1), 2 * rows.shape[1]), np.float16)
    for at in range(0, len(pairs), 50_000):
        some = np.arange(at, min(at + 50_000, len(pairs))) * step
        pairs[at : at + 50_000] = np.concatenate([rows[some], rows[some + 1]], 1)
    queries = np.load(cache() / "token-queries.npy")  # in the order of their definitions
    queries = np.concatenate([queries[:-1], queries[1:]], 1)
    return pairs, queries[np.random.default_rng(0).permutation(len(queries))]


def definition_vectors():
    """Return the vectors of all definitions (116,659 or so, 384) float32, in a seeded random order."""
    file = cache() / "definitions.npy"
    if not file.is_file():
        encoder, texts = es.load_encoder(device="cpu"), definitions()
        parts = [encoder.encode(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        np.save(file, np.concatenate(parts))
    vectors = np.load(file)
    return vectors[np.random.default_rng(0).permutation(len(vectors))]


if __name__ == "__main__":
    for array in token_rows():
        print(array.shape)

"""4,000 dictionary definitions on the CPU, against `SentenceTransformer.encode` with the same weights.

`text_cpu` is ours in the precision that `auto` picks over the peer with its defaults;
`text_cpu_same_dtype` gives the peer our precision. Both sides take turns in one process.
"""

import statistics
import sys
import time
from pathlib import Path

import torch

import embedsearch as es
from embedsearch.encoders.runtime import PRECISIONS
from tests.benchmarks.common import text_model_folder

COUNT, REPEATS = 4000, 5
WORDNET = Path("/usr/share/wordnet/data.noun")


def seconds(work):
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main():
    """Print the figures."""
    if not WORDNET.is_file():
        sys.exit(f"skipped: {WORDNET} is missing; it comes with Debian's wordnet-base")
    from sentence_transformers import SentenceTransformer

    lines = WORDNET.read_text(encoding="utf-8").splitlines()
    definitions = [line.split("|", 1)[1].strip() for line in lines if "|" in line]
    texts = definitions[:: len(definitions) // COUNT][:COUNT]
    encoder = es.load_encoder(device="cpu")
    peers = {
        "text_cpu": torch.float32,
        "text_cpu_same_dtype": PRECISIONS[encoder.precision],
    }
    for key, dtype in peers.items():
        peer = SentenceTransformer(str(text_model_folder()), device="cpu", model_kwargs={"dtype": dtype})
        encoder.encode(texts[:64])
        peer.encode(texts[:64])
        pairs = [
            (
                seconds(lambda: encoder.encode(texts)),
                seconds(lambda model=peer: model.encode(texts, show_progress_bar=False)),
            )
            for _ in range(REPEATS)
        ]
        ours, theirs = (COUNT / statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(slow / fast for fast, slow in pairs)
        dtypes = f"{encoder.precision}, peer {theirs:,.0f} in {str(dtype).removeprefix('torch.')}"
        print(f"{key} ratio={ratio:.2f} (ours {ours:,.0f} texts/s in {dtypes})")


if __name__ == "__main__":
    main()

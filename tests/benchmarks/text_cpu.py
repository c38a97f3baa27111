"""4,000 dictionary definitions on the CPU, against `SentenceTransformer.encode` with the same weights.

`text_cpu` is ours in the precision that `auto` picks over the peer with its defaults;
`text_cpu_same_dtype` gives the peer our precision. `text_cpu_ceiling` is the share of the rate of a large
matrix product in torch that ours reaches. Both sides take turns in one process.
"""

import statistics
import sys
import time
from pathlib import Path

import torch

import embedsearch as es
from embedsearch.encoders.engines.devices import PRECISIONS
from tests.benchmarks.common import text_model_folder

COUNT, REPEATS = 4000, 5
# 2 a weight of the 6 layers and token; the attention's products are a hundredth of that at 17 tokens
OPERATIONS = 6 * 2 * 12 * 384 * 384
WORDNET = Path("/usr/share/wordnet/data.noun")


def seconds(work):
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ceiling(dtype, side=4096):
    """Return the rate of a large matrix product, in operations a second."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    a @ b
    return 2 * side**3 / statistics.median(seconds(lambda: a @ b) for _ in range(REPEATS))


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
        print(f"{key} ratio={ratio:.2f} (ours {ours:,.0f} texts/s with {encoder.engine} in {dtypes})")
    tokens = sum(item.cost for item in encoder.prepare(texts)) / COUNT
    reached, top = ours * tokens * OPERATIONS, ceiling(PRECISIONS[encoder.precision])
    print(
        f"text_cpu_ceiling value={reached / top:.2f} (ours {reached / 1e9:.0f} GFLOP/s, a matrix product "
        f"{top / 1e9:.0f} in {encoder.precision})"
    )


if __name__ == "__main__":
    main()

"""`embedsearch search` as a process, against a process that uses SentenceTransformer and FAISS.

Both load the bundled model, embed the query and print the ten nearest of 10,000 definitions of WordNet; the
peer reads a FAISS index and the texts from files. Both sides take turns. `cold_query` compares wall time, and
`cold_query_cpu` the processor time, which other programs change less. The first pair does not count.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

import embedsearch as es
from tests.benchmarks.common import text_model_folder

COUNT, REPEATS, K = 10_000, 7, 10
WORDNET = Path("/usr/share/wordnet/data.noun")
QUERIES = ("a large animal", "money paid back", "to run quickly", "a tool for cutting wood")
PEER = """
import json, sys
from pathlib import Path
import faiss
from sentence_transformers import SentenceTransformer
folder, model, query = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
texts = json.loads((folder / "texts.json").read_text())
vector = SentenceTransformer(model, device="cpu").encode([query], normalize_embeddings=True)
distances, rows = faiss.read_index(str(folder / "index.faiss")).search(vector, 10)
for distance, row in zip(distances[0], rows[0]):
    print(f"{distance:.4f}", texts[row])
"""


def definitions(count):
    """Return definitions from all over WordNet's nouns, as rows with an id and a field."""
    if not WORDNET.is_file():
        sys.exit(f"skipped: {WORDNET} is missing; it comes with Debian's wordnet-base")
    lines = [line.split("|") for line in WORDNET.read_text(encoding="utf-8").splitlines() if "|" in line]
    chosen = lines[:: len(lines) // count][:count]
    return [
        {"id": head.split()[0], "text": gloss.strip(), "kind": head.split()[1], "length": len(gloss)}
        for head, gloss, *_ in chosen
    ]


def run(*arguments):
    """Return the seconds and the processor seconds that a process takes, and what it prints."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    seconds, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, ran.stdout


def main(repeats=REPEATS):
    """Print the medians of paired runs."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as made:
        folder, rows = Path(made), definitions(COUNT)
        index = es.build(rows, name="nouns", text="text", id="id", indexes=folder / "indexes", device="cpu")
        vectors = np.array(index.build.vectors, np.float32)
        faiss.normalize_L2(vectors)
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        faiss.write_index(flat, str(folder / "index.faiss"))
        (folder / "texts.json").write_text(json.dumps([row["text"] for row in rows]), encoding="utf-8")

        def ours(query):
            asked = ["search", "nouns", query, "-k", str(K), "--indexes", str(folder / "indexes")]
            return run("-m", "embedsearch", *asked)

        def peer(query):
            return run("-c", PEER, str(folder), str(text_model_folder()), query)

        pairs = [(ours(query), peer(query)) for query in QUERIES for _ in range(-(-repeats // len(QUERIES)))]
        for at, key in enumerate(("cold_query", "cold_query_cpu")):
            mine, theirs = (
                statistics.median(side[at] for side in column) for column in zip(*pairs[1:], strict=True)
            )
            ratio = statistics.median(their[at] / our[at] for our, their in pairs[1:])
            print(f"{key} ratio={ratio:.1f} (ours {mine:.2f} s, peer {theirs:.2f} s, {COUNT:,} texts)")


if __name__ == "__main__":
    main()

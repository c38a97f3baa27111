"""Leave-one-out 1-nearest-neighbour accuracy on 10,003 customer questions with 77 intents.

Ours: `embedsearch.build` of the table, then its FAISS index. Peer: transformers and numpy, written plainly.
"""

import csv
import tempfile

import numpy as np

import embedsearch as es
from tests.benchmarks.common import leave_one_out, need, plain_neighbours, plain_texts


def main():
    """Print the figure."""
    table = need("text", "banking77_train.tsv")
    with tempfile.TemporaryDirectory() as indexes:
        built = es.build(table, name="banking77", text="text", precision="fp32", indexes=indexes)
        ours = leave_one_out(built, "label")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels = np.array([row["label"] for row in rows])
    vectors = plain_texts([row["text"] for row in rows])
    nearest = plain_neighbours(vectors, vectors, 1, leave_one_out=True)[:, 0]
    plain = float(np.mean(labels[nearest] == labels))
    print(f"banking77 value={ours:.4f} (1-NN accuracy over {len(rows)} questions; plain {plain:.4f})")


if __name__ == "__main__":
    main()

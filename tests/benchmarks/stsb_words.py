"""What people say of pairs of sentences (STS-B) beside the percentile and the word that they get."""

import csv
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import embedsearch as es
from embedsearch.distances.metric import distances
from embedsearch.distances.pairs import Closeness
from tests.benchmarks.common import need


def main():
    """Print the table and its figures."""
    with need("text", "stsb_dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        source = Path(folder) / "sentences.txt"
        source.write_text("\n".join(sorted({row[name] for row in rows for name in ("s1", "s2")})) + "\n")
        searcher = es.build(source, name="stsb", precision="fp32", indexes=Path(folder) / "indexes")
        scale, metric = searcher.build.scale, searcher.manifest.metric
        left, right = (searcher.encoder.encode([row[name] for row in rows]) for name in ("s1", "s2"))
    far = np.array([distances(a[None], b[None], metric)[0, 0] for a, b in zip(left, right, strict=True)])
    people = np.array([float(row["score"]) for row in rows])
    percentiles = np.array([scale.pairs.percentile(distance) for distance in far])
    words = np.array([scale.pairs.label(distance) for distance in far])
    means = []
    for word in Closeness:
        chosen = words == word
        if chosen.any():
            means.append(people[chosen].mean())
            low, high = percentiles[chosen].min(), percentiles[chosen].max()
            print(
                f"stsb_words value={means[-1]:.2f} (people's mean score, 0 to 5, of {chosen.sum()} pairs "
                f"called {word}, percentiles {low:.2f} to {high:.2f})"
            )
    by_distance, by_percentile = (spearmanr(each, people).statistic for each in (-far, percentiles))
    falls = all(a > b for a, b in pairwise(means))
    print(
        f"stsb_percentile value={by_percentile:.4f} (Spearman of the percentile with people, of the distance "
        f"{by_distance:.4f}; the words {'fall' if falls else 'do not fall'} with people's scores)"
    )


if __name__ == "__main__":
    main()

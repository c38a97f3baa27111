"""Maps of 10,003 customer questions: neighbours kept by PCA and by UMAP, and moves after a rebuild.

The rebuild drops a tenth of the questions and adds as many. Peer: a layout from nothing, laid over the old
map as well as it can be.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.artifacts.map import inputs_of, load_map, map_index
from embedsearch.maps import make_map
from embedsearch.maps.alignment import rows_of_same_ids
from embedsearch.maps.inputs import Method, PreviousMap, Settings
from embedsearch.progress import Silent
from tests.benchmarks.common import need


def write(path, rows):
    """Write the table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("key", "text"), *rows])


def main():
    """Print the figures."""
    with need("text", "banking77_train.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(f"q{at}", row["text"]) for at, row in enumerate(csv.DictReader(file, delimiter="\t"))]
    order = np.random.default_rng(0).permutation(len(rows))
    tenth = len(rows) // 10
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        folder = Path(name)
        table = folder / "questions.csv"
        for method in Method:
            write(table, [rows[at] for at in sorted(order[tenth:])])
            es.build(table, name=method, text="text", id="key", indexes=folder)
            old = map_index(folder, method, Settings(method), Silent())
            before = load_map(old)
            write(table, [rows[at] for at in sorted(order[:-tenth])])
            new = es.rebuild(method, indexes=folder).build
            after = load_map(new)
            same = PreviousMap(
                before.facts,
                before.points,
                rows_of_same_ids(new.source_state, old.source_state),
                orientation_only=True,
            )
            fresh = make_map(inputs_of(new), Settings(method), same, Silent())
            print(
                f"map_{method} value={before.facts.preserved:.3f} (share of 10 neighbours kept, "
                f"{len(before.points):,} questions; after the rebuild {after.facts.preserved:.3f})",
                flush=True,
            )
            moved, new_layout = after.facts.moved, fresh.facts.moved
            print(
                f"map_{method}_moved value={moved.median:.3f} (median move of {moved.kept:,} kept "
                f"questions, of the map's radius; p95 {moved.p95:.3f}; from nothing {new_layout.median:.3f}, "
                f"p95 {new_layout.p95:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What "-" does to an answer: a query less its first hit of another class, by several rules.

Of the ten nearest items, the share that are of the query's class, and the share of the class of what was
subtracted. Each weight is tried on the whole term, and on its part that is orthogonal to the query, which
takes away only what the term has beyond the query. Vectors have unit length, as in a query by cosine.
"""

import tempfile
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.distances.metric import normalized
from embedsearch.query import MoreLike, Text
from tests.benchmarks.common import need

STAMPS = Path("/usr/share/tuxpaint/stamps")
WEIGHTS = (0.0, 0.25, 0.5, 1.0)
SAMPLE, K = 400, 10


def measure(queries, vectors, labels, wanted, own):
    """Return by rule and weight the two shares, means over the queries.

    Args:
        queries: (q, d) of unit length.
        vectors: (n, d) of unit length, in the same space.
        labels: (n,) of the items.
        wanted: (q,) label of each query.
        own: (q,) the row of a query that is an item; -1 for a text.
    """
    shares = {}
    for at, query in enumerate(queries):
        near = vectors @ query
        if own[at] >= 0:
            near[own[at]] = -np.inf
        order = np.argsort(-near)
        unwanted = order[labels[order] != wanted[at]][0]
        if unwanted not in order[:K]:
            continue  # nobody subtracts what isn't shown
        minus = vectors[unwanted]
        beyond = minus - (minus @ query) * query
        for rule, part in (("whole", minus), ("beyond", beyond)):
            for weight in WEIGHTS:
                similar = vectors @ (query - weight * part)
                similar[[unwanted, *(own[at : at + 1][own[at : at + 1] >= 0])]] = -np.inf
                found = labels[np.argsort(-similar)[:K]]
                both = np.mean(found == wanted[at]), np.mean(found == labels[unwanted])
                shares.setdefault((rule, weight), []).append(both)
    return {name: (*np.mean(each, 0), len(each)) for name, each in shares.items()}


def report(name, shares):
    """Print a line for each rule and weight."""
    for (rule, weight), (kept, minus, count) in shares.items():
        print(
            f"{name} {rule} -{weight:g}: value={kept:.3f} of the query's class, {minus:.3f} of the class "
            f"subtracted ({count} queries)",
            flush=True,
        )


def labels_of(index, folder):
    """Return the name of the folder under `folder` that each image lies in, (n,)."""
    paths = [Path(path) for path in index.build.items["path"].to_pylist()]
    return np.array([path.relative_to(folder.resolve()).parts[0] for path in paths])


def main():
    """Print the figures for photos, drawings and questions."""
    with tempfile.TemporaryDirectory() as indexes:
        for name, folder in (
            ("clothing", need("images", "clothing", "test")),
            ("stamps", STAMPS),
        ):
            if not folder.is_dir():
                continue
            index = es.build(
                folder,
                kind="images",
                name=name,
                precision="fp32",
                engine="torch",
                views="centre",
                indexes=indexes,
            )
            labels = labels_of(index, folder)
            ids = index.build.items["id"].to_pylist()
            rows = np.unique(np.linspace(0, len(ids) - 1, SAMPLE).astype(int))
            vectors = normalized(index.build.take(np.arange(len(ids))))
            report(f"{name} items", measure(vectors[rows], vectors, labels, labels[rows], rows))
            known = sorted(set(labels))
            asked = [Text(f"a photo of {label}") for label in known] + [MoreLike(ids[0])]
            texts = normalized(index.queries.together(asked)[0][:-1])
            placed = normalized(index.crossmodal.take(np.arange(len(ids))))
            none = np.full(len(known), -1)
            report(f"{name} texts", measure(texts, placed, labels, np.array(known), none))
        file = need("text", "banking77_train.tsv")
        lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
        lines = lines[:: max(1, len(lines) // 3000)]
        index = es.build(
            [{"text": line[1], "label": line[0]} for line in lines], name="bank", text="text", indexes=indexes
        )
        labels = np.array(index.build.items["field:label"].to_pylist())
        vectors = normalized(index.build.take(np.arange(len(index))))
        rows = np.unique(np.linspace(0, len(index) - 1, SAMPLE).astype(int))
        report("banking77 items", measure(vectors[rows], vectors, labels, labels[rows], rows))


if __name__ == "__main__":
    main()

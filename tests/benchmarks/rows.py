"""Leave-one-out accuracy of a k-nearest-neighbour vote over the rows of scikit-learn's tables.

Ours: `embedsearch.build(rows, rows=True)`, without the class. Peer: scikit-learn's StandardScaler and its
nearest neighbours.
"""

import tempfile

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

import embedsearch as es

TABLES = {"iris": load_iris, "wine": load_wine, "breast_cancer": load_breast_cancer}
K = 5  # as scikit-learn has it where nobody says
OTHERS = (1, 3, 7, 10)


def accuracy(neighbours, classes, k):
    """Return the share of rows whose k nearest others, (n, m) in order, vote for their class."""
    votes = np.stack([np.bincount(each, minlength=classes.max() + 1) for each in classes[neighbours[:, :k]]])
    return float((votes.argmax(1) == classes).mean())


def ours(data, names):
    """Return the nearest other rows of each row, (n, 10), by an index of the rows."""
    rows = [dict(zip(names, row, strict=True)) for row in data.tolist()]
    rows = [{"id": f"{at}", **row} for at, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        index = es.build(rows, name="rows", rows=True, indexes=folder)
        order = [int(each.id) for each in index.items(range(len(index)), [0.0] * len(index))]
        assert order == list(range(len(rows)))
        _, found = index.build.backend.search(index.build.take(np.arange(len(index))), max(OTHERS) + 1)
    return np.stack([row[row != at][: max(OTHERS)] for at, row in enumerate(found)])


def main():
    """Print the figures, one for each table."""
    for name, load in TABLES.items():
        table = load()
        classes, scaled = table.target, StandardScaler().fit_transform(table.data)
        mine = ours(table.data, table.feature_names)
        peer = NearestNeighbors(n_neighbors=max(OTHERS)).fit(scaled).kneighbors(None, return_distance=False)
        figures = {k: (accuracy(mine, classes, k), accuracy(peer, classes, k)) for k in (K, *OTHERS)}
        rest = ", ".join(f"k={k} {figures[k][0]:.4f} and {figures[k][1]:.4f}" for k in OTHERS)
        own, other = figures[K]
        print(
            f"rows_{name} ratio={own / other:.4f} (ours {own:.4f}, StandardScaler {other:.4f}, k={K}; {rest})"
        )


if __name__ == "__main__":
    main()

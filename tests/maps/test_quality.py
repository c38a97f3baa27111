"""The share of neighbours that a map keeps."""

import numpy as np
import pytest

from embedsearch.backends import Settings, backend_class
from embedsearch.distances.metric import Metric, distances
from embedsearch.maps.quality import preserved


def exact(vectors, metric):
    """An exact index."""
    return backend_class("exact").build("exact", vectors, metric, Settings(0))


def brute_force(vectors, points, metric, k=10):
    """The same by comparing everything with everything."""
    far = distances(vectors, vectors, metric)
    near = np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=2)
    np.fill_diagonal(far, np.inf)
    np.fill_diagonal(near, np.inf)
    truly, there = np.argsort(far, 1)[:, :k], np.argsort(near, 1)[:, :k]
    return [len(set(a) & set(b)) / k for a, b in zip(truly.tolist(), there.tolist(), strict=True)]


@pytest.mark.parametrize("metric", list(Metric))
def test_it_is_what_brute_force_finds(metric):
    """Per item, on a map that lies far from the origin, where float32 has few digits left."""
    draw = np.random.default_rng(1)
    vectors = draw.normal(size=(400, 6)).astype(np.float32)
    points = (vectors[:, :2] + 0.2 * draw.normal(size=(400, 2)) + 50).astype(np.float32)
    found = preserved(exact(vectors, metric), vectors, points, np.arange(400))
    np.testing.assert_allclose(found, brute_force(vectors, points, metric), atol=1e-6)
    part = preserved(exact(vectors, metric), vectors, points, np.array([3, 250]))
    np.testing.assert_array_equal(part, found[[3, 250]])


def test_the_plane_itself_is_kept_whole():
    """Vectors of two dimensions lose nothing; points in any order keep next to nothing."""
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(500, 2)).astype(np.float32)
    index = exact(vectors, Metric.L2)
    assert preserved(index, vectors, vectors, np.arange(500)).min() == 1
    assert preserved(index, vectors, draw.permutation(vectors), np.arange(500)).mean() < 0.05


def test_items_that_lie_on_each_other_count_alike():
    """Thirty copies have each other as neighbours, whichever ten are found of them."""
    vectors = np.repeat(np.eye(3, dtype=np.float32), 30, axis=0)
    points = np.repeat(np.float32([[0, 0], [1, 0], [0, 1]]), 30, axis=0)
    assert preserved(exact(vectors, Metric.COSINE), vectors, points, np.arange(90)).min() == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_items(count):
    """Of fewer than eleven items all others are neighbours, and on the map too."""
    vectors = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    shares = preserved(exact(vectors, Metric.L2), vectors, vectors[:, :2].copy(), np.arange(count))
    assert shares.tolist() == [1.0] * count

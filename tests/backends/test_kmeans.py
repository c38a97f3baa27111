"""Groups of near vectors."""

import numpy as np
import pytest

from embedsearch.backends.kmeans import assign, centroids
from embedsearch.distances.metric import Metric, normalized


@pytest.mark.parametrize("metric", list(Metric))
def test_balls_are_groups_and_keep_their_numbers(metric):
    """Three balls are three groups; begun from given centres, each keeps the number of its centre."""
    draw = np.random.default_rng(0)
    middles = np.float32([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]])
    kind = draw.integers(0, 3, 200)
    vectors = (middles[kind] + draw.normal(size=(200, 4))).astype(np.float32)
    labels = assign(vectors, metric, centroids(vectors, np.arange(200), metric, 3))
    assert len(set(zip(kind.tolist(), labels.tolist(), strict=True))) == 3
    start = middles[[2, 0, 1]]
    start = normalized(start) if metric is Metric.COSINE else start
    again = assign(vectors, metric, centroids(vectors, np.arange(200), metric, 3, start))
    np.testing.assert_array_equal(np.array([2, 0, 1])[again], kind)


def test_each_goes_to_its_nearest_centre():
    """Groups are those of brute force, read block by block."""
    draw = np.random.default_rng(1)
    vectors, centres = (
        draw.normal(size=(500, 6)).astype(np.float32),
        draw.normal(size=(7, 6)).astype(np.float32),
    )
    expected = np.linalg.norm(vectors[:, None] - centres, axis=2).argmin(1)
    np.testing.assert_array_equal(assign(vectors, Metric.L2, centres), expected)

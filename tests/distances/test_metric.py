import numpy as np
import pytest

from embedsearch.distances.metric import Metric, distances, normalized

A = np.array([[3, 4], [0, 0], [-3, -4]], np.float32)
B = np.array([[3, 4], [4, -3], [30, 40]], np.float32)


@pytest.mark.parametrize(
    ("metric", "want"),
    [
        (Metric.COSINE, [[0, 1, 0], [1, 1, 1], [2, 1, 2]]),
        (Metric.L2, [[0, 50**0.5, 45], [5, 5, 50], [10, 50**0.5, 55]]),
        (Metric.IP, [[-25, 0, -250], [0, 0, 0], [25, 0, 250]]),
    ],
)
def test_distances_worked_by_hand(metric, want):
    """Cosine is 1 - cos in [0, 2], l2 is not squared, ip is minus the product; smaller is more related."""
    got = distances(A, B, metric)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metric", Metric)
def test_distances_equal_float64(metric):
    """On random vectors the distances equal a float64 computation to 1e-5 of their size."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(40, 384)) * 3, random.normal(size=(70, 384))
    products, lengths = a @ b.T, np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    want = {
        Metric.COSINE: 1 - products / lengths,
        Metric.L2: np.linalg.norm(a[:, None] - b[None], axis=2),
        Metric.IP: -products,
    }[metric]
    got = distances(a.astype(np.float32), b.astype(np.float32), metric)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4 if metric is Metric.IP else 1e-5)


def test_cosine_stays_in_its_range():
    """Rounding never takes the cosine distance below 0 or above 2."""
    vectors = np.random.default_rng(0).normal(size=(500, 77)).astype(np.float32)
    got = distances(vectors, np.concatenate([vectors, -vectors]), Metric.COSINE)
    assert got.min() >= 0
    assert got.max() <= 2


def test_l2_of_near_vectors_keeps_its_digits():
    """Long vectors that differ in the last digits keep their distance to 0.1 percent, equal ones are at 0."""
    a = np.full((1, 64), 1000, np.float32)
    b = a.copy()
    b[0, 0] += np.float32(0.001)
    want = float(b[0, 0]) - 1000
    assert want > 0
    assert distances(a, np.concatenate([b, a]), Metric.L2)[0].tolist() == pytest.approx([want, 0], rel=1e-3)


def test_normalized_leaves_zero_alone():
    """Rows get length 1; a zero row stays zero; the input is not changed."""
    before = A.copy()
    got = normalized(A)
    np.testing.assert_allclose(got, [[0.6, 0.8], [0, 0], [-0.6, -0.8]], rtol=1e-6)
    assert np.array_equal(A, before)
    assert got.dtype == np.float32


def test_metric_is_its_name():
    """A metric compares and formats as the word that a recipe holds."""
    assert [f"{metric}" for metric in Metric] == ["cosine", "l2", "ip"]
    assert Metric("cosine") is Metric.COSINE

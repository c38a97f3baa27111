"""Centring: what is subtracted and kept, and that it can be undone."""

import numpy as np
import pytest

from embedsearch.distances.centring import LEAST_ITEMS, Centring, fit
from embedsearch.distances.metric import Metric, distances, normalized


def apart(count=400, numbers=12, seed=0):
    """Return vectors with a large part in common, of various lengths, (count, numbers)."""
    draw = np.random.default_rng(seed)
    wide = draw.normal(size=(count, numbers)) * np.linspace(2, 0.1, numbers) + 3
    return (wide * draw.uniform(0.5, 5, (count, 1))).astype(np.float32)


def test_distances_are_of_unit_vectors_less_their_mean():
    """The cosine distance of centred vectors is that of unit vectors less their mean, by plain NumPy."""
    vectors = apart()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    less = unit - unit.mean(0)
    less /= np.linalg.norm(less, axis=1, keepdims=True)
    centred = fit(vectors).apply(vectors)
    np.testing.assert_allclose(distances(centred, centred, Metric.COSINE), 1 - less @ less.T, atol=2e-6)


def test_main_directions_are_those_of_a_singular_value_decomposition():
    """`dim` keeps the first right singular vectors of the centred unit vectors, and says their share."""
    vectors = apart()
    unit = normalized(vectors)
    _, sizes, directions = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    made = fit(vectors, 4)
    np.testing.assert_allclose(np.abs(made.basis @ directions[:4].T), np.eye(4), atol=1e-3)
    assert made.explained == pytest.approx((sizes[:4] ** 2).sum() / (sizes**2).sum(), abs=1e-6)
    assert made.apply(vectors).shape == (400, 4)


def test_centring_is_undone():
    """`restore` gives the vectors again with their lengths; of main directions what these hold of them."""
    vectors = apart()
    np.testing.assert_allclose(
        fit(vectors).restore(fit(vectors).apply(vectors)), vectors, rtol=1e-4, atol=1e-4
    )
    flat = np.pad(apart(numbers=5), ((0, 0), (0, 7)))
    made = fit(flat, 6)
    np.testing.assert_allclose(made.restore(made.apply(flat)), flat, rtol=1e-3, atol=1e-3)


def test_the_mean_of_parts_stays_a_mean():
    """Where a vector is the mean of rows, the centred vector is the mean of the centred rows."""
    vectors = apart()
    made, rows = fit(vectors, 4), vectors[:5]
    vector = rows.mean(0, keepdims=True)
    got = made.apply_to_parts(rows, np.linalg.norm(vector)).mean(0, keepdims=True)
    np.testing.assert_allclose(got, made.apply(vector), atol=1e-5)


def test_what_tells_no_mean_is_not_centred():
    """Fewer than 200 vectors, fewer than the directions asked for, or all the same: there is no centring."""
    vectors = apart()
    assert fit(vectors[: LEAST_ITEMS - 1]) is None
    assert fit(vectors[:LEAST_ITEMS]) is not None
    assert fit(apart(count=250, numbers=300), 256) is None
    assert fit(np.tile(vectors[:1], (300, 1)) * np.linspace(1, 2, 300, dtype=np.float32)[:, None]) is None


def test_a_centring_is_kept_on_disk(tmp_path):
    """What is saved and loaded has the same numbers and the same fingerprint; another mean has another."""
    for made in (fit(apart()), fit(apart(), 3)):
        made.save(tmp_path / "centring.npz")
        again = Centring.load(tmp_path / "centring.npz")
        assert again.fingerprint == made.fingerprint
        assert (again.items, again.dimension, again.explained) == (400, made.dimension, made.explained)
    assert fit(apart(seed=1)).fingerprint != fit(apart()).fingerprint


def test_huge_vectors_are_centred_too():
    """The square of a length may be beyond float32: the vector is centred, and restored, all the same."""
    vectors = np.random.default_rng(1).standard_normal((300, 4)).astype(np.float32)
    vectors[1] *= 1e30
    centred = fit(vectors[2:]).apply(vectors)
    assert np.isfinite(centred).all()
    np.testing.assert_allclose(centred[1] / 1e30, fit(vectors[2:]).apply(vectors[1:2] / 1e30)[0], rtol=1e-5)

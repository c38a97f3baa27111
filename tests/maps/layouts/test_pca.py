"""The plane of most variance."""

import numpy as np
import pytest

from embedsearch.distances.metric import Metric, normalized
from embedsearch.maps.layouts import pca
from embedsearch.maps.layouts.pca import principal_plane, project


def spread_out(count=300, dimension=12, seed=3):
    """Vectors far from the origin, whose components vary by 1, 2, 3, ..."""
    draw = np.random.default_rng(seed)
    return (5 + draw.normal(size=(count, dimension)) * np.arange(1, dimension + 1)).astype(np.float32)


@pytest.mark.parametrize("metric", list(Metric))
def test_it_is_what_the_svd_gives(metric):
    """Axes, shares and coordinates are those of numpy's SVD of the centred vectors, but for the sign."""
    vectors = spread_out()
    compared = (normalized(vectors) if metric is Metric.COSINE else vectors).astype(np.float64)
    centred = compared - compared.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    plane = principal_plane(vectors, metric)
    np.testing.assert_allclose(plane.mean, compared.mean(0), atol=1e-9)
    np.testing.assert_allclose(plane.explained, values[:2] ** 2 / (values**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(np.abs((plane.axes * axes[:2]).sum(1)), 1, atol=1e-9)
    signs = np.sign((plane.axes * axes[:2]).sum(1))
    expected = centred @ axes[:2].T * signs
    np.testing.assert_allclose(project(vectors, metric, plane), expected, atol=1e-5 * np.abs(expected).max())


def test_the_sign_is_the_same_each_time():
    """The largest component of each axis is positive, also of the mirrored vectors."""
    for vectors in (spread_out(), -spread_out()):
        axes = principal_plane(vectors, Metric.L2).axes
        assert (axes[[0, 1], np.abs(axes).argmax(1)] > 0).all()


def test_block_by_block_it_is_the_same(monkeypatch, tmp_path):
    """Vectors on disk in float16, read 7 rows at a time, give what the same vectors in memory give."""
    vectors = spread_out().astype(np.float16)
    np.save(tmp_path / "v.npy", vectors)
    whole = principal_plane(vectors.astype(np.float32), Metric.COSINE)
    monkeypatch.setattr(pca, "BLOCK", 7 * 12)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    blocks = principal_plane(mapped, Metric.COSINE)
    np.testing.assert_allclose(blocks.axes, whole.axes, atol=1e-9)
    np.testing.assert_allclose(
        project(mapped, Metric.COSINE, blocks),
        project(vectors.astype(np.float32), Metric.COSINE, whole),
        atol=1e-7,
    )


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (5, 1)])
def test_few_items_and_few_dimensions(shape):
    """Where there is no second direction its coordinate is 0, and no share is claimed for it."""
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plane = principal_plane(vectors, Metric.L2)
    assert plane.explained[1] == 0
    points = project(vectors, Metric.L2, plane)
    assert points.shape == (shape[0], 2)
    assert not points[:, 1].any()
    assert plane.explained[0] == pytest.approx(0 if shape[0] == 1 else 1)

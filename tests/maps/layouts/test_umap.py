"""Maps by UMAP."""

import numpy as np
import pytest

from embedsearch.artifacts import map as addition
from embedsearch.artifacts.map import inputs_of, load_map
from embedsearch.distances.metric import Metric
from embedsearch.errors import MissingExtraError
from embedsearch.maps import make_map, xy_of
from embedsearch.maps.alignment import rows_of_same_ids
from embedsearch.maps.inputs import Method, PreviousMap, Settings
from embedsearch.maps.layouts import default_method
from embedsearch.maps.layouts import umap as umap_layout
from embedsearch.maps.layouts.umap import interpolated, lay_out
from embedsearch.progress import Silent
from tests import fakes
from tests.maps.conftest import random_texts


@pytest.fixture
def umap():
    """Skip where umap-learn is missing."""
    return pytest.importorskip("umap", reason="umap-learn is missing: pip install 'embedsearch[umap]'")


@pytest.mark.usefixtures("umap")
def test_it_keeps_more_neighbours_and_stays_after_a_rebuild(make_build, map_of):
    """UMAP keeps more than PCA, and the same index gives the same map.

    A rebuild with additions and removals keeps as much, and moves the other items half as far as a layout
    from nothing would, though both are laid over the old map.
    """
    make_build(random_texts(range(240)))
    pca, _ = map_of()
    made, _ = map_of(method="umap")
    assert made.facts.preserved > pca.facts.preserved + 0.1
    assert made.facts.explained is None
    assert made.facts.moved is None  # the map before was another kind of map
    again, before = map_of(method="umap")
    assert again.facts.moved.p95 < 1e-3
    build = make_build(random_texts(range(24, 264)))
    after = load_map(build)
    assert after.facts.method == "umap"
    assert after.facts.moved.kept == 216
    rows = rows_of_same_ids(build.source_state, before.source_state)
    anew = PreviousMap(again.facts, again.points, rows, orientation_only=True)
    fresh = make_map(inputs_of(build), Settings(Method.UMAP), anew, Silent())
    assert after.facts.moved.median < min(0.2, fresh.facts.moved.median / 2)
    assert after.facts.preserved > made.facts.preserved - 0.05


@pytest.mark.usefixtures("umap")
def test_groups_that_lie_apart_stay_apart():
    """Three balls in ten dimensions are three islands: every point is nearest to its own."""
    draw = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 10) * 20, 40, axis=0)
    vectors = (centres + draw.normal(size=(120, 10))).astype(np.float32)
    start = draw.normal(size=(120, 2)).astype(np.float32)
    points = lay_out(vectors, np.arange(120), Metric.L2, start, again=False, seed=0)
    middles = points.reshape(3, 40, 2).mean(1)
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(1)
    assert (nearest == np.repeat(range(3), 40)).mean() > 0.95


@pytest.mark.usefixtures("umap")
@pytest.mark.parametrize("metric", list(Metric))
def test_few_and_identical_items(metric):
    """From one item on, copies among them, places are finite numbers."""
    for count in (1, 3, 4, 9):
        vectors = np.ones((count, 5), np.float32)
        vectors[: count // 2, 0] = 2
        start = np.zeros((count, 2), np.float32)
        points = lay_out(vectors, np.arange(count), metric, start, again=False, seed=0)
        assert points.shape == (count, 2)
        assert np.isfinite(points).all()


@pytest.mark.usefixtures("umap")
def test_of_many_items_the_rest_is_placed_between(make_build, map_of, monkeypatch):
    """Items beyond the sample that UMAP lays out lie between their neighbours of it, and it is told."""
    monkeypatch.setattr(umap_layout, "LAID_OUT", 60)
    make_build(random_texts(range(120)))
    made, _ = map_of(method="umap")
    assert made.facts.laid_out == 60
    assert np.isfinite(xy_of(made.points)).all()
    assert made.facts.preserved > 0.2  # in any order it would be 0.08


@pytest.mark.parametrize("metric", list(Metric))
def test_a_copy_is_placed_on_its_original(metric):
    """An item like a known one is placed on it, and any item within the reach of its five neighbours."""
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    vectors[30] = vectors[3]
    points = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
    found = interpolated(vectors, np.arange(30, 40), np.arange(30), points, metric)
    if metric is not Metric.IP:
        np.testing.assert_allclose(found[0], points[3], atol=1e-2)
    assert (found <= points.max(0)).all()
    assert (found >= points.min(0)).all()


@pytest.mark.usefixtures("umap")
def test_the_epochs_are_reported():
    """UMAP's rounds arrive one by one, as many as were said."""
    said = []

    class Heard(Silent):
        def stage(self, text, total=None):
            said.append([text, total, 0])

        def advance(self, entries):
            said[-1][2] += entries

    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    lay_out(vectors, np.arange(60), Metric.L2, vectors[:, :2], again=False, seed=0, progress=Heard())
    assert said == [
        ["finding the neighbours of 60 items", None, 0],
        ["laying out 60 items", umap_layout.EPOCHS, umap_layout.EPOCHS],
    ]


@pytest.mark.parametrize("installed", [True, False])
def test_the_default_is_umap_where_it_is_installed(monkeypatch, installed):
    """A map that nobody chose a method for is by UMAP, or by PCA without the extra."""
    monkeypatch.setattr(umap_layout, "is_installed", lambda: installed)
    assert default_method() is (Method.UMAP if installed else Method.PCA)


def test_without_umap_it_is_named_and_a_rebuild_goes_on(make_build, map_of, monkeypatch):
    """A missing umap-learn is an error that names the extra; a rebuild places new items instead."""
    make_build(random_texts(range(60)))
    installed = umap_layout.is_installed()
    if installed:
        before, _ = map_of(method="umap")
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    for module in (umap_layout, addition):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    if installed:
        after = load_map(make_build(random_texts(range(70))))
        assert after.facts.moved.p95 < 1e-4
        assert len(after.points) == 70
        assert before.facts.method == after.facts.method == "umap"
        other = load_map(make_build(random_texts(range(70)), load=fakes.version("2")))
        assert other.facts.method == "pca"  # under another model nothing can be carried on
    with pytest.raises(MissingExtraError, match=r"embedsearch\[umap\]"):
        map_of(method="umap")

import numpy as np
import pytest
from PIL import Image

from embedsearch.distances.metric import Metric
from embedsearch.encoders.hidden_states import View
from embedsearch.explain.explanation import Explanation
from embedsearch.explain.views import box_of, laid_over
from embedsearch.modalities import QueryForm
from embedsearch.query import MoreLike
from embedsearch.records import Unit
from tests import fakes
from tests.explain.test_attribution import holds, small


def test_one_view_is_its_own_grid():
    """The patches of one view are the grid, over that view's box."""
    views = (View((2, 3), (0.25, 0, 0.75, 1)),)
    np.testing.assert_array_equal(laid_over(views, np.arange(6.0)), [[0, 1, 2], [3, 4, 5]])
    assert box_of(views) == (0.25, 0, 0.75, 1)


def test_two_views_are_shared_out_by_area():
    """A patch's value goes to the cells that it lies on, by area, and the sum stays."""
    views = (View((1, 2), (0.25, 0, 0.75, 1)), View((1, 2), (0, 0, 1, 1)))
    laid = laid_over(views, np.array([4.0, 8.0, 1.0, 3.0]))
    # patches of a quarter of the width and of a half: four cells
    np.testing.assert_allclose(laid, [[0.5, 4.5, 9.5, 1.5]])
    assert box_of(views) == (0, 0, 1, 1)


@pytest.mark.parametrize("name", ["clip", "dinov2", "resnet"])
def test_why_shows_the_whole_of_a_wide_image(make_build, small_model, tmp_path, name):
    """The scores of both views add up to the similarity, over a grid of the whole image."""
    entries = []
    for at, (width, height) in enumerate(((96, 32), (40, 90), (32, 32))):
        noise = np.random.default_rng(at).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{at}.png")
        entries.append(fakes.picture(str(at), tmp_path / f"{at}.png"))
    options = {"views": "both", "preparation": 2, "pooling": "mean"}
    searcher = small(make_build, entries, Unit.IMAGE, small_model(name), **options)
    vector = searcher.queries.space(MoreLike("2")).vector
    for item in ("0", "1"):
        made = searcher.explain(MoreLike("2"), item)
        holds(made, searcher, vector)
        assert made.exact
        left, top, right, bottom = made.box
        assert max(left, top, 1 - right, 1 - bottom) < 0.02
        np.testing.assert_allclose(made.heat + made.typical, made.grid, atol=1e-6)


def test_what_is_seen_twice_is_no_hotter():
    """The drawn heat is that for a share of the vector: even heat in both views is drawn even."""
    views = (View((2, 2), (0.25, 0, 0.75, 1)), View((2, 4), (0, 0, 1, 1)))
    even = np.concatenate([np.full(4, 0.5 / 4), np.full(8, 0.5 / 8)])
    cover = laid_over(views, even)
    assert cover.max() > 1.5 * cover.min()
    made = Explanation(
        "a", QueryForm.IMAGE, Metric.COSINE, 3, 3, -2, -2, 1, 1, 3 * even, (), (), (), exact=True, note="",
        grid=laid_over(views, 3 * even), typical=np.zeros_like(cover), cover=cover,
    )  # fmt: skip
    np.testing.assert_allclose(made.drawn, made.drawn[0, 0], rtol=1e-5)

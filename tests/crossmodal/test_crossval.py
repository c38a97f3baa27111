import numpy as np
import pytest

from embedsearch.crossmodal import crossval
from embedsearch.crossmodal.crossval import Pairs, _is_worse, answers_of, choose, folds_of, ranks_of
from embedsearch.crossmodal.ridge import Fit
from embedsearch.distances.metric import normalized


def drawn(*shape, seed=0):
    """Return random vectors of unit length."""
    return normalized(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("count", [20, 90])
@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_ridge_is_the_least_squares_solution(count, strength):
    """With fewer and with more pairs than components, the map is that of lstsq with the strength as rows."""
    x, y = drawn(count, 40), drawn(count, 7, seed=1)
    ridge = Fit(x, y).ridge(strength)
    centred, wanted = x - x.mean(0, dtype=np.float64), y - y.mean(0, dtype=np.float64)
    rows = np.concatenate([centred, np.sqrt(strength) * np.eye(40)])
    want = np.linalg.lstsq(rows, np.concatenate([wanted, np.zeros((40, 7))]), rcond=None)[0]
    np.testing.assert_allclose(ridge.weights, want, atol=1e-5)
    mapped = centred @ want
    np.testing.assert_allclose(ridge(x), mapped / np.linalg.norm(mapped, axis=1, keepdims=True), atol=1e-4)


def test_a_caption_or_picture_is_never_in_two_folds():
    """Pairs that share a caption or a picture, even over others, are in one fold; there are five."""
    random = np.random.default_rng(2)
    picture, caption = random.integers(0, 300, 260), random.integers(0, 300, 260)
    fold = folds_of(picture, caption)
    for of in (picture, caption):
        for each in np.unique(of):
            assert len(set(fold[of == each])) == 1
    assert set(fold) == set(range(5))


def test_equal_captions_are_one_answer():
    """The rank counts different answers: two pictures of one caption before the right one count once."""
    picture, caption = np.array([0, 1, 2, 3, 3]), np.array([0, 0, 1, 2, 1])
    answer, right = answers_of(picture, caption)
    assert answer.tolist() == [0, 0, 1, 2]
    assert right.tolist() == [[True, False, False], [False, True, True], [False, False, True]]
    scores = np.array([[0.9, 0.8, 0.1, 0.2], [0.9, 0.8, 0.1, 0.7], [0.9, 0.95, 0.5, 0.4]], np.float32)
    assert ranks_of(scores, answer, right).tolist() == [1, 2, 3]


def pairs_of(noise, captions=120, seed=3):
    """Return pictures that are a linear image of their captions, and noise; each caption has two."""
    text = drawn(captions, 8, seed=seed)
    caption = np.repeat(np.arange(captions), 2)
    spread = np.random.default_rng(seed + 1).normal(size=(8, 30))
    random = np.random.default_rng(seed + 2).normal(size=(len(caption), 30))
    pictures = normalized((text[caption] @ spread + noise * random).astype(np.float32))
    return Pairs(pictures, text, text, np.arange(len(caption)), caption)


def test_a_map_that_exists_is_found():
    """Where pictures are a linear image of captions, held-out captions find them; of noise, they don't."""
    good = choose(pairs_of(0.01), None, None)
    assert good.measured["ridge"]["recall@1"] > 0.9
    assert (good.share, set(good.measured), good.captions, good.answers) == (1.0, {"ridge"}, 120, 120)
    bad = choose(pairs_of(100.0), None, None)
    assert bad.measured["ridge"]["recall@10"] < 0.25


def test_no_caption_is_both_fitted_and_asked(monkeypatch):
    """Every map that places a caption's pictures was fitted without that caption."""
    fitted = []
    fit = Pairs.fit

    def noted(self):
        fitted.append({row.tobytes() for row in self.captions})
        return fit(self)

    monkeypatch.setattr(Pairs, "fit", noted)
    pairs = pairs_of(0.1)
    choose(pairs, None, None)
    assert len(fitted) == 5
    for row in pairs.captions:
        assert sum(row.tobytes() in each for each in fitted) == 4


def test_conse_is_added_where_it_helps():
    """Places by class names that are right get most of the share, and the sum is as good as they are."""
    pairs = pairs_of(3.0)
    centre = pairs.captions.mean(0)
    exact = normalized(pairs.captions[pairs.caption] - centre)
    chosen = choose(pairs, exact, centre)
    assert chosen.share <= 0.3
    assert chosen.measured["conse"]["recall@1"] == 1
    assert chosen.measured["both"]["recall@1"] > 0.95
    assert chosen.measured["ridge"]["recall@1"] < 0.9


def test_many_pairs_are_measured_on_some(monkeypatch):
    """Past the limit an even part of the pairs is cross-validated, their ConSE places with them."""
    monkeypatch.setattr(crossval, "AT_MOST", 60)
    pairs = pairs_of(0.01)
    exact = normalized(pairs.captions[pairs.caption] - pairs.captions.mean(0))
    chosen = choose(pairs, exact, pairs.captions.mean(0))
    assert chosen.captions <= 60
    assert chosen.measured["conse"]["recall@1"] == 1


def test_worse_is_what_chance_does_not_explain():
    """Two of six lost at the first place may be chance; forty of a hundred lost altogether are not."""
    few = np.array([1, 1, 3, 3, 3, 3]), np.array([3, 3, 3, 3, 3, 3])
    assert not _is_worse(few[1], few[0])
    many = np.ones(100, np.int64)
    assert _is_worse(np.where(np.arange(100) < 40, 50, many), many)
    assert not _is_worse(many, many)

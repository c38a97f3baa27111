import numpy as np
import pytest

from embedsearch.crossmodal import crossval
from embedsearch.crossmodal.crossval import (
    SHARES,
    STRENGTHS,
    Answers,
    Pairs,
    _is_worse,
    choose,
    folds_of,
    mix,
)
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
    ridge = Fit.of(x, y).ridge(strength)
    centred, wanted = x - x.mean(0, dtype=np.float64), y - y.mean(0, dtype=np.float64)
    rows = np.concatenate([centred, np.sqrt(strength) * np.eye(40)])
    want = np.linalg.lstsq(rows, np.concatenate([wanted, np.zeros((40, 7))]), rcond=None)[0]
    np.testing.assert_allclose(ridge.weights, want, atol=1e-5)
    mapped = centred @ want
    np.testing.assert_allclose(ridge(x), mapped / np.linalg.norm(mapped, axis=1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("wide", [30, 200])
def test_a_fold_is_left_out_of_its_map(wide):
    """The map without a fold is that over the other pairs, with fewer and with more pairs than components."""
    random = np.random.default_rng(4)
    image, caption, fold = (random.integers(0, most, 150) for most in (80, 90, 3))
    fold[fold == 1] = 3  # a number may be missing
    pairs = Pairs(drawn(80, wide), drawn(90, 7), drawn(90, 7), image, caption)
    fits = dict(pairs.fits_without(fold))
    assert list(fits) == [0, 2, 3]
    for each, fit in fits.items():
        others = fold != each
        want = Fit.of(pairs.images[image[others]], pairs.captions[caption[others]]).ridge(0.01)
        got = fit.ridge(0.01)
        for part in ("source", "target", "weights"):
            np.testing.assert_allclose(getattr(got, part), getattr(want, part), atol=1e-5)


def test_a_caption_or_image_is_never_in_two_folds():
    """Pairs that share a caption or an image, even over others, are in one fold; there are five."""
    random = np.random.default_rng(2)
    image, caption = random.integers(0, 300, 260), random.integers(0, 300, 260)
    fold = folds_of(image, caption)
    for of in (image, caption):
        for each in np.unique(of):
            assert len(set(fold[of == each])) == 1
    assert set(fold) == set(range(5))


def test_equal_captions_are_one_answer():
    """The rank counts different answers: two images of one caption before the right one count once."""
    image, caption = np.array([0, 1, 2, 3, 3]), np.array([0, 0, 1, 2, 1])
    answers = Answers(image, caption)
    assert answers.count == 3
    scores = np.array([[0.9, 0.8, 0.1, 0.2], [0.9, 0.8, 0.1, 0.7], [0.9, 0.95, 0.5, 0.4]], np.float32).T
    assert answers.ranks(scores[answers.order], 0).tolist() == [1, 2, 3]
    assert answers.ranks(scores[answers.order][:, 1:], 1).tolist() == [2, 3]


def pairs_of(noise, captions=120, seed=3):
    """Return images that are a linear image of their captions, and noise; each caption has two."""
    text = drawn(captions, 8, seed=seed)
    caption = np.repeat(np.arange(captions), 2)
    spread = np.random.default_rng(seed + 1).normal(size=(8, 30))
    random = np.random.default_rng(seed + 2).normal(size=(len(caption), 30))
    images = normalized((text[caption] @ spread + noise * random).astype(np.float32))
    return Pairs(images, text, text, np.arange(len(caption)), caption)


def test_a_map_that_exists_is_found():
    """Where images are a linear image of captions, held-out captions find them; of noise, they don't."""
    good = choose(pairs_of(0.01), None, None)
    assert good.measured["ridge"]["recall@1"] > 0.9
    assert (good.share, set(good.measured), good.captions, good.answers) == (1.0, {"ridge"}, 120, 120)
    bad = choose(pairs_of(100.0), None, None)
    assert bad.measured["ridge"]["recall@10"] < 0.25


def plain_ranks(pairs, scores):
    """Rank each caption's best right answer by the definition: images of the same captions are one answer."""
    said = [frozenset(pairs.caption[pairs.image == each].tolist()) for each in range(len(pairs.images))]
    ranks = []
    for caption, row in enumerate(scores):
        own = max(score for score, each in zip(row, said, strict=True) if caption in each)
        ranks.append(1 + len({each for score, each in zip(row, said, strict=True) if score > own}))
    return np.array(ranks)


@pytest.mark.parametrize("by_classes", [False, True])
def test_each_strength_and_share_is_ranked_as_by_a_fit_of_its_own(monkeypatch, by_classes):
    """Ranks are those of a least-squares fit for each fold and strength, projections added and scaled."""
    pairs = pairs_of(2.0, captions=40)
    pairs = Pairs(pairs.images, pairs.captions, pairs.queries, pairs.image, np.minimum(pairs.caption, 36))
    pairs = pairs.some(np.arange(80))
    conse = drawn(80, 8, seed=9) if by_classes else None
    tried = {}
    monkeypatch.setattr(crossval, "_best", lambda ranks, among: tried.update(ranks) or next(iter(ranks)))  # noqa: ARG005
    choose(pairs, conse, pairs.captions.mean(0))
    fold = folds_of(pairs.image, pairs.caption)
    shares = SHARES if by_classes else (1.0,)
    assert set(tried) == {(strength, share) for strength in STRENGTHS for share in shares}
    for strength in STRENGTHS[::4]:
        projected, queries = np.empty((80, 8)), np.empty_like(pairs.queries)
        for each in range(5):
            fitted = fold != each
            x, y = pairs.images[pairs.image[fitted]], pairs.captions[pairs.caption[fitted]]
            rows = np.concatenate([x - x.mean(0), np.sqrt(strength) * np.eye(30)])
            weights = np.linalg.lstsq(rows, np.concatenate([y - y.mean(0), np.zeros((30, 8))]), rcond=None)[0]
            held = pairs.image[~fitted]
            projected[held] = normalized((pairs.images[held] - x.mean(0)) @ weights)
            asked = pairs.caption[~fitted]
            queries[asked] = normalized(pairs.queries[asked] - y.mean(0))
        for share in shares[::3]:
            scores = queries @ mix(projected, conse, share).T
            assert tried[strength, share].tolist() == plain_ranks(pairs, scores).tolist()


def test_no_caption_is_both_fitted_and_asked(monkeypatch):
    """The folds that maps are fitted without hold all pairs of a caption, and each caption is in one."""
    given = []
    fits = Pairs.fits_without

    def noted(self, fold):
        given.append(fold)
        return fits(self, fold)

    monkeypatch.setattr(Pairs, "fits_without", noted)
    pairs = pairs_of(0.1)
    choose(pairs, None, None)
    (fold,) = given
    assert set(fold) == set(range(5))
    for number in range(len(pairs.captions)):
        assert len(set(fold[pairs.caption == number])) == 1


def test_conse_is_added_where_it_helps():
    """Projections by class names that are right get most of the share, and the sum is as good as they are."""
    pairs = pairs_of(3.0)
    centre = pairs.captions.mean(0)
    exact = normalized(pairs.captions[pairs.caption] - centre)
    chosen = choose(pairs, exact, centre)
    assert chosen.share <= 0.3
    assert chosen.measured["conse"]["recall@1"] == 1
    assert chosen.measured["both"]["recall@1"] > 0.95
    assert chosen.measured["ridge"]["recall@1"] < 0.9


def test_many_pairs_are_measured_on_some(monkeypatch):
    """Past the limit an even part of the pairs is cross-validated, their ConSE projections with them."""
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

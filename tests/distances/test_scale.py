"""What a distance says: percentiles, words, verdicts."""

import numpy as np
import pytest

from embedsearch.distances.scale import (
    Closeness,
    Scale,
    Verdict,
    closeness_of,
    pairs_and_shares,
    shown_percentile,
)
from embedsearch.errors import IndexDamagedError

NONE = np.empty((2, 0), np.float32)


def scale(**arrays):
    """A scale of 100 pairs, evenly from 0.01 to 1; items have their nearest at 0.1 to 0.2."""
    even = np.arange(1, 101, dtype=np.float32) / 100
    near = np.linspace(0.1, 0.2, 11, dtype=np.float32)
    return Scale(
        **{
            "pairs": even,
            "shares": even,
            "nearest": near,
            "answers": near,
            "foreign": even,
            "people": NONE,
            **arrays,
        }
    )


def test_a_percentile_counts_the_pairs_that_are_farther():
    """The percent of random pairs that are farther apart, even between two of them."""
    assert [scale().percentile(each) for each in (0, 0.105, 0.5, 1, 2)] == pytest.approx(
        [100, 89.5, 50, 0, 0]
    )


def test_pairs_are_thinned_without_moving_a_percentile():
    """Of many pairs some are kept: each kept one has its own share, the nearest are all there, ties once."""
    apart = np.random.default_rng(0).random(100_000).astype(np.float32) ** 2
    apart[:50] = apart.min()
    pairs, shares = pairs_and_shares(apart)
    assert len(pairs) < 1100
    assert (pairs[0], shares[0]) == (0, 0)
    want = np.searchsorted(np.sort(apart), pairs, side="right") / len(apart)
    np.testing.assert_allclose(shares, want, atol=1e-7)
    np.testing.assert_array_equal(pairs[1:200], np.unique(apart)[:199])
    made = scale(pairs=pairs, shares=shares)
    for each in (0.01, 0.2, 0.9):
        assert made.percentile(each) == pytest.approx(100 * (apart > each).mean(), abs=0.1)


@pytest.mark.parametrize(
    ("percentile", "text"),
    [(100, "99.99"), (99.999, "99.99"), (99.987, "99.98"), (98.99, "98.9"), (89.9, "89"), (0, "0")],
)
def test_a_percentile_is_never_rounded_up(percentile, text):
    """What is shown was reached."""
    assert shown_percentile(percentile) == text


def test_words_follow_their_definitions():
    """Each word ends where its sample says: of nearest neighbours, then of pairs."""
    made = scale(
        nearest=np.linspace(0.001, 0.002, 11, dtype=np.float32),
        pairs=np.linspace(0, 1, 1001),
        shares=np.linspace(0, 1, 1001),
    )
    ends = {word: end for end, word in made.labels}
    assert ends[Closeness.VERY_SIMILAR] == pytest.approx(0.0015)
    assert ends[Closeness.SIMILAR] == pytest.approx(0.00195)
    assert ends[Closeness.RELATED] == pytest.approx(0.0105, abs=1e-5)  # the nearest 0.0005 are the same
    assert ends[Closeness.LOOSELY] == pytest.approx(0.10045, abs=1e-5)
    assert [made.label(each) for each in (0, 0.0012, 0.0018, 0.005, 0.05, 0.3)] == list(Closeness)


def test_similar_is_always_nearer_than_related():
    """Where items have their nearest far away, only the nearest half percent of pairs is called similar."""
    made = scale(pairs=np.linspace(0, 1, 1001), shares=np.linspace(0, 1, 1001))  # nearest at 0.1 to 0.2
    ends = {word: end for end, word in made.labels}
    assert ends[Closeness.VERY_SIMILAR] == pytest.approx(0.003, abs=1e-5)
    assert ends[Closeness.SIMILAR] == pytest.approx(0.0055, abs=1e-5)
    assert (ends[Closeness.RELATED], ends[Closeness.LOOSELY]) == pytest.approx((0.0105, 0.10045), abs=1e-5)


def test_copies_take_no_word_away():
    """Pairs of copies among the random ones leave the other words where they would be without them."""
    draw = np.random.default_rng(0).uniform(0.3, 1, 100_000).astype(np.float32)
    near = np.linspace(0.25, 0.35, 11, dtype=np.float32)
    plain, copied = (
        {word: end for end, word in scale(pairs=pairs, shares=shares, nearest=near).labels}
        for pairs, shares in (
            pairs_and_shares(draw),
            pairs_and_shares(np.concatenate([draw, np.zeros(3000, np.float32)])),
        )
    )
    for word in (Closeness.VERY_SIMILAR, Closeness.SIMILAR, Closeness.RELATED, Closeness.LOOSELY):
        assert copied[word] == pytest.approx(plain[word], abs=1e-3)
    assert copied[Closeness.SAME] < 0.001


def test_a_nearer_distance_never_gets_a_weaker_word():
    """Words are in the order of distances, whatever the samples look like; of inner products too."""
    draw = np.random.default_rng(0)
    order = list(Closeness)
    for _ in range(50):
        pairs, shares = pairs_and_shares(draw.normal(size=30).astype(np.float32))
        made = scale(pairs=pairs, shares=shares, nearest=np.sort(draw.normal(size=30)).astype(np.float32))
        said = [order.index(made.label(each)) for each in np.linspace(-4, 4, 200)]
        assert said == sorted(said)


def test_closeness_weighs_the_first_three():
    """Weights 3, 2, 1; of fewer hits those that are there, of more the first three."""
    assert closeness_of([[0.1, 0.2, 0.6, 9]]) == pytest.approx([(0.3 + 0.4 + 0.6) / 6])
    assert closeness_of([[0.1, 0.2]]) == pytest.approx([(0.3 + 0.4) / 5])
    assert closeness_of([[0.1]]) == pytest.approx([0.1])


def test_the_limit_is_what_unrelated_queries_reach():
    """The stated share of unrelated queries comes as close; items that lie closer draw the limit on."""
    apart = scale(answers=np.full(5, 0.9, np.float32))
    assert apart.limit == pytest.approx(np.quantile(apart.foreign, 0.17))
    close = scale(foreign=np.linspace(0.5, 1, 101, dtype=np.float32))
    assert close.limit == pytest.approx(0.585 + 0.4 * (0.195 - 0.585))
    assert close.stated_rate == 0.0


def test_a_verdict_compares_with_the_limit():
    """Nothing is close beyond the limit, and where there is nothing; the rate is of unrelated queries."""
    made = scale(answers=np.full(5, 0.9, np.float32))
    assert made.verdict([0.1, 0.1, 0.1]) == (Verdict.CLOSE, pytest.approx(0.1))
    assert made.verdict([0.1, 0.4, 0.4]) == (Verdict.NOTHING_CLOSE, pytest.approx(0.25))
    assert made.verdict([]) == (Verdict.NOTHING_CLOSE, 1.0)
    assert scale(foreign=np.empty(0, np.float32)).verdict([0.1]) is None


def test_people_are_read_between_the_steps():
    """Scores are interpolated between known distances, and constant beyond them."""
    made = scale(people=np.array([[0.1, 0.3], [5, 1]], np.float32))
    assert [made.human_score(each) for each in (0, 0.1, 0.2, 0.3, 1)] == pytest.approx([5, 5, 3, 1, 1])
    assert scale().human_score(0.1) is None


def test_a_scale_is_read_as_it_was_written(tmp_path):
    """Saved and loaded, all arrays are equal; a damaged file is named."""
    made = scale()
    made.save(tmp_path / "scale.npz")
    read = Scale.load(tmp_path / "scale.npz")
    for name in Scale.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    (tmp_path / "scale.npz").write_bytes(b"PK")
    with pytest.raises(IndexDamagedError, match=r"scale\.npz"):
        Scale.load(tmp_path / "scale.npz")

"""Percentiles, and labels that rest on them."""

from dataclasses import replace

import numpy as np
import pytest

from embedsearch.distances.pairs import (
    Closeness,
    Pairs,
    pairs_of,
    percentile_phrase,
    shown_nearer,
    shown_percentile,
)

# of near to far, without the label of an answer in which nothing is close
LABELS = [label for label in Closeness if label is not Closeness.NOT_CLOSE]


def even(count=10_001):
    """Random pairs evenly apart, from 0 to 1."""
    ends = np.linspace(0, 1, count, dtype=np.float32)
    return Pairs(ends, ends, compared=499_500)


def test_a_percentile_counts_the_pairs_that_are_farther():
    """The percent of random pairs that are farther apart, even between two of them."""
    apart = np.arange(1, 101, dtype=np.float32) / 100
    made = Pairs(apart, apart, 499_500)
    assert [made.percentile(each) for each in (0, 0.105, 0.5, 1, 2)] == pytest.approx([100, 89.5, 50, 0, 0])


def test_pairs_are_thinned_without_moving_a_percentile():
    """Of many pairs some are kept: each kept one has its own share, the nearest are all there, ties once."""
    apart = np.random.default_rng(0).random(100_000).astype(np.float32) ** 2
    apart[:50] = apart.min()
    made = pairs_of(apart)
    assert (len(made.distances) < 1100, made.compared) == (True, 100_000)
    assert (made.distances[0], made.shares[0]) == (0, 0)
    want = np.searchsorted(np.sort(apart), made.distances, side="right") / len(apart)
    np.testing.assert_allclose(made.shares, want, atol=1e-7)
    np.testing.assert_array_equal(made.distances[1:200], np.unique(apart)[:199])
    for each in (0.01, 0.2, 0.9):
        assert made.percentile(each) == pytest.approx(100 * (apart > each).mean(), abs=0.1)


@pytest.mark.parametrize(
    ("percentile", "text"),
    [(100, "99.99"), (99.999, "99.99"), (99.987, "99.98"), (98.99, "98.9"), (89.9, "89"), (0, "0")],
)
def test_a_percentile_is_never_rounded_up(percentile, text):
    """What is shown was reached, and is never all of the pairs."""
    assert shown_percentile(percentile) == text


@pytest.mark.parametrize(
    ("percentile", "text"),
    [(100, "0.01"), (99.991, "0.01"), (99.97, "0.03"), (99, "1.0"), (96.95, "3.1"), (57.5, "43"), (0, "99")],
)
def test_the_share_that_is_closer_is_rounded_up(percentile, text):
    """The percent of pairs that are closer is never none and never all of them."""
    assert shown_nearer(percentile) == text


def test_a_phrase_agrees_with_its_label():
    """A near label says how many pairs are farther; a far one how many are closer."""
    assert percentile_phrase(Closeness.RELATED, 99.5) == "closer than 99.50 % of random pairs"
    assert percentile_phrase(Closeness.NOT_CLOSE, 99.5) == "0.50 % of random pairs are closer"
    assert percentile_phrase(Closeness.UNRELATED, 57.0) == "43 % of random pairs are closer"


def test_labels_follow_the_table_of_the_docs():
    """A label is that of the share of random pairs that are as near."""
    ends = {label: end for end, label in even().labels}
    shares = (0.0005, 0.0005 + 0.0005, 0.003, 0.0105, 0.1)  # of the pairs, the nearest 0.0005 are the same
    assert list(ends) == LABELS[:-1]
    assert list(ends.values()) == pytest.approx(shares, rel=0.01)
    assert [even().label(each) for each in (0, 0.0008, 0.002, 0.008, 0.05, 0.3)] == LABELS


def test_a_label_rests_on_the_percentile_alone():
    """Two pairs of texts that are as close among random pairs have one label, in whatever index."""
    draw = np.random.default_rng(0)
    found = []
    for size in (300, 2_000, 20_000):
        made = pairs_of(draw.gamma(3, 1, size * 10).astype(np.float32), general=True)
        for distance in draw.uniform(0, 8, 400):
            found.append((made.percentile(distance), LABELS.index(made.label(distance))))
    found.sort(reverse=True)
    labels = [label for percentile, label in found if percentile < 100]
    assert labels == sorted(labels)
    assert set(labels) >= {1, 2, 3, 4, 5}


def test_a_cat_and_a_kitten_are_no_less_than_two_letters():
    """99.99 % is never a weaker label than 99.77 %, which it was in another index."""
    order = LABELS.index
    assert order(even().label(0.0009)) < order(even().label(0.0023))
    assert even().label(0.0009) is Closeness.VERY_SIMILAR


def test_copies_take_no_label_away():
    """Pairs of copies among the random ones leave the other labels where they would be without them."""
    draw = np.random.default_rng(0).uniform(0.3, 1, 100_000).astype(np.float32)
    plain, copied = (
        {label: end for end, label in pairs_of(pairs).labels}
        for pairs in (draw, np.concatenate([draw, np.zeros(3000, np.float32)]))
    )
    for label in LABELS[1:-1]:
        assert copied[label] == pytest.approx(plain[label], abs=1e-3)
    assert copied[Closeness.SAME] < 0.001


def test_a_nearer_distance_never_gets_a_weaker_label():
    """Labels are in the order of distances, whatever the pairs look like; of inner products too."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        made = pairs_of(draw.normal(size=30_000).astype(np.float32).round(2))
        said = [LABELS.index(made.label(each)) for each in np.linspace(-4, 4, 200)]
        assert said == sorted(said)


@pytest.mark.parametrize(("count", "general"), [(19_899, False), (999, True)])
def test_no_label_rests_on_too_few_pairs(count, general):
    """Pairs of under 200 items, and under 1,000 pairs of general texts, give percentiles and no label."""
    apart = np.linspace(0.1, 1, count, dtype=np.float32)
    few, enough = (pairs_of(each, "texts", general=general) for each in (apart, np.append(apart, 2)))
    assert (few.label(0.1), few.labels, few.percentile(0.05) > 99) == (None, (), True)
    assert few.note.startswith("Hits have no labels: the index has under 200 items")
    assert enough.label(0.1) is Closeness.SIMILAR or enough.label(0.1) is Closeness.VERY_SIMILAR
    assert enough.note == "The random pairs are of texts, as the index has under 200 items."
    assert pairs_of(np.append(apart, 2), general=general).note == ""


def test_labels_end_at_the_strongest_that_is_warranted():
    """Where class names place images, the nearest are related at most; the labels behind it stay."""
    pairs = replace(even(), strongest=Closeness.RELATED)
    assert [label for _, label in pairs.labels] == [Closeness.RELATED, Closeness.LOOSELY]
    assert pairs.labels == even().labels[3:]
    assert [pairs.label(at) for at in (0.0, 0.0001, 0.05, 0.5)] == [
        Closeness.RELATED,
        Closeness.RELATED,
        Closeness.LOOSELY,
        Closeness.UNRELATED,
    ]

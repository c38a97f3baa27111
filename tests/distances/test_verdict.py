"""The verdict on an answer, and the sentence that it rests on."""

import numpy as np
import pytest

from embedsearch.distances.pairs import Closeness, Pairs, not_close, pairs_of, percentile_phrase
from embedsearch.distances.verdict import (
    LOST,
    UNMEASURED,
    Answers,
    Strictness,
    Verdict,
    check_strictness,
    closeness_of,
    held_out_rates,
    judge,
    shown_rate,
)
from embedsearch.errors import QueryError

NONE = np.empty(0, np.float32)
EVEN = np.arange(1, 101, dtype=np.float32) / 100
APART = Pairs(np.linspace(0, 4, 401), np.linspace(0, 1, 401), 499_500)  # up to 0.4 it is loosely related
FAR_ITEMS = np.full(300, 0.1, np.float32)


def answers(items=FAR_ITEMS, foreign=EVEN, own=NONE):
    """How close answers are: by default unrelated queries from 0.01 to 1."""
    return Answers(*(np.sort(np.asarray(each, np.float32)) for each in (items, foreign, own)))


def test_closeness_weighs_the_first_three():
    """Weights 3, 2, 1; of fewer hits those that are there, of more the first three."""
    assert closeness_of([[0.1, 0.2, 0.6, 9]]) == pytest.approx([(0.3 + 0.4 + 0.6) / 6])
    assert closeness_of([[0.1, 0.2]]) == pytest.approx([(0.3 + 0.4) / 5])
    assert closeness_of([[0.1]]) == pytest.approx([0.1])


def test_the_limit_is_what_unrelated_queries_reach():
    """The stated share of unrelated queries comes as close; 200 items that lie closer draw the limit on."""
    few = np.linspace(0.1, 0.9, 5)
    assert answers(items=few).limit(Strictness()) == pytest.approx(np.quantile(EVEN, 0.1))
    near = answers(items=np.linspace(0.1, 0.2, 201), foreign=np.linspace(0.5, 1, 101))
    assert near.limit(Strictness()) == pytest.approx(0.55 + 0.4 * (0.195 - 0.55))
    assert near.rate(near.limit(Strictness())) == 0
    assert answers(items=near.items[:199], foreign=near.foreign).limit(Strictness()) == near.reached


def test_a_strictness_flags_the_share_of_unrelated_queries_that_it_says():
    """With 0.95, 95 percent of the unrelated queries are told that nothing is close."""
    known = answers(foreign=0.39 * np.random.default_rng(0).random(1000))
    for flagged in (0.5, 0.83, 0.95, 0.99):
        limit = known.limit(Strictness(flagged))
        told = [judge([each] * 3, known, APART, Strictness(flagged)).verdict for each in known.foreign]
        assert np.mean([each is Verdict.NOTHING_CLOSE for each in told]) == pytest.approx(flagged, abs=2e-3)
        assert judge([limit] * 3, known, APART, Strictness(flagged)).limit == limit


def test_queries_that_belong_set_the_limit_to_the_error_that_was_asked():
    """A limit by queries that belong loses the allowed share of them, whatever unrelated ones reach."""
    known = answers(own=np.linspace(0.2, 0.4, 101))
    assert known.limit(Strictness(lost=0.1)) == pytest.approx(0.38)
    assert judge([0.37], known, APART).verdict is Verdict.CLOSE
    assert judge([0.395], known, APART).verdict is Verdict.NOTHING_CLOSE
    assert judge([0.395], known, APART).reason == "97 % of your own queries find something closer."


def test_rates_are_measured_on_queries_that_did_not_set_the_limit():
    """Halves set and measure the limit in turn: in the mean, they lose what was asked for."""
    draw = np.random.default_rng(3)
    own, foreign = draw.normal(0.3, 0.05, 4000), draw.normal(0.5, 0.05, 4000)
    lost, flagged = held_out_rates(answers(own=own, foreign=foreign), 0.05)
    assert lost == pytest.approx(0.05, abs=0.015)
    assert flagged == pytest.approx((foreign > np.quantile(own, 0.95)).mean(), abs=0.02)
    # of a few queries the farthest is never within the limit of the others: no rate is zero by construction
    assert held_out_rates(answers(own=[0.1, 0.2, 0.3, 0.9]), 0.01)[0] > 0


def test_a_verdict_compares_with_the_limit():
    """Nothing is close beyond the limit, and where there is nothing; the rate is of unrelated queries."""
    known = answers(items=np.full(5, 0.9))
    near, far = judge([0.08, 0.08, 0.08], known, APART), judge([0.1, 0.4, 0.4], known, APART)
    assert (near.verdict, near.foreign_rate) == (Verdict.CLOSE, pytest.approx(0.08))
    assert near.reason == "8.0 % of unrelated queries find something this close."
    assert (far.verdict, far.foreign_rate) == (Verdict.NOTHING_CLOSE, pytest.approx(0.25))
    assert far.reason == "25 % of unrelated queries find something as close."
    nothing = judge([], known, APART)
    assert (nothing.verdict, nothing.foreign_rate) == (Verdict.NOTHING_CLOSE, 1.0)


def test_nothing_is_close_for_a_reason_that_supports_it():
    """Where hardly an unrelated query comes as close, the sentence tells of what belongs instead."""
    near = answers(items=np.linspace(0.1, 0.2, 300), foreign=np.linspace(0.5, 1, 101))
    told = judge([0.45] * 3, near, Pairs(np.linspace(0, 9, 10), np.linspace(0, 1, 10), 499_500))
    assert (told.verdict, told.foreign_rate) == (Verdict.NOTHING_CLOSE, 0)
    assert told.reason == "100 % of the queries that belong here find something closer."


def test_what_is_unrelated_is_not_close():
    """An answer whose nearest hit is unrelated is not close, however rarely unrelated queries come near."""
    known = answers(items=NONE, foreign=np.full(300, 3.0), own=np.full(300, 1.7))
    told = judge([1.72] * 3, known, APART)
    assert told.verdict is Verdict.NOTHING_CLOSE
    assert told.reason == "43 % of random pairs are closer than the nearest item."


def test_a_copy_is_close_though_all_else_is_far():
    """A hit that is the same as the query makes the answer close."""
    told = judge([0.0, 0.9, 0.9], answers(items=np.full(5, 0.9)), APART)
    assert (told.verdict, told.reason) == (Verdict.CLOSE, "The nearest item is the same as the query.")


def test_no_verdict_where_what_belongs_would_be_lost():
    """Where 90 percent of foreign flagged would lose over 5 of own, there is no verdict, but both rates."""
    lonely = answers(items=np.linspace(0.0, 0.5, 300))
    told = judge([0.1] * 3, lonely, APART)
    assert (told.verdict, told.foreign_rate, told.limit) == (None, None, None)
    assert told.reason == (
        "There is no verdict: a limit that catches 90 % of unrelated queries would also catch 78 % of those "
        "that belong here."
    )
    assert judge([0.1] * 3, lonely, APART, Strictness(0.9)).verdict is Verdict.CLOSE  # the rate was chosen
    few = answers(items=np.linspace(0.0, 0.5, 199))  # each may be the only one of its kind
    assert judge([0.1] * 3, few, APART).verdict is Verdict.CLOSE
    assert judge([0.1], answers(foreign=NONE), APART).reason == UNMEASURED
    assert judge([0.1], answers(items=NONE), APART).verdict is None


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0.0 %"),
        (0.0004, "fewer than 0.1 %"),
        (0.03, "3.0 %"),
        (0.5, "50 %"),
        (0.9999, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_rate_is_shown_without_claiming_more(rate, text):
    """Hardly any is not none, and nearly all is not all."""
    assert shown_rate(rate) == text


@pytest.mark.parametrize("strictness", [0.0, 1.0, -1.0, float("nan"), 95, "high"])
def test_a_strictness_is_a_share(strictness):
    """Anything but a share over 0 and under 1 is refused."""
    with pytest.raises(QueryError, match="strictness is a share over 0 and under 1"):
        check_strictness(strictness)


def random_index(draw):
    """Random pairs, answers of known queries and a strictness, as any index may have them."""
    spread = draw.uniform(0.05, 2)
    general = bool(draw.integers(2))
    pairs = pairs_of(
        np.abs(draw.normal(draw.uniform(0.1, 1), spread, draw.integers(1000, 30_000))).astype(np.float32),
        general=general,
    )
    sizes = [draw.choice(each) for each in ((0, 3, 150, 400), (0, 100, 120, 1000), (0, 0, 100))]
    made = [
        np.sort(np.abs(draw.normal(draw.uniform(0, 1), draw.uniform(0.01, 0.5), size))).astype(np.float32)
        for size in sizes
    ]
    flagged = None if draw.random() < 0.6 else float(draw.uniform(0.05, 0.99))
    return pairs, Answers(*made), Strictness(flagged, float(draw.choice([LOST, 0.2])))


def share_in(reason):
    """The percent that a reason begins with."""
    return 0.0 if reason.startswith("None of ") else float(reason.removeprefix("Fewer than ").split(" %")[0])


@pytest.mark.parametrize("seed", range(40))
def test_no_two_statements_contradict(seed):
    """Over random indexes and answers: verdict, reason, labels and percentiles all say the same."""
    draw = np.random.default_rng(seed)
    pairs, known, strictness = random_index(draw)
    for _ in range(50):
        far = np.sort(np.abs(draw.normal(0, draw.uniform(0.01, 1.5), 10)))
        far = (far * (draw.random() > 0.05)).tolist()  # some are copies
        told = judge(far, known, pairs, strictness)
        labels = [pairs.label(each) for each in far]
        if told.verdict is Verdict.NOTHING_CLOSE:
            labels = [not_close(label) for label in labels]
        assert told.reason
        if told.verdict is None:
            assert (told.foreign_rate, told.limit) == (None, None)
            continue
        # a verdict agrees with every label
        near = {Closeness.NOT_CLOSE, Closeness.UNRELATED, None}
        if told.verdict is Verdict.CLOSE:
            assert labels[0] not in near - {None}
        else:
            assert set(labels) <= near
        # a phrase agrees with its label, and none claims all pairs
        for label, percentile in zip(labels, pairs.percentiles(far).tolist(), strict=True):
            if label is not None:
                phrase = percentile_phrase(label, percentile)
                assert (" are closer" in phrase) == (label in near)
                assert "100" not in phrase
                assert label is not Closeness.UNRELATED or share_in(phrase) >= 10
        # the sentence supports the verdict
        allowed = 0.1 if strictness.flagged is None else 1 - strictness.flagged
        if "unrelated queries find" in told.reason:
            if told.verdict is Verdict.CLOSE:
                assert share_in(told.reason) <= 100 * allowed + 1.1
            else:
                assert share_in(told.reason) >= 100 * allowed - 1.1
        elif told.verdict is Verdict.NOTHING_CLOSE and "random pairs" in told.reason:
            assert share_in(told.reason) >= 10
        elif told.verdict is Verdict.NOTHING_CLOSE:
            lost = strictness.lost if "your own queries" in told.reason else LOST
            assert share_in(told.reason) >= 100 * (1 - lost) - 1.1
        # a nearer answer is never judged worse
        closer = judge([each * 0.9 for each in far], known, pairs, strictness)
        assert told.verdict is not Verdict.CLOSE or closer.verdict is Verdict.CLOSE
        assert closer.foreign_rate <= told.foreign_rate

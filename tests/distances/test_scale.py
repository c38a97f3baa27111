"""The scale of an index: verdicts among a share of its items, and what is kept on disk."""

import numpy as np
import pytest

from embedsearch.distances.pairs import Pairs
from embedsearch.distances.scale import TOO_FEW, Scale
from embedsearch.distances.verdict import Answers, Strictness, Verdict
from embedsearch.errors import IndexDamagedError

EVEN = np.arange(1, 101, dtype=np.float32) / 100
PAIRS = Pairs(4 * EVEN, EVEN, 499_500)
NONE = np.empty(0, np.float32)


def scale(**changes):
    """A scale whose unrelated queries reach from 0.01 to 1, and twice as far among a quarter of the items."""
    known = Answers(np.full(300, 0.1, np.float32), EVEN, NONE)
    fewer = Answers(np.full(300, 0.15, np.float32), 2 * EVEN, NONE)
    people = np.empty((2, 0), np.float32)
    return Scale(
        **{"pairs": PAIRS, "shares": (1.0, 0.25), "answers": (known, fewer), "people": people, **changes}
    )


def test_people_are_read_between_the_steps():
    """Scores are interpolated between known distances, and constant beyond them."""
    made = scale(people=np.array([[0.1, 0.3], [5, 1]], np.float32))
    assert [made.human_score(each) for each in (0, 0.1, 0.2, 0.3, 1)] == pytest.approx([5, 5, 3, 1, 1])
    assert scale().human_score(0.1) is None


def test_a_filter_moves_the_limit():
    """Among fewer items the limit lies farther, in between by the logarithm of the share."""
    made = scale()
    limits = [made.judge([0.1], share).limit for share in (1.0, 0.5, 0.25)]
    assert limits[0] == made.limit
    assert limits[1] == pytest.approx((limits[0] + limits[2]) / 2)
    assert limits[0] < limits[1] < limits[2]
    assert made.judge([0.16], 1.0).verdict is Verdict.NOTHING_CLOSE
    assert made.judge([0.16], 0.25).verdict is Verdict.CLOSE
    assert made.judge([0.16], 0.25).foreign_rate == pytest.approx(0.08)


def test_no_verdict_among_fewer_items_than_were_measured():
    """A filter that keeps less than the smallest share gets no verdict, and says so; nothing found does."""
    assert (scale().judge([0.1], 0.2).verdict, scale().judge([0.1], 0.2).reason) == (None, TOO_FEW)
    assert scale().judge([], 0.0).verdict is Verdict.NOTHING_CLOSE


def test_some_units_never_get_a_verdict():
    """Where answers can't be judged, the reason is given, whatever the distances."""
    words = scale(unjudged="Not for words.")
    told = words.judge([0.0])
    assert (told.verdict, told.foreign_rate, told.limit, told.reason) == (None, None, None, "Not for words.")
    assert (words.limit, words.stated_rate) == (None, None)


def test_a_strictness_is_kept_and_can_be_overridden():
    """The scale's own strictness sets the limit, and that of a query comes before it."""
    strict = scale(strictness=Strictness(0.99))
    assert strict.judge([0.1]).verdict is Verdict.NOTHING_CLOSE
    assert strict.judge([0.1], flagged=0.5).verdict is Verdict.CLOSE
    assert strict.stated_rate == pytest.approx(0.01)


def test_a_scale_is_read_as_it_was_written(tmp_path):
    """Saved and loaded, all is equal; a damaged file is named."""
    made = scale(strictness=Strictness(0.9, 0.1))
    made.save(tmp_path / "scale.npz")
    read = Scale.load(tmp_path / "scale.npz", 499_500)
    assert (read.shares, read.strictness, read.pairs.compared) == (made.shares, made.strictness, 499_500)
    np.testing.assert_array_equal(read.pairs.distances, made.pairs.distances)
    for one, other in zip(read.answers, made.answers, strict=True):
        for array, same in zip(one.arrays, other.arrays, strict=True):
            np.testing.assert_array_equal(array, same)
    (tmp_path / "scale.npz").write_bytes(b"PK")
    with pytest.raises(IndexDamagedError, match=r"scale\.npz"):
        Scale.load(tmp_path / "scale.npz", 1)


def test_a_scale_of_0_6_0_has_no_verdict_under_a_filter(tmp_path):
    """Its answers were measured among all items alone."""
    old = {"pairs": EVEN, "shares": EVEN, "nearest": EVEN, "answers": EVEN, "foreign": EVEN}
    np.savez(tmp_path / "scale.npz", **old, people=np.empty((2, 0), np.float32))
    read = Scale.load(tmp_path / "scale.npz", 4950)
    assert (read.shares, read.strictness) == ((1.0,), Strictness())
    assert (read.judge([0.1]).verdict, read.judge([0.1], 0.5).reason) == (Verdict.CLOSE, TOO_FEW)

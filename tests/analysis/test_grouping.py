import numpy as np
import pytest

from embedsearch.analysis.grouping import greedy_groups


def group(pairs, count, rank=None, more=(), around=None):
    """Run `greedy_groups` over (first, second, distance) triples, and return which row each one joins."""
    first, second, far = (np.array(each) for each in zip(*pairs, strict=True))
    rank = np.arange(count) if rank is None else np.array(rank)
    full = np.isin(np.arange(count), more)
    kept, distance = greedy_groups(
        first, second, far.astype(float), rank, full, around or (lambda _row: None)
    )
    return kept.tolist(), distance.tolist()


def test_a_chain_does_not_make_one_group():
    """In a chain a-b-c-d each one joins a kept one that it is near itself; a and d share no group."""
    kept, distance = group([(0, 1, 0.1), (1, 2, 0.1), (2, 3, 0.1)], 4)
    assert kept == [-1, 0, -1, 2]
    assert distance == [np.inf, 0.1, np.inf, 0.1]


def test_the_rank_decides_what_is_kept():
    """The best of a chain's middle is kept, and both its neighbours join it."""
    assert group([(0, 1, 0.1), (1, 2, 0.2)], 3, rank=[1, 0, 2])[0] == [1, -1, 1]


def test_a_row_joins_the_nearest_that_is_kept():
    """Near two kept rows, a row joins the nearer one, though the other was kept first."""
    assert group([(0, 2, 0.3), (1, 2, 0.1)], 3) == ([-1, -1, 1], [np.inf, np.inf, 0.1])


def test_a_row_without_pairs_joins_nothing():
    """A row that is near none is neither kept for others nor given to one."""
    assert group([(0, 2, 0.1)], 3)[0] == [-1, -1, 0]


def test_where_pairs_are_not_all_the_rest_is_asked_for():
    """A kept row with more neighbours than the pairs hold takes in all that it is asked for, once."""
    asked = []

    def around(row):
        asked.append(row)
        return np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3])

    kept, distance = group([(0, 1, 0.1), (0, 4, 0.4)], 5, more=[0, 1], around=around)
    assert (kept, asked) == ([-1, 0, 0, 0, 0], [0])
    assert distance == [np.inf, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_kept_is_near_another(seed):
    """Of random points, all that is kept is farther apart than the limit, and all else within it."""
    points = np.random.default_rng(seed).random((60, 2))
    far = np.linalg.norm(points[:, None] - points[None], axis=2)
    first, second = np.nonzero(np.triu(far <= 0.2, 1))
    rank = np.random.default_rng(seed + 10).permutation(60)
    kept, distance = greedy_groups(
        first, second, far[first, second], rank, np.zeros(60, bool), lambda _row: None
    )
    staying = np.flatnonzero(kept < 0)
    gone = np.flatnonzero(kept >= 0)
    assert (far[np.ix_(staying, staying)] + np.eye(len(staying)) > 0.2).all()
    assert (far[gone, kept[gone]] == distance[gone]).all()
    assert (distance[gone] <= 0.2).all()
    assert (rank[kept[gone]] < rank[gone]).all()

"""The hash index against a dict, at every size, one by one and in batches."""

import numpy as np
import pytest

from embedsearch.disk.hash_index import FEWEST, HashIndex


@pytest.mark.parametrize("sizes", [[1], [5, 5, 5], [1] * 40, [30, 1, 2, 60, 1], [3 * FEWEST, FEWEST]])
def test_a_hash_leads_to_the_first_number_it_came_with(sizes):
    """Whatever the batches and the growth, each hash has its first number, and others have none."""
    index, want, number = HashIndex(np.uint32), {}, 0
    draw = np.random.default_rng(len(sizes))
    for size in sizes:
        keys = draw.integers(0, 2 * size, size).astype(np.uint64) << np.uint64(6)  # they want one slot in 64
        index.add(keys, np.arange(number, number + size))
        for key in keys.tolist():
            want.setdefault(key, number)
            number += 1
    asked = [at << 6 for at in range(1, 200)]
    assert index.find(asked).tolist() == [want.get(each, -1) for each in asked]
    assert len(index) == len(want)


def test_one_by_one_and_together_are_the_same():
    """Hashes taken one by one are new once each, as in a set; zero is one of them."""
    index, taken = HashIndex(), set()
    for key in np.random.default_rng(0).integers(2, 3 * FEWEST, 4 * FEWEST).tolist():
        assert index.take(key) == (key not in taken)
        taken.add(key)
    assert len(index) == len(taken) > FEWEST
    assert index.take(0)
    assert not index.take(0)


def test_many_at_once_are_new_as_one_by_one():
    """Of hashes taken together the first of equal ones is new, where none was there before."""
    index, single = HashIndex(), HashIndex()
    for seed in range(4):
        keys = np.random.default_rng(seed).integers(0, 2 * FEWEST, FEWEST).astype(np.uint64)
        assert index.take_each(keys).tolist() == [single.take(key) for key in keys.tolist()]
    assert len(index) == len(single) > FEWEST


def test_what_is_added_keeps_its_number():
    """A hash that comes again keeps the number it had."""
    index = HashIndex(np.int64)
    index.add(np.array([7, 0], np.uint64), np.array([2**40, 5]))
    index.add(np.array([7, 9], np.uint64), np.array([3, 4]))
    assert index.find([7, 9, 0, 8]).tolist() == [2**40, 4, 5, -1]

"""Search parameters that reach a wanted recall: how they are found, and what recall is held against."""

from itertools import pairwise

import numpy as np
import pytest

from embedsearch.backends import Filter, Settings, backend_class
from embedsearch.backends.tuning import hold_out, masks, recall, truth, tune
from embedsearch.distances.metric import Metric

COUNT = 5000  # more than are compared at a time
DRAW = np.random.default_rng(4)
VECTORS = (DRAW.normal(size=(COUNT, 16)) * DRAW.uniform(0.5, 2, (COUNT, 1))).astype(np.float32)
QUERIES = DRAW.normal(size=(40, 16)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)
VALUES = [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24]


def test_held_out_rows_are_seeded_and_few():
    """1,000 rows at most, 250 of a million, 400 or a tenth of few are held out, always the same ones."""
    rows = hold_out(10_000)
    assert len(rows) == 400
    assert np.array_equal(rows, hold_out(10_000))
    assert (np.diff(rows) > 0).all()
    counts = 1000, 30_000, 10**5, 400_000, 10**6, 10**7
    assert [len(hold_out(count)) for count in counts] == [100, 600, 1000, 625, 250, 250]


@pytest.mark.parametrize("metric", Metric)
def test_the_truth_is_that_of_exact_search(metric):
    """The distances that recall is held against are those of exact search, under each share of rows."""
    exact = backend_class("exact").build("exact", VECTORS, metric, Settings(memory=2**30))
    shares = list(masks(COUNT))
    assert [share for share, _ in shares] == [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
    allowed = [np.ones(COUNT, np.bool_) if mask is None else mask for _, mask in shares]
    found = truth(QUERIES, VECTORS, allowed, metric)
    for mask, far in zip(allowed, found, strict=True):
        want, _ = exact.search(QUERIES, 10, Filter(lambda mask=mask: mask))
        np.testing.assert_allclose(far, want, atol=1e-5)
    with_few = truth(QUERIES, VECTORS, [np.arange(COUNT) < 4], metric)[0]
    assert np.isfinite(with_few).sum(1).tolist() == [4] * len(QUERIES)


def test_recall_counts_ties_and_what_exists():
    """A hit at the distance of the tenth neighbour counts; of four that exist, four are all."""
    best = np.array([[0, 1, 1, 1, 1, 1, 1, 1, 1, 1.0]], np.float32)
    assert recall(np.array([[0, *[1] * 9]], np.float32), best)[0] == 1
    assert recall(np.array([[0, *[1] * 4, *[2] * 5]], np.float32), best)[0] == 0.5
    few = np.array([[0, 1, 2, 3, *[np.inf] * 6]], np.float32)
    assert recall(few, few)[0] == 1
    assert recall(np.array([[0, 1, 2, 9, *[np.inf] * 6]], np.float32), few)[0] == 0.75


def tuned(needed, wanted=0.9):
    """Tune a pretended index that finds all from `needed(share)` on; return the steps, and what was tried."""
    shares = {None if mask is None else int(mask.sum()): share for share, mask in masks(COUNT)}
    allowed = np.ones(COUNT, np.bool_)
    exact = {
        share: truth(QUERIES, VECTORS, [allowed if mask is None else mask], Metric.COSINE)[0]
        for share, mask in masks(COUNT)
    }
    tried = []

    def trial(queries, ef_or_nprobe, rerank_k, mask):  # noqa: ARG001
        share = shares[None if mask is None else int(mask.sum())]
        if len(queries) > 1:
            tried.append((share, ef_or_nprobe))
        best = exact[share][: len(queries)]
        return best if ef_or_nprobe >= needed(share) else best + 1

    steps = tune(trial, QUERIES, VECTORS, list(exact.values()), Metric.COSINE, wanted, VALUES, [10])
    return steps, tried


@pytest.mark.parametrize("needed", VALUES)
def test_the_least_value_that_serves_is_found(needed):
    """Wherever it lies, the first value that reaches the recall is the step, within a few trials."""
    steps, tried = tuned(lambda _: needed)
    assert (steps[0].ef_or_nprobe, steps[0].recall) == (needed, 1.0)
    assert len([share for share, _ in tried if share == 1]) <= 9


def test_a_recall_out_of_reach_gives_the_most_that_there_is():
    """Where no value serves, the step holds the largest, and the recall that it reaches; no share follows."""
    steps, _ = tuned(lambda _: 1000)
    assert [(step.ef_or_nprobe, step.recall) for step in steps] == [(24, 0.0)]


def test_a_smaller_share_goes_on_where_the_larger_ended(monkeypatch):
    """Under a filter no value is tried that is less than the larger share's step."""
    monkeypatch.setattr("embedsearch.backends.tuning._scan_seconds", lambda *_: 1.0)
    steps, tried = tuned(lambda share: 8 / share**0.2)
    assert [step.ef_or_nprobe for step in steps] == [8, 10, 12, 14, 16, 20, 24]
    for before, step in pairwise(steps):
        assert min(value for share, value in tried if share == step.share) == before.ef_or_nprobe


def test_comparing_all_ends_the_steps(monkeypatch):
    """A share among which comparing all rows is faster has no step."""
    monkeypatch.setattr("embedsearch.backends.tuning._scan_seconds", lambda *_: 0.0)
    steps, _ = tuned(lambda _: 8)
    assert [step.share for step in steps] == [1.0]

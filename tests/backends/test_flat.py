"""Comparing one query with allowed rows: by whichever way, the rows and distances of comparing with all."""

import faiss
import numpy as np
import pytest

from embedsearch.backends import Filter, Settings, Stored, backend_class, flat, taking
from embedsearch.backends.flat import bitmap, blocks, scan
from embedsearch.distances.metric import Metric, normalized
from tests.backends.test_exact import brute, random_vectors

NONE = np.empty(0, np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("metric", Metric)
def test_one_query_finds_what_float64_finds(metric, dtype, monkeypatch):
    """Of 1,500 rows in blocks of 400, shared among threads, the nearest 37 come, read in place or copied."""
    monkeypatch.setattr(flat, "BLOCK", 400)
    vectors, query = random_vectors(3000).astype(dtype), random_vectors(1, seed=1)
    mask = np.arange(3000) % 2 == 1
    ready = normalized(query) if metric is Metric.COSINE else query
    far, rows = scan(ready, blocks(3000, Filter(lambda: mask), NONE), taking(vectors), metric, 37)
    want = np.where(mask, brute(query, vectors, metric)[0], np.inf)
    assert rows.tolist() == [np.argsort(want, kind="stable")[:37].tolist()]
    np.testing.assert_allclose(far[0], np.sort(want)[:37], rtol=1e-5, atol=1e-5)


def test_of_equal_distances_the_lower_rows_come():
    """Copies at the last place are cut by their row, in whichever block they are, and zero vectors count."""
    vectors = np.repeat(np.array([[1, 0], [0, 1], [0, 0]], np.float32), 30, axis=0)
    query = np.array([[0, 1]], np.float32)
    parts = iter([np.arange(40, 90), np.arange(40)])
    far, rows = scan(query, parts, taking(vectors), Metric.COSINE, 32)
    assert rows[0].tolist() == [*range(30, 60), 0, 1]
    assert far[0].tolist() == [0.0] * 30 + [1.0] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_one_query_has_the_digits_of_versions_before(dtype, monkeypatch):
    """Cosine distances of one query are FAISS's of vectors of unit length, to the last bit, as in 0.6.0."""
    monkeypatch.setattr(flat, "BLOCK", 400)
    vectors, query = 3 * random_vectors(3000, 384).astype(dtype), normalized(random_vectors(1, 384, seed=1))
    far, rows = scan(query, blocks(3000, None, NONE), taking(vectors), Metric.COSINE, 37)
    unit = flat.taken(taking(vectors), np.arange(3000), Metric.COSINE)
    values, plain = faiss.knn(query, unit, 37, faiss.METRIC_INNER_PRODUCT)
    assert np.array_equal(rows, plain)
    assert np.array_equal(far, flat.to_distances(values, Metric.COSINE))


def test_lengths_are_kept():
    """The length of a vector is computed once, that of a zero vector is 1, and others stay unknown."""
    vectors = random_vectors(600)
    vectors[7] = 0
    take = taking(vectors)
    rows = np.array([3, 7, 500])
    first = take.lengths(rows)
    np.testing.assert_allclose(
        first, [np.linalg.norm(vectors[3]), 1, np.linalg.norm(vectors[500])], rtol=1e-5
    )
    vectors[3] = 9
    assert np.array_equal(take.lengths(rows), first)


def test_lengths_while_another_thread_makes_their_array():
    """Lengths are right where another thread puts an array of its own in the place of theirs meanwhile."""

    class Torn(Stored):
        def __call__(self, rows):
            self.__dict__.pop("_lengths", None)
            return super().__call__(rows)

    vectors = random_vectors(600)
    np.testing.assert_allclose(
        Torn(vectors).lengths(np.arange(600)), np.linalg.norm(vectors, axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("queries", [1, 30])
def test_exact_search_among_rows_is_faiss_with_a_bitmap(metric, queries):
    """Under a filter rows and distances are those of FAISS's bitmap to the last bit, ties included."""
    vectors = np.round(random_vectors(2500, 8) / 4)  # many copies
    vectors[:, 0] += 20
    asked = np.round(random_vectors(queries, 8, seed=1) / 4) + 1
    backend = backend_class("exact").build("exact", vectors, metric, Settings(2**30))
    mask = np.random.default_rng(0).random(2500) < 0.4
    ready = normalized(asked) if metric is Metric.COSINE else asked
    for k in (5, 99, 100, 300):
        far, rows = backend.search(asked, k, Filter(lambda: mask))
        sel = faiss.SearchParameters(sel=bitmap(mask))
        values, plain = backend._index.search(ready, k, params=sel)
        for at in range(queries):
            assert sorted(rows[at].tolist()) == sorted(plain[at].tolist())
        order = np.take_along_axis(values, np.argsort(values, axis=1), 1)
        if metric is Metric.L2:
            assert np.array_equal(far, np.sqrt(order))
        else:
            assert np.array_equal(far, flat.to_distances(order[:, ::-1], metric))

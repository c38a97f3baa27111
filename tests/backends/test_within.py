import numpy as np
import pytest

from embedsearch.backends import Filter, Settings, backend_class, taking
from embedsearch.backends.part import PartSearch
from embedsearch.distances.metric import Metric
from tests.backends.test_exact import random_vectors


@pytest.mark.parametrize("metric", Metric)
def test_all_within_a_limit_are_the_first_of_a_whole_search(metric):
    """What lies within the distance of the 137th of 500 is the first 137, with the same distances."""
    vectors, query = random_vectors(500), random_vectors(1, seed=1)
    backend = backend_class("exact").build("exact", vectors, metric, Settings(memory=2**30))
    far, rows = backend.search(query, 500)
    limit = float(far[0, 136])
    near, found = backend.within(query, limit)
    assert near.shape == found.shape == (1, 137)
    assert near.tolist() == far[:, :137].tolist()
    assert found.tolist() == rows[:, :137].tolist()
    assert backend.within(query, float(np.nextafter(far[0, 0], -np.inf)))[1].shape == (1, 0)


def test_a_filter_and_excluded_rows_hold_within_a_limit():
    """Rows that a filter keeps out or that are excluded are not found, by any way to search."""
    vectors, query = random_vectors(1500), random_vectors(1, seed=2)
    mask = np.arange(1500) % 3 == 0
    exact = backend_class("exact").build("exact", vectors, Metric.COSINE, Settings(memory=2**30))
    graph = backend_class("hnsw").build("hnsw", vectors, Metric.COSINE, Settings(2**30, recall=1.0))
    part = PartSearch(1500, taking(vectors), np.arange(24), Metric.COSINE)
    far, rows = exact.search(query, 1500, Filter(lambda: mask))
    limit, left_out = float(far[0, 200]), [int(rows[0, 0]), int(rows[0, 7])]
    want = [row for row in rows[0, :201].tolist() if row not in left_out]
    for backend in (exact, graph, part):
        assert backend.within(query, limit, Filter(lambda: mask), left_out)[1][0].tolist() == want

"""Vectors find their lists among thousands by codes, and come into the nearest all the same."""

import faiss
import numpy as np
import pytest

from embedsearch.backends import lists
from embedsearch.distances.metric import normalized

LISTS, DIMENSION = 64, 64


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Codes are used for as few lists as the tests have."""
    monkeypatch.setattr(lists, "FEWEST", LISTS)


def near_centres(count, seed):
    """Return unit vectors (n, d) float32 around as many centres as there are lists."""
    centres = np.random.default_rng(9).normal(size=(LISTS, DIMENSION))
    draw = np.random.default_rng(seed)
    points = centres[draw.integers(LISTS, size=count)] + 0.4 * draw.normal(size=(count, DIMENSION))
    return normalized(points.astype(np.float32))


def made(name="IVF64,RaBitQ", dimension=DIMENSION, metric=faiss.METRIC_INNER_PRODUCT):
    """Return an empty index."""
    return faiss.index_factory(dimension, name, metric)


def list_of(index):
    """Return the list that each vector of an index is in, (n,)."""
    found = np.empty(index.ntotal, np.int64)
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        found[faiss.rev_swig_ptr(index.invlists.get_ids(number), size)] = number
    return found


@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
def test_vectors_come_into_the_nearest_list(metric):
    """At least 98 percent do, the lists are as good as those of FAISS alone, and its quantizer is back."""
    index, plain, vectors = made(metric=metric), made(metric=metric), near_centres(4000, 1)
    finder = lists.train(index, vectors)
    quantizer = index.quantizer
    assert finder is not None
    with lists.filling(index, finder):
        index.add(vectors)
    assert index.quantizer.this == quantizer.this
    assert np.mean(list_of(index) == index.quantizer.assign(vectors, 1)[:, 0]) >= lists.SAME
    plain.train(vectors)
    ours, theirs = (
        np.mean(
            normalized(each.quantizer.reconstruct_n(0, LISTS))[each.quantizer.assign(vectors, 1)[:, 0]]
            * vectors
        )
        for each in (index, plain)
    )
    assert ours >= 0.98 * theirs


def test_vectors_of_zeros_come_into_lists_too():
    """They are as far from all centres by ip; none ends the training, and none is lost."""
    index, vectors = made(), near_centres(4000, 1)
    vectors[5::200] = 0
    finder = lists.train(index, vectors)
    assert finder is not None
    with lists.filling(index, finder):
        index.add(vectors)
    assert sum(index.invlists.list_size(number) for number in range(index.nlist)) == len(vectors)


def test_codes_that_do_not_find_the_nearest_are_not_used(monkeypatch):
    """Where too few vectors get the nearest list by codes, each is compared with all centres."""
    monkeypatch.setattr(lists, "FILLED_AMONG", (1,))
    monkeypatch.setattr(lists, "SAME", 1.0)
    noise = normalized(np.random.default_rng(3).normal(size=(4000, DIMENSION)).astype(np.float32))
    index = made()
    assert lists.train(index, noise) is None
    assert index.is_trained


@pytest.mark.parametrize(
    ("name", "dimension"),
    [("IVF64,RaBitQ", 70), ("IVF64,RaBitQ", 32), ("IVF16,RaBitQ", DIMENSION), ("HNSW16,SQ8", DIMENSION)],
)
def test_what_codes_do_not_fit_is_trained_as_usual(name, dimension):
    """Few lists, no lists, few components, and a number of them that codes can't share."""
    vectors = np.random.default_rng(0).normal(size=(1000, dimension)).astype(np.float32)
    index = made(name, dimension)
    assert lists.train(index, vectors) is None
    with lists.filling(index, None):
        index.add(vectors)
    assert (index.is_trained, index.ntotal) == (True, 1000)


def test_lists_that_a_graph_finds_are_trained_by_codes_and_filled_by_the_graph():
    """The quantizer of very many lists is a graph over the centres."""
    index, vectors = made("IVF64_HNSW8,RaBitQ"), near_centres(4000, 1)
    assert lists.train(index, vectors) is None
    assert (index.is_trained, index.quantizer.ntotal) == (True, LISTS)

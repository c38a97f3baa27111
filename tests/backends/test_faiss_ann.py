"""Approximate search against exact search: recall on queries held out, filters, additions and removals."""

import tracemalloc

import numpy as np
import pytest

from embedsearch.backends import BACKENDS, Filter, Settings, backend_class, choose, needed, taking
from embedsearch.backends import faiss_ann as module
from embedsearch.backends.facts import IndexFacts, Step, Tuned
from embedsearch.distances.metric import Metric
from embedsearch.errors import IndexDamagedError

KINDS = [kind for kind, each in BACKENDS.items() if "faiss_ann" in each.implementation]
COUNT, DIMENSION = 4000, 32
SETTINGS = Settings(memory=2**30, recall=0.95)


def clustered(count, seed):
    """Return vectors (n, d) float32 around a few hundred centres, of different lengths."""
    centres = np.random.default_rng(99).normal(size=(300, DIMENSION))
    random = np.random.default_rng(seed)
    points = centres[random.integers(300, size=count)] + 0.5 * random.normal(size=(count, DIMENSION))
    return (points * random.uniform(0.5, 2, (count, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    """The vectors that are indexed."""
    return clustered(COUNT, 0)


@pytest.fixture(scope="module")
def queries():
    """Queries of the same kind, none of them indexed."""
    return clustered(300, 1)


@pytest.fixture(scope="module")
def built(vectors, tmp_path_factory):
    """Return a function that gives the folder and the backend of a kind and metric, made once."""
    made = {}

    def make(kind, metric=Metric.COSINE):
        if (kind, metric) not in made:
            folder = tmp_path_factory.mktemp("index")
            backend = backend_class(kind).build(kind, vectors, metric, SETTINGS)
            backend.save(folder / "index.faiss")
            made[kind, metric] = folder / "index.faiss", backend
        return made[kind, metric]

    return make


def of(mask):
    """Return the filter of a mask; None for None."""
    return None if mask is None else Filter(lambda: mask)


def exact(vectors, metric):
    """Return an exact index."""
    return backend_class("exact").build("exact", vectors, metric, SETTINGS)


def share_found(backend, vectors, queries, metric, allow=None, k=10):
    """Return recall@k by distance."""
    found, _ = backend.search(queries, k, of(allow))
    best, _ = exact(vectors, metric).search(queries, k, of(allow))
    return float((found <= best[:, -1:] + 1e-5 + 1e-5 * np.abs(best[:, -1:])).mean())


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("kind", KINDS)
def test_the_recall_is_what_the_manifest_says(built, vectors, queries, kind, metric):
    """recall@10 on queries that the index never saw is the wanted one, and what was measured holds."""
    _, backend = built(kind, metric)
    facts = backend.facts
    assert (facts.kind, facts.tuned.wanted, facts.queries) == (kind, 0.95, 400)
    assert facts.recall >= 0.95
    assert share_found(backend, vectors, queries, metric) >= facts.recall - 0.03


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_exact(built, vectors, queries, kind, metric):
    """Whatever the codes, a hit's distance is that of the stored vectors, ascending, each row once."""
    _, backend = built(kind, metric)
    found, rows = backend.search(queries, 10)
    best, order = exact(vectors, metric).search(queries, COUNT)
    for at in range(len(queries)):
        place = np.empty(COUNT, np.int64)
        place[order[at]] = np.arange(COUNT)
        np.testing.assert_allclose(found[at], best[at][place[rows[at]]], rtol=1e-5, atol=1e-5)
        assert len(set(rows[at].tolist())) == 10
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("kept", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_costs_no_recall_and_no_hits(built, vectors, queries, kind, kept):
    """Under a filter only allowed rows come, all that exist up to k, and recall holds the same bar."""
    _, backend = built(kind)
    allow = np.random.default_rng(5).random(COUNT) < kept
    _, rows = backend.search(queries, 10, of(allow))
    assert rows.shape == (len(queries), min(10, int(allow.sum())))
    assert allow[rows].all()
    k = min(10, int(allow.sum()))
    assert share_found(backend, vectors, queries, Metric.COSINE, allow, k) >= 0.93


@pytest.mark.parametrize("kind", ["ivf-pq", "ivf-rabitq"])
def test_a_graph_finds_as_many_lists_as_are_asked_for(kind, monkeypatch):
    """Where a graph finds the lists, a search in nearly all of them finds nearly all neighbours."""
    monkeypatch.setattr(module, "MANY_LISTS", 64)
    vectors, queries = clustered(20_000, 0), clustered(300, 1)
    backend = backend_class(kind).build(kind, vectors, Metric.COSINE, SETTINGS)
    lists = backend._index.nlist
    backend._known = Tuned(0.95, (Step(1.0, lists - 1, 800, 1.0),))
    assert lists == 256
    assert share_found(backend, vectors, queries, Metric.COSINE) > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_far_from_the_query_is_full(built, vectors, queries, kind):
    """Where the allowed rows are the farthest ones, k of them are found all the same, and the right ones."""
    _, backend = built(kind)
    _, order = exact(vectors, Metric.COSINE).search(queries[:1], COUNT)
    allow = np.zeros(COUNT, np.bool_)
    allow[order[0, -400:]] = True
    _, rows = backend.search(queries[:1], 10, of(allow))
    assert (rows >= 0).all()
    assert allow[rows].all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [10, 500])
def test_excluded_rows_are_left_out_as_by_a_mask(built, vectors, kind, k):
    """Rows left out, with a filter and without, give bit for bit what a mask without them gives."""
    _, backend = built(kind)
    exclude, keeps = [5, 4, 3999], np.random.default_rng(3).random(COUNT) < 0.5
    for mask in (None, keeps, np.arange(COUNT) < 8):
        less = np.ones(COUNT, np.bool_) if mask is None else mask.copy()
        less[exclude] = False
        want = backend.search(vectors[exclude], k, of(less))
        got = backend.search(vectors[exclude], k, of(mask), exclude)
        assert np.array_equal(want[0], got[0])
        assert np.array_equal(want[1], got[1])


def test_excluding_one_of_many_rows_takes_no_memory_of_that_size():
    """A row left out takes blocks of the nodes, not a mask or a list of all, as codes or compared by each."""
    count = 2 * 10**6
    few = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    index = module.faiss.index_factory(4, "IVF16,SQ8", module.faiss.METRIC_L2)
    index.train(few[:2000])
    index.add(few)
    for steps in ((Step(1.0, 16, 20, 1.0),), ()):
        facts = IndexFacts("ivf-pq", Tuned(0.95, steps))
        rows = np.arange(count, dtype=np.int32)
        backend = module.FaissANN(index, rows, count, taking(few), Metric.L2, facts)
        mask = np.ones(count, np.bool_)
        mask[123_456] = False
        want = backend.search(few[123_456:123_457], 10, of(mask))
        tracemalloc.start()
        got = backend.search(few[123_456:123_457], 10, exclude=[123_456])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < count
        assert np.array_equal(want, got)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 37, 500, COUNT, 10**7])
def test_any_k_is_answered(built, queries, kind, k):
    """One, many and more than there are: as many different rows as exist, and no -1 among them."""
    _, backend = built(kind)
    found, rows = backend.search(queries[:3], k)
    assert rows.shape == found.shape == (3, min(k, COUNT))
    assert rows.min() >= 0
    assert len(set(rows[0].tolist())) == rows.shape[1]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_answers_the_same(built, vectors, queries, kind):
    """A saved index, read back memory-mapped, gives bit for bit what was saved, under filters too."""
    path, backend = built(kind)
    loaded = backend_class(kind).locate(path, taking(vectors), Metric.COSINE, backend.facts)
    allow = np.arange(COUNT) % 3 == 0
    for mask in (None, allow):
        for want, got in zip(
            backend.search(queries, 10, of(mask)), loaded.search(queries, 10, of(mask)), strict=True
        ):
            assert np.array_equal(want, got)


def test_a_file_that_is_no_index_is_refused(built, vectors, tmp_path):
    """A truncated index raises IndexDamagedError with its path."""
    path, backend = built("ivf-pq")
    (tmp_path / "index.faiss").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(IndexDamagedError, match=r"index\.faiss can't be read"):
        backend_class("ivf-pq").locate(
            tmp_path / "index.faiss", taking(vectors), Metric.COSINE, backend.facts
        )


@pytest.mark.parametrize("kind", ["hnsw-sq8", "ivf-pq"])
def test_an_extended_index_finds_the_new_and_not_the_removed(built, vectors, queries, kind):
    """Rows removed never come, added ones do, rows have their new numbers; recall and distances hold."""
    path, backend = built(kind)
    removed = np.arange(0, COUNT, 10)
    stay = np.setdiff1d(np.arange(COUNT), removed)[::-1]  # in another order
    new = clustered(300, 7)
    now = np.concatenate([new[:150], vectors[stay], new[150:]])
    kept = np.concatenate([np.full(150, -1), stay, np.full(150, -1)])
    loaded = backend_class(kind).locate(path, taking(vectors), Metric.COSINE, backend.facts)
    extended = loaded.extend(path, now, kept, SETTINGS)
    assert (extended.facts.tuned.added, extended.facts.tuned.masked) == (300, len(removed))
    assert extended.facts.recall >= 0.95 - 0.03
    assert share_found(extended, now, queries, Metric.COSINE) >= 0.95 - 0.02
    assert share_found(extended, now, new, Metric.COSINE, k=1) >= 0.97  # each finds itself
    allow = np.random.default_rng(5).random(len(now)) < 0.3
    assert allow[extended.search(queries, 10, of(allow))[1]].all()
    gone = extended.search(vectors[removed], 1)[0]
    assert (gone[:, 0] > 1e-4).mean() > 0.99  # the removed rows' own vectors are not there

    extended.save(path.with_name("second.faiss"))
    again = backend_class(kind).locate(
        path.with_name("second.faiss"), taking(now), Metric.COSINE, extended.facts
    )
    assert np.array_equal(again.search(queries, 10)[1], extended.search(queries, 10)[1])
    # what was added and masked adds up over rebuilds, until a fifth
    half = np.concatenate([now[:-450], clustered(450, 8)])
    places = np.concatenate([np.arange(len(now) - 450), np.full(450, -1)])
    third = again.extend(path.with_name("second.faiss"), half, places, SETTINGS)
    assert third is None


@pytest.mark.parametrize(
    ("added", "removed", "extends"), [(800, 0, True), (1200, 0, False), (0, 600, True), (0, 1000, False)]
)
def test_past_a_fifth_the_index_is_made_anew(built, vectors, added, removed, extends):
    """Up to 20 percent of the rows added or masked the graph is kept, beyond it is not."""
    path, backend = built("hnsw-sq8")
    now = np.concatenate([vectors[removed:], clustered(added, 3)])
    kept = np.concatenate([np.arange(removed, COUNT), np.full(added, -1)])
    assert (backend.extend(path, now, kept, SETTINGS) is not None) == extends


def test_another_recall_or_less_memory_makes_it_anew(built, vectors):
    """A graph tuned to another recall, or too large for the memory now given, is not extended."""
    path, backend = built("hnsw-sq8")
    kept = np.arange(COUNT)
    assert backend.extend(path, vectors, kept, SETTINGS) is not None
    assert backend.extend(path, vectors, kept, Settings(memory=2**30, recall=0.99)) is None
    assert backend.extend(path, vectors, kept, Settings(memory=2**18)) is None


def test_a_few_vectors_are_compared_one_by_one():
    """Under a thousand vectors no recall can be measured: every kind is exact."""
    few = clustered(200, 2)
    for kind in KINDS:
        backend = backend_class(kind).build(kind, few, Metric.L2, SETTINGS)
        assert (backend.facts.recall, backend.facts.tuned.steps) == (1.0, ())
        want, rows = exact(few, Metric.L2).search(few[:20], 5)
        found, got = backend.search(few[:20], 5)
        assert np.array_equal(got, rows)
        np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 15, 17, 999])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_vectors_makes_an_index(tmp_path, kind, count):
    """One vector, fewer than codes need, and just too few to measure: it is made, saved and read."""
    few = clustered(count, 4)
    backend = backend_class(kind).build(kind, few, Metric.COSINE, SETTINGS)
    backend.save(tmp_path / "index.faiss")
    loaded = backend_class(kind).locate(tmp_path / "index.faiss", taking(few), Metric.COSINE, backend.facts)
    assert loaded.search(few, 1)[1][:, 0].tolist() == list(range(count))


def test_what_no_code_tells_apart_is_compared(monkeypatch):
    """Vectors on which no parameters reach the recall are compared one by one, where they are not many."""
    monkeypatch.setattr(module, "EF_SEARCH", (1,))
    random = np.random.default_rng(2)
    spread = clustered(1500, 3) * np.exp(random.normal(size=(1500, 1)) * 3).astype(np.float32)
    backend = backend_class("hnsw-sq8").build("hnsw-sq8", spread, Metric.L2, SETTINGS)
    assert backend.facts.recall >= 0.95
    assert share_found(backend, spread, clustered(50, 5), Metric.L2) >= 0.95


def test_a_recall_out_of_reach_is_told(vectors, monkeypatch):
    """Where the parameters there are do not reach the recall, the best is taken and its recall said."""
    monkeypatch.setattr(module, "EF_SEARCH", (1,))
    monkeypatch.setattr(module, "LIST_RERANK_K", (10,))
    monkeypatch.setattr(module, "EXACT_UP_TO", 1000)
    backend = backend_class("ivf-rabitq").build("ivf-rabitq", vectors, Metric.COSINE, SETTINGS)
    assert backend.facts.recall < 0.95


def test_half_precision_vectors_are_enough(vectors, queries):
    """Stored as float16, vectors are ranked by what is stored; rows hardly differ."""
    half = vectors.astype(np.float16)
    backend = backend_class("ivf-pq").build("ivf-pq", half, Metric.COSINE, SETTINGS)
    found, _ = backend.search(queries, 10)
    assert found.dtype == np.float32
    best, _ = exact(vectors, Metric.COSINE).search(queries, 10)
    assert (found <= best[:, -1:] + 1e-3).mean() > 0.94


@pytest.mark.parametrize(
    ("count", "memory", "kind"),
    [
        (50_000, 10**9, "exact"),
        (50_001, 10**9, "hnsw-sq8"),
        (300_000, 10**9, "hnsw-sq8"),
        (300_000, 10**8, "ivf-pq"),
        (1_000_000, 10**9, "ivf-pq"),
        (10_000_000, 4 * 10**9, "ivf-pq"),
        (10_000_000, 10**9, "ivf-rabitq"),
        (50_000, 10**7, "ivf-pq"),
    ],
)
def test_the_kind_follows_size_and_memory(count, memory, kind):
    """Exact while that takes milliseconds, a graph where it fits, lists of short codes beyond."""
    assert choose(count, 384, memory) == kind
    assert kind == "ivf-rabitq" or needed(kind, count, 384) <= memory

import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest

from embedsearch.backends import BACKENDS, Filter, Settings, backend_class, exact
from embedsearch.backends.exact import ExactBackend
from embedsearch.backends.facts import IndexFacts
from embedsearch.distances.metric import Metric
from embedsearch.errors import IndexDamagedError, RecipeError


def no_vectors(rows):
    """Fail: an exact index holds its vectors itself."""
    raise AssertionError(rows)


def build(vectors, metric):
    """Return an exact index over vectors (n, d)."""
    return ExactBackend.build("exact", vectors, metric, Settings(memory=2**30))


def brute(queries, vectors, metric):
    """Return all distances (q, n) in float64, by the formulas of the design."""
    a, b = queries.astype(np.float64), vectors.astype(np.float64)
    if metric is Metric.COSINE:
        a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300) for x in (a, b))
        return np.clip(1 - a @ b.T, 0, 2)
    if metric is Metric.L2:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    return -(a @ b.T)


def random_vectors(count, dimension=24, seed=0):
    """Return vectors of different lengths, (n, d) float32."""
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, dimension)) * random.uniform(0.1, 9, (count, 1))).astype(np.float32)


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("queries", [1, 40])
def test_distances_and_rows_equal_brute_force(metric, queries):
    """The k nearest rows and their distances are those of a float64 comparison with every vector."""
    vectors, asked = random_vectors(500), random_vectors(queries, seed=1)
    backend = build(vectors, metric)
    found, rows = backend.search(asked, 10)
    want = brute(asked, vectors, metric)
    assert len(backend) == 500
    assert found.dtype == np.float32
    assert np.array_equal(rows, np.argsort(want, axis=1, kind="stable")[:, :10])
    np.testing.assert_allclose(found, np.sort(want, axis=1)[:, :10], rtol=1e-5, atol=1e-5)
    assert (np.diff(found, axis=1) >= 0).all(), "smaller is more related and comes first"


class Threads:
    """An index that notes how many threads FAISS would take."""

    def __init__(self, count):
        self.ntotal, self.seen = count, []

    def search(self, queries, k, params):
        """Find the first row, at 0."""
        assert params is None
        self.seen.append(faiss.omp_get_max_threads())
        found = np.zeros((len(queries), k), np.float32)
        return found, np.zeros((len(queries), k), np.int64)


def test_one_query_of_a_small_index_takes_one_thread():
    """FAISS compares one query in the thread that asks; several, and those of 0.9, in all threads."""
    now, before = IndexFacts("exact", threads=1), IndexFacts("exact")
    index, older = Threads(100), Threads(100)
    most = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        for facts, asked, queries in ((now, index, 1), (now, index, 2), (before, older, 1)):
            ExactBackend(asked, Metric.L2, facts).search(random_vectors(queries), 5)
        assert (index.seen, older.seen) == ([1, 3], [3])
    finally:
        faiss.omp_set_num_threads(most)


def test_a_small_build_says_that_one_thread_compares(monkeypatch):
    """The facts of a build keep how a single query is compared, up to so many numbers."""
    monkeypatch.setattr(exact, "ALONE", 240)
    built = [ExactBackend.build("exact", random_vectors(n), Metric.L2, Settings(0)) for n in (10, 11)]
    assert [each.facts.threads for each in built] == [1, 0]


def test_halves_change_no_digit(monkeypatch):
    """From the second query on float16 chooses what is compared: rows and distances stay FAISS's own."""
    monkeypatch.setattr(exact, "HALVED", 0)
    vectors, random = random_vectors(3000, 64), np.random.default_rng(2)
    vectors[1000:1500] = vectors[:500]
    vectors[1500:1540] = 2 * vectors[0]  # more of equal distance than are looked at beyond those wanted
    vectors[2000:2040] = vectors[1] * random.uniform(0.9999, 1.0001, (40, 64))  # float16 tells few apart
    vectors[2100:2110] = vectors[2] * random.uniform(0.9999, 1.0001, (10, 64))
    halved, plain = build(vectors, Metric.COSINE), build(vectors, Metric.COSINE)
    monkeypatch.setattr(plain, "_is_halved", lambda _: False)
    nearest, chosen = halved._nearest, []
    monkeypatch.setattr(halved, "_nearest", lambda *asked: chosen.append(nearest(*asked)) or chosen[-1])
    for at, query in enumerate(np.concatenate([vectors[:60], random_vectors(60, 64, seed=1)])):
        for k in (1, 10):
            (far, rows), (want, known) = (each.search(query[None], k) for each in (halved, plain))
            assert np.array_equal(rows, known), (at, k)
            assert np.array_equal(far, want), (at, k)
    assert sum(each is not None for each in chosen) > 100
    assert any(each is None for each in chosen)


def test_a_process_that_asks_once_makes_no_halves(monkeypatch):
    """Halves take memory and time that one query, or queries in one call, do not give back."""
    monkeypatch.setattr(exact, "HALVED", 0)
    backend = build(random_vectors(500), Metric.COSINE)
    backend.search(random_vectors(40), 10)
    backend.search(random_vectors(1), 10)
    assert "_halves" not in vars(backend)
    backend.search(random_vectors(1), 10)
    assert "_halves" in vars(backend)


def test_a_build_of_0_9_answers_as_before(tmp_path):
    """Of 12,000 vectors, which FAISS compares otherwise in one thread, an older build has the same digits."""
    vectors, query = random_vectors(12_000, 384), random_vectors(1, 384)
    built = ExactBackend.build("exact", vectors, Metric.IP, Settings(0))
    built.save(tmp_path / "index.faiss")
    before = ExactBackend.locate(tmp_path / "index.faiss", vectors.take, Metric.IP, IndexFacts("exact"))
    plain, _ = faiss.read_index(str(tmp_path / "index.faiss")).search(query, 20)
    np.testing.assert_array_equal(before.search(query, 20)[0], -plain)


def test_cosine_ignores_length_and_ip_does_not():
    """A vector ten times as long is at the same cosine distance, and far nearer by inner product."""
    vectors = np.array([[1, 0], [10, 0], [0, 1], [-1, 0]], np.float32)
    cosine = build(vectors, Metric.COSINE).search(vectors[:1], 4)
    assert sorted(cosine[0][0].tolist()) == [0, 0, 1, 2]
    distances, rows = build(vectors, Metric.IP).search(vectors[:1], 4)
    assert rows[0].tolist() == [1, 0, 2, 3]
    assert distances[0].tolist() == [-10, -1, 0, 1]


def test_l2_is_not_squared():
    """The distance of (0, 0) and (3, 4) is 5."""
    backend = build(np.array([[3, 4]], np.float32), Metric.L2)
    assert backend.search(np.zeros((1, 2), np.float32), 1)[0].tolist() == [[5.0]]


@pytest.mark.parametrize("queries", [1, 64])
def test_near_duplicates_keep_their_l2_distance(queries):
    """Vectors of length 800 that differ by 0.01 are told apart to 0.1 percent, in large batches too."""
    random = np.random.default_rng(0)
    vectors = (100 * random.normal(size=(1, 64)) + 1e-3 * random.normal(size=(2000, 64))).astype(np.float32)
    backend = build(vectors, Metric.L2)
    distances, rows = backend.search(vectors[:queries], 5)
    want = np.stack([brute(row[None], vectors, Metric.L2)[0] for row in vectors[:queries]])
    np.testing.assert_allclose(distances, np.sort(want, axis=1)[:, :5], rtol=1e-3, atol=1e-6)
    assert rows[:, 0].tolist() == list(range(queries))


def test_a_copy_is_at_cosine_distance_zero():
    """Equal vectors are at 0 and opposite ones at 2, never outside."""
    vectors = random_vectors(300, 33)
    backend = build(np.concatenate([vectors, -vectors]), Metric.COSINE)
    distances, _ = backend.search(vectors, 600)
    assert distances.min() >= 0
    assert distances.max() <= 2
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(distances[:, -1], 2, atol=1e-6)


def test_a_zero_vector_is_related_to_nothing():
    """A zero vector has no direction: cosine distance 1 to everything, and no not-a-number."""
    vectors = np.array([[0, 0], [1, 1]], np.float32)
    backend = build(vectors, Metric.COSINE)
    assert backend.search(np.zeros((1, 2), np.float32), 2)[0].tolist() == [[1, 1]]
    distances, rows = backend.search(vectors[1:], 2)
    assert (rows.tolist(), distances[0, 1]) == ([[1, 0]], 1)


@pytest.mark.parametrize("metric", Metric)
def test_only_allowed_rows_are_found(metric):
    """A mask of all changes nothing, of few gives just these in order, of none gives none."""
    vectors, asked = random_vectors(101), random_vectors(3, seed=1)
    backend = build(vectors, metric)
    everything = backend.search(asked, 101)
    masked = backend.search(asked, 101, Filter(lambda: np.ones(101, np.bool_)))
    assert np.array_equal(everything[1], masked[1])
    few = np.zeros(101, np.bool_)
    few[[3, 50, 100]] = True
    distances, rows = backend.search(asked, 10, Filter(lambda: few))
    want = brute(asked, vectors[[3, 50, 100]], metric)
    assert rows.tolist() == [[[3, 50, 100][at] for at in order] for order in np.argsort(want, axis=1)]
    np.testing.assert_allclose(distances, np.sort(want, axis=1), rtol=1e-5, atol=1e-5)
    distances, rows = backend.search(asked, 10, Filter(lambda: np.zeros(101, np.bool_)))
    assert (distances.shape, rows.shape) == ((3, 0), (3, 0))


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("queries", [1, 40])
def test_excluded_rows_are_left_out_as_by_a_mask(metric, queries):
    """Rows left out, with a filter and without, change nothing else: distances and rows, ties included."""
    vectors = np.concatenate([random_vectors(60), random_vectors(60), random_vectors(90, seed=2)])
    asked = np.concatenate([vectors[:3], random_vectors(queries - 1, seed=1)])[:queries]
    backend = build(vectors, metric)
    keeps = np.random.default_rng(3).random(len(vectors)) < 0.5
    for exclude in ([0], [60, 0, 5, 5]):
        for mask in (np.ones(len(vectors), np.bool_), keeps):
            less = mask.copy()
            less[exclude] = False
            want = backend.search(asked, 150, Filter(lambda less=less: less))
            got = backend.search(asked, 150, Filter(lambda mask=mask: mask), exclude)
            assert np.array_equal(want[0], got[0])
            assert np.array_equal(want[1], got[1])
            if mask.all():
                assert np.array_equal(want, backend.search(asked, 150, exclude=exclude))
    assert backend.search(asked, 5, Filter(lambda: np.arange(len(vectors)) == 7), [7])[1].shape == (
        queries,
        0,
    )


def test_excluding_one_of_a_million_rows_takes_no_memory_of_that_size():
    """A row left out costs some kilobytes, not a mask of all rows, and the next ones take its place."""
    vectors = np.random.default_rng(0).normal(size=(10**6, 2)).astype(np.float32)
    backend = build(vectors, Metric.L2)
    mask = np.ones(len(vectors), np.bool_)
    mask[123_456] = False
    want = backend.search(vectors[123_456:123_457], 10, Filter(lambda: mask))
    tracemalloc.start()
    got = backend.search(vectors[123_456:123_457], 10, exclude=[123_456])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50_000
    assert np.array_equal(want, got)


def test_a_mask_is_made_once_and_where_it_is_needed():
    """A filter computes its mask when a backend asks, and keeps it."""
    made = []
    chosen = Filter(lambda: made.append(1) or np.arange(7) < 3)
    assert not made
    for _ in range(2):
        assert build(random_vectors(7), Metric.L2).search(random_vectors(1), 9, chosen)[1].shape == (1, 3)
    assert made == [1]


def test_more_than_there_are_gives_all():
    """A k over the number of vectors gives each of them once, however large."""
    backend = build(random_vectors(7), Metric.COSINE)
    _, rows = backend.search(random_vectors(2, seed=1), 10**9)
    assert sorted(rows[0].tolist()) == sorted(rows[1].tolist()) == list(range(7))
    empty = build(np.empty((0, 24), np.float32), Metric.L2)
    assert empty.search(random_vectors(1), 5)[1].shape == (1, 0)


@pytest.mark.parametrize("metric", Metric)
def test_a_saved_index_answers_the_same(metric, tmp_path):
    """What `locate` opens gives bit for bit what was saved."""
    asked = random_vectors(5, seed=1)
    backend = build(random_vectors(90), metric)
    backend.save(tmp_path / "index.faiss")
    loaded = ExactBackend.locate(tmp_path / "index.faiss", no_vectors, metric, backend.facts)
    for want, got in zip(backend.search(asked, 9), loaded.search(asked, 9), strict=True):
        assert np.array_equal(want, got)


@pytest.mark.parametrize("content", [b"", b"IxFI" + b"\0" * 8, b"no index at all" * 9])
def test_a_file_that_is_no_index_is_refused(tmp_path, content):
    """An empty, truncated or foreign file raises IndexDamagedError with its path."""
    path = tmp_path / "index.faiss"
    path.write_bytes(content)
    with pytest.raises(IndexDamagedError, match=r"index\.faiss can't be read as a FAISS index"):
        ExactBackend.locate(path, no_vectors, Metric.COSINE, IndexFacts("exact"))
    with pytest.raises(IndexDamagedError):
        ExactBackend.locate(tmp_path / "nothing", no_vectors, Metric.COSINE, IndexFacts("exact"))


def test_indexing_leaves_the_vectors_as_they_are():
    """Normalising for cosine happens in the index, not in the caller's array."""
    vectors = random_vectors(5)
    before = vectors.copy()
    build(vectors, Metric.COSINE).search(vectors, 1)
    assert np.array_equal(vectors, before)


def test_an_unknown_backend_names_the_known_ones():
    """A wrong name is refused with the nearest right one."""
    assert backend_class("exact") is ExactBackend
    with pytest.raises(RecipeError, match=rf"there are auto, {', '.join(BACKENDS)}.*Did you mean 'exact'"):
        backend_class("exakt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_an_oserror():
    """What FAISS raises on a full disk comes out as an OSError, which the command line prints in a line."""
    index = build(np.ones((2000, 64), np.float32), Metric.L2)
    with pytest.raises(OSError, match="/dev/full can't be written"):
        index.save(Path("/dev/full"))

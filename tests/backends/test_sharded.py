"""Shards: the answers of one exact index, and a rebuild that touches only the shards that changed."""

import os
from dataclasses import replace

import numpy as np
import pytest

from embedsearch.backends import Filter, Settings, backend_class, choose, needed, taking
from embedsearch.backends.facts import IndexFacts
from embedsearch.backends.sharded import Sharded
from embedsearch.distances.metric import Metric
from embedsearch.errors import IndexDamagedError
from tests.backends.test_exact import random_vectors

COUNT = 1000
VECTORS, QUERIES = random_vectors(COUNT), random_vectors(7, seed=1)


def settings(folder, size=300, **more):
    """Return the settings of a build in a folder; the memory forces no kind."""
    folder.mkdir(exist_ok=True)
    return Settings(2**30, shard_size=size, path=folder / "index.faiss", **more)


def build(folder, vectors=VECTORS, metric=Metric.COSINE, size=300):
    """Build and save an index in shards, and return it as it is opened."""
    made = settings(folder, size)
    index = Sharded.build("sharded", vectors, metric, made)
    index.save(made.path)
    return Sharded.locate(made.path, taking(vectors), metric, index.facts)


def files(folder):
    """Return the inode of each file of a shard."""
    return {each.name: each.stat().st_ino for each in folder.iterdir() if each.name != "index.faiss"}


def same(got, want):
    """Whether distances and rows are the same, up to the last digit of distances."""
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metric", Metric)
def test_merged_hits_are_those_of_one_index(tmp_path, metric):
    """Of shards that compare every vector come the rows of one index, under a filter and without some too."""
    sharded = build(tmp_path / "a", metric=metric)
    one = backend_class("exact").build("exact", VECTORS, metric, Settings(2**30))
    assert [shard.end - shard.start for shard in sharded._shards] == [250] * 4
    mask = np.arange(COUNT) % 3 == 0
    mask[250:500] = False  # a shard may find nothing
    for k in (1, 10, 400, 5000):
        for chosen in (None, Filter(lambda: mask)):
            for left_out in ([], [0, 999, 3]):
                same(sharded.search(QUERIES, k, chosen, left_out), one.search(QUERIES, k, chosen, left_out))
    far, _ = one.search(QUERIES[:1], 321)
    limit = float(far[0, -1])
    same(
        sharded.within(QUERIES[:1], limit, Filter(lambda: mask)),
        one.within(QUERIES[:1], limit, Filter(lambda: mask)),
    )


def test_shards_are_written_one_by_one_and_open_again(tmp_path):
    """While an index is made, each shard is in its file before the next one; a saved one needs no path."""
    wanted = settings(tmp_path / "a")
    seen = []

    def stage(text, _total):
        seen.append((text.split(":")[0], len(files(tmp_path / "a"))))

    made = Sharded.build("sharded", VECTORS, Metric.L2, replace(wanted, stage=stage))
    assert seen == [("shard 1", 0), ("shard 2", 1), ("shard 3", 2), ("shard 4", 3)]
    held = Sharded.build("sharded", VECTORS, Metric.L2, replace(wanted, path=None))
    (tmp_path / "b").mkdir()
    held.save(tmp_path / "b" / "index.faiss")
    other = Sharded.locate(tmp_path / "b" / "index.faiss", VECTORS.take, Metric.L2, made.facts)
    same(held.search(QUERIES, 20), made.search(QUERIES, 20))
    assert len(other) == len(made) == COUNT


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param(lambda rows: np.concatenate([[-1, -1], rows]), [1, 2, 3], id="two in front"),
        pytest.param(lambda rows: np.insert(rows, 600, -1), [0, 1, 3], id="one in the middle"),
        pytest.param(lambda rows: np.delete(rows, 300), [0, 2, 3], id="one gone"),
        pytest.param(lambda rows: rows[250:], [1, 2, 3], id="a shard gone"),
        pytest.param(lambda rows: np.concatenate([rows, [-1] * 30]), [0, 1, 2], id="some behind"),
        pytest.param(lambda rows: np.concatenate([rows, [-1] * 500]), [0, 1, 2], id="a shard behind"),
    ],
)
def test_a_rebuild_uses_the_files_of_shards_that_did_not_change(tmp_path, change, kept):
    """Only the shard that has or had a changed row is written; every answer is that of a build anew."""
    old = build(tmp_path / "old")
    rows = change(np.arange(COUNT))
    fresh = random_vectors(len(rows), seed=5)
    vectors = np.where((rows >= 0)[:, None], VECTORS[rows], fresh)
    before = files(tmp_path / "old")
    wanted = settings(tmp_path / "new")
    made = old.extend(tmp_path / "old" / "index.faiss", vectors, rows, wanted)
    made.save(wanted.path)
    linked = set(before.values()) & set(files(tmp_path / "new").values())
    assert sorted(at for name, at in before.items() if at in linked) == sorted(
        before[f"index.{number}.faiss"] for number in kept
    )
    opened = Sharded.locate(wanted.path, taking(vectors), Metric.COSINE, made.facts)
    want = backend_class("exact").build("exact", vectors, Metric.COSINE, Settings(2**30)).search(QUERIES, 50)
    same(opened.search(QUERIES, 50), want)
    same(old.search(QUERIES, 9), build(tmp_path / "again").search(QUERIES, 9))
    assert max(shard.end - shard.start for shard in opened._shards) <= 360


def test_files_of_the_build_before_are_never_written(tmp_path):
    """A rebuild that was interrupted left links to the old files; the next one writes new files."""
    old = build(tmp_path / "old")
    wanted = settings(tmp_path / "new")
    old.extend(tmp_path / "old" / "index.faiss", VECTORS, np.arange(COUNT), wanted)
    assert set(files(tmp_path / "old").values()) == set(files(tmp_path / "new").values())
    Sharded.build("sharded", random_vectors(COUNT, seed=8), Metric.COSINE, wanted)
    same(build(tmp_path / "again").search(QUERIES, 9), old.search(QUERIES, 9))
    reopened = Sharded.locate(tmp_path / "old" / "index.faiss", taking(VECTORS), Metric.COSINE, old.facts)
    same(reopened.search(QUERIES, 9), old.search(QUERIES, 9))


def test_a_change_of_order_or_of_size_is_built_anew(tmp_path):
    """Rows that come in another order, smaller shards, and another recall are no small change."""
    old = build(tmp_path / "old")
    path = tmp_path / "old" / "index.faiss"
    wanted = settings(tmp_path / "new")
    turned = np.arange(COUNT)[::-1]
    assert old.extend(path, VECTORS[::-1], turned, wanted) is None
    assert old.extend(path, VECTORS, np.arange(COUNT), replace(wanted, shard_size=200)) is None
    assert old.extend(path, VECTORS, np.arange(COUNT), replace(wanted, recall=0.9)) is None
    assert old.extend(path, VECTORS, np.full(COUNT, -1), wanted) is None


def test_without_links_files_are_copied(tmp_path, monkeypatch):
    """On a disk without hard links the files of a shard that did not change are copies."""
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    wanted = settings(tmp_path / "new")
    first = settings(tmp_path / "old")
    old = Sharded.build("sharded", VECTORS, Metric.COSINE, first)
    made = old.extend(first.path, VECTORS, np.arange(COUNT), wanted)
    same(made.search(QUERIES, 9), old.search(QUERIES, 9))
    assert not set(files(tmp_path / "old").values()) & set(files(tmp_path / "new").values())


@pytest.mark.parametrize("content", ["", "{}", '{"shards": [1]}', "\0no list"])
def test_a_list_that_is_damaged_is_refused(tmp_path, content):
    """A list of shards that can't be read raises IndexDamagedError with its path."""
    build(tmp_path / "a")
    (tmp_path / "a" / "index.faiss").write_text(content)
    with pytest.raises(IndexDamagedError, match=r"index\.faiss can't be read as a list of shards"):
        Sharded.locate(tmp_path / "a" / "index.faiss", taking(VECTORS), Metric.L2, IndexFacts("sharded"))


def test_auto_takes_shards_where_nothing_else_fits():
    """Past ten million vectors, codes of 1 bit first; shards where these take more than the memory."""
    assert choose(40_000_000, 384, 4 * 10**9) == "ivf-rabitq"
    assert choose(100_000_000, 384, 4 * 10**9) == "sharded"
    assert choose(9_000_000, 384, 10**6) == "ivf-rabitq"
    assert needed("sharded", 10**9, 384) == needed("sharded", 10**7, 384)

"""Indexes in shards through rebuilds: another size, files that builds share, and damage to one of them."""

import sys

import numpy as np
import pytest

import embedsearch as es
from embedsearch.errors import MissingExtraError, RecipeError
from embedsearch.store.versions import collect, remove, verify_builds


def source_of(count):
    """Return ids and vectors."""
    vectors = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    return [f"i{at:03}" for at in range(count)], vectors[:count]


def built(folder, count, **options):
    """Build the index of so many vectors."""
    return es.build(source_of(count), name="parts", indexes=folder, backend="sharded", **options)


def shards(index):
    """Return the sizes of an index's shards."""
    return [shard.end - shard.start for shard in index.build.backend._shards]


def test_a_rebuild_takes_another_size(tmp_path):
    """Larger shards and smaller ones are made anew, and the recipe keeps the size."""
    index = built(tmp_path, 600, shard_size=300)
    assert shards(index) == [300, 300]
    index = index.rebuild(shard_size=600)
    assert shards(index) == [600]
    assert index.info().recipe.index.shard_size == 600
    index = index.rebuild(shard_size=200)
    assert shards(index) == [200, 200, 200]
    assert index.search(es.Vector(source_of(600)[1][7]), k=1)[0].id == "i007"
    with pytest.raises(RecipeError, match="add --backend sharded to --shard-size"):
        index.rebuild(backend="exact", shard_size=10)


def test_gc_counts_what_is_freed(tmp_path):
    """Files that a kept build uses too take the same room as before."""
    first = built(tmp_path, 600, shard_size=300).build.folder
    built(tmp_path, 610, shard_size=300)
    shared = [path for path in first.iterdir() if path.stat().st_nlink > 1]
    assert {path.name for path in shared} >= {"index.0.faiss"}
    alone = sum(path.stat().st_size for path in first.iterdir() if path not in shared)
    freed = collect(tmp_path, "parts", keep=1)
    assert freed.folders == [first]
    assert freed.bytes == alone


def test_damage_to_a_shared_shard_is_named_for_all_builds(tmp_path):
    """`verify` names every build that uses the file; a rebuild makes the index anew."""
    built(tmp_path, 600, shard_size=300)
    index = built(tmp_path, 610, shard_size=300)
    name = index.build.folder / "index.0.faiss"
    del index
    data = bytearray(name.read_bytes())
    data[len(data) // 2] ^= 255
    name.write_bytes(data)
    found = verify_builds(tmp_path, "parts")
    assert len(found) == 2
    assert all("index.0.faiss" in error for _, error in found)
    again = es.rebuild("parts", indexes=tmp_path)
    assert again.search(es.Vector(source_of(600)[1][7]), k=1)[0].id == "i007"
    assert verify_builds(tmp_path, "parts")[-1][1] == ""


@pytest.mark.parametrize("delete", [remove, lambda home, name: collect(home, name, keep=1)])
def test_nothing_is_deleted_where_the_server_cannot_be_asked(tmp_path, monkeypatch, delete):
    """Without pymilvus, `remove` and `gc` change nothing and say what to install."""
    for count in (20, 21):
        es.build(source_of(count), name="far", indexes=tmp_path, backend="milvus", uri=str(tmp_path / "v.db"))
    before = sorted(path for path in (tmp_path / "far").rglob("*"))
    from embedsearch.backends.milvus import server

    server.connect.cache_clear()
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"embedsearch\[milvus\]"):
        delete(tmp_path, "far")
    assert sorted(path for path in (tmp_path / "far").rglob("*")) == before

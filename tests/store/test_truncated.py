"""A file of an open index that is truncated: an error before the mapping is read."""

import os

import numpy as np
import pytest

import embedsearch as es
from embedsearch.errors import IndexDamagedError


@pytest.mark.parametrize("backend", ["exact", "hnsw-sq8"])
def test_an_open_index_refuses_to_read_a_truncated_file(tmp_path, backend):
    """A program that holds an open index gets an error, and no signal, whichever file was truncated."""
    vectors = np.random.default_rng(0).standard_normal((9000, 128), np.float32)
    ids = [f"item {n} {'x' * 200}" for n in range(len(vectors))]
    es.build((ids, vectors), name="large", backend=backend, recall=0.5, indexes=tmp_path)
    for name in ("vectors.npy", "index.faiss", "items.arrow"):
        index = es.open("large", tmp_path)
        path = index.build.folder / name
        whole = path.read_bytes()
        try:
            os.truncate(path, 4096)
            for use in (
                lambda index: index.similar(f"item 5 {'x' * 200}"),
                lambda index: index.search(np.ones(128)),
                lambda index: index.get(f"item 5 {'x' * 200}"),
                lambda index: index.build.take(np.array([3999])),
                lambda index: index.diagnostics(),
            ):
                with pytest.raises(IndexDamagedError, match=f"{name} has 4,096 bytes"):
                    use(index)
        finally:
            path.write_bytes(whole)

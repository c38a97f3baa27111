"""Vectors kept for this machine are those that were made, whatever lies in the folder."""

import numpy as np
import pytest

from embedsearch.disk.cache import cache_folder, clear_cache, kept_vectors

MADE = np.arange(6, dtype=np.float32).reshape(2, 3)


def kept(*made_by, items=("a", "b"), fingerprint="f"):
    """Return what is kept, and how often it was made."""
    calls = []

    def make():
        calls.append(1)
        return MADE

    assert np.array_equal(kept_vectors(items, fingerprint, made_by, make), MADE)
    return len(calls)


def test_vectors_are_made_once():
    """The same items, encoder and way are made once; another of them anew."""
    assert [kept("query"), kept("query")] == [1, 0]
    assert [kept("passage"), kept("query", items=("a", "c")), kept("query", fingerprint="g")] == [1, 1, 1]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_a_damaged_file_is_made_again(damage):
    """A file that is none, or of something else, is no obstacle, and is replaced; none is left aside."""
    kept("query")
    (file,) = (cache_folder() / "texts").iterdir()
    file.write_bytes(damage)
    assert [kept("query"), kept("query")] == [1, 0]
    for other in (np.array(["a", "b"]), MADE[:1], MADE * np.nan):
        np.save(file, other)
        assert [kept("query"), kept("query")] == [1, 0]
    assert list((cache_folder() / "texts").iterdir()) == [file]


def test_the_cache_is_cleared():
    """Everything in the cache folder goes, and its bytes are counted; what was kept is made again."""
    kept("query")
    (cache_folder() / "verified").mkdir()
    (cache_folder() / "verified" / "x").write_bytes(b"123")
    (file,) = (cache_folder() / "texts").iterdir()
    size = file.stat().st_size
    assert clear_cache() == size + 3
    assert list(cache_folder().iterdir()) == []
    assert clear_cache() == 0
    assert kept("query") == 1

"""NumPy's files are read, also where another thread's parsing disturbs."""

import numpy as np
import pytest

from embedsearch.disk import npy
from embedsearch.disk.npy import TRIES, load_array, load_arrays


@pytest.fixture
def disturbed(monkeypatch):
    """Let `np.load` fail as often as said, as CPython 3.11 does now and then."""
    plain, left = np.load, []

    def load(*given, **options):
        if left:
            left.pop()
            raise SystemError("AST constructor recursion depth mismatch (before=141, after=43)")
        return plain(*given, **options)

    monkeypatch.setattr(npy.np, "load", load)
    return lambda times: left.extend([None] * times)


def test_a_disturbed_reading_is_read_again(disturbed, tmp_path):
    """What fails by no fault of the file is read again, and comes out whole."""
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "one.npy", one)
    np.savez(tmp_path / "two.npz", a=one, b=one + 1)
    disturbed(TRIES - 1)
    np.testing.assert_array_equal(load_array(tmp_path / "one.npy", mapped=True), one)
    disturbed(1)
    two = load_arrays(tmp_path / "two.npz")
    assert sorted(two) == ["a", "b"]
    np.testing.assert_array_equal(two["b"], one + 1)


def test_what_always_fails_is_not_hidden(disturbed, tmp_path):
    """An error that stays is raised."""
    np.save(tmp_path / "one.npy", np.zeros(3))
    disturbed(TRIES)
    with pytest.raises(SystemError):
        load_array(tmp_path / "one.npy")

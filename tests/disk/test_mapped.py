"""Mapped files: small ones are read, large ones are checked before each use."""

import os
from pathlib import Path

import numpy as np
import pytest

from embedsearch.disk import mapped
from embedsearch.disk.mapped import MappedFiles
from embedsearch.disk.npy import load_array
from embedsearch.errors import IndexDamagedError


def test_a_small_array_is_read_and_a_large_one_mapped(tmp_path):
    """An array over a megabyte is mapped; a smaller one survives the truncation of its file."""
    np.save(tmp_path / "large.npy", np.zeros(mapped.SMALL, np.uint8))
    np.save(tmp_path / "small.npy", np.arange(1000))
    large, small = (load_array(tmp_path / f"{name}.npy", mapped=True) for name in ("large", "small"))
    assert isinstance(large, np.memmap)
    os.truncate(tmp_path / "small.npy", 0)
    assert small.sum() == 499_500


def test_a_truncated_file_is_named_and_a_deleted_one_serves_on(tmp_path):
    """Only files over a megabyte are watched; what is deleted keeps its bytes as long as it is open."""
    for name, size in (("a", mapped.SMALL + 10), ("b", mapped.SMALL + 10), ("small", 10)):
        (tmp_path / name).write_bytes(b"x" * size)
    files = MappedFiles(tmp_path, {path.name: path.stat().st_size for path in tmp_path.iterdir()}, "Mend it.")
    os.truncate(tmp_path / "small", 0)
    (tmp_path / "a").unlink()
    files.check()
    os.truncate(tmp_path / "b", 5)
    with pytest.raises(IndexDamagedError) as error:
        files.check()
    assert str(error.value) == f"{tmp_path}/b has 5 bytes where 1,048,586 were written. Mend it."


def test_a_missing_file_is_named(tmp_path):
    """A file that is gone before it was opened is damage, and no traceback."""
    with pytest.raises(IndexDamagedError, match=r"gone\.npy is missing .* Mend it\."):
        MappedFiles(tmp_path, {"gone.npy": 2 * mapped.SMALL}, "Mend it.")


def test_files_are_closed_with_their_owner(tmp_path):
    """No descriptor of a file is left open when nothing refers to the files any more."""
    file = tmp_path / "a"
    file.write_bytes(b"x" * (mapped.SMALL + 1))
    files = MappedFiles(tmp_path, {"a": mapped.SMALL + 1}, "")
    assert _opened(file) == 1
    del files
    assert _opened(file) == 0


def _opened(file):
    """Return how many descriptors of this process point to a file."""
    return sum(os.path.realpath(link) == str(file.resolve()) for link in Path("/proc/self/fd").iterdir())

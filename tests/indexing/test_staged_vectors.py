"""The one file of vectors of a build under way."""

import os

import numpy as np

from embedsearch.disk.links import link_or_copy
from embedsearch.indexing.origins import COPY, NEW
from embedsearch.indexing.staged_vectors import StagedVectors

ROWS = np.arange(20, dtype=np.float32).reshape(5, 4)


def test_new_vectors_stand_at_their_rows(tmp_path):
    """Vectors are written to the rows of the new ones; kept rows and copies are left free."""
    staged = StagedVectors(tmp_path / "v.npy")
    first = staged.write(0, np.array([NEW, NEW]), ROWS[:2], 0)
    origins = np.array([7, NEW, COPY, NEW, NEW])
    second = staged.write(2, origins, ROWS[2:], 0)
    assert staged.checksum(0, np.array([NEW, NEW]), 4) == first
    assert staged.checksum(2, origins, 4) == second != first
    made = np.load(staged.finish(7, 4))
    assert made.shape == (7, 4)
    assert np.array_equal(made[[0, 1, 3, 5, 6]], ROWS)
    assert not made[[2, 4]].any()


def test_a_build_without_a_new_vector_has_a_file_of_its_length(tmp_path):
    """Where all vectors are kept, the file is as long as the array that is filled in."""
    staged = StagedVectors(tmp_path / "v.npy")
    assert staged.checksum(0, np.array([3, 4]), 4) == 0
    assert np.load(staged.finish(2, 4)).shape == (2, 4)


def test_a_shorter_file_has_another_checksum(tmp_path):
    """A file that a power cut left too short is not taken for whole."""
    staged = StagedVectors(tmp_path / "v.npy")
    known = staged.write(0, np.full(5, NEW), ROWS, 0)
    os.truncate(tmp_path / "v.npy", 190)
    assert staged.checksum(0, np.full(5, NEW), 4) != known


def test_a_file_that_a_build_took_over_is_not_written_again(tmp_path):
    """A run that finds the file of a published build goes on with a copy: the build stays as it is."""
    staged = StagedVectors(tmp_path / "v.npy")
    staged.write(0, np.full(5, NEW), ROWS, 0)
    link_or_copy(staged.finish(5, 4), tmp_path / "published.npy")
    again = StagedVectors(tmp_path / "v.npy")
    again.write(3, np.full(5, NEW), -ROWS, 0)
    again.finish(8, 4)
    assert np.array_equal(np.load(tmp_path / "published.npy"), ROWS)
    assert np.array_equal(np.load(tmp_path / "v.npy"), np.concatenate([ROWS[:3], -ROWS]))


def test_a_file_system_without_links_gets_a_copy(tmp_path, monkeypatch):
    """Where no second name can be given, the vectors are copied."""

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("embedsearch.disk.links.os.link", refuse)
    staged = StagedVectors(tmp_path / "v.npy")
    staged.write(0, np.full(5, NEW), ROWS, 0)
    link_or_copy(staged.finish(5, 4), tmp_path / "published.npy")
    assert np.array_equal(np.load(tmp_path / "published.npy"), ROWS)

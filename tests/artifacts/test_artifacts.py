"""What a build carries beside its index."""

from dataclasses import replace

import numpy as np
import pytest

from embedsearch import artifacts
from embedsearch.artifacts import amend
from embedsearch.errors import IndexDamagedError, QueryError
from embedsearch.store.build import Build, open_build
from embedsearch.store.facts import ScaleFacts
from embedsearch.store.versions import builds_of, roll_back
from tests import fakes


def facts(count, before=None):
    """Return facts of an artifact that holds a count, and the count of the build before as its limit."""
    return ScaleFacts(pairs=count, background=None, limit=before, stated_rate=None, people=None)


def counted(context):
    """An artifact: a file with the number of vectors, and the number of the build before."""
    before = context.artifacts_before.scale
    (context.folder / "counted.npy").write_bytes(b"%d" % len(context.vectors))
    return facts(len(context.vectors), before and before.pairs)


@pytest.fixture(autouse=True)
def with_counted(monkeypatch):
    """Let every build carry the count in place of a scale."""
    monkeypatch.setattr(artifacts, "ARTIFACTS", {"scale": "tests.artifacts.test_artifacts:counted"})


def test_every_build_carries_it(make_build):
    """An artifact's files are checked with the build's, and the next build sees what the last one said."""
    first = make_build(fakes.fruit_entries())
    assert first.manifest.artifacts.scale == replace(facts(10), files=("counted.npy",))
    assert "counted.npy" in first.manifest.files
    second = make_build([*fakes.fruit_entries(), fakes.text("plum", "plum")])
    assert second.manifest.artifacts.scale == replace(facts(11, before=10), files=("counted.npy",))
    (second.folder / "counted.npy").write_bytes(b"12")
    with pytest.raises(IndexDamagedError, match=r"counted\.npy"):
        Build(second.folder)


def test_amend_changes_one_artifact(make_build, tmp_path):
    """A new build has the artifact's new files and all others, and answers alike; it can be taken back."""
    old = make_build(fakes.fruit_entries())

    def make(build, folder):
        (folder / "other.npy").write_bytes(b"other")
        return facts(build.manifest.count + 1)

    new = amend(tmp_path, "small", "scale", make)
    assert new.manifest.artifacts.scale == replace(facts(11), files=("other.npy",))
    assert set(old.manifest.files) - set(new.manifest.files) == {"counted.npy"}
    assert new.manifest.before == old.manifest.build
    assert open_build(tmp_path, "small").folder == new.folder
    query = np.asarray(old.vectors[:1])
    for a, b in zip(old.backend.search(query, 3), new.backend.search(query, 3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert roll_back(tmp_path, "small").folder == old.folder


def test_amend_that_fails_leaves_nothing(make_build, tmp_path):
    """What could not be made leaves the build in force, and no folder beside it."""
    old = make_build(fakes.fruit_entries())

    def make(build, folder):
        (folder / "other.npy").write_bytes(build.manifest.name.encode())
        raise QueryError("no")

    with pytest.raises(QueryError):
        amend(tmp_path, "small", "scale", make)
    assert open_build(tmp_path, "small").folder == old.folder
    assert [path.name for path in old.folder.parent.iterdir()] == [old.folder.name]


def test_a_damaged_artifact_costs_no_vector(make_build):
    """A rebuild makes it anew from vectors that are whole; nothing is embedded, and no model is loaded."""
    entries = fakes.fruit_entries()
    first = make_build(entries)
    (first.folder / "counted.npy").unlink()
    with pytest.raises(IndexDamagedError):
        Build(first.folder)
    told = fakes.Told()
    second = make_build(entries, progress=told)
    assert second.folder != first.folder
    assert second.manifest.changes.to_embed == 0
    assert (second.folder / "counted.npy").read_bytes() == b"10"
    assert "the current build is damaged: counted.npy" in told.stages
    (second.folder / "items.arrow").write_bytes(b"")
    with pytest.raises(IndexDamagedError, match=r"items\.arrow"):
        Build(second.folder, spare=True)
    assert make_build(entries).manifest.artifacts.scale.pairs == 10


def test_amending_leaves_something_to_go_back_to(make_build, tmp_path):
    """However often an artifact is made again, the newest build of other items stays, and is gone back to."""
    first = make_build(fakes.fruit_entries())
    second = make_build([*fakes.fruit_entries(), fakes.text("kiwi", "kiwi")])
    for number in range(3):
        amend(tmp_path, "small", "scale", lambda _, folder, n=number: save(folder, n))
    names = [build.name for build in builds_of(tmp_path / "small")]
    assert (len(names), first.folder.name in names, second.folder.name in names) == (3, True, False)
    roll_back(tmp_path, "small")
    assert roll_back(tmp_path, "small").folder == first.folder


def save(folder, number):
    """Write an artifact, and return its facts."""
    (folder / "counted.npy").write_bytes(b"%d" % number)
    return facts(number)

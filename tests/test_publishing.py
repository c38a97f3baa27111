import shutil

import pytest

from embedsearch import publishing
from embedsearch.errors import IndexNotFoundError
from embedsearch.publishing import publish, remove
from embedsearch.recipe import Recipe
from embedsearch.store import Build, current_build, open_build
from tests.fakes import text

ENTRIES = [text("a", "apple", n=1), text("b", "berry", n=2), text("d", "date", n=3)]


@pytest.fixture
def build(make_build):
    """A build of three texts."""
    return make_build(ENTRIES)


def copy_of(build, folder, name):
    """Return a copy of a build laid aside, ready to publish."""
    return shutil.copytree(build.folder, folder / "builds" / name)


def test_the_pointer_is_replaced_last(build, tmp_path, monkeypatch):
    """When `current` is written, the new build already opens: no reader can see half of it."""
    folder, recipe = tmp_path / "small", Recipe.load(tmp_path / "small")
    seen = []
    replace = publishing.Path.replace

    def watch(source, target):
        if target.name == "current":
            new = folder / "builds" / source.read_text().strip()
            seen.append((Build(new).manifest.count, current_build(folder)))
        return replace(source, target)

    monkeypatch.setattr(publishing.Path, "replace", watch)
    published = publish(folder, copy_of(build, folder, ".new-1"), "29990101-new", recipe)
    assert seen == [(3, build.folder)]
    assert current_build(folder) == published


def test_a_half_written_build_does_not_disturb(build, tmp_path):
    """While a build is written aside, or published and not yet pointed to, the old one opens."""
    folder = tmp_path / "small"
    (copy_of(build, folder, ".new-1") / "vectors.npy").unlink()
    (copy_of(build, folder, "29990101-half") / "manifest.json").unlink()
    assert open_build(tmp_path, "small").folder == build.folder


def test_an_index_is_removed_whole(build, tmp_path):
    """Nothing of a removed index stays; an unfinished one can be removed too; a second time there is none."""
    assert remove(tmp_path, "small") == build.folder.parent.parent
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "recipe.toml").write_text("")
    remove(tmp_path, "half")
    with pytest.raises(IndexNotFoundError):
        remove(tmp_path, "half")

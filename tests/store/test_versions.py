import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embedsearch.disk import checksums
from embedsearch.errors import IndexDamagedError, IndexNotFoundError, RecipeError
from embedsearch.index import open_index
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Unit
from embedsearch.store import versions
from embedsearch.store.build import Build, open_build
from embedsearch.store.folders import current_build, list_names
from embedsearch.store.versions import (
    builds_of,
    collect,
    publish,
    recover,
    remove,
    roll_back,
    settle,
    verify_builds,
)
from tests.fakes import LetterEncoder, text, version

ENTRIES = [text("a", "apple", n=1), text("b", "berry", n=2), text("d", "date", n=3)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(make_build):
    """A build of three texts."""
    return make_build(ENTRIES)


@pytest.fixture
def two(make_build):
    """Two builds of an index, the second with one text more."""
    return make_build(ENTRIES), make_build([*ENTRIES, text("e", "elder")])


def copy_of(build, folder, name):
    """Return a copy of a build laid aside, ready to publish."""
    return shutil.copytree(build.folder, folder / "builds" / name)


def test_the_pointer_is_replaced_last(build, tmp_path, monkeypatch):
    """When `current` is written, the new build already opens: no reader can see half of it."""
    folder, recipe = tmp_path / "small", Recipe.load(tmp_path / "small")
    seen = []
    replace = versions.Path.replace

    def watch(source, target):
        if target.name == "current":
            new = folder / "builds" / source.read_text().strip()
            seen.append((Build(new).manifest.count, current_build(folder)))
        return replace(source, target)

    monkeypatch.setattr(versions.Path, "replace", watch)
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


@pytest.mark.parametrize("stage", ["named", "renamed", "in force"])
def test_a_publication_that_was_killed_is_ended_or_taken_back(build, tmp_path, stage):
    """Killed after naming the new build, the old one stays; after the rename, the new one comes in force."""
    folder = tmp_path / "small"
    aside = copy_of(build, folder, ".new-1")
    (folder / versions.COMING).write_text("29990101-new\n")
    if stage != "named":
        aside.replace(folder / "builds" / "29990101-new")
    if stage == "in force":
        (folder / versions.COMING).replace(folder / "current")
    recover(folder)
    assert current_build(folder).name == (build.folder.name if stage == "named" else "29990101-new")
    assert not (folder / versions.COMING).exists()
    assert not list((folder / "builds").glob(".new-*"))
    assert open_build(tmp_path, "small").manifest.count == 3


@pytest.mark.parametrize("killed_at", ["the folder", "the recipe", "the pointer"])
def test_a_replacement_that_was_killed_has_one_source(make_build, tmp_path, monkeypatch, killed_at):
    """Killed at any step of publishing, the recipe is that of the current build once a writer comes."""
    make_build(ENTRIES)
    folder, replace = tmp_path / "small", versions.Path.replace

    def kill(source, target):
        step = {"recipe.toml": "the recipe", "current": "the pointer"}.get(target.name, "the folder")
        if step == killed_at and (step != "the folder" or target.parent.name == "builds"):
            raise KeyboardInterrupt
        return replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(versions.Path, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            make_build([text("x", "other")], replace_old=True, location="another list")
    settle(folder)
    expected = "a list" if killed_at == "the folder" else "another list"
    assert Recipe.load(folder).source.location == expected
    assert open_build(tmp_path, "small").manifest.recipe.source.location == expected


@pytest.mark.usefixtures("two")
def test_a_folder_in_the_place_of_current_is_named(tmp_path):
    """The advice is to move it away; after that the index opens again, and it can be removed before."""
    current = tmp_path / "small" / "current"
    current.unlink()
    current.mkdir()
    for use in (open_build, roll_back):
        with pytest.raises(IndexDamagedError, match=r"current is a folder.* Move that folder away"):
            use(tmp_path, "small")
    current.rmdir()
    assert roll_back(tmp_path, "small").manifest.count == 4
    current.unlink()
    current.mkdir()
    remove(tmp_path, "small")
    assert not (tmp_path / "small").exists()


def test_a_folder_in_the_place_of_the_recipe_is_named(make_build, tmp_path):
    """The advice is to move it away, and nothing is published over it."""
    make_build(ENTRIES)
    recipe = tmp_path / "small" / "recipe.toml"
    recipe.unlink()
    recipe.mkdir()
    with pytest.raises(RecipeError, match=r"recipe\.toml is a folder\. Move"):
        Recipe.load(tmp_path / "small")
    with pytest.raises(RecipeError, match=r"recipe\.toml is a folder\. Move"):
        make_build([*ENTRIES, text("e", "elder")])


def test_rollback_puts_the_build_before_in_force(two, tmp_path):
    """The build before answers again, with its recipe; going back twice finds nothing more."""
    first, second = two
    assert roll_back(tmp_path, "small").folder == first.folder
    assert open_build(tmp_path, "small").items["id"].to_pylist() == ["a", "b", "d"]
    assert second.folder.is_dir()
    with pytest.raises(RecipeError, match=r"no undamaged build before .* embedsearch rebuild small"):
        roll_back(tmp_path, "small")
    assert roll_back(tmp_path, "small", second.folder.name).folder == second.folder
    assert open_build(tmp_path, "small").manifest.count == 4


def test_rollback_takes_the_recipe_along(make_build, tmp_path):
    """After a rollback `rebuild` makes what the build in force was made from."""
    make_build(ENTRIES, metric="cosine")
    make_build([text("x", "xylophone")], location="another list", metric="l2", replace_old=True)
    roll_back(tmp_path, "small")
    recipe = Recipe.load(tmp_path / "small")
    assert (recipe.source.location, recipe.index.metric) == ("a list", "cosine")


def test_rollback_passes_over_damaged_builds(make_build, tmp_path):
    """The newest whole build is taken; one asked for by name that is damaged is refused."""
    builds = [make_build([*ENTRIES, text("x", "x" * at)], keep=3) for at in (1, 2, 3)]
    (builds[1].folder / "vectors.npy").unlink()
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy is missing"):
        roll_back(tmp_path, "small", builds[1].folder.name)
    assert roll_back(tmp_path, "small").folder == builds[0].folder
    with pytest.raises(RecipeError, match="has no build 'nope'; it has"):
        roll_back(tmp_path, "small", "nope")


def test_a_pointer_that_leads_nowhere_is_mended_by_rollback(two, tmp_path):
    """The command that a damaged `current` is answered with brings the newest build back."""
    (tmp_path / "small" / "current").write_text("rubbish\n")
    with pytest.raises(IndexDamagedError, match="embedsearch rollback small"):
        open_build(tmp_path, "small")
    assert roll_back(tmp_path, "small").folder == two[1].folder
    assert open_build(tmp_path, "small").manifest.count == 4


def test_only_where_a_build_is_older_is_going_back_advised(two, tmp_path):
    """Of two builds the newer one's damage can be undone by `rollback`, the older one's cannot."""
    for build in two:
        (build.folder / "vectors.npy").unlink()
    with pytest.raises(IndexDamagedError, match="Go back to the previous build: embedsearch rollback small"):
        open_build(tmp_path, "small")
    with pytest.raises(IndexDamagedError, match=r"missing[^.]*\. Build it again: embedsearch rebuild small$"):
        Build(two[0].folder)


def test_after_a_rollback_the_build_gone_back_to_is_kept(make_build, tmp_path):
    """The next rebuild keeps the build that was in force, not the newer one that was left."""
    first, second = make_build(ENTRIES), make_build([*ENTRIES, text("e", "elder")])
    roll_back(tmp_path, "small")
    third = make_build([*ENTRIES, text("f", "fig")])
    assert builds_of(tmp_path / "small") == [first.folder, third.folder]
    assert not second.folder.exists()


def test_rollback_goes_to_what_was_in_force(make_build, tmp_path):
    """After a rollback and a rebuild, the build before is the one gone back to, not the one thrown out."""
    first, bad = make_build(ENTRIES, keep=3), make_build([*ENTRIES, text("e", "elder")], keep=3)
    roll_back(tmp_path, "small")
    make_build([*ENTRIES, text("f", "fig")], keep=3)
    assert len(builds_of(tmp_path / "small")) == 3
    assert roll_back(tmp_path, "small").folder == first.folder
    assert bad.folder.is_dir()


def test_a_damaged_build_does_not_push_out_a_whole_one(two, make_build, tmp_path):
    """Rebuilt over a damaged build, the whole one before it stays, and its vectors serve again."""
    (two[1].folder / "vectors.npy").unlink()
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    third = make_build([*ENTRIES, text("e", "elder")], load=lambda recipe: encoder)  # noqa: ARG005
    assert encoder.embedded == ["elder"]
    assert builds_of(tmp_path / "small") == [two[0].folder, third.folder]
    assert roll_back(tmp_path, "small").folder == two[0].folder


def test_a_lost_pointer_loses_nothing(two, make_build, tmp_path):
    """Without `current` the index is damaged, not gone: rollback mends it, and so does a rebuild."""
    (tmp_path / "small" / "current").unlink()
    assert list_names(tmp_path) == ["small"]
    with pytest.raises(IndexDamagedError, match="embedsearch rollback small"):
        open_build(tmp_path, "small")
    assert roll_back(tmp_path, "small").folder == two[1].folder
    (tmp_path / "small" / "current").unlink()
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    build = make_build([*ENTRIES, text("f", "fig")], load=lambda recipe: encoder)  # noqa: ARG005
    assert encoder.embedded == ["fig"]
    assert open_build(tmp_path, "small").folder == build.folder
    (tmp_path / "small" / "current").unlink()
    same = make_build([*ENTRIES, text("f", "fig")])  # nothing changed but the pointer
    assert open_build(tmp_path, "small").folder == same.folder


def test_builds_are_named_in_the_order_of_time(make_build):
    """Within one second too, whatever the fingerprints."""
    builds = [make_build([*ENTRIES, text("x", "x" * at)], load=version(str(at))) for at in range(1, 7)]
    names = [build.folder.name for build in builds]
    assert names == sorted(names)


def test_gc_keeps_what_is_in_force(make_build, tmp_path):
    """Builds beyond the number kept go, never the one in force; unfinished work only when told."""
    builds = [make_build([*ENTRIES, text("x", "x" * at)], keep=4) for at in range(1, 5)]
    roll_back(tmp_path, "small", builds[1].folder.name)
    staging = tmp_path / "small" / "builds" / ".staging"
    staging.mkdir()
    (staging / "0.npy").write_bytes(b"x" * 100)
    freed = collect(tmp_path, "small", keep=2)
    assert sorted(freed.folders) == [builds[0].folder, builds[2].folder]
    assert freed.bytes > 1000
    assert builds_of(tmp_path / "small") == [builds[1].folder, builds[3].folder]
    assert staging.is_dir()
    assert collect(tmp_path, "small", keep=1, unfinished=True).folders == [builds[3].folder, staging]
    assert open_build(tmp_path, "small").folder == builds[1].folder


def test_gc_of_a_damaged_index_deletes_nothing(two, tmp_path):
    """Where `current` leads nowhere, which build is good is not known: all stay."""
    (tmp_path / "small" / "current").write_text("rubbish\n")
    assert collect(tmp_path, "small", keep=1).folders == []
    assert len(builds_of(tmp_path / "small")) == 2
    assert two[0].folder.is_dir()


def flip(path):
    """Turn one bit in the middle of the file, and leave its time as it was."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_verify_reads_every_file_of_every_build(two, tmp_path):
    """Each build is told whole or with what is wrong, the one that is not in force too."""
    assert verify_builds(tmp_path, "small") == [(two[0].folder.name, ""), (two[1].folder.name, "")]
    flip(two[0].folder / "items.arrow")
    (name, error), (_, whole) = verify_builds(tmp_path, "small")
    assert (name, whole) == (two[0].folder.name, "")
    assert "items.arrow was altered" in error
    (tmp_path / "small" / "current").write_text("rubbish\n")
    assert "names the build 'rubbish'" in verify_builds(tmp_path, "small")[0][1]


def test_large_files_are_read_once(build, monkeypatch):
    """A large file found right before is not read at each opening, until its size or time is another."""
    monkeypatch.setattr(checksums, "ALWAYS", -1)
    read = []
    sha256_of = checksums.sha256_of
    monkeypatch.setattr(checksums, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    Build(build.folder)
    assert sorted(read) == sorted(build.manifest.files)
    read.clear()
    Build(build.folder)
    assert read == []
    os.utime(build.folder / "vectors.npy")
    Build(build.folder)
    assert read == ["vectors.npy"]
    read.clear()
    Build(build.folder, whole=True)
    assert sorted(read) == sorted(build.manifest.files)


def test_a_flipped_bit_in_a_large_file_is_found(build, monkeypatch):
    """Even where size and time of change are those of a file that was found right."""
    monkeypatch.setattr(checksums, "ALWAYS", -1)
    Build(build.folder)
    flip(build.folder / "vectors.npy")
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy was altered.*embedsearch rebuild small"):
        Build(build.folder)


def test_without_a_place_for_notes_everything_is_read(build, monkeypatch, tmp_path):
    """A cache folder that can't be made is no reason to fail."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(checksums, "ALWAYS", -1)
    assert Build(build.folder).manifest.count == 3


@pytest.mark.parametrize("name", ["metric", "count", "build", "created"])
def test_a_manifest_that_was_altered_is_told(build, tmp_path, name):
    """A manifest still readable that says something else is found by its own checksum."""
    path = build.folder / "manifest.json"
    values = json.loads(path.read_text())
    values[name] = {"metric": "l2", "count": 4}.get(name, "other")
    path.write_text(json.dumps(values))
    with pytest.raises(IndexDamagedError, match=r"manifest\.json can't be read: it was altered"):
        open_build(tmp_path, "small")


def test_a_reader_stays_open_through_ten_publishes(make_build, make_recipe, tmp_path):
    """An open index answers as it did while builds come and go; one opened meanwhile is always whole."""
    make_build(ENTRIES)
    searcher = open_index("small", tmp_path, load=LetterEncoder)
    before = searcher.search("berries", k=3)
    stop, problems, opened = threading.Event(), [], []

    def read():
        while not stop.is_set():
            try:
                found = open_index("small", tmp_path, load=LetterEncoder).search("apple", k=1)
                opened.append(found[0].id)
            except Exception as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(10):
            now = [*ENTRIES, text("x", "x" * (number + 1))]
            build_index(make_recipe(now), tmp_path, load=LetterEncoder)
            assert searcher.search("berries", k=3) == before
    finally:
        stop.set()
        reader.join()
    assert not problems
    assert set(opened) == {"a"}
    assert not Path(searcher.build.folder).exists()


FULL = """
import sys
from pathlib import Path
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder
source = SourceRecipe("lines", sys.argv[2])
recipe = Recipe("small", source, EncoderRecipe(Unit.TEXT), IndexOptions(keep=1))
try:
    build_index(recipe, Path(sys.argv[1]), load=LetterEncoder, describe=lambda r: LetterEncoder(r).spec)
except OSError as error:
    sys.exit(f"OSError: {error.strerror or error}")
"""


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_build_in_force(small_disk, tmp_path):
    """A rebuild that runs out of disk is an OSError; the old build answers, and with room it goes through."""
    source = tmp_path / "texts.txt"

    def run(count):
        source.write_text("".join(f"text {number:05d}\n" for number in range(count)))
        command = [sys.executable, "-c", FULL, str(small_disk), str(source)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run(500).returncode == 0
    before = open_build(small_disk, "small")
    full = run(20_000)
    assert full.returncode == 1
    assert full.stderr.startswith("OSError: "), full.stderr
    assert Build(current_build(small_disk / "small"), whole=True).manifest.build == before.manifest.build
    again = run(510)
    assert again.returncode == 0, again.stderr
    assert open_build(small_disk, "small").manifest.count == 510

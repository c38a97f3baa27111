"""A source is walked once, and each of its files is opened at most once, whatever changed."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from embedsearch.indexing.build import build_index, compare_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder

TEXTS = {"a.txt": "apple", "b.txt": "berry", "c/d.txt": "date", "c/e.txt": "elder", "f.txt": "fig"}
COLOURS = ("red", "pink", "navy", "white", "black")
OLD = 1_000_000  # seconds; a file that was written just now is read again the next time

# Python keeps audit hooks until it ends: one hook, which looks where it is told to.
watched: list[tuple[str, Counter[str]]] = []


def audit(event, arguments):
    """Count the folders listed and the files opened under the watched folder."""
    if watched and event in ("os.scandir", "open") and isinstance(arguments[0], str | Path):
        folder, seen = watched[-1]
        path = os.fspath(arguments[0])
        if path.startswith(folder):
            seen[f"{event} {os.path.relpath(path, folder)}"] += 1


sys.addaudithook(audit)


@pytest.fixture
def seen(tmp_path):
    """Count the folders listed and the files opened in the source."""
    counter = Counter()
    watched.append((str(tmp_path / "source"), counter))
    yield counter
    watched.pop()


def write(path, content):
    """Write a text or an image, as if long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.new("RGB", (4, 4), content).save(path)
    else:
        path.write_text(content, encoding="utf-8")
    os.utime(path, (OLD, OLD))


@pytest.fixture
def texts(tmp_path):
    """A folder of five texts, of one that is no text, and of an empty one."""
    for name, content in TEXTS.items():
        write(tmp_path / "source" / name, content)
    (tmp_path / "source" / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "source" / "empty.txt").write_bytes(b" ")
    for name in ("latin.txt", "empty.txt"):
        os.utime(tmp_path / "source" / name, (OLD, OLD))
    return tmp_path / "source"


def recipe(source, unit=Unit.TEXT):
    """Return the recipe of a folder."""
    kind = "images" if unit is Unit.IMAGE else "texts"
    index = IndexOptions(max_rejected=0.9)
    return Recipe("small", SourceRecipe(kind, str(source)), EncoderRecipe(unit), index)


@pytest.fixture
def build(tmp_path, seen):
    """Return a function that builds an index of a folder, and tells what was listed, opened and embedded."""

    def run(source, unit=Unit.TEXT):
        seen.clear()
        encoder = LetterEncoder(EncoderRecipe(unit))
        run.build = build_index(
            recipe(source, unit),
            tmp_path / "indexes",
            load=lambda _: encoder,
            describe=lambda asked: LetterEncoder(asked).spec,
        )
        run.embedded = encoder.embedded
        return dict(seen)

    return run


LISTED = {"os.scandir .": 1, "os.scandir c": 1}
REASONS = {
    "latin.txt": "the file is not utf-8 text: name the file's encoding, as in --encoding cp1252",
    "empty.txt": "the file is empty",
}


def opened(*names):
    """Return what is counted where these files are opened once."""
    return {f"open {name}": 1 for name in names}


def test_a_text_names_its_file(build, texts):
    """Each text has the path of its file, also where a rebuild kept its vector without reading it."""
    build(texts)
    paths = {"a.txt": str(texts / "a.txt"), "c/d.txt": str(texts / "c" / "d.txt")}
    for _ in range(2):
        items = build.build.items
        known = dict(zip(items["id"].to_pylist(), items["path"].to_pylist(), strict=True))
        assert {name: known[name] for name in paths} == paths
        write(texts / "new.txt", "grape")
        build(texts)


def test_a_first_build_opens_each_text_once(build, texts):
    """Each folder is listed once and each file opened once, those that hold no text among them."""
    assert build(texts) == LISTED | opened(*TEXTS, *REASONS)
    assert build.build.items["text"].to_pylist() == sorted(TEXTS.values())
    assert {each["id"]: each["reason"] for each in build.build.rejected()} == REASONS


def test_a_rebuild_opens_no_text_that_is_as_it_was(build, texts):
    """Where nothing changed, folders are listed and no file is opened, nor are rejected ones tried again."""
    build(texts)
    first = build.build.folder
    assert build(texts) == LISTED
    assert build.build.folder == first


def test_a_rebuild_opens_the_one_text_that_changed(build, texts):
    """One changed file is opened and embedded; unread ones keep their text, and reasons are remembered."""
    build(texts)
    write(texts / "b.txt", "blueberry")
    assert build(texts) == LISTED | opened("b.txt")
    assert build.embedded == ["blueberry"]
    assert build.build.items["text"].to_pylist() == ["apple", "blueberry", "date", "elder", "fig"]
    assert {each["id"]: each["reason"] for each in build.build.rejected()} == REASONS
    changes = build.build.manifest.changes
    assert (changes.changed, changes.unchanged, changes.rejected) == (1, 4, 2)


def test_a_mended_text_is_read_again(build, texts):
    """A rejected file that changed is read, embedded, and no longer listed."""
    build(texts)
    write(texts / "latin.txt", "café")
    assert build(texts) == LISTED | opened("latin.txt")
    assert build.embedded == ["café"]
    assert [each["id"] for each in build.build.rejected()] == ["empty.txt"]


def test_a_dry_run_opens_what_a_rebuild_would(build, texts, tmp_path, seen):
    """It lists once, opens the changed file, and counts what the rebuild then counts."""
    build(texts)
    write(texts / "b.txt", "blueberry")
    (texts / "g.txt").write_bytes(b"\xff")
    seen.clear()
    found = compare_index(
        recipe(texts), tmp_path / "indexes", describe=lambda asked: LetterEncoder(asked).spec
    )
    assert dict(seen) == LISTED | opened("b.txt", "g.txt")
    assert (found.added, found.changed, found.rejected, found.to_embed) == (0, 1, 3, 1)
    build(texts)
    assert found.facts().examples == build.build.manifest.changes.examples


def test_words_of_texts_that_are_as_they_were_are_kept(build, texts):
    """Of an index of words too, an unchanged file is not opened, and its words stand in their sentences."""
    build(texts, Unit.WORD)
    write(texts / "b.txt", "Blue berry.")
    assert build(texts, Unit.WORD) == LISTED | opened("b.txt")
    assert build.build.items["id"].to_pylist()[:3] == ["a.txt#0", "b.txt#0", "b.txt#5"]
    assert build.build.items["text"].to_pylist()[:3] == ["apple", "Blue berry.", "Blue berry."]


@pytest.mark.parametrize("held", [128 * 2**20, 0])
def test_images_are_opened_once_while_their_bytes_are_held(build, tmp_path, monkeypatch, held):
    """An image is opened once; beyond the bytes that a batch may hold to be hashed, described and decoded."""
    monkeypatch.setattr("embedsearch.indexing.read.HELD", held)
    source = tmp_path / "source"
    for colour in COLOURS:
        write(source / f"{colour}.png", colour)
    times = 1 if held else 3
    names = [f"{colour}.png" for colour in COLOURS]
    assert build(source, Unit.IMAGE) == {"os.scandir .": 1} | {f"open {name}": times for name in names}
    assert build(source, Unit.IMAGE) == {"os.scandir .": 1}
    write(source / "navy.png", "green")
    assert build(source, Unit.IMAGE) == {"os.scandir .": 1, "open navy.png": times}
    assert build.build.items["path"].to_pylist() == [str(source / name) for name in sorted(names)]

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.request import urlopen

import pytest

from embedsearch.demo import indexes
from embedsearch.demo.indexes import STAMPS, demo_recipes, make
from embedsearch.demo.pydocs import PythonDocs, PythonSentences
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.progress import Silent
from embedsearch.query import Text, Word
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Record, Unit
from tests.sounds import tone, write

PATHS = {
    "os",
    "os.path",
    "shutil",
    "glob",
    "fnmatch",
    "pathlib",
    "zipfile",
    "tempfile",
    "builtins",
    "string",
    "re",
}


def build(unit, records, list_source, folder):
    """Build an index of records with the bundled model."""
    recipe = Recipe("demo", list_source(records), EncoderRecipe(unit, device="cpu"))
    return Index(build_index(recipe, folder))


def recipe_of(name):
    """Return the demo recipe called `name`."""
    return next(recipe for recipe in demo_recipes(None, "cpu") if recipe.name == name)


def test_the_documentation_answers_in_other_words(list_source, tmp_path):
    """os.path.split is first or second for what it does, said in other words than its documentation."""
    records = [
        entry
        for entry in PythonDocs(recipe_of("python-docs").source)
        if isinstance(entry, Record) and entry.fields["module"] in PATHS
    ]
    assert len(records) > 300
    searcher = build(Unit.TEXT, records, list_source, tmp_path)
    hits = searcher.search(Text("split a path into directory and file name"), 2)
    assert "os.path.split" in [hit.id for hit in hits]
    found = next(hit for hit in hits if hit.id == "os.path.split")
    assert found.fields == {"module": "os.path", "kind": "function", "signature": "(p)", "package": "python"}


@pytest.fixture(scope="module")
def senses(tmp_path_factory):
    """Return an index of the words of those demo sentences that hold class, key or address."""
    from embedsearch import sources
    from tests import fakes

    wanted = re.compile(r"\b(class|key|address)\b")
    records = [
        entry
        for entry in PythonSentences(recipe_of("python-words").source)
        if isinstance(entry, Record) and wanted.search(entry.content)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.SOURCES, "list", "tests.fakes:ListSource")

        def register(entries):
            from embedsearch.recipe import SourceRecipe

            patch.setitem(fakes.LISTS, "senses", entries)
            return SourceRecipe("list", "senses")

        yield build(Unit.WORD, records, register, tmp_path_factory.mktemp("senses"))


@pytest.mark.parametrize(
    ("sentence", "word", "own"),
    [
        ("Look up the key in the dictionary and return its value.", "key", "dict|mapping|map|default"),
        ("Sort the list by a key function.", "key", "sort|order|min|max"),
        ("Connect to the IP address of the server.", "address", "IP|host|socket|network"),
        ("The memory address of the first byte in the buffer.", "address", "memory|element|buffer|array"),
        (
            "The probability of each class in the classification problem.",
            "class",
            "label|classif|probab|loss|target",
        ),
        ("A class inherits methods from its base class.", "class", "base|method|subclass|block|definition"),
    ],
)
def test_a_word_finds_its_own_sense(senses, sentence, word, own):
    """Of the five words nearest to a word in its sentence, all are that word and most in its sense."""
    hits = senses.search(Word(sentence, word), 5)
    found = [hit.text[slice(*hit.span)].lower() for hit in hits]
    assert sum(text in {word, word + "es", word + "s"} for text in found) >= 4
    assert sum(bool(re.search(own, f"{hit.text} {hit.fields['name']}")) for hit in hits) >= 3


def test_sounds_are_those_that_are_given_or_installed(tmp_path, monkeypatch):
    """--sounds DIR is the source of the demo's sounds, else a Debian package; a machine without has none."""
    monkeypatch.setattr(indexes, "SAMPLES", (tmp_path / "not there",))
    assert "sounds" not in {recipe.name for recipe in demo_recipes(None, "cpu")}
    write(tmp_path / "own", a=tone(1))
    monkeypatch.setattr(indexes, "SAMPLES", (write(tmp_path / "debian", b=tone(1)),))
    for given, folder in ((None, "debian"), (tmp_path / "own", "own")):
        (recipe,) = [each for each in demo_recipes(None, "cpu", given) if each.name == "sounds"]
        assert recipe.source.location == str(tmp_path / folder)
        assert make(recipe, tmp_path / f"ix-{folder}", again=False, progress=Silent()).answers == 1
        assert demo_recipes(None, "cpu", given)[0].name == "images"  # the page opens on the first


def test_a_folder_of_images_takes_the_place_of_the_stamps(tmp_path, monkeypatch):
    """--images DIR is the source of the demo's images; without it the stamps are, where installed."""
    from PIL import Image

    monkeypatch.setattr(indexes, "SAMPLES", ())
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    recipes = {recipe.name: recipe for recipe in demo_recipes(tmp_path, "cpu")}
    assert recipes["images"].source.location == str(tmp_path)
    assert [recipe.name for recipe in demo_recipes(tmp_path, "cpu")] == [
        "images",
        "python-docs",
        "python-words",
    ]


@pytest.mark.skipif(
    not STAMPS[0].is_dir(), reason=f"{STAMPS[0]} is missing (apt install tuxpaint-stamps-default)"
)
def test_images_of_the_demo_are_aligned_where_they_have_captions(tmp_path):
    """With captions enough texts find the demo's images by them too; with none by class names alone."""
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in sorted((STAMPS[0] / "food").rglob("*.png"))[:20]:
        shutil.copy(path, plain)
    by = []
    for folder in (plain, STAMPS[0] / "food"):
        recipe = next(each for each in demo_recipes(folder, "cpu") if each.name == "images")
        searcher = make(recipe, tmp_path / f"ix-{folder.name}", again=False, progress=Silent())
        by.append(searcher.search("a sweet red fruit", 3).by)
    assert by == ["conse", "align"]


def test_the_page_opens_while_the_demo_still_builds(tmp_path):
    """The page answers before the last index is there; a build that goes on ends with the command."""
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (9, 9), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "embedsearch", "demo", "--images", tmp_path, "--no-browser"]
    folder = tmp_path / "indexes"
    demo = subprocess.Popen(
        [*command, "--port", str(port), "--indexes", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            assert demo.poll() is None
            assert time.monotonic() < deadline
            with suppress(OSError), urlopen(f"http://localhost:{port}/_stcore/health") as answer:
                assert answer.read() == b"ok"
                break
            time.sleep(0.1)
        assert any((folder / name / "current").is_file() for name in ("sounds", "images"))
        assert not (folder / "python-words" / "current").exists()
    finally:
        demo.send_signal(signal.SIGTERM)
        out, _ = demo.communicate(timeout=60)
    assert f"The page is at http://localhost:{port} until Ctrl-C." in out.decode()
    assert _is_over(demo)


def test_a_demo_that_is_ended_before_its_page_opens_builds_no_longer(tmp_path):
    """SIGTERM ends the build, too."""
    folder = tmp_path / "indexes"
    command = [sys.executable, "-m", "embedsearch", "demo", "--no-browser", "--indexes", folder]
    demo = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not folder.is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(60) == 128 + signal.SIGTERM
    assert _is_over(demo)


def _is_over(demo):
    """Whether no process of the session that a command began is left within ten seconds."""
    for _ in range(100):
        try:
            os.killpg(demo.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False

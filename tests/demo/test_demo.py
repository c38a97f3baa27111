import re
import shutil

import pytest

from embedsearch.demo.indexes import STAMPS, demo_recipes, make
from embedsearch.demo.pydocs import PythonDocs, PythonSentences
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.progress import Silent
from embedsearch.query import Text, Word
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Record, Unit

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


def test_a_folder_of_pictures_takes_the_place_of_the_stamps(tmp_path):
    """--images DIR is the source of the demo's pictures; without it the stamps are, where installed."""
    from PIL import Image

    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    recipes = {recipe.name: recipe for recipe in demo_recipes(tmp_path, "cpu")}
    assert recipes["pictures"].source.location == str(tmp_path)
    assert [recipe.name for recipe in demo_recipes(tmp_path, "cpu")] == [
        "python-docs",
        "python-words",
        "pictures",
    ]


@pytest.mark.skipif(
    not STAMPS[0].is_dir(), reason=f"{STAMPS[0]} is missing (apt install tuxpaint-stamps-default)"
)
def test_pictures_of_the_demo_are_aligned_where_they_have_captions(tmp_path):
    """With captions enough texts find the demo's pictures by them too; with none by class names alone."""
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in sorted((STAMPS[0] / "food").rglob("*.png"))[:20]:
        shutil.copy(path, plain)
    by = []
    for folder in (plain, STAMPS[0] / "food"):
        recipe = next(each for each in demo_recipes(folder, "cpu") if each.name == "pictures")
        searcher = make(recipe, tmp_path / f"ix-{folder.name}", again=False, progress=Silent())
        by.append(searcher.search("a sweet red fruit", 3).by)
    assert by == ["conse", "align"]

import tomllib

import pytest

from embedsearch.errors import RecipeError
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe, check_name
from embedsearch.records import Unit

RECIPE = Recipe(
    "faq",
    SourceRecipe(
        "csv", '/data/Fragen "und" Antworten.csv', text=("question", "answer"), id="key", encoding="latin-1"
    ),
    EncoderRecipe(
        Unit.WORD, "/models/müller", pooling="first", layers=(-1, -2), precision="bf16", batch_tokens=512
    ),
    IndexOptions("l2", "exact", max_rejected=0.25),
)


@pytest.fixture
def folder(tmp_path):
    """The folder of the index `faq` with its recipe."""
    path = tmp_path / "faq"
    path.mkdir()
    RECIPE.save(path)
    return path


def change(folder, old, new):
    """Replace a part of the recipe's text."""
    path = folder / "recipe.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_is_saved_is_loaded(folder):
    """A recipe comes back equal, tuples and enums included, and the file is plain TOML."""
    assert Recipe.load(folder) == RECIPE
    document = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    assert document["encoder"]["unit"] == "word"
    assert document["source"]["text"] == ["question", "answer"]
    assert [path.name for path in folder.iterdir()] == ["recipe.toml"]


def test_an_index_is_named_after_its_folder(folder, tmp_path):
    """A renamed folder is a renamed index."""
    assert Recipe.load(folder.rename(tmp_path / "questions")).name == "questions"


def test_missing_entries_take_their_defaults(folder):
    """A recipe written by hand needs a source and a unit."""
    (folder / "recipe.toml").write_text(
        '[source]\nkind = "lines"\nlocation = "/a.txt"\n[encoder]\nunit = "text"\n'
    )
    want = Recipe("faq", SourceRecipe("lines", "/a.txt"), EncoderRecipe(Unit.TEXT))
    assert Recipe.load(folder) == want


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pooling", "poling", r"encoder\.poling is unknown.*Did you mean 'pooling'"),
        ('unit = "word"', 'unit = "wort"', "'wort' is not a valid Unit"),
        ('unit = "word"', "", r"encoder\.unit is missing"),
        ("[encoder]", "[encode]", "encode is unknown"),
        ("[encoder]", "[encoder", "not valid TOML"),
        ('kind = "csv"', "", r"source\.kind is missing"),
        ('kind = "csv"', "kind = 7", r"source\.kind .*str"),
        ("batch_tokens = 512", 'batch_tokens = "512"', r"encoder\.batch_tokens .*int"),
        ("max_rejected = 0.25", 'max_rejected = "a quarter"', r"index\.max_rejected .*float"),
        ("patch_tokens_only = false", "patch_tokens_only = 1", r"encoder\.patch_tokens_only .*bool"),
        ('id = "key"', 'id = ["key"]', r"source\.id .*str"),
    ],
)
def test_a_damaged_recipe_names_its_file_and_what_is_wrong(folder, old, new, message):
    """Unknown, missing and ill-typed entries raise RecipeError with the file's path."""
    change(folder, old, new)
    with pytest.raises(RecipeError, match=rf"recipe\.toml(?s:.)*{message}"):
        Recipe.load(folder)


def test_one_column_is_not_a_word_of_letters(folder):
    """`text = "question"` where a list belongs is refused: it is not eight columns of one letter."""
    path = folder / "recipe.toml"
    lines = path.read_text(encoding="utf-8").replace('"question",\n', "").replace('"answer",\n', "")
    start, end = lines.index("text = ["), lines.index("]", lines.index("text = [")) + 1
    path.write_text(lines[:start] + 'text = "question"' + lines[end:], encoding="utf-8")
    with pytest.raises(RecipeError, match=r"source\.text .*list"):
        Recipe.load(folder)


def test_a_whole_number_is_a_share(folder):
    """`max_rejected = 1` is 1.0."""
    change(folder, "max_rejected = 0.25", "max_rejected = 1")
    assert Recipe.load(folder).index.max_rejected == 1


def test_a_missing_or_unreadable_recipe(tmp_path):
    """A missing file names the command that makes it; bytes that are no text are refused."""
    folder = tmp_path / "faq"
    folder.mkdir()
    with pytest.raises(
        RecipeError, match=r"missing\. Build the index again: embedsearch build SOURCE --name faq"
    ):
        Recipe.load(folder)
    (folder / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not valid TOML"):
        Recipe.load(folder)


@pytest.mark.parametrize("name", ["faq", "holidays-2026", "Größe_1", "日本", "7", "a.b", "x" * 100])
def test_names_of_indexes(name):
    """Letters and digits of any script, dots, dashes and underscores."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "-x",
        "_x",
        "a\n",
        "a\0",
        "..",
        "a.",
        "x" * 101,
        "a:b",
        "~",
    ],
)
def test_names_that_lead_astray_are_refused(name):
    """No separators, spaces, leading dots or dashes: a name is one folder in the folder of indexes."""
    with pytest.raises(RecipeError, match="can't name an index"):
        check_name(name)
    with pytest.raises(RecipeError):
        Recipe(name, RECIPE.source, RECIPE.encoder)


@pytest.mark.parametrize(("device", "known"), [("cpu", True), ("cuda:1", True), ("gpu", False), ("", False)])
def test_a_device_that_nobody_has_is_named_with_its_file(tmp_path, device, known):
    """A wrong device in a recipe edited by hand is refused where the recipe is read."""
    recipe = Recipe("x", SourceRecipe("csv", "/a.csv"), EncoderRecipe(Unit.TEXT, device=device))
    recipe.save(tmp_path)
    if known:
        assert Recipe.load(tmp_path).encoder.device == device
    else:
        with pytest.raises(RecipeError, match=r"recipe\.toml: the entry 'device' is"):
            Recipe.load(tmp_path)

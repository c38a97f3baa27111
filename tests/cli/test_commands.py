import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from embedsearch.backends import AUTO, BACKENDS
from embedsearch.cli import COMMANDS, cli
from embedsearch.cli.options import backend_names


def commands():
    """Return every command by name."""
    context = click.Context(cli)
    return {name: cli.get_command(context, name) for name in cli.list_commands(context)}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example(name):
    """Every command has a help text with an example that calls it."""
    command = commands()[name]
    assert command.help
    assert f"embedsearch {name}" in command.epilog
    assert command.get_short_help_str(200) == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_an_environment_variable_and_is_kebab_case(built, name):
    """Options are kebab-case, and the help names an environment variable for each."""
    text = " ".join(built(name, "--help").stdout.split())
    for parameter in commands()[name].params:
        if isinstance(parameter, click.Option) and parameter.name != "help" and not parameter.hidden:
            long = max(parameter.opts, key=len)
            assert "_" not in long
            own = parameter.envvar or f"EMBEDSEARCH_{name.upper()}_{parameter.name.upper()}"
            assert own in text.replace(" ", "") or own in text


def test_every_backend_can_be_asked_for():
    """--backend takes `auto` and each backend that there is."""
    assert list(backend_names.choices) == [AUTO, *BACKENDS]


def test_options_are_read_from_the_environment(built):
    """An option that is not given takes its value from its variable."""
    result = built("search", "faq", "refund", "--json", env={"EMBEDSEARCH_SEARCH_K": "2"})
    assert len(json.loads(result.stdout)["hits"]) == 2


def test_search_prints_the_documented_object(built):
    """`search --json` prints the object that the README promises, with the nearest item first."""
    found = built.json("search", "faq", "I would like my money returned", "-k", "1")
    distance = found["hits"][0]["distance"]
    assert found == {
        "schema": 1,
        "index": "faq",
        "build": found["build"],
        "metric": "cosine",
        "by": "",
        "verdict": "close",
        "foreign_rate": 0.0,
        "reason": "None of 1,000 unrelated queries finds something this close.",
        "note": "The random pairs are of general sentences, as the index has under 200 items.",
        "truncated": False,
        "unknown": 0.0,
        "limit": found["limit"],
        "close": False,
        "count": 1,
        "order": "distance",
        "feedback": False,
        "facets": {},
        "mode": "vector",
        "weight": None,
        "vote": None,
        "hits": [
            {
                "rank": 1,
                "id": found["hits"][0]["id"],
                "distance": distance,
                "modality": "text",
                "text": "How do I get my money back?",
                "path": None,
                "span": None,
                "fields": {"topic": "refund", "weight": 3},
                "percentile": pytest.approx(99.995, abs=0.005),
                "closeness": "very similar",
                "score": None,
                "unknown": 0.0,
                "gone": False,
                "found_by": "",
                "copies": 0,
                "moment": None,
                "rerank_score": None,
                "lit": [],
                "bm25": None,
                "passage": None,
            }
        ],
    }
    assert 0 < distance < 0.5


def test_search_for_a_word_finds_its_sense_and_prints_its_span(built):
    """A word query prints the span of the word found, in the sentence that holds it."""
    hit = built.json("search", "terms", "She turned the key in the lock", "--word", "4", "-k", "1")["hits"][0]
    start, end = hit["span"]
    assert hit["text"][start:end] == "key"
    assert hit["text"] in {"The key opens the door.", "He lost the key to his flat."}
    named = built.json("search", "terms", "She turned the key in the lock", "--word", "key", "-k", "1")
    assert named["hits"][0] == hit


def test_a_part_of_an_image_is_searched_with(built, tmp_path):
    """--crop cuts the one --image, or the image of the one --item; several have no part."""
    both = Image.new("RGB", (200, 100), "red")
    both.paste("blue", (100, 0, 200, 100))
    both.save(tmp_path / "both.png")
    for crop, colour in (("0,0,0.5,1", "red"), ("0.5,0,1,1", "blue")):
        found = built.json("search", "pictures", "--image", tmp_path / "both.png", "--crop", crop, "-k", "2")
        assert {Path(hit["path"]).parent.name for hit in found["hits"]} == {colour}
    hits = built.json("search", "pictures", "--item", "blue/blue 0.png", "--crop", "0,0,0.5,0.5")["hits"]
    assert {hit["id"] for hit in hits[:2]} == {"blue/blue 0.png", "blue/blue 1.png"}
    for wrong, said in (
        (("--image", "a.png", "--image", "b.png"), "one --image FILE or one --item ID"),
        (("red",), "one --image FILE or one --item ID"),
        (("--image", tmp_path / "both.png", "--crop", "1,0,0,1"), "left, top, right and bottom edge"),
    ):
        refused = built("search", "pictures", "--crop", "0,0,1,1", *wrong)
        assert refused.exit_code
        assert said in refused.stderr
    refused = built(
        "search", "faq", "--item", built.json("search", "faq", "x")["hits"][0]["id"], "--crop", "0,0,1,1"
    )
    assert "has no image: leave out --crop" in refused.stderr


def test_two_indexes_are_asked_the_same(sources, run):
    """`versus` prints the rank of each hit in both; --json holds the pairs of ranks and both lists."""
    for name, pooling in (("faq", "mean"), ("cls", "cls")):
        made = run(
            "build", sources / "questions.csv", "--text", "question", "--name", name, "--pooling", pooling
        )
        assert made.exit_code == 0, made.stderr
    found = run.json("versus", "faq", "cls", "money back", "-k", "4", "--where", "weight < 9")
    assert (found["index"], found["versus"]) == ("faq", "cls")
    assert found["differs"] == [{"name": "pooling", "index": "mean", "versus": "cls"}]
    assert (
        found["hits"] == run.json("search", "faq", "money back", "-k", "4", "--where", "weight < 9")["hits"]
    )
    ids = [[hit["id"] for hit in found[each]] for each in ("hits", "versus_hits")]
    assert found["pairs"] == [
        [a + 1, ids[1].index(each) + 1] for a, each in enumerate(ids[0]) if each in ids[1]
    ]
    assert found["overlap"] == len(found["pairs"]) / 4
    lines = run("versus", "faq", "cls", "money back", "-k", "4").stdout.splitlines()
    assert lines[0] == "pooling: mean | cls"
    assert lines[1].startswith("Both find ")
    assert lines[2] == " faq   cls"
    assert lines[3].split()[0] == "1"
    there = [line.split()[1] for line in lines[3:]]
    assert sorted(filter("-".__ne__, there)) == ["1", "2", "3", "4"]
    assert all(line.split()[0] == "-" for line in lines[7:])


def test_two_indexes_of_long_names_are_printed(sources, run):
    """The hits have room beside names that are wider than the terminal."""
    names = ["a" * 45, "b" * 45]
    for name in names:
        made = run("build", sources / "questions.csv", "--text", "question", "--name", name)
        assert made.exit_code == 0, made.stderr
    found = run("versus", *names, "money back", "-k", "2")
    assert found.exit_code == 0, found.stderr
    assert len(found.stdout.splitlines()) == 4


def test_search_by_image_and_by_item(built, sources):
    """--image finds the image itself at distance 0; --item leaves the item out."""
    picture = sources / "pictures" / "blue" / "blue 0.png"
    first = built.json("search", "pictures", "--image", picture, "-k", "1")["hits"][0]
    assert (first["path"], first["modality"], first["text"]) == (str(picture), "image", None)
    assert first["distance"] == pytest.approx(0, abs=1e-5)
    like = built.json("search", "pictures", "--item", first["id"], "-k", "9")["hits"]
    assert len(like) == 5
    assert first["id"] not in {hit["id"] for hit in like}
    assert like[0]["fields"]["label"] == "blue"


def test_where_keeps_only_what_fits(built):
    """--where filters by fields of their own types."""
    found = built.json("search", "faq", "refund", "--where", "topic = 'login' and weight > 1")
    assert [hit["text"] for hit in found["hits"]] == ["The app says that my PIN is wrong."]


def test_rerank_k_says_how_many_are_ordered_again(built):
    """--rerank-k counts with --rerank alone; a number that --rerank gives comes first."""
    for options, count in (("--rerank --rerank-k 2", 2), ("--rerank 3 --rerank-k 2", 3)):
        hits = built.json("search", "faq", "refund", "-k", "4", *options.split())["hits"]
        assert [hit["rerank_score"] is None for hit in hits] == [at >= count for at in range(4)]


def test_search_for_people_marks_the_word(built):
    """Without --json the matched word stands in brackets and the metric is named."""
    text = built("search", "terms", "key", "-k", "1").stdout
    assert "[key]" in text
    assert "cosine distance (smaller is more related)" in text


def test_list_info_and_models_print_objects(built):
    """The commands list, info and models print one object each with their documented keys."""
    listed = built.json("list")
    assert set(listed) == {"schema", "folder", "indexes"}
    assert [(each["name"], each["unit"], each["count"]) for each in listed["indexes"]] == [
        ("faq", "text", 6),
        ("pictures", "image", 6),
        ("terms", "word", 18),
    ]
    info = built.json("info", "faq")
    assert set(info) == {
        "schema", "index", "build", "created", "version", "unit", "count", "answers", "dimension", "metric",
        "backend", "search", "bridge", "changes", "additions", "bytes", "fields", "encoder", "recipe",
        "report", "centring",
    }  # fmt: skip
    about = "by the names of what is in the image (ConSE)"
    assert info["bridge"] == {
        "by": "conse", "about": about, "asks": "image", "model": "efficientnet-lite2",
    }  # fmt: skip
    assert info["fields"] == {"topic": "string", "weight": "int64"}
    assert info["encoder"]["model"] == "all-MiniLM-L6-v2"
    models = built.json("models")["models"]
    assert [row["name"] for row in models if row["bundled"]] == [
        "all-MiniLM-L6-v2",
        "efficientnet-lite2",
        "efficientnet-lite2-spectrogram",
    ]


def test_a_text_finds_images(built):
    """A text asked of images says what it was compared by; `info` says it too."""
    found = built.json("search", "pictures", "something red", "-k", "2")
    assert (found["by"], found["metric"], len(found["hits"])) == ("conse", "cosine", 2)
    assert all(0 <= hit["percentile"] <= 100 for hit in found["hits"])
    assert (found["verdict"], found["foreign_rate"]) == (None, None)  # class names find too few
    assert found["reason"].startswith("There is no verdict for texts that find images by class names")
    assert "found by ImageNet class names (ConSE)" in built("search", "pictures", "red").stdout
    lines = built("info", "pictures").stdout.splitlines()
    assert "by text      ImageNet class names (ConSE), read by all-MiniLM-L6-v2" in lines


def test_align_prints_what_it_measured(sources, run, tmp_path):
    """`align` prints recall and rank by cross-validation; without captions it says what is wanted."""
    assert run("build", sources / "pictures", "--name", "pictures").exit_code == 0
    refused = run("align", "pictures")
    assert (refused.exit_code, "0 different captions" in refused.stderr) == (1, True)
    said = tmp_path / "said.csv"
    ids = [f"{colour}/{colour} {shade}.png" for colour in ("red", "green", "blue") for shade in (0, 1)]
    said.write_text("image,caption\n" + "".join(f"{each},a {each[:-6]} {each[-5]}\n" for each in ids))
    done = run.json("align", "pictures", "--captions", said)
    assert (done["align"]["pictures"], set(done["align"]["measured"])) == (6, {"conse", "ridge", "both"})
    assert done["text"]["model"] == "all-MiniLM-L6-v2"
    shown = run("align", "pictures", "--captions", said).stdout
    assert "recall@1  recall@5  recall@10  median rank of 6" in shown


def test_what_was_rejected_is_counted_and_listed(built):
    """A broken image does not stop a build; it is counted, and listed with its reason."""
    info = built.json("info", "pictures", "--rejected")
    assert info["report"]["rejected"] == 1
    assert [each["id"] for each in info["quarantine"]] == ["red/broken.jpg"]
    shown = built("info", "pictures", "--rejected").stdout
    assert "red/broken.jpg: " in shown
    assert built("info", "pictures", "--quarantine").stdout == shown  # the name of 0.6


def test_rebuild_needs_only_the_name_and_remove_deletes(run, sources, tmp_path, monkeypatch):
    """A rebuild reads the recipe, from any folder; remove deletes the index and leaves the source."""
    assert run("build", sources / "questions.csv", "--text", "question", "--name", "faq").exit_code == 0
    first = run.json("info", "faq")["build"]
    monkeypatch.chdir(tmp_path)
    rebuilt = run.json("rebuild", "faq", "--full")
    assert (rebuilt["count"], rebuilt["published"]) == (6, True)
    assert rebuilt["build"] != first
    refused = run("remove", "faq")
    assert (refused.exit_code, "Not a terminal: pass --yes to delete faq." in refused.stderr) == (2, True)
    assert (tmp_path / "indexes" / "faq").is_dir()
    assert run.json("remove", "faq", "--yes")["removed"] == "faq"
    assert run.json("list")["indexes"] == []
    assert (sources / "questions.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("search", "fag", "x"), 1, "Did you mean 'faq'?"),
        (("search", "faq", "x", "--where", "topc = 'a'"), 1, "Did you mean 'topic'?"),
        (("search", "faq", "x", "--where", "topic ="), 1, "can't be understood"),
        (("search", "faq", "--item", "nothing"), 1, "no item 'nothing'"),
        (("search", "terms", "--image", "/nowhere.png"), 1, "search it with a word in its sentence"),
        (("search", "pictures", "--image", "/nowhere.png"), 1, "does not exist"),
        (("search", "pictures", "a cat", "--word", "2"), 1, "--image FILE"),
        (("search", "terms", "two words"), 1, "--word NUMBER: 1 two, 2 words"),
        (("search", "terms", "two words", "--word", "7"), 1, "no word 7"),
        (("search", "faq", ""), 1, "The query is empty"),
        (("search", "faq"), 2, "There is no query. Give a QUERY"),
        (("search", "faq", "x", "-k", "0"), 2, "x>=1"),
        (("serch", "faq"), 2, "Did you mean 'search'?"),
        (("info", "../faq"), 1, "can't name an index"),
        (("remove", "nope"), 1, "There is no index 'nope'"),
        (("rebuild", "nope"), 1, "There is no index 'nope'"),
        (("build", "/nowhere.csv", "--name", "x"), 1, "/nowhere.csv"),
        (("build", "/tmp", "--name", "a b"), 1, "can't name an index"),
        (("build", "/tmp", "--name", "x", "--metric", "cosin"), 2, "cosine"),
    ],
)
def test_bad_input_is_one_line_on_stderr(built, arguments, code, said):
    """Bad input gives a sentence on stderr, nothing on stdout, exit code 1 (2 for wrong usage)."""
    result = built(*arguments)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_no_text_drives_the_terminal(run, tmp_path):
    """Control characters of a source are shown, not sent; ids are printed whole, and --item finds them."""
    name = "a" * 180 + "\x1b]0;x\x07 \n\t.txt"
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / name).write_text("evil \x1b[2J text", encoding="utf-8")
    (folder / "b.txt").write_text("another text", encoding="utf-8")
    assert run("build", folder, "--name", "odd").exit_code == 0
    found = run("search", "odd", "evil")
    assert not set(found.stdout) & {"\x1b", "\x07"}
    assert "id " + "a" * 180 + r"\x1b]0;x\x07 \n\t.txt" in found.stdout
    assert run("search", "odd", "--item", name).exit_code == 0
    assert "\x1b" not in run("compare", "evil \x1b[2J", "b").stdout


@pytest.mark.parametrize("identity", ["\udcff", "\ud800"])
def test_an_id_that_no_item_can_have_is_not_found(built, identity):
    """Bytes of a command line that are no UTF-8 are no item, and no traceback."""
    result = built("search", "faq", "--item", identity)
    assert (result.exit_code, "has no item" in result.stderr) == (1, True)
    assert built("search", "faq", "a b", "--word", "9" * 5000).exit_code == 1


def test_a_build_without_its_recipe_is_built_again(run, sources):
    """What the error advises works: the manifest knows what the index was made from."""
    given = ("build", sources / "questions.csv", "--text", "question", "--name", "faq")
    assert run(*given).exit_code == 0
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("a = [" + "[" * 5000)):
        damage(run.indexes / "faq" / "recipe.toml")
        lost = run("rebuild", "faq")
        assert (lost.exit_code, "embedsearch build SOURCE --name faq" in lost.stderr) == (1, True)
        assert run(*given).exit_code == 0
        assert run("rebuild", "faq").exit_code == 0
    empty = run("build", "", "--name", "faq")
    assert (empty.exit_code, "The source is empty" in empty.stderr) == (1, True)


def test_a_wrong_column_names_the_columns_there_are(run, sources):
    """--text with an unknown column says which there are, and which one may have been meant."""
    result = run("build", sources / "questions.csv", "--text", "qestion", "--name", "faq")
    assert result.exit_code == 1
    assert "qestion" in result.stderr
    assert "'question'" in result.stderr
    assert not (run.indexes / "faq").exists()


def test_a_name_that_is_taken_is_not_overwritten(run, sources):
    """An index made from something else stays, unless --replace is given."""
    run("build", sources / "questions.csv", "--text", "question", "--name", "faq")
    result = run("build", sources / "pictures", "--name", "faq")
    assert result.exit_code == 1
    assert "--replace" in result.stderr
    assert run.json("info", "faq")["unit"] == "text"
    assert run("build", sources / "pictures", "--name", "faq", "--replace").exit_code == 0
    assert run.json("info", "faq")["unit"] == "image"


def test_a_damaged_index_is_named_with_the_command_that_mends_it(run, sources):
    """A truncated file is named with the command that mends it, and that command mends it."""
    run("build", sources / "questions.csv", "--text", "question", "--name", "faq")
    items = next((run.indexes / "faq" / "builds").glob("*/items.arrow"))
    items.write_bytes(items.read_bytes()[:-7])
    result = run("search", "faq", "refund")
    assert result.exit_code == 1
    assert str(items) in result.stderr
    assert "embedsearch rebuild faq" in result.stderr
    assert run("rebuild", "faq").exit_code == 0
    assert run("search", "faq", "refund").exit_code == 0


def test_progress_says_what_computes_where(run, sources):
    """A build prints model, precision and device once, on stderr, and keeps stdout for the result."""
    result = run("build", sources / "questions.csv", "--text", "question", "--name", "faq", "--device", "cpu")
    assert result.stderr.count("all-MiniLM-L6-v2 (384-d, mean pooling)") == 1
    assert " on cpu" in result.stderr
    assert result.stdout.startswith("faq: 6 texts in ")


def test_a_missing_gpu_is_an_error(run, sources):
    """--device cuda without one is an error and never a silent run on the CPU."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    result = run(
        "build", sources / "questions.csv", "--text", "question", "--name", "faq", "--device", "cuda"
    )
    assert result.exit_code == 1
    assert "no CUDA device" in result.stderr


def test_help_loads_nothing_heavy():
    """`embedsearch --help` loads neither torch nor numpy nor a table reader."""
    code = (
        "import sys; from click.testing import CliRunner; from embedsearch.cli import cli;"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0;"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'faiss', 'streamlit', 'PIL', 'sqlglot'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


BUILT = {"index", "build", "unit", "count", "metric", "backend", "recall", "report", "changes"}


def test_demo_prints_its_indexes_and_builds_each_once(run, sources, monkeypatch):
    """The command demo --no-page --json prints what build prints for each index; what is built stays."""
    from embedsearch.demo import indexes as demo
    from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
    from embedsearch.records import Unit

    table = SourceRecipe("csv", str(sources / "questions.csv"), text=("question",))
    recipes = [Recipe(demo.TEXTS, table, EncoderRecipe(Unit.TEXT))]
    monkeypatch.setattr(demo, "demo_recipes", lambda images, device, sounds: recipes)  # noqa: ARG005
    first = run.json("demo", "--no-page")
    assert set(first) == {"schema", "indexes"}
    assert set(first["indexes"][0]) == BUILT
    assert (first["indexes"][0]["index"], first["indexes"][0]["count"]) == ("python-docs", 6)
    assert run.json("demo", "--no-page") == first
    told = run("demo", "--no-page").stdout
    assert "Add yours: embedsearch build ~/Pictures --name images." in told


def test_build_and_rebuild_print_the_same_object(run, sources):
    """The commands build and rebuild print one object of the documented keys."""
    built = run.json("build", sources / "questions.csv", "--text", "question", "--name", "faq")
    assert set(built) == BUILT | {"schema", "published"}
    assert (built["schema"], built["unit"], built["metric"]) == (1, "text", "cosine")
    assert set(run.json("rebuild", "faq")) == set(built)

"""What `--json` prints has the keys that it had in 0.6.0, at every depth."""

import json
from pathlib import Path

import pytest

KEYS = json.loads(Path(__file__).with_name("keys-0.6.0.json").read_text(encoding="utf-8"))
PAIRS = "\n".join(f"a text {n}\tanother {n % 5}\t{n % 4}" for n in range(24))


def commands(sources, root):
    """Return what is asked of the indexes faq, images and terms, by a name, in this order."""
    (root / "pairs.tsv").write_text("text1\ttext2\tscore\n" + PAIRS, encoding="utf-8")
    (root / "queries.tsv").write_text("id\ttext\nq1\tmoney back\nq2\tlost parcel\n", encoding="utf-8")
    (root / "qrels.tsv").write_text("query\titem\tgrade\nq1\tx\t1\nq2\ty\t1\n", encoding="utf-8")
    images = sorted((sources / "pictures").rglob("*.png"))
    captions = [f"{path},a {path.parent.name} square {n}" for n, path in enumerate(images)]
    (root / "captions.csv").write_text("image,caption\n" + "\n".join(captions), encoding="utf-8")
    build = ("build", sources / "questions.csv", "--text", "question", "--id", "question", "--name", "own")
    return {
        "build": build,
        "build of what is there": build,
        "rebuild": ("rebuild", "own", "--full"),
        "rebuild with another index type": ("rebuild", "own", "--backend", "hnsw"),
        "dry run": ("rebuild", "own", "--dry-run"),
        "search": ("search", "faq", "refund", "--where", "topic = 'refund'"),
        "search of images": ("search", "pictures", "something red"),
        "search of words": ("search", "terms", "She turned the key in the lock", "--word", "4"),
        "explain": ("explain", "own", "money back", "How do I get my money back?"),
        "explain an image": ("explain", "pictures", "--image", images[0], "blue/blue 1.png"),
        "align": ("align", "pictures", "--captions", root / "captions.csv"),
        "list": ("list",),
        "info": ("info", "own"),
        "info of images": ("info", "pictures", "--quarantine", "--diagnostics"),
        "compare": ("compare", "a cat", "a dog", "--pooling", "mean"),
        "compare by an index": ("compare", "--index", "pictures", "a cat", "--image", images[0]),
        "calibrate": ("calibrate", "own", "--pairs", root / "pairs.tsv"),
        "eval": (
            "eval", "own", "--filters", "--labels", "topic", "--pairs", root / "pairs.tsv",
            "--queries", root / "queries.tsv", "--qrels", root / "qrels.tsv",
        ),
        "dupes": ("dupes", "faq", "--threshold", "1.2", "--no-check"),
        "map": ("map", "own", "--method", "pca", "--clusters", "2"),
        "info of a map": ("info", "own"),
        "verify": ("verify", "own"),
        "rollback": ("rollback", "own"),
        "gc": ("gc", "own", "--keep", "1"),
        "models": ("models",),
        "remove": ("remove", "own", "--yes"),
    }  # fmt: skip


NAMED_BY_OTHERS = {
    "examples",
    "bytes_of_files",
    "passed_over",
}  # their keys are kinds of change, and names of files


def keys(value, at=""):
    """Return the path of every key in a JSON value, as in `hits[].id`; each once."""
    found = []
    if isinstance(value, dict):
        for key, each in value.items():
            inner = {} if key in NAMED_BY_OTHERS else each
            found += [f"{at}{key}", *keys(inner, f"{at}{key}.")]
    elif isinstance(value, list):
        for each in value:
            found += keys(each, f"{at[:-1]}[].")
    return list(dict.fromkeys(found))


LEXICAL = ("kind", "language", "terms", "words", "mode", "weight", "files")
# since 0.6.0; each is in docs/json-and-api.md
NEW = {
    "diagnostics.duplicates.checked",
    "fields.height",
    "fields.width",
    "hits[].fields.height",
    "hits[].fields.width",
    "encoder.preparation",
    "recipe.encoder.preparation",
    "encoder.splitter",
    "recipe.encoder.splitter",
    "reason",
    "unknown",
    "hits[].unknown",
    "hits[].gone",
    "hits[].copies",
    "hits[].passage",
    "hits[].moment",
    "columns",
    "diagnostics.columns",
    "checked",
    "similar",
    "hits[].found_by",
    "hits[].rerank_score",
    "hits[].lit",
    "limit",
    "close",
    "count",
    "order",
    "feedback",
    "facets",
    "hits[].bm25",
    "mode",
    "weight",
    "recipe.index.language",
    *(f"additions.lexical{key}" for key in ("", *(f".{name}" for name in LEXICAL))),
    "note",
    "vote",
    "rejected",  # queries of eval
    *(
        f"indexes[].fields{name}"
        for name in ("", ".topic", ".weight", ".label", ".file", ".caption", ".width", ".height", ".who")
    ),
    "answers",
    *(f"{index}.threads" for index in ("search", "additions.bridge.index")),
    "centring",
    "recipe.index.center",
    "bridge.about",
    *(f"{scale}.{key}" for scale in ("scale", "additions.scale") for key in ("pairs_of", "unjudged", "lost")),
}

CAPTIONS = "additions.bridge.captions"  # of a file too since 0.9


@pytest.fixture(scope="module")
def printed(sources, tmp_path_factory):
    """What each command prints, on indexes of its own."""
    from tests.cli.conftest import Runner

    root = tmp_path_factory.mktemp("json")
    run = Runner(root / "indexes")
    for arguments in (
        (sources / "questions.csv", "--text", "question", "--name", "faq"),
        (sources / "pictures", "--name", "pictures"),
        (sources / "notes.jsonl", "--text", "body", "--unit", "word", "--name", "terms"),
    ):
        assert run("build", *arguments).exit_code == 0
    found = {}
    for name, arguments in commands(sources, root).items():
        result = run(*arguments, "--json")
        assert result.exit_code == 0, (name, result.stderr)
        found[name] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", KEYS)
def test_a_command_prints_the_keys_of_0_6_0(printed, name):
    """No key is renamed, moved or lost, and none is new but those named here."""
    old = {each for each in keys(printed[name]) if not each.startswith(CAPTIONS)}
    assert sorted(old - (NEW - {*KEYS[name]})) == sorted(KEYS[name])


def test_the_format_comes_first(printed):
    """Each object begins with the version of its format."""
    assert {next(iter(each.items())) for each in printed.values()} == {("schema", 1)}

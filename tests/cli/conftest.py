"""An indexes folder with two small real indexes, made by the command line itself."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from embedsearch.cli import cli

DOCS = Path(__file__).parents[2] / "embedsearch" / "docs"
NAMED_BY_OTHERS = {
    "fields",
    "files",
    "bytes_of_files",
    "examples",
    "counts",
    "passed_over",
}  # their keys are columns, files, changes, labels
ROWS = [
    ("How do I get my money back?", "refund", 3),
    ("I want a refund for my order.", "refund", 5),
    ("My card has not arrived yet.", "delivery", 2),
    ("Where is the parcel that I ordered?", "delivery", 9),
    ("I forgot my password.", "login", 1),
    ("The app says that my PIN is wrong.", "login", 4),
]


def documented_keys():
    """Return every word in backticks of the JSON part of json-and-api.md, and of what a recipe holds."""
    keys = (DOCS / "json-and-api.md").read_text(encoding="utf-8").split("\n## Python")[0]
    recipe = (DOCS / "on-disk.md").read_text(encoding="utf-8").split("\n## recipe.toml")[1].split("\n## ")[0]
    example = re.search(r"```json\n.*?```", keys, re.S)[0]
    named = re.findall(r"`([^`\n]+)`", keys.replace(example, "") + recipe)
    return {"schema", *" ".join(named).split()}


def keys_of(value):
    """Yield the keys of a JSON value, and of all that it holds."""
    if isinstance(value, dict):
        yield from value
        for key, each in value.items():
            if key not in NAMED_BY_OTHERS or isinstance(each, list):
                yield from keys_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from keys_of(each)


class Runner:
    """Runs the command line in this process on one indexes folder."""

    def __init__(self, indexes):
        self.indexes = indexes

    def __call__(self, *arguments, env=None, stdin=None):
        """Run a command and return its result (exit_code, stdout, stderr)."""
        environment = {"EMBEDSEARCH_INDEXES": str(self.indexes), **(env or {})}
        return CliRunner(env=environment).invoke(
            cli, [str(each) for each in arguments], prog_name="embedsearch", input=stdin
        )

    def json(self, *arguments):
        """Run a command with --json and return the object it prints; each of its keys is documented."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        printed = json.loads(result.stdout)
        assert set(keys_of(printed)) <= documented_keys()
        return printed


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Return a folder with a table, a folder of images (one broken) and a file of sentences."""
    root = tmp_path_factory.mktemp("sources with spaces é")
    lines = ["question,topic,weight", *(f'"{text}",{topic},{weight}' for text, topic, weight in ROWS)]
    (root / "questions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pictures = root / "pictures"
    for colour in ("red", "green", "blue"):
        (pictures / colour).mkdir(parents=True)
        for shade in range(2):
            Image.new("RGB", (40 + shade, 30), colour).save(pictures / colour / f"{colour} {shade}.png")
    (pictures / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (root / "notes.jsonl").write_text(
        json.dumps({"body": "The key opens the door. Press any key to go on.", "who": "Ann"})
        + "\n"
        + json.dumps({"body": "He lost the key to his flat.", "who": "Bob"})
        + "\n",
        encoding="utf-8",
    )
    return root


@pytest.fixture(scope="session")
def built(sources, tmp_path_factory):
    """Return a runner on a folder that holds the indexes faq, images and terms."""
    run = Runner(tmp_path_factory.mktemp("indexes"))
    for arguments in (
        (sources / "questions.csv", "--text", "question", "--name", "faq"),
        (sources / "pictures", "--name", "pictures"),
        (sources / "notes.jsonl", "--text", "body", "--unit", "word", "--name", "terms"),
    ):
        result = run("build", *arguments)
        assert result.exit_code == 0, result.stderr
    return run


@pytest.fixture
def run(tmp_path):
    """Return a runner on an empty indexes folder."""
    return Runner(tmp_path / "indexes")

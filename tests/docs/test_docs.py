import configparser
import inspect
import json
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

import embedsearch
from embedsearch.cli import COMMANDS, cli
from embedsearch.models.catalog import MODELS
from embedsearch.serve import schemas
from tests.cli.conftest import documented_keys

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "embedsearch" / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
BY_NAME = pytest.mark.parametrize("name", TEXT)
NO_FIGURES = {"__init__", "common", "gpu", "numbers", "wordnet"}  # what benchmarks share


def options(name):
    """Return every option of a command, as it is typed."""
    command = cli.get_command(click.Context(cli), name)
    parameters = command.get_params(click.Context(command))
    return {option for each in parameters for option in (*each.opts, *each.secondary_opts)}


def command_lines(text):
    """Yield the arguments of each `embedsearch` call in the shell blocks of a page."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        typed = re.sub(r"<<'(\w+)'\n.*?\n\1\n", "\n", block, flags=re.S)  # without here-documents
        for line in typed.replace("\\\n", " ").splitlines():
            for call in " ".join(shlex.split(line, comments=True, posix=False)).split("&&"):
                words = shlex.split(call)
                if words and Path(words[0]).name == "embedsearch":
                    yield words[1:]


def slug(heading):
    """Return the anchor that a heading has on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_short():
    """The README has at most 200 lines."""
    assert len(TEXT["README.md"].splitlines()) <= 200


def test_every_page_is_linked_from_the_readme():
    """Each page of the documentation has a link in the README."""
    linked = set(re.findall(r"\]\(embedsearch/docs/([\w-]+\.md)\)", TEXT["README.md"]))
    assert linked == {page.name for page in DOCS.glob("*.md")}


@BY_NAME
def test_links_lead_to_files_and_headings(name):
    """Links that are no web addresses lead to files, and their anchors to headings."""
    page = next(page for page in PAGES if page.name == name)
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT[name]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), target


def test_the_table_of_commands_names_each_once():
    """The README's table has one row for each command."""
    named = re.findall(r"^\| `embedsearch ([a-z]+)` \|", TEXT["README.md"], re.M)
    assert sorted(named) == sorted(COMMANDS)


def test_the_options_of_the_table_of_commands_exist():
    """An option in a command's row of the README is an option of that command."""
    for command, row in re.findall(r"^\| `embedsearch ([a-z]+)` \|(.*)$", TEXT["README.md"], re.M):
        assert set(re.findall(r"`(--[a-z-]+)", row)) <= options(command), command


@BY_NAME
def test_shell_blocks_can_be_parsed_by_the_command_line(name):
    """Each `embedsearch` call of a shell block has a known command and arguments that it takes."""
    for command, *arguments in command_lines(TEXT[name]):
        assert command in COMMANDS
        cli.get_command(click.Context(cli), command).make_context(command, arguments)


def test_what_starts_a_server_for_others_can_be_parsed():
    """The command of the systemd unit, and that of the configuration of MCP, take their arguments."""
    (unit,) = re.findall(r"^ExecStart=(.*)$", TEXT["server.md"], re.M)
    ((server,),) = [
        json.loads(each).values() for each in re.findall(r"```json\n(.*?)```", TEXT["server.md"], re.S)
    ]
    for program, command, *arguments in (
        unit.split(),
        [server["embedsearch"]["command"], *server["embedsearch"]["args"]],
    ):
        assert Path(program).name == "embedsearch"
        cli.get_command(click.Context(cli), command).make_context(command, arguments)


@BY_NAME
def test_commands_and_options_in_sentences_exist(name):
    """A command in a sentence exists and takes the options beside it; a lone option is of some command."""
    prose = re.sub(r"```.*?```", "", TEXT[name], flags=re.S).split("\n## Changes")[0]
    known = set().union(*map(options, COMMANDS))
    for code in re.findall(r"`([^`\n]+)`", prose):
        words = code.split()
        called = words[1:] if words[0] == "embedsearch" else words
        given = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--help"}
        if words[0] == "embedsearch" and len(words) > 1 and not called[0].startswith("-"):
            assert called[0] in COMMANDS, code
        if called and called[0] in COMMANDS:
            assert given <= options(called[0]), code
        elif words[0].startswith("--"):
            assert given <= known, code


@pytest.mark.scale
def test_the_five_minutes_work_as_pasted(monkeypatch, tmp_path):
    """The README's sample runs from top to bottom and finds what it promises; then so does all Python."""
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```sh\n(cat > .*?)```", TEXT["README.md"], re.S)[1]
    name, table = re.match(r"cat > (\S+) <<'END'\n(.*?\n)END\n", block, re.S).groups()
    (tmp_path / name).write_text(table, encoding="utf-8")
    printed = {}
    for words in command_lines(f"```sh\n{block}```"):
        result = CliRunner().invoke(cli, words, prog_name="embedsearch")
        assert result.exit_code == 0, (words, result.output)
        printed[words[-1]] = result.stdout
    assert "I would like a refund for my last order." in printed["3"].splitlines()[1]
    assert printed["how to cook rice"].startswith("nothing here is close")
    for page in ("README.md", "json-and-api.md"):
        code = "\n".join(re.findall(r"```python\n(.*?)```", TEXT[page], re.S))
        exec(compile(code, page, "exec"), {})


def test_each_key_of_the_schemas_is_documented():
    """json-and-api.md has every key of `serve/schemas.py`; tests/cli holds the parts of manifests."""
    models = [each for _, each in inspect.getmembers(schemas, inspect.isclass) if issubclass(each, BaseModel)]
    keys = {field.alias or name for each in models for name, field in each.model_fields.items()}
    assert keys <= documented_keys()
    assert {"hits", "comparisons", "quarantine"} <= keys


METHODS = [name for name in vars(embedsearch.Index) if name[0] != "_"]


@pytest.mark.parametrize("name", [*embedsearch.__all__, *METHODS])
def test_public_names_are_documented(name):
    """json-and-api.md has each public name, and each method of an index, in code."""
    python = TEXT["json-and-api.md"].split("\n## Python")[1]
    code = re.findall(r"```python\n(.*?)```|`([^`\n]+)`", python, re.S)
    assert re.search(rf"\b{name}\b", "\n".join(block or inline for block, inline in code))


def test_bundled_models_stand_with_size_and_licence():
    """Each bundled model stands in models.md with its dimension, size, licence and pooling."""
    for row in MODELS:
        if row.package:
            line = next(line for line in TEXT["models.md"].splitlines() if line.startswith(f"| `{row.name}`"))
            for fact in (str(row.dimension), f"{row.megabytes} MB", row.licence, row.pooling):
                assert fact in line


def test_every_benchmark_is_quoted():
    """speed.md quotes the figures of each benchmark script beside the command that runs it."""
    quoted = re.findall(r"^\| `python -m tests\.benchmarks\.(\w+)` \|", TEXT["speed.md"], re.M)
    scripts = {script.stem for script in (ROOT / "tests" / "benchmarks").glob("*.py")} - NO_FIGURES
    assert sorted(quoted) == sorted(scripts)


def test_the_import_table_is_the_one_that_is_checked():
    """development.md shows the layers of `.importlinter`."""
    shown = re.search(r"<!-- the import table -->\n```\n(.*?)```", TEXT["development.md"], re.S)[1]
    checked = configparser.ConfigParser()
    checked.read(ROOT / ".importlinter")
    assert shown.split() == checked["importlinter:contract:rooms"]["layers"].split()


def test_every_room_has_its_row():
    """development.md says of each room of the package what it does."""
    table = TEXT["development.md"].split("## The rooms")[1].split("\n## ")[0]
    for room in (ROOT / "embedsearch").iterdir():
        if room.is_dir() and room.name != "__pycache__":
            assert f"`{room.name}/`" in table, room.name


def test_the_files_that_development_names_exist():
    """A path in development.md is a file of the package or of the project; NAME stands for a new one."""
    for path in re.findall(r"`([\w/.]+\.py)`", TEXT["development.md"]):
        if "NAME" not in path:
            assert (ROOT / "embedsearch" / path).is_file() or (ROOT / path).is_file(), path


def test_the_version_has_its_changes():
    """The Changes section has an entry for the current version."""
    assert f"**{embedsearch.__version__}**" in TEXT["development.md"].split("## Changes")[1]

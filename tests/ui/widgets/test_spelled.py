"""What the page asks as a command line and as Python finds the same."""

import json
import shlex

import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.cli.search import search_command
from embedsearch.query import MoreLike, Query, SearchOptions, WeightedTerm, as_query
from embedsearch.ui.widgets.spelled import command, python

TEXTS = ["a cat's tail", "a dog", "a goldfish", "a parrot", "the moon", "a star", "the sun"]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of texts with a field."""
    folder = tmp_path_factory.mktemp("spelled") / "in dexes"
    rows = [{"id": f"-{at}", "text": text, "n": at} for at, text in enumerate(TEXTS)]
    return es.build(rows, name="things", indexes=folder, id="id")


@pytest.mark.parametrize(
    "query",
    [
        'it\'s a "pet"',
        "-5 degrees",
        "--help",
        MoreLike("-1"),
        Query((WeightedTerm("pet"), WeightedTerm("fish: 3", -0.4), WeightedTerm(MoreLike("-5"), 0.5))),
    ],
)
def test_both_find_the_same(index, query, monkeypatch, capsys):
    """Quotes, signs, weights, the filter and the options are read back as they were meant."""
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(index.build.folder.parents[2]))
    where = "\"n\" >= 1 and text != 'it''s'"
    options = SearchOptions(3, where, sort="-n", fold=False)
    expected = [hit.id for hit in index.search(query, 3, where, sort="-n", fold=False)]
    asked = as_query(query)
    exec(python(index, asked, options, where))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == expected
    answer = CliRunner().invoke(cli, [*shlex.split(command(index, asked, options, where))[1:], "--json"])
    assert [hit["id"] for hit in json.loads(answer.stdout)["hits"]] == expected


def test_two_indexes_are_asked_the_same(index, monkeypatch, capsys):
    """The command and the program of a comparison find what both indexes find."""
    folder = index.build.folder.parents[2]
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(folder))
    rows = [{"id": f"-{at}", "text": f"{text}!", "n": at} for at, text in enumerate(TEXTS)]
    other = es.build(rows, name="others", indexes=folder, id="id")
    query, options, where = as_query('a "pet"'), SearchOptions(3), "n >= 1"
    found = index.versus(other, query, 3, where)
    expected = [hit.id for hits in (found.left, found.right) for hit in hits]
    exec(python(index, query, options, where, "others"))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == expected
    line = shlex.split(command(index, query, options, where, "others"))[1:]
    answer = json.loads(CliRunner().invoke(cli, [*line, "--json"]).stdout)
    assert [hit["id"] for hit in answer["hits"] + answer["versus_hits"]] == expected
    for spelled in (command, python):  # neither takes passages
        assert spelled(index, query, SearchOptions(3, by="passage"), "", "others").startswith("# ")


@pytest.mark.parametrize("sentence", ["--help me", "-k cats and dogs", "-a cat", "a cat"])
def test_a_sentence_of_a_word_is_no_option(index, sentence):
    """A sentence may begin with signs: it stands behind all options."""
    words = shlex.split(command(index, as_query(es.Word(sentence, 1)), SearchOptions(2), ""))
    context = search_command.make_context("search", words[2:])
    assert (context.params["query"], context.params["word"]) == ((sentence,), "1")

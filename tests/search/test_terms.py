"""Texts that name items of an index of vectors, and vector arithmetic with them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.errors import QueryError
from embedsearch.query import MoreLike, Query, Vector, WeightedTerm
from embedsearch.search.terms import read_terms

ITEMS = {"king", "man", "woman", "New York", "a - b", "-1"}


def terms(*pairs):
    """Return a query of weighted items."""
    return Query(tuple(WeightedTerm(MoreLike(name), weight) for name, weight in pairs))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("king", MoreLike("king")),
        (" New York ", MoreLike("New York")),
        ("a - b", MoreLike("a - b")),
        ("-1", MoreLike("-1")),
        ("+ king", MoreLike("king")),
        ("king - man + woman", terms(("king", 1), ("man", -1), ("woman", 1))),
        ("- man + 2 * king", terms(("man", -1), ("king", 2))),
        ("0.5*New York + king", terms(("New York", 0.5), ("king", 1))),
    ],
)
def test_a_text_names_items(text, wanted):
    """Ids joined by plus and minus, with weights; a whole id goes first, whatever signs it holds."""
    assert read_terms(text, ITEMS.__contains__) == wanted


@pytest.mark.parametrize("text", ["0.5, -1, 2e-3", "[0.5 -1 2e-3]", "[0.5,-1,2e-3]"])
def test_a_text_may_hold_a_vector(text):
    """Numbers with commas or blanks between, in brackets or not."""
    found = read_terms(text, ITEMS.__contains__)
    assert isinstance(found, Vector)
    assert list(found.values) == [0.5, -1, 0.002]


@pytest.mark.parametrize("text", ["nobody", "king - nobody", "king-man", "2 * nobody"])
def test_what_is_no_item_is_named(text):
    """The part that is no item stands in the message."""
    with pytest.raises(QueryError, match=r"no item '(nobody|king-man)'"):
        read_terms(text, ITEMS.__contains__)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """An index of a small generated file of word vectors: royalty, gender and age, and what is none of it."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(5)
    traits = {"royal": 0, "male": 1, "female": 2, "young": 3, "fruit": 4}
    held = {
        "king": "royal male", "queen": "royal female", "man": "male", "woman": "female",
        "prince": "royal male young", "princess": "royal female young", "boy": "male young",
        "girl": "female young", "apple": "fruit", "pear": "fruit",
    }  # fmt: skip
    with (folder / "glove.txt").open("w") as file:
        for word, named in held.items():
            row = rng.normal(scale=0.05, size=40)
            row[[traits[trait] for trait in named.split()]] += 1
            file.write(f"{word} {' '.join(f'{each:.5f}' for each in row)}\n")
    es.build(folder / "glove.txt", name="words", indexes=folder / "indexes")
    return folder / "indexes"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("king - man + woman", "queen"),
        ("boy - man + woman", "girl"),
        ("prince - young", None),
        ("apple", "pear"),
    ],
)
def test_arithmetic_finds_the_word_that_is_meant(asked, found, words):
    """King minus man plus woman is queen, in Python and on the command line; terms are not their own hits."""
    if found is None:
        with pytest.raises(QueryError, match="no item 'young'"):
            es.open("words", words).search(asked)
        return
    assert es.open("words", words).search(asked, k=1)[0].id == found
    ran = CliRunner().invoke(cli, ["search", "words", asked, "-k", "1", "--json", "--indexes", str(words)])
    assert ran.exit_code == 0, ran.output
    assert [hit["id"] for hit in json.loads(ran.stdout)["hits"]] == [found]


def test_the_command_line_takes_a_vector(words, tmp_path):
    """--vector takes a .npy file, or numbers, also with a weight; anything else is refused in words."""
    index = es.open("words", words)
    row = np.asarray(index.build.take(np.array([index.row("king")])))[0]
    np.save(tmp_path / "q.npy", row)
    for given in (str(tmp_path / "q.npy"), ",".join(map(str, row)), f"{tmp_path / 'q.npy'}:0.5"):
        ran = CliRunner().invoke(
            cli, ["search", "words", "--vector", given, "-k", "1", "--json", "--indexes", str(words)]
        )
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.stdout)["hits"][0]["id"] == "king"
    for given, said in (("x,y", "takes a .npy file"), ("1,2", "takes vectors of 40 numbers")):
        ran = CliRunner().invoke(cli, ["search", "words", "--vector", given, "--indexes", str(words)])
        assert ran.exit_code in (1, 2)
        assert said in " ".join(ran.stderr.split())
